//! Faults around the command line: full disks, closed pipes, little memory, signals, files that change, and outputs that are
//! also inputs. A command ends with a message, and leaves whole files or none.
#![cfg(unix)]

#[path = "common/signals.rs"]
mod signals;

use signals::unless_ignored;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const BEITLE: &str = env!("CARGO_BIN_EXE_beitle");
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/demo.beitle");

/// A temporary folder, deleted at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("beitle-faults-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().into()
    }

    /// Writes a picture of one colour.
    fn picture(&self, name: &str, width: usize, height: usize) -> String {
        let mut ppm = format!("P6 {width} {height} 255\n").into_bytes();
        ppm.extend(vec![90u8; 3 * width * height]);
        std::fs::write(self.path(name), ppm).unwrap();
        self.path(name)
    }

    /// A folder of many pictures, and one for their maps.
    fn many_pictures(&self, count: usize) -> (String, String) {
        std::fs::create_dir_all(self.path("in")).unwrap();
        std::fs::create_dir_all(self.path("out")).unwrap();
        for i in 0..count {
            self.picture(&format!("in/{i:03}.ppm"), 64, 48);
        }
        (self.path("in"), self.path("out"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn names(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn beitle(args: &[&str]) -> Output {
    Command::new(BEITLE).args(args).output().unwrap()
}

/// Asserts the exit status and that standard error, which is returned, contains `word`.
fn assert_ends(output: &Output, status: i32, word: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(stderr.contains(word) && !stderr.contains("panicked"), "not {word:?}: {stderr}");
}

#[test]
fn outputs_are_never_inputs_or_other_outputs() {
    let folder = Folder::new("targets");
    let (a, b) = (folder.picture("a.ppm", 8, 8), folder.picture("b.ppm", 8, 8));
    let model = folder.path("model.beitle");
    std::fs::copy(MODEL, &model).unwrap();
    let refuse = |args: &[&str], word: &str| {
        let before = std::fs::read(&model).unwrap();
        assert_ends(&beitle(args), 2, word);
        assert!(std::fs::read(&model).unwrap() == before);
        assert_eq!(names(folder.0.to_str().unwrap()), ["a.ppm", "b.ppm", "model.beitle"]);
    };
    refuse(&["segment", &a, "-m", &model, "-o", &model], "would overwrite");
    refuse(&["segment", &a, "-m", &model, "-o", &a], "would overwrite");
    let map = folder.path("x");
    refuse(&["segment", &a, "-m", &model, "-o", &map, "--logits", &map], "two results");
    refuse(&["segment", &a, &a, "-m", &model, "-o", folder.0.to_str().unwrap()], "two results");
    refuse(&["bench", &model, "--profile", &model], "would overwrite");
    // By way of a link, because results in JSON may need a name for that.
    let links = Folder::new("targets-links");
    let json = links.path("b.json");
    std::os::unix::fs::symlink(&b, &json).unwrap();
    refuse(
        &["eval", folder.0.to_str().unwrap(), "-m", &model, "--against", &model, "--json", &json],
        "would overwrite",
    );
    let missing = folder.path("none/x.png");
    refuse(&["segment", &a, "-m", &model, "-o", &missing], "not a folder that exists");
}

#[test]
fn full_and_closed_outputs_are_reported_or_ignored() {
    let folder = Folder::new("full");
    let picture = folder.picture("a.ppm", 8, 8);
    let map = folder.path("map.png");
    let shell = |redirection: &str| {
        let line = format!("{BEITLE} segment {picture} -m {MODEL} -o {map} {redirection}");
        Command::new("sh").args(["-c", &line]).output().unwrap()
    };
    // A full standard output is a failure, a closed pipe is not; the map is complete in either case.
    assert_ends(&shell(">/dev/full"), 1, "standard output");
    assert!(image::open(&map).is_ok());
    assert_ends(&shell("| true; test -s /dev/null || exit 0"), 0, "");
    assert_ends(&shell(">&-"), 0, "");
    // A device is written into, not replaced. A full disk leaves no file.
    assert_ends(&beitle(&["segment", &picture, "-m", MODEL, "-o", "/dev/null"]), 0, "");
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    assert_ends(
        &beitle(&["segment", &picture, "-m", MODEL, "-o", "/dev/full"]),
        1,
        "/dev/full: cannot be written",
    );
}

#[test]
fn little_memory_gives_a_message() {
    let folder = Folder::new("memory");
    let picture = folder.picture("a.ppm", 8, 8);
    let map = folder.path("m");
    let segment = |kilobytes: u32, threads: u32| {
        let command = format!("segment {picture} -m {MODEL} --threads {threads} -o {map}");
        let line = format!("ulimit -v {kilobytes}; exec {BEITLE} {command}");
        Command::new("sh").args(["-c", &line]).output().unwrap()
    };
    let limits = [20_000, 24_000, 28_000, 32_000, 40_000, 60_000, 100_000, 200_000];
    for (kilobytes, threads) in limits.into_iter().flat_map(|limit| [(limit, 0), (limit, 1)]) {
        let output = segment(kilobytes, threads);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code().is_some_and(|code| code <= 1),
            "{kilobytes}: {:?} {stderr}",
            output.status
        );
        assert!(output.status.success() || !stderr.is_empty());
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
    // Threads need address space for their stacks. Several runs, because what fails first depends on how the threads take turns.
    for threads in [200, 1000].repeat(8) {
        assert_ends(&segment(300_000, threads), 1, "cannot start threads");
    }
}

#[test]
fn a_limit_of_file_sizes_gives_a_message() {
    let folder = Folder::new("file-size");
    let picture = folder.picture("a.ppm", 64, 64);
    let map = folder.path("out.npy");
    let line =
        format!("ulimit -f 1; exec {BEITLE} segment {picture} -m {MODEL} --verify=never --logits {map}");
    let output = Command::new("sh").args(["-c", &line]).current_dir(&folder.0).output().unwrap();
    assert_ends(&output, 1, "out.npy: cannot be written");
    // The map is smaller than the limit.
    assert_eq!(names(&folder.path(".")), ["a.ppm", "a.seg.png"]);
}

#[test]
fn limits_of_a_run_have_switches() {
    let folder = Folder::new("limits");
    let picture = folder.picture("a.ppm", 8, 8);
    let map = folder.path("m.png");
    let run = |more: &[&str]| beitle(&[&["segment", &picture, "-m", MODEL, "-o", &map], more].concat());
    assert_ends(&run(&["--max-arena", "1"]), 1, "--max-arena");
    assert_ends(&run(&["--max-work", "0"]), 1, "--max-work");
    assert_ends(&run(&["--max-pixels", "63"]), 1, "--max-pixels");
    assert!(!Path::new(&map).exists());
    assert_ends(
        &run(&["--max-arena", "64", "--max-work", "100", "--max-pixels", "64", "--no-mmap", "--verify"]),
        0,
        "",
    );
}

#[test]
fn a_damaged_model_is_found_by_verify_before_any_picture() {
    let folder = Folder::new("verify");
    let picture = folder.picture("a.ppm", 8, 8);
    let model = folder.path("model.beitle");
    let mut bytes = std::fs::read(MODEL).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&model, bytes).unwrap();
    let map = folder.path("m.png");
    assert_ends(&beitle(&["segment", &picture, "-m", &model, "-o", &map, "--verify"]), 1, "checksum");
    assert!(!Path::new(&map).exists());
}

#[test]
fn pipes_and_devices_are_not_models() {
    let folder = Folder::new("devices");
    let picture = folder.picture("a.ppm", 8, 8);
    let (fifo, map) = (folder.path("fifo"), folder.path("m"));
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for path in ["/dev/zero", &fifo, "/"] {
        for flags in [&[][..], &["--no-mmap"]] {
            let args = [&["segment", &picture, "-m", path, "-o", &map], flags].concat();
            assert_ends(&beitle(&args), 1, "not a regular file");
        }
    }
}

#[test]
fn escape_sequences_in_file_names_are_not_printed() {
    let folder = Folder::new("escape");
    let picture = folder.picture("a\x1b[31m.ppm", 8, 8);
    let output = beitle(&["segment", &picture, "-m", MODEL, "-o", &folder.path("m")]);
    assert!(output.status.success() && !output.stdout.contains(&0x1b));
    let output = beitle(&["segment", &folder.path("none\x1b[31m"), "-m", MODEL, "-o", &folder.path("m")]);
    assert!(!output.status.success() && !output.stderr.contains(&0x1b));
}

/// Starts `segment` on many pictures and waits until the first map is there.
fn start(folder: &Folder, model: &str, flags: &[&str]) -> (Child, String) {
    let (input, output) = folder.many_pictures(60);
    let child = Command::new(BEITLE)
        .args(["segment", &input, "-m", model, "-o", &output, "--threads", "1"])
        .args(flags)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !names(&output).iter().any(|name| name.ends_with(".seg.png")) {
        assert!(start.elapsed() < Duration::from_secs(60), "no map appears");
        std::thread::sleep(Duration::from_millis(2));
    }
    (child, output)
}

#[test]
fn signals_leave_whole_files_only() {
    for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1), ("ABRT", 6)] {
        let Some(signal) = unless_ignored(signal, number) else { continue };
        let folder = Folder::new(signal);
        let (mut child, output) = start(&folder, MODEL, &[]);
        let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let status = child.wait().unwrap();
        assert!(std::os::unix::process::ExitStatusExt::signal(&status).is_some(), "{signal}: {status:?}");
        for name in names(&output) {
            assert!(name.ends_with(".seg.png"), "{signal} left {name}");
            image::open(Path::new(&output).join(&name)).unwrap_or_else(|e| panic!("{signal}, {name}: {e}"));
        }
    }
}

#[test]
fn a_model_that_shrinks_ends_with_a_message_or_does_not_matter() {
    for (flags, status) in [(&[][..], 1), (&["--no-mmap"][..], 0)] {
        let folder = Folder::new(if status == 1 { "mapped" } else { "read" });
        let model = folder.path("model.beitle");
        std::fs::copy(MODEL, &model).unwrap();
        let (child, _) = start(&folder, &model, flags);
        std::fs::File::options().write(true).open(&model).unwrap().set_len(4096).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{stderr}");
        assert!(status == 0 || stderr.contains("became shorter"), "{stderr}");
    }
}
