//! The command line as a user meets it: output files, messages and exit statuses, mostly when something is wrong.

#[path = "common/folder.rs"]
mod folder;

use folder::Folder;
use std::process::{Command, Output, Stdio};

fn beitle(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_beitle")).args(args).output().unwrap()
}

/// Asserts that the command fails with `status` and that standard error contains each of `words`.
fn assert_fails(args: &[&str], status: i32, words: &[&str]) {
    let output = beitle(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {stderr}");
    for word in words {
        assert!(stderr.contains(word), "{args:?} does not mention {word:?}: {stderr}");
    }
    assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
}

#[test]
fn invalid_arguments_have_status_two() {
    let folder = Folder::new("cli-usage");
    let picture = folder.file("one.ppm", b"P6 1 1 255\nabc");
    assert_fails(&[], 2, &["Usage"]);
    assert_fails(&["segment", "-m", "x.beitle"], 2, &["IMAGE"]);
    assert_fails(&["segment", &picture, "-m", "x.beitle", "--mode", "sideways"], 2, &["sideways", "whole"]);
    assert_fails(&["segment", &picture, "-m", "x.beitle", "--isa", "mmx"], 2, &["mmx", "portable"]);
    assert_fails(&["bench", "x.beitle", "--runs", "0"], 2, &["--runs"]);
    assert_fails(&["bench", "x.beitle", "--cores", "0,7-4"], 2, &["--cores", "\"7-4\"", "4-7 or 0,2"]);
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/demo.beitle");
    assert_fails(&["bench", model, "--cores", "8191"], 2, &["--cores 8191: "]);
}

#[test]
#[cfg(target_os = "linux")]
fn bench_says_on_which_cpus_its_threads_run() {
    let allowed = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed =
        allowed.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim().to_owned();
    let first = allowed.split(['-', ',']).next().unwrap();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/demo.beitle");
    for (args, words) in [
        (vec!["--cores", first], format!(", 1 thread on CPUs {first}\n")),
        (vec!["--cores", first, "--threads", "2"], format!(", 2 threads on CPUs {first}\n")),
        (vec!["--threads", "2"], ", 2 threads\n".to_owned()),
    ] {
        let output = beitle(&[&["bench", model, "--runs", "1"], &args[..]].concat());
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && printed.contains(&words), "{args:?}: {printed}");
    }
}

#[test]
fn the_first_command_of_the_readme_works() {
    let folder = Folder::new("cli-first");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let run = |cwd: &std::path::Path| {
        let sample = format!("{root}/models/sample.png");
        let out = folder.0.join("out");
        let mut command = Command::new(env!("CARGO_BIN_EXE_beitle"));
        command.args(["segment", &sample, "--overlay", "-o"]).arg(&out).current_dir(cwd).output().unwrap()
    };
    let output = run(root.as_ref());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("demonstration model"), "{stderr}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("road"));
    let written: Vec<_> = files_below(&folder.0);
    assert!(written.iter().any(|n| n.contains("overlay")) && written.len() >= 2, "{written:?}");
    // In other folders there is no demonstration model; the message asks for a weight file.
    let output = run(&folder.0);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("-m FILE"));
}

/// Paths of all files below a folder.
fn files_below(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|p| if p.is_dir() { files_below(&p) } else { vec![p.display().to_string()] }).collect()
}

#[test]
fn messages_name_the_bad_weight_file() {
    let folder = Folder::new("cli-weights");
    let empty = folder.file("empty.beitle", b"");
    let text = folder.file("text.beitle", [b'x'; 1000]);
    let short = folder.file("short.beitle", b"BEITLE\r\n");
    let picture = folder.file("one.ppm", b"P6 1 1 255\nabc");
    let missing = folder.0.join("missing.beitle");
    let missing = missing.to_str().unwrap();
    for command in [&["info"][..], &["bench"], &["segment", &picture, "-m"]] {
        let with = |file| [command, &[file]].concat();
        assert_fails(&with(missing), 1, &[missing]);
        assert_fails(&with(&empty), 1, &[&empty, "empty"]);
        assert_fails(&with(&text), 1, &[&text, "not a .beitle file"]);
        assert_fails(&with(&short), 1, &[&short, "cut short"]);
        assert_fails(&with(folder.0.to_str().unwrap()), 1, &["not a regular file"]);
    }
}

/// Runs `beitle segment` on a folder with the demonstration model; results go to `out` in it.
fn segment_folder(folder: &Folder) -> Output {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/demo.beitle");
    let out = folder.0.join("out");
    beitle(&["segment", folder.0.to_str().unwrap(), "-m", model, "-o", out.to_str().unwrap()])
}

#[test]
fn one_bad_picture_does_not_end_the_rest_of_a_folder() {
    let folder = Folder::new("cli-bad");
    folder.file("1.ppm", b"P6 1 1 255\nabc");
    folder.file("2.jpg", b"\xff\xd8\xff\xd9");
    folder.file("3.jpg", b"P6 1 1 255\nabc");
    folder.file("4.tif", b"II*\0");
    folder.file("5.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\x03\x0d\x40\0\x03\x0d\x40\x08\x02\0\0\0");
    let output = segment_folder(&folder);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for words in [
        "2.jpg: truncated: scans of the JPEG file are missing",
        "4.tif: TIFF is not",
        "200000x200000",
        "--max-pixels",
        "3 of 5",
    ] {
        assert!(stderr.contains(words), "no {words:?}: {stderr}");
    }
    let mut written = files_below(&folder.0.join("out"));
    written.sort();
    let names: Vec<_> = written.iter().map(|path| path.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["1.seg.png", "3.seg.png"]);
}

#[test]
fn hidden_files_of_a_folder_are_passed_over() {
    let folder = Folder::new("cli-hidden");
    folder.file("a.jfif", b"P6 1 1 255\nabc");
    folder.file("._a.jfif", b"\0\x05\x16\x07");
    let output = segment_folder(&folder);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
    assert_eq!(files_below(&folder.0.join("out")).len(), 1);
}

#[test]
fn pictures_have_a_limit() {
    let folder = Folder::new("cli-limit");
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/demo.beitle");
    let picture = folder.file("one.ppm", b"P6 2 1 255\nabcabc");
    let out = folder.0.join("map.png");
    let out = out.to_str().unwrap();
    let limited = ["segment", &picture, "-m", model, "-o", out, "--max-pixels"];
    assert!(beitle(&[&limited[..], &["2"]].concat()).status.success());
    assert_fails(
        &[&limited[..], &["1"]].concat(),
        1,
        &["one.ppm: the picture has 2x1 pixels", "--max-pixels"],
    );
    assert_fails(&[&limited[..], &["0"]].concat(), 2, &["--max-pixels"]);
    assert_fails(&["bench", model, "--image", &picture, "--max-pixels", "1"], 1, &["2x1", "--max-pixels"]);
    assert_fails(&["segment", "/dev/null", "-m", model, "-o", out], 1, &["/dev/null: is not a regular file"]);
}

#[test]
fn a_closed_pipe_is_not_a_panic() {
    let mut help = Command::new(env!("CARGO_BIN_EXE_beitle"))
        .args(["segment", "--help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(help.stdout.take());
    let output = help.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}

#[test]
fn info_draws_the_arena() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/demo.beitle");
    let output = beitle(&["info", model, "--plan", "3"]);
    let chart = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && chart.starts_with("arena ") && chart.contains("for 3 workers"),
        "{chart}"
    );
    for word in ["resize", "bands", "residual stream", "the phase that needs most: "] {
        assert!(chart.to_lowercase().contains(word), "no {word}: {chart}");
    }
    // The default is two threads.
    let size = |args: &[&str]| beitle(args).stdout.split(|b| *b == b'\n').next().unwrap().to_vec();
    assert_eq!(size(&["info", model, "--plan"]), size(&["info", model, "--plan", "2"]));
    assert_fails(&["info", model, "--plan", "0"], 2, &["--plan"]);
}

#[test]
fn bench_writes_a_trace() {
    let folder = Folder::new("cli-profile");
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/demo.beitle");
    let trace = folder.0.join("trace.json");
    let output = beitle(&["bench", model, "--runs", "1", "--profile", trace.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trace: serde_json::Value = serde_json::from_slice(&std::fs::read(&trace).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let names = |name: &str| events.iter().filter(|e| e["name"] == name).count();
    assert_eq!((names("demo.beitle"), names("resize")), (1, 1));
    assert!(names("qkv") > 1 && names("bottleneck full") > 1);
    let nowhere = folder.0.join("none/trace.json");
    assert_fails(
        &["bench", model, "--runs", "1", "--profile", nowhere.to_str().unwrap()],
        2,
        &["trace.json"],
    );
}

#[test]
fn pictures_are_segmented_in_all_views() {
    let folder = Folder::new("cli-views");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let (model, sample) = (format!("{root}/models/demo.beitle"), format!("{root}/models/sample.png"));
    let out = folder.0.join("map.png");
    let segment = ["segment", &sample, "-m", &model, "-o", out.to_str().unwrap()];
    let map = |more: &[&str]| {
        let output = beitle(&[&segment[..], more].concat());
        assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
        std::fs::read(&out).unwrap()
    };
    let whole = map(&[]);
    assert!(whole == map(&["--mode", "whole"]), "the demonstration model is meant for whole pictures");
    let slide = map(&["--mode", "slide"]);
    assert!(slide != whole && slide == map(&["--mode", "slide", "--scales", "1"]));
    assert!(map(&["--native"]) == map(&["--mode", "native"]));
    map(&["--mode", "slide", "--flip", "--scales", "published", "--threads", "1"]);
    map(&["--flip"]);
    let fails = |more: &[&str], words: &[&str]| assert_fails(&[&segment[..], more].concat(), 2, words);
    fails(&["--scales", "1,2"], &["--scales", "slide"]);
    fails(&["--mode", "slide", "--scales", "1,x"], &["`x` is not a number"]);
    fails(&["--mode", "slide", "--scales", "0"], &["above 0"]);
    fails(&["--mode", "slide", "--native"], &["--native"]);
    let logits = folder.0.join("logits.npy");
    fails(&["--mode", "slide", "--logits", logits.to_str().unwrap()], &["--logits", "--mode whole"]);
    let few = [&segment[..], &["--mode", "slide", "--flip", "--max-windows", "3"]].concat();
    assert_fails(&few, 1, &["sample.png", "4 windows", "--max-windows allows 3"]);
    let tight = [&segment[..], &["--flip", "--max-arena", "2"]].concat();
    assert_fails(&tight, 1, &["sample.png", "working memory", "--max-arena"]);
}

#[test]
fn bench_counts_windows() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/demo.beitle");
    let bench = |more: &[&str]| {
        let output = beitle(&[&["bench", model, "--runs", "1", "--json"], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let whole = bench(&["--size", "300x100"]);
    assert_eq!((&whole["width"], &whole["windows"]), (&300.into(), &1.into()));
    // The short side becomes 256, the long one 768: (768 - 256) / 170, rounded up, and one more.
    let slide = bench(&["--size", "300x100", "--mode", "slide"]);
    assert_eq!(slide["windows"], 5);
    assert_fails(&["bench", model, "--size", "300"], 2, &["WIDTHxHEIGHT"]);
    assert_fails(&["bench", model, "--size", "0x4"], 2, &["WIDTHxHEIGHT"]);
}
