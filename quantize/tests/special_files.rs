//! Devices and FIFOs in place of each file that the converter reads: an error at once, neither a wait nor endless reading.
#![cfg(unix)]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use beitle::file::format::Precision;
use beitle_quantize::{Options, convert};

/// A copy of a golden checkpoint, removed at the end of the test.
struct Copy(PathBuf);

impl Copy {
    fn new(case: &str) -> Copy {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(case);
        let to = std::env::temp_dir().join(format!("beitle-special-{case}-{}", std::process::id()));
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
        Copy(to)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The result of a conversion; the error's message if it fails.
fn converted(checkpoint: &Path) -> Result<(), String> {
    let options = Options::new(checkpoint, checkpoint.with_extension("beitle"), Precision::F32);
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let result = convert(&options, &mut |_| {}).map(drop).map_err(|e| e.to_string());
        let _ = std::fs::remove_file(&options.output);
        send.send(result)
    });
    receive.recv_timeout(Duration::from_secs(60)).expect("the conversion waits for a file")
}

/// Replaces a file of a checkpoint and asserts that converting `checkpoint` names it.
fn assert_refused(checkpoint: &Path, file: &Path) {
    let aside = file.with_extension("aside");
    std::fs::rename(file, &aside).unwrap();
    let refused = |what: &str| {
        let message = converted(checkpoint).expect_err(what);
        assert_eq!(message, format!("{}: is not a regular file", file.display()), "{what}");
        std::fs::remove_file(file).unwrap();
    };
    assert!(Command::new("mkfifo").arg(file).status().unwrap().success());
    refused("a FIFO");
    for device in ["/dev/zero", "/dev/null"] {
        symlink(device, file).unwrap();
        refused(device);
    }
    // A symbolic link to a regular file is fine.
    symlink(&aside, file).unwrap();
    converted(checkpoint).unwrap();
    std::fs::remove_file(file).unwrap();
    std::fs::rename(aside, file).unwrap();
}

#[test]
fn weight_files_and_configurations() {
    let copy = Copy::new("relative");
    for name in ["model.safetensors", "config.json", "preprocessor_config.json"] {
        assert_refused(&copy.0, &copy.0.join(name));
    }
    let file = copy.0.join("model.safetensors");
    assert_refused(&file, &file);
    let copy = Copy::new("oldbin");
    assert_refused(&copy.0, &copy.0.join("pytorch_model.bin"));
}

#[test]
fn indices_and_shards() {
    let copy = Copy::new("sharded");
    let mut shards = 0;
    for entry in std::fs::read_dir(&copy.0).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>() {
        let name = entry.file_name().unwrap().to_str().unwrap();
        if name.starts_with("model") {
            shards += usize::from(name.ends_with(".safetensors"));
            assert_refused(&copy.0, &entry);
        }
    }
    assert!(shards > 1);
}
