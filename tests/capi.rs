//! The C functions, called from Rust: they give the results of the Rust interface, and invalid arguments give the documented
//! status.

mod common;
#[path = "common/fixture.rs"]
mod fixture;

use beitle::engine::{Engine, Output};
use beitle::file::format::Precision;
use beitle::image::{ImageView, PixelFormat, Plane, YuvMatrix, YuvRange};
use beitle::memory::{Arena, FileBytes};
use beitle::output::{ClassMap, ClassMapMut, Points, Ranked};
use beitle::parallel::Serial;
use beitle::plan::Plan;
use beitle::{Isa, Model};
use beitle_ffi::*;
use common::{Case, Outcome};
use fixture::Fixture;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{null, null_mut};

/// The result of the Rust interface.
fn expected(f: &Fixture) -> Outcome {
    let path = Case::open("relative").convert(Precision::Int8);
    common::run(&path, &f.picture, Isa::detect(), 1, &mut ())
}

/// A thread pool that creates three threads for each step, and counts the steps.
unsafe extern "C" fn spawn(context: *mut c_void, worker: WorkerFn, argument: *mut c_void) {
    // SAFETY: `context` points to the counter of the test, which only the calling thread uses.
    unsafe { *context.cast::<usize>() += 1 };
    let argument = argument.expose_provenance();
    std::thread::scope(|s| {
        for _ in 0..3 {
            // SAFETY: the scope ends, and with it all calls, before this function returns.
            s.spawn(move || unsafe { worker(std::ptr::with_exposed_provenance_mut(argument)) });
        }
    });
}

/// A progress callback that decrements a counter and cancels the run at 0.
unsafe extern "C" fn countdown(context: *mut c_void) -> c_int {
    // SAFETY: `context` points to the counter of the test, which only the calling thread uses.
    let left = unsafe { &mut *context.cast::<usize>() };
    *left -= 1;
    c_int::from(*left == 0)
}

#[test]
fn runs_give_the_results_of_the_rust_interface() {
    let mut f = Fixture::new(3);
    let want = expected(&f);
    let mut logits = vec![0f32; want.logits.len()];
    let mut params = f.params();
    (params.logits, params.logits_count) = (logits.as_mut_ptr(), logits.len());
    assert_eq!(f.run(&params), (Status::Ok, String::new()));
    assert_eq!((&f.map, &logits), (&want.map, &want.logits));

    // Threads, a progress callback and one byte per pixel.
    let (mut steps, mut left) = (0usize, usize::MAX);
    let pool = CThreadPool { workers: 3, run: Some(spawn), context: (&raw mut steps).cast() };
    let mut bytes = vec![0u8; want.map.len()];
    let mut params = f.params();
    params.thread_pool = &pool;
    params.progress = Some(countdown);
    params.progress_context = (&raw mut left).cast();
    params.map =
        CClassMap { data: bytes.as_mut_ptr().cast(), bytes: bytes.len(), pixel_bytes: 1, ..params.map };
    assert_eq!(f.run(&params).0, Status::Ok);
    assert!(bytes.iter().map(|&c| u16::from(c)).eq(want.map.iter().copied()));
    assert!(steps > 10 && left < usize::MAX - 10, "{steps} steps, {left} left");

    // BGRA with a stride longer than a row.
    let (w, h) = f.picture.size();
    let stride = 4 * w + 5;
    let mut bgra = vec![7u8; stride * h];
    for (row, from) in bgra.chunks_mut(stride).zip(f.picture.rgb.chunks(3 * w)) {
        for (to, rgb) in row.chunks_mut(4).zip(from.chunks(3)) {
            to[..3].copy_from_slice(&[rgb[2], rgb[1], rgb[0]]);
        }
    }
    f.map.fill(99);
    let mut params = f.params();
    params.image = CImage { data: bgra.as_ptr(), bytes: bgra.len(), stride, format: 3, ..params.image };
    assert_eq!(f.run(&params).0, Status::Ok);
    assert_eq!(f.map, want.map);

    // A class map whose size is not the size of the image.
    let mut params = f.params();
    (params.map.width, params.map.height) = (5, 3);
    assert_eq!(f.run(&params).0, Status::Ok);
}

#[test]
fn a_model_describes_itself() {
    let f = Fixture::new(1);
    let want = expected(&f).shape;
    let mut info = CInfo::default();
    let mut name = [0x7F as c_char; 8];
    let mut rgb = [9u8; 3];
    // SAFETY: every pointer refers to memory of this test.
    unsafe {
        assert_eq!(beitle_model_info(&f.engine, &mut info, null_mut(), 0), Status::Ok);
        assert_eq!([info.classes, info.logits_height, info.logits_width], want);
        assert_eq!(beitle_model_info(&f.engine, null_mut(), null_mut(), 0), Status::InvalidArgument);
        let model = beitle::Model::new(f.file.bytes()).unwrap();
        let facts = model.facts();
        assert_eq!(
            (info.precision, info.format_version),
            (facts.precision as u32, beitle::file::format::VERSION)
        );
        assert_eq!(info.source_sha256, facts.source_sha256);
        let mut source = [0x7F as c_char; 300];
        assert_eq!(beitle_model_name(&f.engine, source.as_mut_ptr(), 300, null_mut(), 0), Status::Ok);
        assert_eq!(CStr::from_ptr(source.as_ptr()).to_str(), Ok(model.source()));
        for class in 0..info.classes {
            let whole = model.class_name(class).unwrap();
            let status = beitle_class_name(&f.engine, class, name.as_mut_ptr(), name.len(), null_mut(), 0);
            let got = CStr::from_ptr(name.as_ptr()).to_str().unwrap();
            assert!(whole.starts_with(got));
            assert_eq!(status, if got == whole { Status::Ok } else { Status::BufferTooSmall });
            assert_eq!(beitle_class_colour(&f.engine, class, &mut rgb, null_mut(), 0), Status::Ok);
            assert_eq!(rgb, model.colour(class));
        }
        let mut text = [0x7F as c_char; 100];
        let (t, n) = (text.as_mut_ptr(), text.len());
        let message = || CStr::from_ptr(t).to_str().unwrap().to_owned();
        let out_of_range = "class_index is out of range";
        let status = beitle_class_name(&f.engine, info.classes, name.as_mut_ptr(), 8, t, n);
        assert_eq!((status, name[0], message().as_str()), (Status::InvalidArgument, 0, out_of_range));
        let status = beitle_class_name(&f.engine, 0, name.as_mut_ptr(), 2, t, n);
        assert_eq!((status, name[1]), (Status::BufferTooSmall, 0));
        let needed = model.class_name(0).unwrap().len() + 1;
        assert_eq!(message(), format!("name is too small: the text needs {needed} bytes"));
        assert_eq!(beitle_class_name(&f.engine, 0, null_mut(), 99, t, n), Status::BufferTooSmall);
        let status = beitle_class_colour(&f.engine, info.classes, &mut rgb, t, n);
        assert_eq!((status, message().as_str()), (Status::InvalidArgument, out_of_range));
        assert_eq!(beitle_class_colour(&f.engine, 0, null_mut(), t, n), Status::InvalidArgument);
        assert_eq!(message(), "rgb is NULL");
    }
}

#[test]
fn every_status_has_a_text_of_its_own() {
    let text = |status| {
        // SAFETY: the function returns a text with a terminating zero that is never freed.
        unsafe { CStr::from_ptr(beitle_status_string(status)) }.to_str().unwrap()
    };
    let unknown = text(i32::MAX);
    assert_eq!([text(-1), text(i32::MIN), text(Status::InternalError as i32 + 1)], [unknown; 3]);
    let mut texts: Vec<_> = (0..=Status::InternalError as i32).map(text).chain([unknown]).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), Status::InternalError as usize + 2);
}

#[test]
fn a_run_uses_the_instruction_set_that_it_names() {
    let mut f = Fixture::new(1);
    // SAFETY: the function returns a text with a terminating zero that is never freed.
    let best = unsafe { CStr::from_ptr(beitle_isa_name()) };
    assert_eq!(best.to_str(), Ok(Isa::detect().name()));
    let want = expected(&f).map;
    for isa in Isa::available() {
        f.map.fill(99);
        let params = CRunParams { isa: isa.c_name().as_ptr(), ..f.params() };
        assert_eq!(f.run(&params).0, Status::Ok, "{isa:?}");
        assert_eq!(f.map, want, "{isa:?}");
    }
    for name in [c"", c"AVX2", c"sse", c"\xFF"] {
        let params = CRunParams { isa: name.as_ptr(), ..f.params() };
        let (status, message) = f.run(&params);
        assert_eq!(status, Status::InvalidArgument, "{name:?}");
        assert_eq!(message, "params.isa names no instruction set that this processor has");
    }
}

#[test]
fn invalid_files_are_rejected() {
    let f = Fixture::new(1);
    let mut copy = Arena::new(f.file.bytes().len() + 64).unwrap();
    let len = f.file.bytes().len();
    let mut check = |change: &dyn Fn(&mut [u8]), offset: usize, len: usize, want: Status| {
        let mut engine = CEngine::new();
        let mut text = [0x7F as c_char; 120];
        let bytes = &mut copy.bytes_mut()[offset..];
        bytes[..f.file.bytes().len()].copy_from_slice(f.file.bytes());
        change(bytes);
        let bytes = bytes.as_ptr().cast();
        // SAFETY: every pointer refers to memory of this test.
        unsafe {
            let opened = beitle_open(&mut engine, bytes, len, text.as_mut_ptr(), text.len());
            let status = if opened == Status::Ok {
                beitle_verify(&engine, text.as_mut_ptr(), text.len())
            } else {
                assert_eq!(
                    beitle_verify(&engine, null_mut(), 0),
                    Status::InvalidArgument,
                    "the engine must not be open"
                );
                opened
            };
            assert_eq!(status, want);
            assert!(!CStr::from_ptr(text.as_ptr()).is_empty());
        }
    };
    check(&|b| b[0] = b'X', 0, len, Status::NotAModel);
    check(&|b| b[8] = 99, 0, len, Status::UnsupportedVersion);
    check(&|_| (), 0, len / 2, Status::CorruptFile);
    check(&|_| (), 0, 0, Status::CorruptFile);
    check(&|b| b[100] ^= 1, 0, len, Status::CorruptFile);
    check(&|b| b[len / 2] ^= 1, 0, len, Status::CorruptFile);
    check(&|_| (), 8, len, Status::Misaligned);

    let mut engine = CEngine::new();
    let odd = (&raw mut engine).cast::<u8>().wrapping_add(1).cast::<CEngine>();
    let mut short = [0x7F as c_char; 12];
    // SAFETY: pointers refer to memory of this test, are null, or must be rejected without an access.
    unsafe {
        let file = f.file.bytes().as_ptr().cast();
        assert_eq!(beitle_open(null_mut(), file, len, null_mut(), 0), Status::InvalidArgument);
        assert_eq!(beitle_open(odd, file, len, null_mut(), 0), Status::Misaligned);
        let inside = (&raw const engine).cast::<c_void>();
        assert_eq!(beitle_open(&mut engine, inside, 64, null_mut(), 0), Status::InvalidArgument);
        assert_eq!(beitle_open(&mut engine, null(), len, short.as_mut_ptr(), 12), Status::InvalidArgument);
        assert_eq!(
            CStr::from_ptr(short.as_ptr()).to_str(),
            Ok("file is NUL"),
            "truncated to the size of the buffer"
        );
        assert_eq!(beitle_open(&mut engine, file, usize::MAX, null_mut(), 12), Status::InvalidArgument);
        assert_eq!(
            beitle_verify(&engine, null_mut(), 0),
            Status::InvalidArgument,
            "the engine must not be open"
        );
    }
}

#[test]
fn invalid_plans_are_rejected() {
    let mut f = Fixture::new(1);
    assert_eq!((f.plan(0), f.message().as_str()), (Status::InvalidArgument, "workers is 0"));
    assert_eq!(f.plan(usize::MAX), Status::TooLarge);
    let mut bytes = 0;
    let mut unopened = CEngine::new();
    // SAFETY: pointers refer to memory of this test or are null.
    unsafe {
        let e = &raw mut f.engine;
        assert_eq!(beitle_plan(e, 1, 0, 5, &mut bytes, null_mut(), 0), Status::InvalidImage);
        assert_eq!(beitle_plan(e, 1, 5, usize::MAX, &mut bytes, null_mut(), 0), Status::InvalidImage);
        assert_eq!(beitle_plan(e, 1, 5, 5, null_mut(), null_mut(), 0), Status::InvalidArgument);
        assert_eq!(beitle_plan(null_mut(), 1, 5, 5, &mut bytes, null_mut(), 0), Status::InvalidArgument);
        assert_eq!(beitle_plan(&mut unopened, 1, 5, 5, &mut bytes, null_mut(), 0), Status::InvalidArgument);
    }
    let params = f.params();
    assert_eq!(f.run(&params).0, Status::Ok, "the first plan must remain valid");
}

#[test]
fn invalid_parameters_are_rejected() {
    let mut f = Fixture::new(2);
    let mut logits = vec![0f32; expected(&f).logits.len()];
    let pool = |workers, run| CThreadPool { workers, run, context: null_mut() };
    let too_large = pool(3, Some(spawn as unsafe extern "C" fn(_, _, _)));
    let (empty, no_function) = (pool(0, Some(spawn as unsafe extern "C" fn(_, _, _))), pool(1, None));
    let room = logits.len();
    let out = logits.as_mut_ptr();
    let mut left = 3usize;
    let stop = (&raw mut left).cast::<c_void>();
    let engine: *mut c_void = (&raw mut f.engine).cast();
    let file = f.file.bytes().as_ptr().cast_mut().cast::<c_void>();
    type Change<'a> = &'a dyn Fn(&mut CRunParams);
    let cases: &[(&str, Status, Change)] = &[
        ("params.size", Status::InvalidArgument, &|p| p.size = 8),
        ("params.size", Status::InvalidArgument, &|p| p.size -= 4),
        ("params.size", Status::InvalidArgument, &|p| p.size = 0),
        ("params.size", Status::InvalidArgument, &|p| p.size = usize::MAX),
        ("params.arena is NULL", Status::InvalidArgument, &|p| p.arena = null_mut()),
        ("params.arena is not aligned", Status::Misaligned, &|p| p.arena = p.arena.wrapping_byte_add(32)),
        ("arena bytes", Status::BufferTooSmall, &|p| p.arena_bytes -= 1),
        ("params.arena extends past", Status::InvalidArgument, &|p| p.arena_bytes = usize::MAX),
        ("params.image.data is NULL", Status::InvalidArgument, &|p| p.image.data = null()),
        ("picture's bytes", Status::BufferTooSmall, &|p| p.image.bytes -= 1),
        ("picture's bytes", Status::BufferTooSmall, &|p| p.image.bytes = 0),
        ("params.image.format", Status::InvalidArgument, &|p| p.image.format = 13),
        ("picture's bytes", Status::BufferTooSmall, &|p| {
            p.image.format = 10;
            p.image.bytes = p.image.width * p.image.height;
        }),
        ("params.frame.planes[1].data is NULL", Status::InvalidArgument, &|p| {
            p.image.format = 12;
            p.frame.planes[0] = CPlane { data: p.image.data, bytes: p.image.bytes, stride: 0 };
        }),
        ("picture's bytes", Status::BufferTooSmall, &|p| {
            p.image.format = 10;
            p.frame.planes[0] = CPlane { data: p.image.data, bytes: 9, stride: 0 };
        }),
        ("overlaps params.frame.planes[0].data", Status::InvalidArgument, &|p| {
            p.frame.planes[0] = CPlane { data: p.map.data.cast(), bytes: 1, stride: 0 };
        }),
        ("params.frame.rotation", Status::InvalidArgument, &|p| p.frame.rotation = 4),
        ("params.frame.mirror", Status::InvalidArgument, &|p| p.frame.mirror = 2),
        ("params.frame.matrix", Status::InvalidArgument, &|p| p.frame.matrix = 2),
        ("params.frame.range", Status::InvalidArgument, &|p| p.frame.range = u32::MAX),
        ("16-bit range", Status::InvalidImage, &|p| p.frame.gray16 = [5, 5]),
        ("crop", Status::InvalidImage, &|p| p.frame.crop = [0, 0, usize::MAX, 1]),
        ("crop", Status::InvalidImage, &|p| p.frame.crop = [1, 1, 0, 0]),
        ("stride", Status::InvalidImage, &|p| p.image.stride = 1),
        ("one pixel", Status::InvalidImage, &|p| p.image.width = 0),
        ("16777216", Status::InvalidImage, &|p| p.image.height = usize::MAX),
        ("a run needs a class map, confidences, points or logits", Status::InvalidArgument, &|p| {
            p.map.data = null_mut()
        }),
        ("params.map.data is not aligned", Status::Misaligned, &|p| {
            p.map.data = p.map.data.wrapping_byte_add(1)
        }),
        ("class map", Status::BufferTooSmall, &|p| p.map.bytes -= 1),
        ("class map", Status::BufferTooSmall, &|p| (p.map.width, p.map.height) = (4000, 3000)),
        ("params.map.width", Status::InvalidArgument, &|p| p.map.width = 5),
        ("params.map.width", Status::InvalidArgument, &|p| {
            (p.map.width, p.map.height) = (usize::MAX, usize::MAX)
        }),
        ("params.map.pixel_bytes", Status::InvalidArgument, &|p| p.map.pixel_bytes = 4),
        ("logits", Status::BufferTooSmall, &|p| (p.logits, p.logits_count) = (out, room - 1)),
        ("params.logits is not aligned", Status::Misaligned, &|p| {
            (p.logits, p.logits_count) = (out.wrapping_byte_add(2), room - 1);
        }),
        ("params.scores is not aligned", Status::Misaligned, &|p| {
            (p.scores, p.scores_count) = (out.wrapping_byte_add(1).cast(), 2);
        }),
        ("overlaps", Status::InvalidArgument, &|p| (p.scores, p.scores_count) = (p.map.data.cast(), 1)),
        ("overlaps", Status::InvalidArgument, &|p| p.map.data = p.arena),
        ("overlaps", Status::InvalidArgument, &|p| p.image.data = p.arena.cast()),
        ("overlaps", Status::InvalidArgument, &|p| p.arena = file),
        ("overlaps", Status::InvalidArgument, &|p| p.map.data = engine),
        ("overlaps", Status::InvalidArgument, &|p| (p.logits, p.logits_count) = (p.map.data.cast(), 1)),
        ("thread_pool.workers", Status::InvalidArgument, &|p| p.thread_pool = &empty),
        ("thread_pool.run", Status::InvalidArgument, &|p| p.thread_pool = &no_function),
        ("planned workers", Status::BufferTooSmall, &|p| p.thread_pool = &too_large),
        ("cancelled", Status::Cancelled, &|p| {
            p.progress = Some(countdown);
            p.progress_context = stop;
        }),
    ];
    for (i, (text, want, change)) in cases.iter().enumerate() {
        let mut params = f.params();
        change(&mut params);
        let (status, message) = f.run(&params);
        assert_eq!(status, *want, "{i} {text}: {message}");
        assert!(message.contains(text), "{i} {text}: {message}");
    }
    let large = vec![0u8; 3 * 4000 * 3000];
    let mut map = vec![0u8; 4000 * 3000];
    let mut params = f.params();
    params.image =
        CImage { data: large.as_ptr(), bytes: large.len(), width: 4000, height: 3000, stride: 0, format: 0 };
    params.map = CClassMap { data: map.as_mut_ptr().cast(), bytes: map.len(), pixel_bytes: 1, ..params.map };
    assert_eq!(f.run(&params).0, Status::BufferTooSmall, "an image larger than planned");

    let params = f.params();
    // SAFETY: pointers refer to memory of this test, are null, or must be rejected without an access.
    unsafe {
        assert_eq!(beitle_run(null(), &params, null_mut(), 0), Status::InvalidArgument);
        assert_eq!(beitle_run(&f.engine, null(), null_mut(), 0), Status::InvalidArgument);
        assert_eq!(beitle_run(&CEngine::new(), &params, null_mut(), 0), Status::InvalidArgument);
        let bytes = f.file.bytes();
        assert_eq!(beitle_open(&mut f.engine, bytes.as_ptr().cast(), bytes.len(), null_mut(), 0), Status::Ok);
    }
    assert_eq!(f.run(&params), (Status::InvalidArgument, "engine has no plan".into()));
}

/// A callback that counts windows: `context` points to the number of the last one and to the total.
unsafe extern "C" fn count_windows(context: *mut c_void, done: usize, total: usize) {
    // SAFETY: `context` points to the counters of the test, which only the calling thread uses.
    let counts = unsafe { &mut *context.cast::<[usize; 2]>() };
    assert_eq!(done, counts[0] + 1);
    *counts = [done, total];
}

#[test]
fn several_views_give_the_results_of_the_rust_interface() {
    let mut f = Fixture::new(1);
    let (width, height) = f.picture.size();
    let plan = CPlanParams {
        size: size_of::<CPlanParams>(),
        workers: 2,
        width,
        height,
        mode: 2,
        flip: 1,
        scales: [1.0, 1.5].as_ptr(),
        scale_count: 2,
        overlap_bytes: 0,
    };
    let mut scores_count = 0;
    let plan_with = |f: &mut Fixture, plan: &CPlanParams, scores_count: *mut usize| {
        // SAFETY: every pointer refers to memory of this test.
        unsafe {
            let (message, room) = (f.message.as_mut_ptr(), f.message.len());
            beitle_plan_views(&mut f.engine, plan, &mut f.arena_bytes, scores_count, message, room)
        }
    };
    assert_eq!(plan_with(&mut f, &plan, &mut scores_count), Status::Ok);
    let classes = expected(&f).shape[0];
    assert_eq!(scores_count, width * height * classes);

    let model = beitle::Model::new(f.file.bytes()).unwrap();
    let views =
        beitle::views::Views::new(beitle::views::Mode::Slide).with_flip(true).with_scales(&[1.0, 1.5]);
    let rust_plan = beitle::plan::Plan::with_views(&model, 2, (width, height), &views.unwrap()).unwrap();
    assert_eq!(rust_plan.bytes(), f.arena_bytes);
    let (mut want, mut want_scores) = (vec![0u16; width * height], vec![0u16; scores_count]);
    let mut arena = Arena::new(rust_plan.bytes()).unwrap();
    let mut engine =
        beitle::engine::Engine::new(&model, &rust_plan, Isa::detect(), arena.bytes_mut()).unwrap();
    let mut output =
        beitle::engine::Output::map((width, height), beitle::output::ClassMapMut::U16(&mut want));
    output.scores = Some(&mut want_scores);
    engine.run(&beitle::parallel::Serial, &f.picture.view(), &mut output, &mut ()).unwrap();

    f.arena = Arena::new(f.arena_bytes).unwrap();
    let mut scores = vec![7u16; scores_count];
    let mut counts = [0usize; 2];
    let mut params = f.params();
    assert_eq!(f.run(&params).0, Status::BufferTooSmall, "scores are missing");
    (params.scores, params.scores_count) = (scores.as_mut_ptr(), scores.len());
    params.window_done = Some(count_windows);
    params.progress_context = (&raw mut counts).cast();
    assert_eq!(f.run(&params), (Status::Ok, String::new()));
    assert!(f.map == want && scores == want_scores);
    assert!(counts[0] > 4 && counts[0] == counts[1], "{counts:?}");
    // Logits exist only of a whole picture.
    let mut logits = [0f32; 4];
    (params.logits, params.logits_count) = (logits.as_mut_ptr(), 4);
    assert_eq!(f.run(&params).0, Status::InvalidArgument);

    let zero = [0.0];
    let wrong: [&dyn Fn(&mut CPlanParams); 8] = [
        &|p| p.size = 3,
        &|p| p.workers = 0,
        &|p| p.mode = 4,
        &|p| p.flip = 2,
        &|p| p.scales = zero.as_ptr(),
        &|p| p.scales = null(),
        &|p| p.scale_count = usize::MAX,
        &|p| p.mode = 1,
    ];
    for (i, change) in wrong.iter().enumerate() {
        let mut plan = plan;
        change(&mut plan);
        assert_eq!(plan_with(&mut f, &plan, &mut scores_count), Status::InvalidArgument, "{i}");
    }
    assert_eq!(plan_with(&mut f, &plan, null_mut()), Status::InvalidArgument, "several views need scores");
    let single = CPlanParams { flip: 0, scale_count: 0, ..plan };
    assert_eq!(plan_with(&mut f, &single, null_mut()), Status::Ok);
}

/// Parameters as a program passes them that was compiled with another version of the header.
#[repr(C)]
struct Newer {
    params: CRunParams,
    unknown: [usize; 3],
}

#[test]
fn parameters_of_other_versions_of_the_header_are_accepted() {
    let mut f = Fixture::new(1);
    let want = expected(&f).map;
    // An older program has no scores: what lies behind its structure must not be read.
    let mut older = f.params();
    older.size = std::mem::offset_of!(CRunParams, scores);
    (older.scores, older.scores_count) = (std::ptr::without_provenance_mut(1), 1);
    assert_eq!(f.run(&older), (Status::Ok, String::new()));
    assert_eq!(f.map, want);
    let mut newer = Newer { params: f.params(), unknown: [0; 3] };
    newer.params.size = size_of::<Newer>();
    // SAFETY: the parameters are the first field of the structure.
    let run = |f: &mut Fixture, newer: &Newer| f.run(unsafe { &*(&raw const *newer).cast::<CRunParams>() });
    assert_eq!(run(&mut f, &newer).0, Status::Ok);
    newer.unknown[2] = 1;
    let (status, message) = run(&mut f, &newer);
    assert!(status == Status::InvalidArgument && message.contains("does not know"), "{message}");

    // The message of an older program may lie directly behind its smaller structure.
    older = CRunParams { arena_bytes: 0, ..f.params() };
    older.size = std::mem::offset_of!(CRunParams, scores);
    let mut memory = std::mem::MaybeUninit::<[CRunParams; 2]>::zeroed();
    // SAFETY: the first structure is valid in its stated size, and the bytes behind it, which are zero, belong to the message alone.
    let (status, message) = unsafe {
        let params = memory.as_mut_ptr().cast::<CRunParams>();
        params.cast::<u8>().copy_from_nonoverlapping((&raw const older).cast(), older.size);
        let message = params.cast::<c_char>().add(older.size);
        let status = beitle_run(&f.engine, params, message, size_of::<CRunParams>());
        (status, CStr::from_ptr(message).to_str().unwrap().to_owned())
    };
    assert!(status == Status::BufferTooSmall && message.contains("arena bytes"), "{status:?} {message}");
}

/// The map of a view by the Rust interface.
fn map_of(view: &ImageView, classes: &Model, bytes: &mut [u16]) {
    let plan = Plan::new(classes, 1, (view.width(), view.height())).unwrap();
    let mut arena = Arena::new(plan.bytes()).unwrap();
    let mut output = Output::map((view.width(), view.height()), ClassMapMut::U16(bytes));
    let mut engine = Engine::new(classes, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
    engine.run(&Serial, view, &mut output, &mut ()).unwrap();
}

#[test]
fn frames_of_cameras_are_seen_as_by_the_rust_interface() {
    let mut f = Fixture::new(1);
    let (w, h) = (f.picture.width / 2 * 2, f.picture.height / 2 * 2);
    let (stride, bytes) = (w + 6, f.picture.rgb.clone());
    let file = FileBytes::read(Case::open("relative").convert(Precision::Int8)).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    let frame = CFrame {
        crop: [2, 1, w - 7, h - 4],
        rotation: 1,
        mirror: 1,
        matrix: 1,
        range: 1,
        ..CFrame::default()
    };
    let plane = |first: usize, stride: usize| &bytes[first..][..(h / 2 - 1) * stride + stride - 3];
    let (chroma, u, v) = (plane(99, stride), plane(50, stride / 2), plane(150, stride / 2));
    let of = |data: &[u8], stride| CPlane { data: data.as_ptr(), bytes: data.len(), stride };
    let none = CFrame::default().planes[0];
    let luma = &bytes[..(h - 1) * stride + w];
    let image = |bytes, format| CImage { data: luma.as_ptr(), bytes, width: w, height: h, stride, format };
    let p = |data, stride| Plane { data, stride };
    let nv12 = ImageView::planar(&[p(luma, stride), p(chroma, stride)], w, h, PixelFormat::Nv12);
    let three = [p(luma, stride), p(u, stride / 2), p(v, stride / 2)];
    let cases = [
        (10, [of(chroma, stride), none], luma.len(), nv12),
        (
            12,
            [of(u, stride / 2), of(v, stride / 2)],
            luma.len(),
            ImageView::planar(&three, w, h, PixelFormat::I420),
        ),
        (11, [none; 2], bytes.len(), ImageView::new(&bytes, w, h, stride, PixelFormat::Nv21)),
    ];
    for (format, planes, length, view) in cases {
        let [x, y, cw, ch] = frame.crop;
        let view = view.unwrap().with_colours(YuvMatrix::Bt709, YuvRange::Full);
        let view = view.crop(x, y, cw, ch).unwrap();
        let view = view.rotated(1).mirrored();
        let mut want = vec![0u16; cw * ch];
        map_of(&view, &model, &mut want);
        // The plan is for the size of the image as it is seen.
        // SAFETY: the pointers refer to memory of this test.
        let status = unsafe { beitle_plan(&mut f.engine, 1, ch, cw, &mut f.arena_bytes, null_mut(), 0) };
        assert_eq!(status, Status::Ok);
        f.arena = Arena::new(f.arena_bytes).unwrap();
        f.map = vec![9; cw * ch];
        let mut params = f.params();
        params.image = image(length, format);
        params.frame = CFrame { planes, ..frame };
        assert_eq!(f.run(&params), (Status::Ok, String::new()), "{format}");
        assert_eq!(f.map, want, "{format}");
    }
}

/// Confidences, labels, unknown pixels and classes at points.
#[test]
fn results_of_pixels_are_those_of_the_rust_interface() {
    let mut f = Fixture::new(1);
    let model = Model::new(f.file.bytes()).unwrap();
    let classes = model.facts().classes;
    let plan = Plan::new(&model, 1, f.picture.size()).unwrap();
    let mut arena = Arena::new(plan.bytes()).unwrap();
    let (pixels, points) = (f.map.len(), [[0, 0], [f.picture.width - 1, f.picture.height - 1]]);
    let labels: Vec<u16> = (0..classes as u16).map(|class| 1000 - class).collect();
    let (mut map, mut confidence) = (vec![0; pixels], vec![0; pixels]);
    let mut ranked = [Ranked::default(); 4];
    let mut output = Output::map(f.picture.size(), ClassMapMut::U16(&mut map));
    output.labels = &labels;
    output.confidence = Some(&mut confidence);
    output.min_confidence = 120;
    output.points = Some(Points::new(&points, &mut ranked).unwrap());
    let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
    engine.run(&Serial, &f.picture.view(), &mut output, &mut ()).unwrap();
    assert!(map.contains(&ClassMap::UNKNOWN) && map.iter().any(|&label| label <= 1000));

    let mut got = (vec![0u8; pixels], [Ranked::default(); 4]);
    let mut params = f.params();
    (params.confidence, params.confidence_count) = (got.0.as_mut_ptr(), pixels);
    (params.labels, params.labels_count) = (labels.as_ptr(), classes);
    (params.points, params.points_count) = (points.as_ptr(), points.len());
    (params.ranked, params.ranked_count) = (got.1.as_mut_ptr(), got.1.len());
    params.min_confidence = 120;
    assert_eq!(f.run(&params), (Status::Ok, String::new()));
    assert_eq!(f.map, map);
    assert_eq!((&got.0, &got.1), (&confidence, &ranked));

    type Change = fn(&mut CRunParams);
    let refused: [(&str, Change); 8] = [
        ("confidence", |p| p.confidence_count -= 1),
        ("min_confidence", |p| p.min_confidence = 256),
        ("labels", |p| p.labels_count -= 1),
        ("labels", |p| p.labels = null()),
        ("points", |p| p.points_count = 0),
        ("points", |p| p.points_count = 3),
        ("ranked", |p| p.ranked = null_mut()),
        ("alignment", |p| p.ranked = p.ranked.wrapping_byte_add(2)),
    ];
    for (what, change) in refused {
        let mut bad = params;
        change(&mut bad);
        let (status, message) = f.run(&bad);
        assert!(status != Status::Ok, "{what}");
        assert!(message.contains(what) || what == "alignment", "{what}: {message}");
    }
}

#[test]
fn a_classification_model_gives_logits_features_and_tokens() {
    let case = Case::open("members/classifier");
    let mut f = Fixture::of(&case, 1);
    // A newer structure: the tail is zeroed, the size stays.
    #[repr(C)]
    struct NewerInfo {
        info: CInfo,
        unknown: [usize; 2],
    }
    let size = size_of::<NewerInfo>();
    let mut newer = NewerInfo { info: CInfo { size, ..CInfo::default() }, unknown: [7; 2] };
    // SAFETY: the structure is as large as it says.
    let status = unsafe { beitle_model_info(&f.engine, (&raw mut newer).cast(), null_mut(), 0) };
    assert_eq!((status, newer.unknown, newer.info.size), (Status::Ok, [0; 2], size));
    let info = newer.info;
    assert_eq!((info.task, info.image_channels, info.classes, info.features, info.tokens), (1, 3, 7, 32, 17));
    assert_eq!((info.logits_width, info.logits_height), (1, 1));
    let mut unset = CInfo { size: 0, ..CInfo::default() };
    // SAFETY: the pointers refer to memory of this test.
    unsafe {
        let status = beitle_model_info(&f.engine, &mut unset, f.message.as_mut_ptr(), f.message.len());
        assert_eq!(status, Status::InvalidArgument);
    }
    assert!(f.message().contains("info.size"), "{}", f.message());

    let goldens = case.goldens();
    let mut results = [vec![0f32; 7], vec![0f32; 32], vec![0f32; 17 * 32]];
    let mut params = f.params();
    assert_eq!(f.run(&params).0, Status::InvalidArgument, "it has no class map");
    params.map.data = null_mut();
    assert_eq!(f.run(&params).0, Status::InvalidArgument, "nothing is wanted");
    let [logits, features, tokens] = &mut results;
    (params.logits, params.logits_count) = (logits.as_mut_ptr(), logits.len());
    (params.features, params.features_count) = (features.as_mut_ptr(), features.len());
    (params.tokens, params.tokens_count) = (tokens.as_mut_ptr(), tokens.len());
    assert_eq!(f.run(&params), (Status::Ok, String::new()));
    for (name, got) in ["logits", "features", "tokens"].into_iter().zip(&results) {
        let (want, _) = common::numbers(&goldens, name).unwrap();
        let e = common::error(got, &want);
        assert!(e < 0.3, "{name}: an error of {e:.2} standard deviations");
    }
    let short = CRunParams { features_count: 31, ..params };
    assert_eq!(f.run(&short).0, Status::BufferTooSmall);
    let overlapping = CRunParams { tokens: params.features, ..params };
    assert_eq!(f.run(&overlapping).0, Status::InvalidArgument);
    let overlapping = CRunParams { features: (&raw mut f.engine).cast(), ..params };
    assert_eq!(f.run(&overlapping).0, Status::InvalidArgument);
}
