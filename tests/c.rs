//! The header and the C program of `examples/`: compiled as strict C99 and as C++, compared with the Rust side, linked,
//! run.
#![cfg(unix)]

mod common;

use beitle::{Isa, crc};
use beitle_ffi::*;
use common::Picture as Rgb;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const STRICT: &[&str] = &["-Wall", "-Wextra", "-Werror", "-pedantic"];

/// The compiler named by `variable`, or the usual one; `None`, with a word about it, where there is none.
fn compiler(variable: &str, usual: &str) -> Option<Command> {
    let name = std::env::var(variable).unwrap_or(usual.into());
    if Command::new(&name).arg("--version").output().is_err() {
        eprintln!("skipped: no `{name}` here to compile C with ({variable} names another)");
        return None;
    }
    let mut command = Command::new(name);
    command.args(STRICT).arg(format!("-I{ROOT}/include"));
    Some(command)
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}{err}");
    out.into_owned()
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Every number of the header with what Rust says of it: C expressions and values.
fn numbers() -> Vec<(String, usize)> {
    let mut all = vec![
        ("BEITLE_VERSION".into(), beitle_version() as usize),
        ("BEITLE_ENGINE_WORDS".into(), ENGINE_WORDS),
        ("sizeof(beitle_status)".into(), size_of::<Status>()),
        ("BEITLE_OK".into(), Status::Ok as usize),
        ("BEITLE_ARGUMENT".into(), Status::Argument as usize),
        ("BEITLE_NOT_A_MODEL".into(), Status::NotAModel as usize),
        ("BEITLE_OTHER_VERSION".into(), Status::OtherVersion as usize),
        ("BEITLE_DAMAGED".into(), Status::Damaged as usize),
        ("BEITLE_MISALIGNED".into(), Status::Misaligned as usize),
        ("BEITLE_BUFFER".into(), Status::Buffer as usize),
        ("BEITLE_PICTURE".into(), Status::Picture as usize),
        ("BEITLE_TOO_LARGE".into(), Status::TooLarge as usize),
        ("BEITLE_CANCELLED".into(), Status::Cancelled as usize),
        ("BEITLE_INTERNAL".into(), Status::Internal as usize),
        ("sizeof(beitle_engine)".into(), size_of::<Engine>()),
    ];
    macro_rules! layout {
        ($c:literal, $t:ty, $($field:ident)*) => {
            all.push((concat!("sizeof(", $c, ")").into(), size_of::<$t>()));
            $(all.push((concat!("offsetof(", $c, ", ", stringify!($field), ")").into(), offset_of!($t, $field)));)*
        };
    }
    layout!("beitle_info", Info, input_width input_height classes logits_width logits_height);
    layout!("beitle_picture", Picture, data bytes width height stride format);
    layout!("beitle_map", Map, data bytes width height pixel_bytes);
    layout!("beitle_threads", Threads, workers run context);
    layout!("beitle_job", Job, size arena arena_bytes picture map logits logits_count threads progress progress_context);
    all
}

#[test]
fn the_header_says_what_rust_says() {
    let mut source = String::from("#include \"beitle.h\"\n");
    for (i, (expression, value)) in numbers().iter().enumerate() {
        // An array of -1 elements is an error in every C.
        source +=
            &format!("typedef char check_{i}[({expression}) == {value} ? 1 : -1]; /* {expression} */\n");
    }
    source += "int main(void) { return 0; }\n";
    for (variable, usual, standard, file) in
        [("CC", "cc", "-std=c99", "layout.c"), ("CXX", "c++", "-std=c++11", "layout.cpp")]
    {
        let Some(mut compiler) = compiler(variable, usual) else { continue };
        let path = scratch(file);
        std::fs::write(&path, &source).unwrap();
        run(compiler.args([standard, "-fsyntax-only"]).arg(&path));
    }
}

#[test]
fn the_header_has_every_function() {
    let names = |text: &str, before: &str| {
        let mut names: Vec<_> = text
            .split(before)
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
    assert_eq!(declared, names(&read("src/ffi/lib.rs"), "extern \"C\" fn beitle_"));
    assert!(declared.len() > 5, "{declared:?}");
}

/// The C program gives the engine's bytes, alone and with threads.
#[test]
fn the_example_gives_the_bytes_of_the_engine() {
    let Some(mut cc) = compiler("CC", "cc") else { return };
    let library = std::env::current_exe().unwrap();
    let library = library.ancestors().nth(2).unwrap().join("examples/libbeitle_c.a");
    assert!(
        library.exists(),
        "no {}: `cargo build --examples` with the same options makes it",
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
    let want = common::run(&model, &Rgb { rgb, width, height }, Isa::detect(), 1, &mut ()).map;
    let want: Vec<u8> = want.iter().map(|&c| c as u8).collect();
    for threads in ["1", "2", "5"] {
        let pgm = scratch("segment.pgm");
        let text = run(Command::new(&program).args([&model, &ppm, &pgm]).arg(threads));
        let got = std::fs::read(pgm).unwrap();
        let got = got.strip_prefix(b"P5\n160 120\n255\n").expect("the head of a PGM");
        assert!(got == want, "{threads} threads: {:08x}, not {:08x}", crc::crc32(got), crc::crc32(&want));
        assert!(text.contains("sky"), "{text}");
    }
    let refused = Command::new(&program).args([&ppm, &ppm, &ppm]).output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not a .beitle file"));
}
