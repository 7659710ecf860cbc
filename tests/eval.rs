//! `beitle eval` on the demonstration model, with the model's own maps as labels.

use beitle::file::format::Precision;
use beitle_quantize::{Options, convert};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn beitle(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_beitle")).args(args).current_dir(ROOT).output().unwrap()
}

/// Standard output and standard error.
fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A temporary data set of one picture, with the model's own map as its labels.
struct Data(PathBuf);

impl Data {
    fn new(name: &str) -> Data {
        let root = std::env::temp_dir().join(format!("beitle-eval-{name}-{}", std::process::id()));
        for folder in ["images/validation", "annotations/validation"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let data = Data(root);
        std::fs::copy(Path::new(ROOT).join("models/sample.png"), data.0.join("images/validation/a.png"))
            .unwrap();
        let labels = data.label().to_str().unwrap().to_string();
        assert!(beitle(&["segment", "models/sample.png", "-o", &labels]).status.success());
        data
    }

    fn label(&self) -> PathBuf {
        self.0.join("annotations/validation/a.png")
    }

    fn root(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_model_agrees_with_itself() {
    let data = Data::new("itself");
    let (json, html) = (data.0.join("r.json"), data.0.join("r.html"));
    let files = ["--json", json.to_str().unwrap(), "--html", html.to_str().unwrap()];
    let mut args = vec!["eval", data.root(), "--against", "models/demo.beitle"];
    args.extend(files);
    let output = beitle(&args);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("mIoU 1.00000  aAcc 1.00000  mAcc 1.00000"), "{}", text(&output));
    assert!(text(&output).contains("pixel agreement 1.00000"), "{}", text(&output));
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let model = &report["models"][0];
    assert_eq!(model["pictures"], 1);
    assert_eq!(model["labels"]["miou"], 1.0);
    assert_eq!(model["labels"]["reference"]["miou"], 1.0);
    assert_eq!(model["labels"]["classes"][0]["reference_iou"], 1.0);
    // A pixel is on the diagonal of the confusion matrix if it is right.
    let confusion = model["labels"]["confusion"].as_array().unwrap();
    let total: u64 =
        confusion.iter().flat_map(|row| row.as_array().unwrap()).map(|n| n.as_u64().unwrap()).sum();
    let right: u64 = (0..confusion.len()).map(|i| confusion[i][i].as_u64().unwrap()).sum();
    assert_eq!((total, right), (640 * 480, 640 * 480));
    assert!(text(&output).contains("difference: mIoU +0.00000"), "{}", text(&output));
    assert_eq!(model["reference"]["agreement"], 1.0);
    assert!(model["reference"]["logits_sqnr_db"].is_null(), "no noise");
    assert!(model["reference"]["stages"].as_array().unwrap().len() > 15);
    assert_eq!(model["reference"]["worst_pixels"].as_array().unwrap().len(), 0);
    let page = std::fs::read_to_string(&html).unwrap();
    for name in ["picture", "labels", "reference", "model", "difference"] {
        assert_eq!(page.matches(&format!("<img alt=\"{name}\"")).count(), 1, "{name}");
    }
    assert!(page.contains("</i>road<td>2<td>1.0000<td>1.0000"), "colour and scores of each class");
    assert!(!page.contains("http"), "the page is self-contained");
}

#[test]
fn reduced_labels_shift_by_one() {
    let data = Data::new("reduced");
    // Labels are read as one class lower: what was class 0 (sky) is ignored, and no other pixel can be right.
    let output = beitle(&["eval", data.root(), "--reduce-labels"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("aAcc 0.00000"), "{}", text(&output));
}

#[test]
fn messages_name_the_bad_data() {
    let data = Data::new("bad");
    let assert_fails = |args: &[&str], words: &[&str]| {
        let output = beitle(args);
        assert!(!output.status.success(), "{args:?}");
        for word in words {
            assert!(text(&output).contains(word), "{args:?} does not mention {word:?}: {}", text(&output));
        }
        assert!(!text(&output).contains("panicked"));
    };
    let images = data.0.join("images/validation");
    let images = images.to_str().unwrap();
    assert_fails(&["eval", images], &["--labels", "--against"]);
    assert_fails(&["eval", images, "--labels", data.root()], &["a.png", "labels of"]);
    assert_fails(&["eval", "/nowhere"], &["/nowhere"]);
    // Files of the data set are not overwritten, also those that --limit leaves out.
    assert_fails(&["eval", data.root(), "--html", "a.png"], &["--html a.png", "another kind of file"]);
    assert_fails(&["eval", data.root(), "--json", "-"], &["--json -", "standard output"]);
    assert_fails(&["eval", data.root(), "--limit", "0"], &["--limit"]);
    let save = |w, h, kind, value: u8| {
        let bytes = vec![value; w as usize * h as usize * if kind == image::ColorType::Rgb8 { 3 } else { 1 }];
        image::save_buffer(data.label(), &bytes, w, h, kind).unwrap();
    };
    save(3, 2, image::ColorType::L8, 0);
    assert_fails(&["eval", data.root()], &["annotations/validation/a.png", "3x2", "640x480"]);
    assert_fails(&["eval", data.root(), "--max-pixels", "9"], &["images/validation/a.png", "--max-pixels"]);
    save(640, 480, image::ColorType::L8, 12);
    assert_fails(&["eval", data.root()], &["a.png", "label 12 at column 0, row 0", "0 to 11"]);
    save(640, 480, image::ColorType::Rgb8, 0);
    assert_fails(&["eval", data.root()], &["a.png", "one channel"]);
    std::fs::write(data.label(), b"nothing").unwrap();
    assert_fails(&["eval", data.root()], &["a.png", "PNG"]);
}

/// A folder with `images` and `labels`, of which each picture is the sample with its own map as labels.
fn plain_data(name: &str, pictures: &[&str]) -> Data {
    let data = Data::new(name);
    for folder in ["images", "labels"] {
        std::fs::create_dir_all(data.0.join("plain").join(folder)).unwrap();
    }
    for picture in pictures {
        let place = |folder: &str| data.0.join("plain").join(folder).join(format!("{picture}.png"));
        std::fs::copy(data.0.join("images/validation/a.png"), place("images")).unwrap();
        std::fs::copy(data.label(), place("labels")).unwrap();
    }
    data
}

#[test]
fn names_may_have_dots_and_a_bad_picture_does_not_end_the_run() {
    let data = plain_data("dots", &["shot.001", "shot.002"]);
    let plain = data.0.join("plain");
    let run = || beitle(&["eval", plain.to_str().unwrap()]);
    // Other labels that the names with their ends cut off would lead to.
    std::fs::write(plain.join("labels/shot.png"), b"other").unwrap();
    let output = run();
    assert!(output.status.success() && text(&output).contains("2 pictures"), "{}", text(&output));
    assert!(text(&output).contains("mIoU 1.00000"), "{}", text(&output));
    std::fs::write(plain.join("images/shot.001.png"), b"damaged").unwrap();
    let output = run();
    assert_eq!(output.status.code(), Some(1));
    for word in ["shot.001.png", "1 picture,", "mIoU 1.00000", "1 of 2 pictures were left out"] {
        assert!(text(&output).contains(word), "no {word:?}: {}", text(&output));
    }
}

#[test]
fn nothing_to_score_is_no_score() {
    let data = Data::new("ignored");
    image::save_buffer(data.label(), &vec![255; 640 * 480], 640, 480, image::ColorType::L8).unwrap();
    let json = data.0.join("r.json");
    let output = beitle(&["eval", data.root(), "--json", json.to_str().unwrap()]);
    assert!(output.status.success() && text(&output).contains("mIoU -  aAcc -  mAcc -"), "{}", text(&output));
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let labels = &report["models"][0]["labels"];
    assert!(labels["miou"].is_null() && labels["aacc"].is_null() && labels["macc"].is_null());
}

/// The surroundings of changed pixels and their margins are on the page; without a reference the labels take its place.
#[test]
fn the_page_shows_what_has_changed() {
    let folder = std::env::temp_dir().join(format!("beitle-eval-changed-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("images")).unwrap();
    std::fs::create_dir_all(folder.join("labels")).unwrap();
    let case = Path::new(ROOT).join("tests/data/relative");
    std::fs::copy(case.join("input.png"), folder.join("images/a.png")).unwrap();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    for precision in [Precision::F32, Precision::Int4] {
        let output = file(&format!("{}.beitle", precision.name()));
        convert(&Options::new(&case, output, precision), &mut |_| {}).unwrap();
    }
    let (f32, int4, page) = (file("f32.beitle"), file("int4.beitle"), file("r.html"));
    let segmented = beitle(&["segment", &file("images/a.png"), "-m", &f32, "-o", &file("labels/a.png")]);
    assert!(segmented.status.success(), "{}", text(&segmented));
    let read = |args: &[&str]| {
        let output =
            beitle(&[&["eval", folder.to_str().unwrap(), "-m", &int4, "--html", &page][..], args].concat());
        assert!(output.status.success(), "{}", text(&output));
        std::fs::read_to_string(&page).unwrap()
    };
    let compared = read(&["--against", &f32]);
    assert!(compared.matches("<figure class=crop>").count() > 4 && compared.contains("margin"));
    let scored = read(&[]);
    assert!(scored.contains("alt=\"labels\"") && !scored.contains("alt=\"reference\""));
    std::fs::remove_dir_all(&folder).unwrap();
}
