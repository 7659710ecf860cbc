//! The C functions with arguments that no correct program passes: overlapping, null, misaligned, stale, re-entrant and
//! concurrent ones. Every overlap is reported before anything is written. CI runs these tests with AddressSanitizer, too.

mod common;
#[path = "common/fixture.rs"]
mod fixture;

use beitle::output::Ranked;
use beitle_ffi::*;
use fixture::Fixture;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::{null, null_mut};

/// Memory with room for all arguments of a call, aligned as the arena must be. Every argument gets a place of its own.
#[repr(C, align(64))]
struct Memory([u8; 1 << 16]);

/// Distance between the places of two arguments in [`Memory`].
const PLACE: usize = 1 << 12;

impl Memory {
    fn new() -> Box<Memory> {
        Box::new(Memory([0xA5; 1 << 16]))
    }
    fn place<T>(&mut self, i: usize) -> *mut T {
        self.0.as_mut_ptr().wrapping_add(i * PLACE).cast()
    }
}

/// Calls `call` with a place for each of `count` arguments: first places of their own, then every pair of arguments at the same
/// place, which must be rejected.
fn check_pairs(count: usize, mut call: impl FnMut(&mut Memory, &[usize]) -> Status) {
    let own: Vec<usize> = (0..count).collect();
    assert_eq!(call(&mut Memory::new(), &own), Status::Ok);
    for a in 0..count {
        for b in a + 1..count {
            let mut places = own.clone();
            places[b] = a;
            let status = call(&mut Memory::new(), &places);
            assert_eq!(status, Status::InvalidArgument, "arguments {a} and {b} overlap");
        }
    }
}

/// Copies an engine to a place, as C programs may.
fn put_engine(engine: &CEngine, at: *mut CEngine) {
    // SAFETY: the place has room for an engine; a copy of an engine is an engine.
    unsafe { std::ptr::copy_nonoverlapping(engine, at, 1) };
}

#[test]
fn overlapping_arguments_are_rejected() {
    let f = Fixture::new(1);
    let bytes = f.file.bytes();
    let (file, len) = (bytes.as_ptr().cast::<c_void>(), bytes.len());
    // SAFETY (all blocks): every place has room for its argument, and the memory is not used otherwise.
    check_pairs(2, |m, p| unsafe { beitle_open(m.place(p[0]), file, len, m.place(p[1]), 100) });
    check_pairs(2, |m, p| {
        put_engine(&f.engine, m.place(p[0]));
        unsafe { beitle_verify(m.place(p[0]), m.place(p[1]), 100) }
    });
    check_pairs(3, |m, p| {
        unsafe { m.place::<CInfo>(p[1]).write(CInfo::default()) };
        put_engine(&f.engine, m.place(p[0]));
        unsafe { beitle_model_info(m.place(p[0]), m.place(p[1]), m.place(p[2]), 100) }
    });
    check_pairs(3, |m, p| {
        put_engine(&f.engine, m.place(p[0]));
        unsafe { beitle_model_name(m.place(p[0]), m.place(p[1]), 100, m.place(p[2]), 100) }
    });
    check_pairs(3, |m, p| {
        put_engine(&f.engine, m.place(p[0]));
        unsafe { beitle_class_name(m.place(p[0]), 0, m.place(p[1]), 100, m.place(p[2]), 100) }
    });
    check_pairs(3, |m, p| {
        put_engine(&f.engine, m.place(p[0]));
        unsafe { beitle_class_colour(m.place(p[0]), 0, m.place(p[1]), m.place(p[2]), 100) }
    });
    check_pairs(3, |m, p| {
        put_engine(&f.engine, m.place(p[0]));
        unsafe { beitle_plan(m.place(p[0]), 1, 9, 9, m.place(p[1]), m.place(p[2]), 100) }
    });
    check_pairs(5, |m, p| {
        let plan = CPlanParams {
            size: size_of::<CPlanParams>(),
            workers: 1,
            width: 9,
            height: 9,
            mode: 2,
            flip: 0,
            scales: null(),
            scale_count: 0,
            overlap_bytes: 0,
        };
        // SAFETY: the place has room for the parameters.
        unsafe { m.place::<CPlanParams>(p[1]).write(plan) };
        put_engine(&f.engine, m.place(p[0]));
        let (engine, plan) = (m.place(p[0]), m.place::<CPlanParams>(p[1]));
        unsafe { beitle_plan_views(engine, plan, m.place(p[2]), m.place(p[3]), m.place(p[4]), 100) }
    });
}

#[test]
fn the_weight_file_is_never_written_to() {
    let mut f = Fixture::new(1);
    let len = f.file.bytes().len();
    // A copy that may be written to, so that a missing check is found by comparison and not by a crash.
    let mut copy = beitle::memory::Arena::new(len).unwrap();
    copy.bytes_mut()[..len].copy_from_slice(f.file.bytes());
    let start = copy.bytes_mut().as_mut_ptr();
    let inside = start.wrapping_add(4096);
    let mut engine = CEngine::new();
    let mut image_map = [0u8; 4];
    // SAFETY: every pointer refers to memory of this test.
    unsafe {
        assert_eq!(beitle_open(&mut engine, start.cast(), len, null_mut(), 0), Status::Ok);
        let e = &raw mut engine;
        let refused = [
            beitle_open(&mut CEngine::new(), start.cast(), len, inside.cast(), 64),
            beitle_open(inside.cast(), start.cast(), len, null_mut(), 0),
            beitle_verify(e, inside.cast(), 64),
            beitle_model_info(e, inside.cast(), null_mut(), 0),
            beitle_model_info(e, &mut CInfo::default(), inside.cast(), 64),
            beitle_model_name(e, inside.cast(), 64, null_mut(), 0),
            beitle_model_name(e, null_mut(), 0, inside.cast(), 64),
            beitle_class_name(e, 0, inside.cast(), 64, null_mut(), 0),
            beitle_class_name(e, 0, null_mut(), 0, inside.cast(), 64),
            beitle_class_colour(e, 0, inside.cast(), null_mut(), 0),
            beitle_class_colour(e, 0, &mut [0; 3], inside.cast(), 64),
            beitle_plan(e, 1, 2, 2, inside.cast(), null_mut(), 0),
            beitle_plan(e, 1, 2, 2, &mut 0, inside.cast(), 64),
        ];
        assert_eq!(refused, [Status::InvalidArgument; 13]);
        let mut arena_bytes = 0;
        assert_eq!(beitle_plan(e, 1, 2, 2, &mut arena_bytes, null_mut(), 0), Status::Ok);
        f.arena = beitle::memory::Arena::new(arena_bytes).unwrap();
        f.arena_bytes = arena_bytes;
        let rgb = [7u8; 12];
        let mut params = f.params();
        params.image = CImage { data: rgb.as_ptr(), bytes: 12, width: 2, height: 2, stride: 0, format: 0 };
        params.map =
            CClassMap { data: image_map.as_mut_ptr().cast(), bytes: 4, width: 0, height: 0, pixel_bytes: 1 };
        assert_eq!(beitle_run(e, &params, inside.cast(), 64), Status::InvalidArgument);
        // Other errors do not make the message go there either.
        assert_eq!(beitle_open(null_mut(), start.cast(), len, inside.cast(), 64), Status::InvalidArgument);
        let bad = CRunParams { size: 1, ..params };
        assert_eq!(beitle_run(e, &bad, inside.cast(), 64), Status::InvalidArgument);
        let unplanned = beitle_run(e, &CRunParams { arena: inside.cast(), ..params }, inside.cast(), 64);
        assert_eq!(unplanned, Status::InvalidArgument);
        assert_eq!(beitle_run(e, &params, null_mut(), 0), Status::Ok);
    }
    assert_eq!(copy.bytes()[..len], *f.file.bytes());
}

#[test]
fn overlaps_of_a_run_are_rejected() {
    let mut f = Fixture::new(2);
    let params = f.params();
    let mut pool = [CThreadPool { workers: 1, run: Some(ignore_worker), context: null_mut() }];
    let pool = pool.as_mut_ptr();
    let mut logits = vec![0f32; 1 << 16];
    let (arena, map, image) = (params.arena, params.map.data, params.image.data.cast_mut().cast::<c_void>());
    let (file, engine) = (f.file.bytes().as_ptr().cast_mut().cast::<c_void>(), (&raw mut f.engine).cast());
    let logits_at = logits.as_mut_ptr().cast::<c_void>();
    let mut scores = vec![0u16; 1 << 10];
    let scores_at = scores.as_mut_ptr().cast::<c_void>();
    let (mut confidence, mut ranked) = (vec![0u8; f.map.len()], [Ranked::default(); 2]);
    let (confidence_at, ranked_at) =
        (confidence.as_mut_ptr().cast::<c_void>(), ranked.as_mut_ptr().cast::<c_void>());
    let (mut labels, mut points) = ([3u16; 256], [[0usize; 2]; 2]);
    let (labels_at, points_at) = (labels.as_mut_ptr(), points.as_mut_ptr());
    let read = [image, file, engine, pool.cast(), labels_at.cast(), points_at.cast()];
    let written = [arena, map, logits_at, scores_at, confidence_at, ranked_at];
    let mut valid = params;
    (valid.logits, valid.logits_count, valid.thread_pool) = (logits_at.cast(), logits.len(), pool);
    (valid.scores, valid.scores_count) = (scores_at.cast(), scores.len());
    (valid.confidence, valid.confidence_count) = (confidence_at.cast(), confidence.len());
    (valid.ranked, valid.ranked_count) = (ranked_at.cast(), ranked.len());
    (valid.labels, valid.labels_count) = (labels_at, labels.len());
    (valid.points, valid.points_count) = (points_at, points.len());
    // Written memory against all other memory, and the message against everything.
    for (i, place) in written.into_iter().enumerate() {
        for other in written.into_iter().chain(read).filter(|o| *o != place) {
            let mut p = valid;
            match i {
                0 => p.arena = other.map_addr(|a| a & !63),
                1 => p.map.data = other,
                2 => p.logits = other.cast(),
                3 => p.scores = other.cast(),
                4 => p.confidence = other.cast(),
                _ => p.ranked = other.cast(),
            }
            let (status, message) = f.run(&p);
            assert_eq!(status, Status::InvalidArgument, "{i}: {message}");
            assert!(message.contains("overlaps"), "{i}: {message}");
        }
    }
    let mut p = valid;
    let own: *mut c_void = (&raw mut p).cast();
    for other in written.into_iter().chain([own]).chain(read) {
        // SAFETY: a message that overlaps anything is not written.
        let status = unsafe { beitle_run(&f.engine, &p, other.cast(), 16) };
        assert_eq!(status, Status::InvalidArgument);
    }
    assert_eq!(f.run(&p), (Status::Ok, String::new()));
}

unsafe extern "C" fn ignore_worker(_: *mut c_void, _: WorkerFn, _: *mut c_void) {}

/// An engine, parameters and a count for callbacks that call the library again.
struct Again<'a> {
    engine: &'a CEngine,
    params: CRunParams,
    calls: usize,
}

unsafe extern "C" fn run_again(context: *mut c_void) -> c_int {
    // SAFETY: `context` points to the `Again` of the test, which only this thread uses.
    let again = unsafe { &mut *context.cast::<Again>() };
    again.calls += 1;
    if again.calls == 3 {
        // SAFETY: the parameters have buffers of their own.
        assert_eq!(unsafe { beitle_run(again.engine, &again.params, null_mut(), 0) }, Status::Ok);
    }
    0
}

#[test]
fn a_callback_may_run_the_engine_with_other_buffers() {
    let mut f = Fixture::new(1);
    let mut inner = Fixture::new(1);
    let mut outer_params = f.params();
    let mut again = Again { engine: &f.engine, params: inner.params(), calls: 0 };
    outer_params.progress = Some(run_again);
    outer_params.progress_context = (&raw mut again).cast();
    // SAFETY: every pointer refers to memory of this test.
    assert_eq!(unsafe { beitle_run(&f.engine, &outer_params, null_mut(), 0) }, Status::Ok);
    assert!(again.calls > 3);
    assert_eq!(f.map, inner.map);
}

#[test]
fn concurrent_runs_share_an_engine_and_a_file() {
    let mut first = Fixture::new(2);
    let params = first.params();
    let want = first.run(&params);
    assert_eq!(want.0, Status::Ok);
    std::thread::scope(|s| {
        // More runs with thread pools than the library can serve at once: the others use their own thread.
        for _ in 0..20 {
            s.spawn(|| {
                let mut f = Fixture::new(2);
                let pool = CThreadPool { workers: 2, run: Some(two_threads), context: null_mut() };
                let mut params = f.params();
                params.thread_pool = &pool;
                for _ in 0..2 {
                    f.map.fill(99);
                    assert_eq!(f.run(&params), (Status::Ok, String::new()));
                    assert_eq!(f.map, first.map);
                }
            });
        }
    });
}

unsafe extern "C" fn two_threads(_: *mut c_void, worker: WorkerFn, argument: *mut c_void) {
    let argument = argument.addr();
    std::thread::scope(|s| {
        for _ in 0..2 {
            // SAFETY: `worker` accepts any argument.
            s.spawn(move || unsafe { worker(std::ptr::without_provenance_mut(argument)) });
        }
    });
}

#[test]
fn stale_null_and_misaligned_arguments_are_rejected() {
    let f = Fixture::new(1);
    let bytes = f.file.bytes();
    let (file, len) = (bytes.as_ptr().cast::<c_void>(), bytes.len());
    let mut engine = CEngine::new();
    let mut text = [0 as c_char; 100];
    let odd = (&raw mut engine).wrapping_byte_add(4);
    // SAFETY: pointers refer to memory of this test, are null, or must be rejected without an access.
    unsafe {
        for bad in [null_mut(), odd, &raw mut engine] {
            let want = if bad == odd { Status::Misaligned } else { Status::InvalidArgument };
            let (t, n) = (text.as_mut_ptr(), text.len());
            assert_eq!(beitle_verify(bad, t, n), want);
            assert_eq!(beitle_model_info(bad, &mut CInfo::default(), t, n), want);
            assert_eq!(beitle_model_name(bad, null_mut(), 0, t, n), want);
            assert_eq!(beitle_class_name(bad, 0, null_mut(), 0, t, n), want);
            assert_eq!(beitle_class_colour(bad, 0, &mut [0; 3], t, n), want);
            assert_eq!(beitle_plan(bad, 1, 5, 5, &mut 0, t, n), want);
            assert_eq!(beitle_run(bad, null(), t, n), want);
        }
        // A second open that fails leaves no engine of the first.
        assert_eq!(beitle_open(&mut engine, file, len, null_mut(), 0), Status::Ok);
        for (bad, bytes, want) in [
            (file, len - 1, Status::CorruptFile),
            (null(), len, Status::InvalidArgument),
            (file.wrapping_byte_add(1), len - 1, Status::Misaligned),
            (file, usize::MAX, Status::InvalidArgument),
        ] {
            assert_eq!(beitle_open(&mut engine, file, len, null_mut(), 0), Status::Ok);
            let status = beitle_open(&mut engine, bad, bytes, null_mut(), 0);
            assert!(status == want || status == Status::NotAModel, "{status:?}");
            assert_eq!(beitle_verify(&engine, null_mut(), 0), Status::InvalidArgument);
        }
    }
}
