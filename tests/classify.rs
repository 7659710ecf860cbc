//! `beitle classify`, `beitle features` and `beitle eval` of models that classify pictures.

use beitle_quantize::{Options, Rounding, convert};
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MEMBERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/members");

fn beitle(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_beitle")).args(args).current_dir(folder).output().unwrap()
}

/// Standard output of a command that succeeds.
fn stdout(folder: &Path, args: &[&str]) -> String {
    let output = beitle(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Standard error of a command that fails with `status`.
fn stderr(folder: &Path, status: i32, args: &[&str]) -> String {
    let output = beitle(folder, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
    stderr
}

/// A temporary folder with weight files `<case>.beitle` and pictures `<case>.png` of members of the family.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, cases: &[&str]) -> Folder {
        let folder = std::env::temp_dir().join(format!("beitle-classify-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for case in cases {
            let from = Path::new(MEMBERS).join(case);
            let mut options = Options::new(&from, folder.join(format!("{case}.beitle")), F32);
            options.rounding = Rounding::Nearest;
            convert(&options, &mut |_| {}).unwrap();
            std::fs::copy(from.join("input.png"), folder.join(format!("{case}.png"))).unwrap();
        }
        std::fs::write(folder.join("broken.png"), b"\x89PNG\r\n\x1a\n, cut off").unwrap();
        Folder(folder)
    }

    /// A folder of copies of a picture.
    fn class(&self, name: &str, count: usize) {
        let folder = self.0.join("data").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for i in 0..count {
            std::fs::copy(self.0.join("classifier.png"), folder.join(format!("{i}.png"))).unwrap();
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const F32: beitle::file::format::Precision = beitle::file::format::Precision::F32;

/// A tensor of the goldens of a case.
fn golden(case: &str, name: &str) -> Vec<f32> {
    let file = std::fs::read(Path::new(MEMBERS).join(case).join("goldens.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// The values of a NumPy file, whose header must contain `shape`.
fn numpy(path: &Path, shape: &str) -> Vec<f32> {
    let file = std::fs::read(path).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([file[8], file[9]]));
    let header = String::from_utf8_lossy(&file[10..start]);
    assert!(header.contains(&format!("'shape': ({shape}")), "{header}");
    file[start..].as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn assert_close(got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len());
    assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-4), "{got:?} {want:?}");
}

#[test]
fn pictures_are_classified() {
    let folder = Folder::new("classify", &["classifier", "upernet", "features"]);
    let dir = &folder.0;
    let logits = golden("classifier", "logits");
    let best = (0..7).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
    let args = ["classify", "classifier.png", "-m", "classifier.beitle"];
    let table = stdout(dir, &[&args[..], &["--top", "3", "--logits", "l.npy", "--verify"]].concat());
    let rows: Vec<_> = table.lines().collect();
    assert!(rows[0].starts_with("classifier.png: 83x61") && rows.len() == 4, "{table}");
    assert!(rows[1].ends_with(&format!("kind {best}")), "{table}");
    assert_close(&numpy(&dir.join("l.npy"), "7,"), &logits);

    let json: Value =
        serde_json::from_str(&stdout(dir, &[&args[..], &["--json", "--top", "99"]].concat())).unwrap();
    let classes = json["classes"].as_array().unwrap();
    assert_eq!((classes.len(), classes[0]["id"].as_u64()), (7, Some(best as u64)));
    let sum: f64 = classes.iter().map(|c| c["probability"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9);

    // One broken picture does not end the run.
    let output = beitle(dir, &["classify", "broken.png", "classifier.png", "-m", "classifier.beitle"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("classifier.png"));
    assert!(stderr(dir, 1, &["classify", "broken.png", "-m", "classifier.beitle"]).contains("broken.png"));
    let overwritten = ["classify", "classifier.png", "-m", "classifier.beitle", "--logits", "classifier.png"];
    assert!(stderr(dir, 2, &overwritten).contains("classifier.png"));
    let one_file =
        ["classify", "broken.png", "classifier.png", "-m", "classifier.beitle", "--logits", "x.npy"];
    assert!(stderr(dir, 2, &one_file).contains("--logits x.npy: expected a folder"));
    assert!(!dir.join("x.npy").exists());
    // Models of other tasks.
    assert!(stderr(dir, 1, &["classify", "upernet.png", "-m", "upernet.beitle"]).contains("beitle segment"));
    assert!(
        stderr(dir, 1, &["classify", "features.png", "-m", "features.beitle"]).contains("beitle features")
    );
    let segmented = stderr(dir, 1, &["segment", "classifier.png", "-m", "classifier.beitle"]);
    assert!(segmented.contains("beitle classify"), "{segmented}");
    assert!(stdout(dir, &["info", "classifier.beitle"]).contains("stretch to 72x72, then the middle 64x64"));
    assert!(stdout(dir, &["bench", "classifier.beitle", "--runs", "1"]).contains("classifier"));
}

#[test]
fn features_are_rows_in_the_order_of_the_pictures() {
    let folder = Folder::new("features", &["classifier", "features"]);
    let dir = &folder.0;
    stdout(dir, &["features", "features.png", "-m", "features.beitle", "-o", "f.npy"]);
    assert_close(&numpy(&dir.join("f.npy"), "1, 32,"), &golden("features", "features"));
    stdout(dir, &["features", "features.png", "-m", "features.beitle", "-o", "t.npy", "--tokens"]);
    assert_close(&numpy(&dir.join("t.npy"), "1, 25, 32,"), &golden("features", "tokens"));

    stderr(dir, 2, &["features", "features.png", "-m", "features.beitle", "-o", "-"]);
    let args = ["features", "broken.png", "classifier.png", "-m", "classifier.beitle", "-o", "two.npy"];
    assert!(stderr(dir, 1, &args).contains("1 of 2 pictures failed"));
    let rows = numpy(&dir.join("two.npy"), "2, 32,");
    assert!(rows[..32].iter().all(|x| x.is_nan()));
    assert_close(&rows[32..], &golden("classifier", "features"));
    // Results count towards the memory limit, which is checked before anything is allocated.
    let small = ["features", "classifier.png", "-m", "classifier.beitle", "-o", "x.npy", "--max-arena", "0"];
    assert!(stderr(dir, 1, &small).contains("--max-arena allows 0 bytes"));
    // Nothing is written without a picture, and no input is overwritten.
    stderr(dir, 1, &["features", "broken.png", "-m", "classifier.beitle", "-o", "none.npy"]);
    assert!(!dir.join("none.npy").exists());
    stderr(dir, 2, &["features", "classifier.png", "-m", "classifier.beitle", "-o", "classifier.beitle"]);
}

#[test]
fn classification_is_evaluated_on_a_folder_for_each_class() {
    let folder = Folder::new("eval", &["classifier", "classtoken", "upernet"]);
    let dir = &folder.0;
    let logits = golden("classifier", "logits");
    let best = (0..7).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
    let worst = (0..7).min_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
    folder.class(&format!("Kind_{best}"), 3);
    folder.class(&format!("kind {worst}"), 1);
    let args =
        ["eval", "data", "-m", "classifier.beitle", "--json", "r.json", "--against", "classifier.beitle"];
    let table = stdout(dir, &args);
    assert!(table.contains("labels: top-1 0.75000  top-5 0.75000"), "{table}");
    assert!(
        table.contains("the same class for 1.00000 of the pictures") && table.contains("exact"),
        "{table}"
    );
    let json: Value = serde_json::from_slice(&std::fs::read(dir.join("r.json")).unwrap()).unwrap();
    let labels = &json["models"][0]["labels"];
    assert_eq!((labels["pictures"].as_u64(), labels["reference"]["top1"].as_f64()), (Some(4), Some(0.75)));
    assert_eq!(labels["classes"].as_array().unwrap().len(), 2);
    // The first two pictures are of different classes.
    let two = stdout(dir, &["eval", "data", "-m", "classifier.beitle", "--limit", "2"]);
    assert!(two.contains("top-1 0.50000"), "{two}");

    folder.class("unicorn", 1);
    let unknown = stderr(dir, 1, &["eval", "data", "-m", "classifier.beitle"]);
    assert!(unknown.contains("unicorn") && unknown.contains("is not the name or number"), "{unknown}");
    std::fs::remove_dir_all(dir.join("data")).unwrap();
    for class in 0..3 {
        folder.class(&class.to_string(), 1);
    }
    assert!(stdout(dir, &["eval", "data", "-m", "classifier.beitle"]).contains("3 pictures"));
    // Options of label files do not apply.
    let named = stderr(dir, 2, &["eval", "data", "-m", "classifier.beitle", "--ignore", "0"]);
    assert!(named.contains("--ignore is for models that segment"), "{named}");
    let html = ["eval", "data", "-m", "classifier.beitle", "--html", "x.html"];
    assert!(stderr(dir, 2, &html).contains("--html"));
    let mixed = ["eval", "data", "-m", "classifier.beitle", "-m", "upernet.beitle"];
    assert!(stderr(dir, 2, &mixed).contains("different tasks"));
    std::fs::write(dir.join("data/0/broken.png"), b"no").unwrap();
    assert!(
        stderr(dir, 1, &["eval", "data", "-m", "classifier.beitle"])
            .contains("1 of 4 pictures were left out")
    );
}
