//! An open engine and the buffers of a run, for the tests of the C functions.

use crate::common::{Case, Picture};
use beitle::file::format::Precision;
use beitle::memory::{Arena, FileBytes};
use beitle_ffi::*;
use std::ffi::{CStr, c_char};
use std::ptr::{null, null_mut};

/// An open engine with a plan, and the buffers of a run.
pub struct Fixture {
    pub engine: CEngine,
    pub file: FileBytes,
    pub picture: Picture,
    pub arena: Arena,
    pub arena_bytes: usize,
    pub map: Vec<u16>,
    pub message: [c_char; 200],
}

impl Fixture {
    pub fn new(workers: usize) -> Fixture {
        Fixture::of(&Case::open("relative"), workers)
    }

    pub fn of(case: &Case, workers: usize) -> Fixture {
        let file = FileBytes::read(case.convert(Precision::Int8)).unwrap();
        let picture = case.picture();
        let mut f = Fixture {
            engine: CEngine::new(),
            arena: Arena::new(0).unwrap(),
            arena_bytes: 0,
            map: vec![0; picture.width * picture.height],
            file,
            picture,
            message: [0; 200],
        };
        let bytes = f.file.bytes();
        let (data, len) = (bytes.as_ptr().cast(), bytes.len());
        // SAFETY: every pointer refers to this fixture.
        unsafe {
            assert_eq!(beitle_open(&mut f.engine, data, len, null_mut(), 0), Status::Ok);
            assert_eq!(beitle_verify(&f.engine, null_mut(), 0), Status::Ok);
        }
        assert_eq!(f.plan(workers), Status::Ok);
        f.arena = Arena::new(f.arena_bytes).unwrap();
        f
    }

    pub fn plan(&mut self, workers: usize) -> Status {
        let (w, h) = self.picture.size();
        let (text, room) = (self.message.as_mut_ptr(), self.message.len());
        // SAFETY: every pointer refers to this fixture.
        unsafe { beitle_plan(&mut self.engine, workers, w, h, &mut self.arena_bytes, text, room) }
    }

    /// Parameters of a valid run.
    pub fn params(&mut self) -> CRunParams {
        let image = CImage {
            data: self.picture.rgb.as_ptr(),
            bytes: self.picture.rgb.len(),
            width: self.picture.width,
            height: self.picture.height,
            stride: 0,
            format: 0,
        };
        let bytes = 2 * self.map.len();
        let map =
            CClassMap { data: self.map.as_mut_ptr().cast(), bytes, width: 0, height: 0, pixel_bytes: 2 };
        CRunParams {
            size: size_of::<CRunParams>(),
            arena: self.arena.bytes_mut().as_mut_ptr().cast(),
            arena_bytes: self.arena_bytes,
            image,
            map,
            logits: null_mut(),
            logits_count: 0,
            thread_pool: null(),
            progress: None,
            progress_context: null_mut(),
            scores: null_mut(),
            scores_count: 0,
            window_done: None,
            features: null_mut(),
            features_count: 0,
            tokens: null_mut(),
            tokens_count: 0,
            frame: CFrame::default(),
            confidence: null_mut(),
            confidence_count: 0,
            min_confidence: 0,
            labels: null(),
            labels_count: 0,
            points: null(),
            points_count: 0,
            ranked: null_mut(),
            ranked_count: 0,
            isa: null(),
        }
    }

    /// Runs the engine; returns status and message.
    pub fn run(&mut self, params: &CRunParams) -> (Status, String) {
        let (text, room) = (self.message.as_mut_ptr(), self.message.len());
        // SAFETY: the parameters point to this fixture, or to memory that the call must reject without an access.
        let status = unsafe { beitle_run(&self.engine, params, text, room) };
        (status, self.message())
    }

    pub fn message(&self) -> String {
        // SAFETY: the library terminates messages.
        unsafe { CStr::from_ptr(self.message.as_ptr()) }.to_str().unwrap().into()
    }
}
