//! The C header and the C example. The header compiles as strict C99 and as C++11 and agrees with the Rust declarations; the
//! example links and gives the class map of the Rust interface.
#![cfg(unix)]

mod common;

use beitle::Isa;
use beitle::file::crc;
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
    ];
    macro_rules! layout {
        ($c:literal, $t:ty, $($field:ident)*) => {
            all.push((concat!("sizeof(", $c, ")").into(), size_of::<$t>()));
            $(all.push((concat!("offsetof(", $c, ", ", stringify!($field), ")").into(), offset_of!($t, $field)));)*
        };
    }
    layout!("beitle_info", CInfo, size input_width input_height classes logits_width logits_height features tokens task image_channels);
    layout!("beitle_image", CImage, data bytes width height stride format);
    layout!("beitle_plane", CPlane, data bytes stride);
    layout!("beitle_frame", CFrame, planes crop rotation mirror matrix range gray16);
    layout!("beitle_class_map", CClassMap, data bytes width height pixel_bytes);
    layout!("beitle_thread_pool", CThreadPool, workers run context);
    layout!("beitle_run_params", CRunParams, size arena arena_bytes image map logits logits_count thread_pool progress progress_context scores scores_count window_done features features_count tokens tokens_count frame);
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

#[test]
fn the_header_declares_every_exported_function() {
    // The function names that follow `prefix` in a source text.
    let names = |text: &str, prefix: &str| {
        let mut names: Vec<_> = text
            .split(prefix)
            .skip(1)
            .filter_map(|rest| rest.split_once('('))
            .map(|(name, _)| name.to_owned())
            .filter(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
            .collect();
        names.sort();
        names
    };
    let read = |path: &str| std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap();
    let header = read("include/beitle.h");
    let mut declared = names(&header, "\nbeitle_status beitle_");
    declared.extend(names(&header, "\nuint32_t beitle_"));
    declared.sort();
    assert_eq!(declared, names(&read("src/ffi/exports.rs"), "extern \"C\" fn beitle_"));
    assert!(declared.len() > 5, "{declared:?}");
}

/// With one thread and with several.
#[test]
fn the_c_example_gives_the_class_map_of_the_rust_interface() {
    let Some(mut cc) = compiler("CC", "cc") else { return };
    let library = std::env::current_exe().unwrap();
    let library = library.ancestors().nth(2).unwrap().join("examples/libbeitle_c.a");
    assert!(
        library.exists(),
        "{} does not exist: build it with `cargo build -p beitle-ffi --examples` and the same options",
        library.display()
    );
    let program = scratch("segment");
    let source = Path::new(ROOT).join("examples/segment.c");
    run(cc.args(["-std=c99", "-O1", "-o"]).args([&program, &source, &library]).args([
        "-lpthread",
        "-ldl",
        "-lm",
    ]));

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
