//! Faults around the converter: outputs that are inputs, devices, two conversions to one file, signals, a full standard output.
#![cfg(unix)]

#[path = "../../tests/common/signals.rs"]
mod signals;

use signals::unless_ignored;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const QUANTIZE: &str = env!("CARGO_BIN_EXE_beitle-quantize");

/// A copy of a golden checkpoint in a folder of its own, removed at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/relative");
        let folder =
            std::env::temp_dir().join(format!("beitle-quantize-faults-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("model")).unwrap();
        std::fs::create_dir_all(folder.join("out")).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, folder.join("model").join(path.file_name().unwrap())).unwrap();
        }
        Folder(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().into()
    }

    fn outputs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join("out")).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn command(&self, output: &str, more: &[&str]) -> Command {
        let mut command = Command::new(QUANTIZE);
        command.args([&self.path("model"), "-o", output]).args(more);
        command
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn assert_ends(output: &Output, status: i32, word: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(stderr.contains(word) && !stderr.contains("panicked"), "not {word:?}: {stderr}");
}

#[test]
fn the_checkpoint_is_never_overwritten() {
    let folder = Folder::new("inputs");
    std::os::unix::fs::symlink(folder.path("model/config.json"), folder.path("out/link")).unwrap();
    for file in ["model/model.safetensors", "model/config.json", "out/link"] {
        let path = folder.path(file);
        let before = std::fs::read(&path).unwrap();
        assert_ends(&folder.command(&path, &[]).output().unwrap(), 1, "would overwrite");
        assert!(std::fs::read(&path).unwrap() == before);
    }
    assert_ends(&folder.command(&folder.path("out"), &[]).output().unwrap(), 1, "is a folder");
    assert_ends(
        &folder.command(&folder.path("none/x"), &[]).output().unwrap(),
        1,
        "not a folder that exists",
    );
}

#[test]
fn other_files_beside_the_output_stay() {
    let folder = Folder::new("beside");
    let mine = ["x.partial", "x.draft", "x.int8", "x.half", "x.trial"];
    for name in mine {
        std::fs::write(folder.path(&format!("out/{name}")), name).unwrap();
    }
    std::fs::write(folder.path("out/target"), "old").unwrap();
    std::os::unix::fs::symlink(folder.path("out/target"), folder.path("out/x")).unwrap();
    assert_ends(&folder.command(&folder.path("out/x"), &[]).output().unwrap(), 0, "");
    for name in mine {
        assert_eq!(std::fs::read_to_string(folder.path(&format!("out/{name}"))).unwrap(), name);
    }
    assert!(std::fs::symlink_metadata(folder.path("out/x")).unwrap().is_symlink(), "the link stays");
    assert!(std::fs::read(folder.path("out/target")).unwrap().starts_with(b"BEITLE\r\n"));
    assert_eq!(folder.outputs().len(), mine.len() + 2);
}

#[test]
fn devices_are_written_into_and_a_full_one_is_reported() {
    let folder = Folder::new("devices");
    let nearest = ["--rounding", "nearest"];
    assert_ends(&folder.command("/dev/null", &nearest).output().unwrap(), 0, "");
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    assert_ends(&folder.command("/dev/full", &nearest).output().unwrap(), 1, "/dev/full: cannot be written");
    // A full standard output is reported, a closed one is not; the file is complete in either case.
    for (redirection, status) in [(">/dev/full", 1), (">&-", 0), ("2>&-", 0)] {
        let output = folder.path("out/x");
        let line =
            format!("{QUANTIZE} {} -o {output} --rounding nearest {redirection}", folder.path("model"));
        assert_ends(&Command::new("sh").args(["-c", &line]).output().unwrap(), status, "");
        assert!(std::fs::read(&output).unwrap().starts_with(b"BEITLE\r\n"));
        std::fs::remove_file(output).unwrap();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_in_shared_memory_is_replaced_and_a_redirected_output_is_continued() {
    let folder = Folder::new("shared");
    let nearest = ["--rounding", "nearest"];
    let (file, shared) = (folder.path("out/x"), format!("/dev/shm/beitle-{}.beitle", std::process::id()));
    assert_ends(&folder.command(&file, &nearest).output().unwrap(), 0, "");
    let expected = std::fs::read(&file).unwrap();
    // Not every container has the file system.
    if std::fs::write(&shared, "old").is_ok() {
        for _ in 0..2 {
            assert_ends(&folder.command(&shared, &nearest).output().unwrap(), 0, "");
            assert!(std::fs::read(&shared).unwrap() == expected);
        }
        std::fs::remove_file(&shared).unwrap();
    }
    let both = folder.path("out/both");
    let line = format!("echo first > {both}; {QUANTIZE} {} -o /dev/fd/3 3>> {both}", folder.path("model"));
    assert_ends(&Command::new("sh").args(["-c", &line]).output().unwrap(), 0, "");
    let found = std::fs::read(&both).unwrap();
    assert!(found.starts_with(b"first\nBEITLE\r\n"), "{:?}", &found[..32]);
}

#[test]
fn two_conversions_to_one_file_give_one_of_their_files() {
    let folder = Folder::new("two");
    let (a, b, both) = (folder.path("out/a"), folder.path("out/b"), folder.path("out/both"));
    let (int8, int4) = (["--precision", "int8"], ["--precision", "int4"]);
    assert_ends(&folder.command(&a, &int8).output().unwrap(), 0, "");
    assert_ends(&folder.command(&b, &int4).output().unwrap(), 0, "");
    let start = |flags: &[&str]| folder.command(&both, flags).stdout(Stdio::null()).spawn().unwrap();
    let (mut first, mut second) = (start(&int8), start(&int4));
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
    let found = std::fs::read(&both).unwrap();
    assert!([a, b].iter().any(|path| std::fs::read(path).unwrap() == found));
    assert_eq!(folder.outputs().len(), 3);
}

/// Runs a conversion under a limit of `ulimit`.
fn limited(folder: &Folder, limit: &str, threads: usize) -> Output {
    let line =
        format!("ulimit {limit}; exec {QUANTIZE} {} -o {}", folder.path("model"), folder.path("out/x"));
    Command::new("sh").args(["-c", &line]).env("RAYON_NUM_THREADS", threads.to_string()).output().unwrap()
}

#[test]
fn limits_of_the_process_give_a_message() {
    let folder = Folder::new("limits");
    assert_ends(&limited(&folder, "-v 200000", 1000), 1, "cannot start threads");
    assert_ends(&limited(&folder, "-f 1", 2), 1, "cannot be written: File too large");
    for kilobytes in [12_000, 14_000, 16_000, 20_000, 24_000, 28_000, 32_000, 40_000, 60_000] {
        let output = limited(&folder, &format!("-v {kilobytes}"), 2);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code().is_some_and(|code| code <= 1),
            "{kilobytes}: {:?} {stderr}",
            output.status
        );
        assert!(!stderr.contains("panicked"), "{kilobytes}: {stderr}");
        if output.status.success() {
            std::fs::remove_file(folder.path("out/x")).unwrap();
        }
    }
    assert!(folder.outputs().is_empty(), "{:?}", folder.outputs());
}

#[test]
fn signals_leave_no_temporary_files() {
    let folder = Folder::new("signals");
    for (signal, number, wait) in [("INT", 2, 20), ("TERM", 15, 60), ("HUP", 1, 150), ("ABRT", 6, 100)] {
        let Some(signal) = unless_ignored(signal, number) else { continue };
        let mut child = folder
            .command(&folder.path("out/x"), &["--precision", "auto", "--agreement", "1"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        let _ = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        let status = child.wait().unwrap();
        let left = folder.outputs();
        // If the signal came after the end, the file is complete.
        assert!(left.is_empty() || status.success() && left == ["x"], "{signal} left {left:?}");
        let _ = std::fs::remove_file(folder.path("out/x"));
    }
}
