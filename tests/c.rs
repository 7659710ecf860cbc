//! The C header and the C examples. The header compiles as strict C99 and as C++11 and agrees with the Rust declarations; the
//! examples link and give the class maps of the Rust interface.
#![cfg(unix)]

mod common;

use beitle::Isa;
use beitle::file::crc;
use beitle::file::format::Precision;
use beitle::output::{Area, ClassMap, Ranked, Region};
use beitle_ffi::*;
use common::Picture;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const STRICT: &[&str] = &["-Wall", "-Wextra", "-Werror", "-pedantic"];

/// The compiler that the environment variable names, or `default`. `None`, with a note, if it is not installed.
fn compiler(variable: &str, default: &str) -> Option<Command> {
    let name = std::env::var(variable).unwrap_or(default.into());
    if Command::new(&name).arg("--version").output().is_err() {
        eprintln!("skipped: the compiler `{name}` is not installed (set {variable} to use another)");
        return None;
    }
    let mut command = Command::new(name);
    command.args(STRICT).arg(format!("-I{ROOT}/include"));
    Some(command)
}

/// Runs a command that must succeed, and returns its standard output.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}{err}");
    out.into_owned()
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Builds a program from C sources and the static library. `None` if there is no compiler.
fn build(name: &str, standard: &str, sources: &[PathBuf]) -> Option<PathBuf> {
    let mut cc = compiler("CC", "cc")?;
    let library = std::env::current_exe().unwrap();
    let library = library.ancestors().nth(2).unwrap().join("examples/libbeitle_c.a");
    assert!(
        library.exists(),
        "{} does not exist: build it with `cargo build -p beitle-ffi --examples` and the same options",
        library.display()
    );
    let program = scratch(name);
    cc.args([standard, "-O1", "-o"]).arg(&program).args(sources).arg(library);
    run(cc.args(["-lpthread", "-ldl", "-lm"]));
    Some(program)
}

/// Constants, sizes and offsets: expressions in C and their values in Rust.
fn constants() -> Vec<(String, usize)> {
    let mut all = vec![
        ("BEITLE_VERSION".into(), beitle_version() as usize),
        ("BEITLE_ENGINE_WORDS".into(), ENGINE_WORDS),
        ("sizeof(beitle_status)".into(), size_of::<Status>()),
        ("BEITLE_OK".into(), Status::Ok as usize),
        ("BEITLE_INVALID_ARGUMENT".into(), Status::InvalidArgument as usize),
        ("BEITLE_NOT_A_MODEL".into(), Status::NotAModel as usize),
        ("BEITLE_UNSUPPORTED_VERSION".into(), Status::UnsupportedVersion as usize),
        ("BEITLE_CORRUPT_FILE".into(), Status::CorruptFile as usize),
        ("BEITLE_MISALIGNED".into(), Status::Misaligned as usize),
        ("BEITLE_BUFFER_TOO_SMALL".into(), Status::BufferTooSmall as usize),
        ("BEITLE_INVALID_IMAGE".into(), Status::InvalidImage as usize),
        ("BEITLE_TOO_LARGE".into(), Status::TooLarge as usize),
        ("BEITLE_CANCELLED".into(), Status::Cancelled as usize),
        ("BEITLE_INTERNAL_ERROR".into(), Status::InternalError as usize),
        ("sizeof(beitle_engine)".into(), size_of::<CEngine>()),
        ("BEITLE_F32".into(), Precision::F32 as usize),
        ("BEITLE_F16".into(), Precision::F16 as usize),
        ("BEITLE_INT8".into(), Precision::Int8 as usize),
        ("BEITLE_INT4".into(), Precision::Int4 as usize),
    ];
    macro_rules! layout {
        ($c:literal, $t:ty, $($field:ident)*) => {
            all.push((concat!("sizeof(", $c, ")").into(), size_of::<$t>()));
            $(all.push((concat!("offsetof(", $c, ", ", stringify!($field), ")").into(), offset_of!($t, $field)));)*
        };
    }
    layout!("beitle_info", CInfo, size input_width input_height classes logits_width logits_height features tokens task image_channels precision format_version source_sha256);
    layout!("beitle_image", CImage, data bytes width height stride format);
    layout!("beitle_plane", CPlane, data bytes stride);
    layout!("beitle_frame", CFrame, planes crop rotation mirror matrix range gray16);
    layout!("beitle_class_map", CClassMap, data bytes width height pixel_bytes);
    layout!("beitle_thread_pool", CThreadPool, workers run context);
    layout!("beitle_run_params", CRunParams, size arena arena_bytes image map logits logits_count thread_pool progress progress_context scores scores_count window_done features features_count tokens tokens_count frame confidence confidence_count min_confidence labels labels_count points points_count ranked ranked_count isa);
    layout!("beitle_area", Area, pixels sum_x sum_y left top right bottom);
    all.push(("offsetof(beitle_region, first_x)".into(), offset_of!(Region, first)));
    all.push(("offsetof(beitle_region, class_index)".into(), offset_of!(Region, class)));
    all.push(("offsetof(beitle_ranked, class_index)".into(), offset_of!(Ranked, class)));
    layout!("beitle_region", Region, area connectivity);
    layout!("beitle_ranked", Ranked, probability);
    all.push(("sizeof(beitle_point)".into(), size_of::<[usize; 2]>()));
    all.push(("BEITLE_UNKNOWN16".into(), ClassMap::UNKNOWN.into()));
    layout!("beitle_plan_params", CPlanParams, size workers width height mode flip scales scale_count overlap_bytes);
    all
}

#[test]
fn header_and_rust_agree_on_constants_and_layouts() {
    let mut source = String::from("#include \"beitle.h\"\n");
    for (i, (expression, value)) in constants().iter().enumerate() {
        // C99 has no static assertion; a negative array length is an error in every version of C and C++.
        source +=
            &format!("typedef char check_{i}[({expression}) == {value} ? 1 : -1]; /* {expression} */\n");
    }
    source += "int main(void) { return 0; }\n";
    for (variable, default, standard, file) in
        [("CC", "cc", "-std=c99", "layout.c"), ("CXX", "c++", "-std=c++11", "layout.cpp")]
    {
        let Some(mut compiler) = compiler(variable, default) else { continue };
        let path = scratch(file);
        std::fs::write(&path, &source).unwrap();
        run(compiler.args([standard, "-fsyntax-only"]).arg(&path));
    }
}

/// `examples/pool.h`, with which the C examples run.
#[test]
fn the_pool_of_the_examples_runs_every_task_once() {
    let source = Path::new(ROOT).join("tests/c_library/pool.c");
    if let Some(program) = build("pool", "-std=c99", &[source]) {
        run(&mut Command::new(program));
    }
}

/// With one thread and with several.
#[test]
fn the_c_example_gives_the_class_map_of_the_rust_interface() {
    let source = Path::new(ROOT).join("examples/segment.c");
    let Some(program) = build("segment", "-std=c99", &[source]) else { return };

    let (model, ppm) =
        (Path::new(ROOT).join("models/demo.beitle"), Path::new(ROOT).join("models/sample.ppm"));
    let bytes = std::fs::read(&ppm).unwrap();
    let (width, height) = (160, 120);
    let rgb = bytes[bytes.len() - width * height * 3..].to_vec();
    let want = common::run(&model, &Picture { rgb, width, height }, Isa::detect(), 1, &mut ()).map;
    let want: Vec<u8> = want.iter().map(|&c| c as u8).collect();
    for threads in ["1", "2", "5"] {
        let pgm = scratch("segment.pgm");
        let text = run(Command::new(&program).args([&model, &ppm, &pgm]).arg(threads));
        let got = std::fs::read(pgm).unwrap();
        let got = got.strip_prefix(b"P5\n160 120\n255\n").expect("a PGM header");
        assert!(got == want, "{threads} threads: {:08x}, not {:08x}", crc::crc32(got), crc::crc32(&want));
        assert!(text.contains("sky"), "{text}");
    }
    let failed = Command::new(&program).args([&ppm, &ppm, &ppm]).output().unwrap();
    assert!(!failed.status.success());
    assert!(String::from_utf8_lossy(&failed.stderr).contains("not a .beitle file"));
}

#[cfg(target_os = "linux")]
mod camera {
    use super::*;
    use beitle::Model;
    use beitle::engine::{Engine, Output};
    use beitle::image::{ImageView, PixelFormat};
    use beitle::memory::{Arena, FileBytes};
    use beitle::output::ClassMapMut;
    use beitle::parallel::Serial;
    use beitle::plan::Plan;
    use std::process::Output as Outcome;

    // No pixel's centre is on the border between two pixels of the class map.
    const WIDTH: usize = 192;
    const HEIGHT: usize = 128;

    /// Files of one test.
    struct Files {
        program: PathBuf,
        model: PathBuf,
        frames: PathBuf,
        pictures: PathBuf,
    }

    impl Files {
        /// `None` if there is no compiler.
        fn new() -> Option<Files> {
            let folder = Path::new(ROOT).join("examples/camera");
            let files = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
            let mut sources: Vec<_> =
                files.filter(|path| path.extension().is_some_and(|e| e == "c")).collect();
            sources.sort();
            Some(Files {
                program: build("camera", "-std=c11", &sources)?,
                model: Path::new(ROOT).join("models/demo.beitle"),
                frames: scratch("camera.yuv"),
                pictures: scratch("camera.raw"),
            })
        }

        fn camera(&self, args: &[&str]) -> (Outcome, String) {
            let mut command = Command::new(&self.program);
            command.arg("-m").arg(&self.model).arg("-f").arg(&self.frames);
            let output = command.arg("-o").arg(&self.pictures).args(args).output().unwrap();
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            (output, message)
        }

        /// Runs frames, of which all but the torn one at the end must be shown, and returns the pictures.
        fn shown(&self, frames: &[Vec<u8>], args: &[&str]) -> Vec<u8> {
            let torn = &frames[0][..1000];
            std::fs::write(&self.frames, [&frames.concat(), torn].concat()).unwrap();
            let (output, message) = self.camera(args);
            assert!(output.status.success(), "{args:?}: {message}");
            let note =
                format!("the last frame is left out: it has 1000 bytes instead of {}", frames[0].len());
            assert!(message.contains("camera.yuv") && message.contains(&note), "{message}");
            assert!(message.contains(&format!("{} frames\n", frames.len())), "{message}");
            std::fs::read(&self.pictures).unwrap()
        }

        /// The picture that the program should show for a frame, in RGB.
        fn expected(&self, view: &ImageView) -> Vec<u8> {
            let file = FileBytes::read(&self.model).unwrap();
            let model = Model::new(file.bytes()).unwrap();
            let size = (view.width(), view.height());
            let plan = Plan::new(&model, 1, size).unwrap();
            let mut arena = Arena::new(plan.bytes()).unwrap();
            let (columns, rows) = model.facts().level(0);
            let mut map = vec![0; columns * rows];
            let mut output = Output::map((columns, rows), ClassMapMut::U8(&mut map));
            let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
            engine.run(&Serial, view, &mut output, &mut ()).unwrap();
            let nearest = |at: usize, side: usize, of: usize| (2 * at + 1) * of / (2 * side);
            let pixel = |x: usize, y: usize| {
                let class = map[nearest(y, size.1, rows) * columns + nearest(x, size.0, columns)];
                let (rgb, colour) = (view.rgb(x, y).unwrap(), model.colour(usize::from(class)));
                [0, 1, 2].map(|c| (u16::from(rgb[c]) + u16::from(colour[c])).div_ceil(2) as u8)
            };
            (0..size.1).flat_map(|y| (0..size.0).flat_map(move |x| pixel(x, y))).collect()
        }
    }

    /// Frame number `i`, with samples that are no colour of RGB among them.
    fn frame(format: PixelFormat, i: usize) -> Vec<u8> {
        let bytes = WIDTH * HEIGHT * if format == PixelFormat::Nv12 { 3 } else { 4 } / 2;
        (0..bytes).map(|at| (at / 3 + at * at % (61 + i) + at / WIDTH * i) as u8).collect()
    }

    #[test]
    fn the_camera_example_shows_whole_frames_with_the_colours_of_their_classes() {
        let Some(files) = Files::new() else { return };
        let cases = [
            (PixelFormat::Nv12, "nv12", 0, "1"),
            (PixelFormat::Nv12, "nv12", 1, "2"),
            (PixelFormat::Yuyv, "yuyv", 2, "3"),
            (PixelFormat::Yuyv, "yuyv", 3, "2"),
        ];
        for (format, name, quarters, threads) in cases {
            let frames = [0, 1, 2].map(|i| frame(format, i));
            let degrees = (90 * quarters).to_string();
            let args = ["--format", name, "--size", "192x128", "--rotate", &degrees, "--threads", threads];
            let pictures = files.shown(&frames, &args);
            assert_eq!(pictures.len(), 3 * WIDTH * HEIGHT * 4, "{args:?}");
            for (picture, frame) in pictures.chunks(WIDTH * HEIGHT * 4).zip(&frames) {
                let view = ImageView::packed(frame, WIDTH, HEIGHT, format).unwrap().rotated(quarters);
                let want = files.expected(&view);
                // The example converts to RGB with a rounding of its own.
                let got = picture.chunks(4).flat_map(|bgrx| [bgrx[2], bgrx[1], bgrx[0]]);
                let error = got.zip(want).map(|(got, want)| got.abs_diff(want)).max();
                assert!(error <= Some(1), "{args:?}: {error:?}");
            }
        }

        // On a screen of another shape, the frame is in the middle.
        let frames = [frame(PixelFormat::Nv12, 0), frame(PixelFormat::Nv12, 1)];
        let mut args = vec!["--format", "nv12", "--size", "192x128"];
        args.extend(["--output-format", "rgb565", "--output-size", "60x50"]);
        let pictures = files.shown(&frames, &args);
        assert_eq!(pictures.len(), 2 * 60 * 50 * 2);
        let shown = |row: &[u8]| row.iter().any(|byte| *byte != 0);
        for picture in pictures.chunks(60 * 50 * 2) {
            let rows: Vec<_> = picture.chunks(60 * 2).map(shown).collect();
            assert!(rows.iter().enumerate().all(|(y, shown)| *shown == (5..45).contains(&y)), "{rows:?}");
        }

        // Neither a size that is larger than the file nor a file that does not exist.
        let (output, message) = files.camera(&["--format", "nv12", "--size", "1920x1080"]);
        assert!(!output.status.success());
        assert!(
            message.contains("camera.yuv: has") && message.contains("1920x1080 in NV12 has 3110400"),
            "{message}"
        );
        std::fs::remove_file(&files.frames).unwrap();
        let (output, message) = files.camera(&args);
        assert!(!output.status.success());
        assert!(message.contains("camera.yuv: expected a file of frames"), "{message}");
        let (output, message) = files.camera(&["--format", "nv12", "--size", "1920"]);
        assert!(!output.status.success());
        assert!(message.contains("--size: expected a size such as 1280x720"), "{message}");
    }
}
