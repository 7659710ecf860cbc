//! The C functions, called as C would: the same results as the engine's own interface, and a status for whatever is wrong.

mod common;

use beitle::Isa;
use beitle::format::Precision;
use beitle::mapped::{Arena, MappedFile};
use beitle_ffi::*;
use common::{Case, Outcome, Picture as Rgb};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{null, null_mut};

/// An open, planned engine and everything a job points to.
struct Bench {
    engine: Engine,
    file: MappedFile,
    picture: Rgb,
    arena: Arena,
    arena_bytes: usize,
    map: Vec<u16>,
    message: [c_char; 200],
}

impl Bench {
    fn new(workers: usize) -> Bench {
        let case = Case::open("relative");
        let file = MappedFile::open(case.convert(Precision::Int8)).unwrap();
        let picture = case.picture();
        let mut b = Bench {
            engine: Engine::new(),
            arena: Arena::new(0),
            arena_bytes: 0,
            map: vec![0; picture.width * picture.height],
            file,
            picture,
            message: [0; 200],
        };
        let bytes = b.file.bytes();
        let (data, len) = (bytes.as_ptr().cast(), bytes.len());
        // SAFETY: every pointer is to memory of this bench.
        unsafe {
            assert_eq!(beitle_open(&mut b.engine, data, len, null_mut(), 0), Status::Ok);
            assert_eq!(beitle_verify(&b.engine, null_mut(), 0), Status::Ok);
        }
        assert_eq!(b.plan(workers), Status::Ok);
        b.arena = Arena::new(b.arena_bytes);
        b
    }

    fn plan(&mut self, workers: usize) -> Status {
        let (w, h) = self.picture.size();
        let (text, room) = (self.message.as_mut_ptr(), self.message.len());
        // SAFETY: every pointer is to memory of this bench.
        unsafe { beitle_plan(&mut self.engine, workers, w, h, &mut self.arena_bytes, text, room) }
    }

    fn job(&mut self) -> Job {
        let picture = Picture {
            data: self.picture.rgb.as_ptr(),
            bytes: self.picture.rgb.len(),
            width: self.picture.width,
            height: self.picture.height,
            stride: 0,
            format: 0,
        };
        let bytes = 2 * self.map.len();
        let map = Map { data: self.map.as_mut_ptr().cast(), bytes, width: 0, height: 0, pixel_bytes: 2 };
        Job {
            size: size_of::<Job>(),
            arena: self.arena.bytes().as_mut_ptr().cast(),
            arena_bytes: self.arena_bytes,
            picture,
            map,
            logits: null_mut(),
            logits_count: 0,
            threads: null(),
            progress: None,
            progress_context: null_mut(),
        }
    }

    /// Status and message.
    fn run(&mut self, job: &Job) -> (Status, String) {
        let (text, room) = (self.message.as_mut_ptr(), self.message.len());
        // SAFETY: what the job points to is this bench's or null, but for places that are to be refused.
        let status = unsafe { beitle_run(&self.engine, job, text, room) };
        (status, self.message())
    }

    fn message(&self) -> String {
        // SAFETY: it ends in a zero byte.
        unsafe { CStr::from_ptr(self.message.as_ptr()) }.to_str().unwrap().into()
    }
}

/// What the engine's own interface gives.
fn expected(b: &Bench) -> Outcome {
    let path = Case::open("relative").convert(Precision::Int8);
    common::run(&path, &b.picture, Isa::detect(), 1, &mut ())
}

/// Three threads for each batch.
unsafe extern "C" fn spawn(context: *mut c_void, work: Work, argument: *mut c_void) {
    // SAFETY: the test's own counter, used by this thread alone.
    unsafe { *context.cast::<usize>() += 1 };
    let argument = argument.expose_provenance();
    std::thread::scope(|s| {
        for _ in 0..3 {
            // SAFETY: the library's own pair, while it waits.
            s.spawn(move || unsafe { work(std::ptr::with_exposed_provenance_mut(argument)) });
        }
    });
}

/// Stops when the counter it is given has come down to 0.
unsafe extern "C" fn countdown(context: *mut c_void) -> c_int {
    // SAFETY: the test's own counter, used by this thread alone.
    let left = unsafe { &mut *context.cast::<usize>() };
    *left -= 1;
    c_int::from(*left == 0)
}

#[test]
fn runs_give_what_the_engine_gives() {
    let mut b = Bench::new(3);
    let want = expected(&b);
    let mut logits = vec![0f32; want.logits.len()];
    let mut job = b.job();
    (job.logits, job.logits_count) = (logits.as_mut_ptr(), logits.len());
    assert_eq!(b.run(&job), (Status::Ok, String::new()));
    assert_eq!((&b.map, &logits), (&want.map, &want.logits));

    // Threads; a progress function; one byte a pixel.
    let (mut batches, mut left) = (0usize, usize::MAX);
    let threads = Threads { workers: 3, run: Some(spawn), context: (&raw mut batches).cast() };
    let mut bytes = vec![0u8; want.map.len()];
    let mut job = b.job();
    job.threads = &threads;
    job.progress = Some(countdown);
    job.progress_context = (&raw mut left).cast();
    job.map = Map { data: bytes.as_mut_ptr().cast(), bytes: bytes.len(), pixel_bytes: 1, ..job.map };
    assert_eq!(b.run(&job).0, Status::Ok);
    assert!(bytes.iter().map(|&c| u16::from(c)).eq(want.map.iter().copied()));
    assert!(batches > 10 && left < usize::MAX - 10, "{batches} batches, {left} left");

    // BGRA with longer rows.
    let (w, h) = b.picture.size();
    let stride = 4 * w + 5;
    let mut bgra = vec![7u8; stride * h];
    for (row, from) in bgra.chunks_mut(stride).zip(b.picture.rgb.chunks(3 * w)) {
        for (to, rgb) in row.chunks_mut(4).zip(from.chunks(3)) {
            to[..3].copy_from_slice(&[rgb[2], rgb[1], rgb[0]]);
        }
    }
    b.map.fill(99);
    let mut job = b.job();
    job.picture = Picture { data: bgra.as_ptr(), bytes: bgra.len(), stride, format: 3, ..job.picture };
    assert_eq!(b.run(&job).0, Status::Ok);
    assert_eq!(b.map, want.map);

    // A map of another size.
    let mut job = b.job();
    (job.map.width, job.map.height) = (5, 3);
    assert_eq!(b.run(&job).0, Status::Ok);
}

#[test]
fn a_model_says_what_it_is() {
    let b = Bench::new(1);
    let want = expected(&b).shape;
    let mut info = Info::default();
    let mut name = [0x7F as c_char; 8];
    let mut rgb = [9u8; 3];
    // SAFETY: every pointer is to memory of this test.
    unsafe {
        assert_eq!(beitle_info_of(&b.engine, &mut info, null_mut(), 0), Status::Ok);
        assert_eq!([info.classes, info.logits_height, info.logits_width], want);
        assert_eq!(beitle_info_of(&b.engine, null_mut(), null_mut(), 0), Status::Argument);
        let model = beitle::Model::new(b.file.bytes()).unwrap();
        for class in 0..info.classes {
            let whole = model.class_name(class).unwrap();
            let status = beitle_class_name(&b.engine, class, name.as_mut_ptr(), name.len());
            let got = CStr::from_ptr(name.as_ptr()).to_str().unwrap();
            assert!(whole.starts_with(got));
            assert_eq!(status, if got == whole { Status::Ok } else { Status::Buffer });
            assert_eq!(beitle_class_colour(&b.engine, class, &mut rgb), Status::Ok);
            assert_eq!(rgb, model.colour(class));
        }
        assert_eq!(beitle_class_name(&b.engine, info.classes, name.as_mut_ptr(), 8), Status::Argument);
        assert_eq!(name[0], 0);
        assert_eq!(beitle_class_name(&b.engine, 0, name.as_mut_ptr(), 2), Status::Buffer);
        assert_eq!(name[1], 0);
        assert_eq!(beitle_class_name(&b.engine, 0, null_mut(), 99), Status::Buffer);
        assert_eq!(beitle_class_colour(&b.engine, info.classes, &mut rgb), Status::Argument);
        assert_eq!(beitle_class_colour(&b.engine, 0, null_mut()), Status::Argument);
    }
}

#[test]
fn files_that_are_none_are_refused() {
    let b = Bench::new(1);
    let mut copy = Arena::new(b.file.bytes().len() + 64);
    let len = b.file.bytes().len();
    let mut check = |change: &dyn Fn(&mut [u8]), offset: usize, len: usize, want: Status| {
        let mut engine = Engine::new();
        let mut text = [0x7F as c_char; 120];
        let bytes = &mut copy.bytes()[offset..];
        bytes[..b.file.bytes().len()].copy_from_slice(b.file.bytes());
        change(bytes);
        let bytes = bytes.as_ptr().cast();
        // SAFETY: every pointer is to memory of this test.
        unsafe {
            let opened = beitle_open(&mut engine, bytes, len, text.as_mut_ptr(), text.len());
            let status = if opened == Status::Ok {
                beitle_verify(&engine, text.as_mut_ptr(), text.len())
            } else {
                assert_eq!(beitle_verify(&engine, null_mut(), 0), Status::Argument, "it must not be open");
                opened
            };
            assert_eq!(status, want);
            assert!(!CStr::from_ptr(text.as_ptr()).is_empty());
        }
    };
    check(&|b| b[0] = b'X', 0, len, Status::NotAModel);
    check(&|b| b[8] = 99, 0, len, Status::OtherVersion);
    check(&|_| (), 0, len / 2, Status::Damaged);
    check(&|_| (), 0, 0, Status::Damaged);
    check(&|b| b[100] ^= 1, 0, len, Status::Damaged);
    check(&|b| b[len / 2] ^= 1, 0, len, Status::Damaged);
    check(&|_| (), 8, len, Status::Misaligned);

    let mut engine = Engine::new();
    let odd = (&raw mut engine).cast::<u8>().wrapping_add(1).cast::<Engine>();
    let mut short = [0x7F as c_char; 12];
    // SAFETY: pointers are to memory of this test, null, or refused before they are used.
    unsafe {
        let file = b.file.bytes().as_ptr().cast();
        assert_eq!(beitle_open(null_mut(), file, len, null_mut(), 0), Status::Argument);
        assert_eq!(beitle_open(odd, file, len, null_mut(), 0), Status::Misaligned);
        let inside = (&raw const engine).cast::<c_void>();
        assert_eq!(beitle_open(&mut engine, inside, 64, null_mut(), 0), Status::Argument);
        assert_eq!(beitle_open(&mut engine, null(), len, short.as_mut_ptr(), 12), Status::Argument);
        assert_eq!(
            CStr::from_ptr(short.as_ptr()).to_str(),
            Ok("file is NUL"),
            "as much as there is room for"
        );
        assert_eq!(beitle_open(&mut engine, file, usize::MAX, null_mut(), 12), Status::Argument);
        assert_eq!(beitle_verify(&engine, null_mut(), 0), Status::Argument, "it is not open");
    }
}

#[test]
fn plans_that_make_no_sense_are_refused() {
    let mut b = Bench::new(1);
    assert_eq!((b.plan(0), b.message().as_str()), (Status::Argument, "workers is 0"));
    assert_eq!(b.plan(usize::MAX), Status::TooLarge);
    let mut bytes = 0;
    let mut unopened = Engine::new();
    // SAFETY: pointers are to memory of this test or null.
    unsafe {
        let e = &raw mut b.engine;
        assert_eq!(beitle_plan(e, 1, 0, 5, &mut bytes, null_mut(), 0), Status::Picture);
        assert_eq!(beitle_plan(e, 1, 5, usize::MAX, &mut bytes, null_mut(), 0), Status::Picture);
        assert_eq!(beitle_plan(e, 1, 5, 5, null_mut(), null_mut(), 0), Status::Argument);
        assert_eq!(beitle_plan(null_mut(), 1, 5, 5, &mut bytes, null_mut(), 0), Status::Argument);
        assert_eq!(beitle_plan(&mut unopened, 1, 5, 5, &mut bytes, null_mut(), 0), Status::Argument);
    }
    let job = b.job();
    assert_eq!(b.run(&job).0, Status::Ok, "the first plan still holds");
}

#[test]
fn jobs_that_make_no_sense_are_refused() {
    let mut b = Bench::new(2);
    let mut logits = vec![0f32; expected(&b).logits.len()];
    let threads = |workers, run| Threads { workers, run, context: null_mut() };
    let crowd = threads(3, Some(spawn as unsafe extern "C" fn(_, _, _)));
    let (nobody, none) = (threads(0, Some(spawn as unsafe extern "C" fn(_, _, _))), threads(1, None));
    let room = logits.len();
    let out = logits.as_mut_ptr();
    let mut left = 3usize;
    let stop = (&raw mut left).cast::<c_void>();
    let engine: *mut c_void = (&raw mut b.engine).cast();
    let file = b.file.bytes().as_ptr().cast_mut().cast::<c_void>();
    type Change<'a> = &'a dyn Fn(&mut Job);
    let cases: &[(&str, Status, Change)] = &[
        ("job.size", Status::Argument, &|j| j.size -= 8),
        ("job.arena is NULL", Status::Argument, &|j| j.arena = null_mut()),
        ("job.arena does not", Status::Misaligned, &|j| j.arena = j.arena.wrapping_byte_add(32)),
        ("arena bytes", Status::Buffer, &|j| j.arena_bytes -= 1),
        ("job.arena is longer", Status::Argument, &|j| j.arena_bytes = usize::MAX),
        ("job.picture.data is NULL", Status::Argument, &|j| j.picture.data = null()),
        ("picture's bytes", Status::Buffer, &|j| j.picture.bytes -= 1),
        ("picture's bytes", Status::Buffer, &|j| j.picture.bytes = 0),
        ("job.picture.format", Status::Argument, &|j| j.picture.format = 5),
        ("stride", Status::Picture, &|j| j.picture.stride = 1),
        ("one pixel", Status::Picture, &|j| j.picture.width = 0),
        ("16777216", Status::Picture, &|j| j.picture.height = usize::MAX),
        ("job.map.data is NULL", Status::Argument, &|j| j.map.data = null_mut()),
        ("job.map.data does not", Status::Misaligned, &|j| j.map.data = j.map.data.wrapping_byte_add(1)),
        ("class map", Status::Buffer, &|j| j.map.bytes -= 1),
        ("class map", Status::Buffer, &|j| (j.map.width, j.map.height) = (4000, 3000)),
        ("job.map.width", Status::Argument, &|j| j.map.width = 5),
        ("job.map.width", Status::Argument, &|j| (j.map.width, j.map.height) = (usize::MAX, usize::MAX)),
        ("job.map.pixel_bytes", Status::Argument, &|j| j.map.pixel_bytes = 4),
        ("logits", Status::Buffer, &|j| (j.logits, j.logits_count) = (out, room - 1)),
        ("job.logits does not", Status::Misaligned, &|j| {
            (j.logits, j.logits_count) = (out.wrapping_byte_add(2), room - 1);
        }),
        ("overlaps", Status::Argument, &|j| j.map.data = j.arena),
        ("overlaps", Status::Argument, &|j| j.picture.data = j.arena.cast()),
        ("overlaps", Status::Argument, &|j| j.arena = file),
        ("overlaps", Status::Argument, &|j| j.map.data = engine),
        ("overlaps", Status::Argument, &|j| (j.logits, j.logits_count) = (j.map.data.cast(), 1)),
        ("threads.workers", Status::Argument, &|j| j.threads = &nobody),
        ("threads.run", Status::Argument, &|j| j.threads = &none),
        ("planned workers", Status::Buffer, &|j| j.threads = &crowd),
        ("cancelled", Status::Cancelled, &|j| {
            j.progress = Some(countdown);
            j.progress_context = stop;
        }),
    ];
    for (i, (text, want, change)) in cases.iter().enumerate() {
        let mut job = b.job();
        change(&mut job);
        let (status, message) = b.run(&job);
        assert_eq!(status, *want, "{i} {text}: {message}");
        assert!(message.contains(text), "{i} {text}: {message}");
    }
    let large = vec![0u8; 3 * 4000 * 3000];
    let mut map = vec![0u8; 4000 * 3000];
    let mut job = b.job();
    job.picture =
        Picture { data: large.as_ptr(), bytes: large.len(), width: 4000, height: 3000, stride: 0, format: 0 };
    job.map = Map { data: map.as_mut_ptr().cast(), bytes: map.len(), pixel_bytes: 1, ..job.map };
    assert_eq!(b.run(&job).0, Status::Buffer, "larger than planned");

    let job = b.job();
    // SAFETY: pointers are to memory of this test, null, or refused before they are used.
    unsafe {
        assert_eq!(beitle_run(null(), &job, null_mut(), 0), Status::Argument);
        assert_eq!(beitle_run(&b.engine, null(), null_mut(), 0), Status::Argument);
        assert_eq!(beitle_run(&Engine::new(), &job, null_mut(), 0), Status::Argument);
        let bytes = b.file.bytes();
        assert_eq!(beitle_open(&mut b.engine, bytes.as_ptr().cast(), bytes.len(), null_mut(), 0), Status::Ok);
    }
    assert_eq!(b.run(&job), (Status::Argument, "engine is not planned".into()));
}
