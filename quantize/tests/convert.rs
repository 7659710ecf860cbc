//! Whole conversions: what the options do, what they refuse, and that nothing half-done is left behind.

use beitle::Model;
use beitle::format::{Kind, Precision, Role};
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

/// Kinds of the layers of a file that are not plain, and its report.
fn kinds(file: &Path) -> (Vec<(Role, u16, Kind)>, serde_json::Value) {
    let file = MappedFile::open(file).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    model.verify().unwrap();
    let layers = model.file().table().iter().filter_map(|e| {
        let kind = Kind::from_code(e.kind)?;
        (kind != Kind::Bytes && kind != Kind::Plain).then_some((Role::from_code(e.role)?, e.layer, kind))
    });
    (layers.collect(), serde_json::from_str(model.report()).unwrap())
}

#[test]
fn layers_below_the_floor_stay_in_half_precision() {
    let output = target("floor");
    let mut options = Options::new(golden("relative"), &output, Precision::Int8);
    let plain = convert(&options, &mut |_, _| {}).unwrap();
    let mut sqnr: Vec<f32> = plain.lines.iter().filter(|l| l.kind == Kind::Int8).map(|l| l.sqnr).collect();
    sqnr.sort_by(f32::total_cmp);
    let floor = f64::from(sqnr[sqnr.len() / 2]);
    options.sqnr_floor = Some(floor);
    let report = convert(&options, &mut |_, _| {}).unwrap();
    let (layers, json) = kinds(&output);
    let mut fell = 0;
    for line in plain.lines.iter().filter(|l| l.kind == Kind::Int8) {
        let (role, layer, kind) =
            layers.iter().find(|l| (l.0.name(), l.1) == (line.role, line.layer)).unwrap();
        if *kind == Kind::F16 {
            assert!(f64::from(line.sqnr) < floor + 0.01, "{} {layer}", role.name());
            let named = format!("`{}` {layer} stays in half precision", role.name());
            assert!(report.notes.iter().any(|n| n.starts_with(&named)), "{named}: not in {:?}", report.notes);
            assert!(json["notes"].to_string().contains(&named));
            fell += 1;
        } else {
            let stays = f64::from(line.sqnr) >= floor || matches!(role, Role::Fpn | Role::Fuse);
            assert!(stays, "{} {layer} has {} dB of {floor}", role.name(), line.sqnr);
        }
    }
    assert!(fell > 5, "{fell} layers of {}", sqnr.len());
}

#[test]
fn auto_meets_the_agreement_asked_for() {
    let output = target("auto");
    let mut options = Options::new(golden("relative"), &output, Precision::Int8);
    // A wish that plain int8 meets, one that some layers meet (a little more than plain int8's), one that none can.
    let mut plain = f64::NAN;
    for (wish, some, all) in [(Some(0.0), false, false), (None, true, false), (Some(1.0), true, true)] {
        let goal = wish.unwrap_or(plain + 0.002);
        options.agreement = Some(goal);
        let report = convert(&options, &mut |_, _| {}).unwrap();
        let (layers, json) = kinds(&output);
        let steps = json["auto"]["steps"].as_array().unwrap();
        plain = steps[0]["agreement"].as_f64().unwrap();
        assert_eq!(report.notes.iter().filter(|n| n.contains("times the time")).count(), steps.len() - 1);
        let of = |kind| layers.iter().filter(|l| l.2 == kind).count();
        assert_eq!(json["precision"], "auto");
        assert_eq!(steps.len() > 1, some, "{steps:?}");
        assert_eq!(report.notes.iter().any(|n| n.contains("nothing is left")), all, "{:?}", report.notes);
        assert_eq!(report.notes.iter().any(|n| n.starts_with("in half precision: ")), some);
        // The embedding and the pooling module's 1x1 convolutions are half precision always, Winograd's four never.
        let always = 1 + layers.iter().filter(|l| l.0 == Role::Pool).count();
        assert_eq!(of(Kind::F16) > always, some);
        assert_eq!(of(Kind::Int8) == 4, all);
        assert!(steps.iter().any(|s| s["agreement"].as_f64() >= Some(goal)) || all, "{goal}: {steps:?}");
    }
    for left in ["int8", "half", "trial", "draft"] {
        let mut name = output.file_name().unwrap().to_owned();
        name.push(format!(".{left}"));
        assert!(!output.with_file_name(name).exists(), "the {left} file stayed");
    }
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
