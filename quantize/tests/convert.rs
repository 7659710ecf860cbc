//! Whole conversions: what the options do, what they refuse, and that nothing half-done is left behind.

use beitle::Model;
use beitle::format::Precision;
use beitle::mapped::MappedFile;
use beitle_quantize::{Options, convert};
use std::path::{Path, PathBuf};

fn golden(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(case)
}

fn target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.beitle", std::process::id()))
}

/// Converts and expects to be refused with these words, and no file.
fn refused(options: &Options, words: &[&str]) {
    let message = convert(options, &mut |_, _| {}).err().expect("a refusal").to_string();
    for word in words {
        assert!(message.contains(word), "{message:?} does not say {word:?}");
    }
    let partial = options.output.with_extension("beitle.partial");
    assert!(!options.output.exists() && !partial.exists(), "{message}: something was left behind");
}

#[test]
fn the_same_checkpoint_gives_the_same_bytes() {
    let bytes = |name: &str| {
        let output = target(name);
        convert(&Options::new(golden("relative"), &output, Precision::Int8), &mut |_, _| {}).unwrap();
        std::fs::read(output).unwrap()
    };
    assert_eq!(bytes("once"), bytes("twice"));
}

#[test]
fn another_size_is_taken() {
    for case in ["relative", "shared", "absolute", "nopos"] {
        for size in [(128, 128), (160, 96), (32, 64)] {
            let output = target(&format!("{case}-{}x{}", size.0, size.1));
            let mut options = Options::new(golden(case), &output, Precision::F32);
            options.size = Some(size);
            convert(&options, &mut |_, _| {}).unwrap();
            let file = MappedFile::open(&output).unwrap();
            let model = Model::new(file.bytes()).unwrap();
            model.verify().unwrap();
            assert_eq!((model.facts().width, model.facts().height), size, "{case}");
        }
    }
}

#[test]
fn the_file_says_what_was_asked_for() {
    let output = target("facts");
    let mut options = Options::new(golden("relative"), &output, Precision::F16);
    options.taps = Some([0, 2, 2, 5]);
    options.heads = Some(2);
    let mut last = (0, 0);
    let report = convert(&options, &mut |done, all| last = (done, all)).unwrap();
    assert!(last.0 == last.1 && last.0 > 50, "{last:?}");
    let file = MappedFile::open(&output).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    let facts = model.facts();
    assert_eq!((facts.taps, facts.blocks), ([0, 2, 2, 5], 5));
    assert_eq!(file.bytes().len() as u64, report.file_bytes);
    assert!(model.source().ends_with("relative/model.safetensors"), "{}", model.source());
    assert!(serde_json::from_str::<serde_json::Value>(model.report()).unwrap()["tensors"].is_array());
    assert!(report.to_string().contains("SQNR"));
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let base = Options::new(golden("relative"), target("refused"), Precision::Int8);
    let with = |change: &dyn Fn(&mut Options)| {
        let mut options = base.clone();
        change(&mut options);
        options
    };
    refused(&with(&|o| o.taps = Some([1, 2, 3, 6])), &["taps", "5"]);
    refused(&with(&|o| o.taps = Some([3, 2, 3, 4])), &["taps", "rise"]);
    refused(&with(&|o| o.heads = Some(3)), &["heads"]);
    refused(&with(&|o| o.heads = Some(0)), &["heads"]);
    refused(&with(&|o| o.heads = Some(4)), &["relative_position_bias_table"]);
    refused(&with(&|o| o.size = Some((100, 96))), &["100x96", "16"]);
    refused(&with(&|o| o.size = Some((16, 96))), &["16x96"]);
    refused(&with(&|o| o.size = Some((8192, 96))), &["8192x96"]);
    refused(&with(&|o| o.checkpoint = golden("nothing")), &["nothing"]);
    refused(&with(&|o| o.checkpoint = golden("resize")), &["resize"]);
    refused(
        &with(&|o| o.output = golden("relative").join("no/such/folder.beitle")),
        &["folder.beitle", "written"],
    );
}
