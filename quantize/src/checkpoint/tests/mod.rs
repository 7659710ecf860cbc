//! Opens every golden checkpoint and many damaged ones.

mod archives;
mod directory;
mod limits;

use beitle::file::format::Task;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::checkpoint::{Checkpoint, Scheme};

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name)
}

fn golden(name: &str) -> PathBuf {
    let folder = case(name);
    if folder.join("model.pth").is_file() { folder.join("model.pth") } else { folder }
}

/// A new folder, removed at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("beitle-checkpoint-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A tensor that identifies the naming scheme; without one, no checkpoint opens.
const QUERY: &str = "beit.encoder.layer.0.attention.attention.query.weight";

/// A safetensors file with these tensors: name, type, shape, bytes.
fn safetensors_of(tensors: &[(&str, &str, &[usize], &[u8])]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut values = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let end = values.len() + bytes.len();
        header.insert(
            (*name).into(),
            json!({"dtype": dtype, "shape": shape, "data_offsets": [values.len(), end]}),
        );
        values.extend_from_slice(bytes);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes(), header.as_slice(), &values].concat()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Asserts that opening `path` fails, with a message that starts with the path and contains all of `parts`.
fn assert_fails(path: &Path, parts: &[&str]) {
    let message = Checkpoint::open(path).unwrap_err().to_string();
    assert!(message.starts_with(&path.display().to_string()), "{message}");
    for part in parts {
        assert!(message.contains(part), "{message} lacks {part}");
    }
}

const CASES: [(&str, Scheme); 17] = [
    ("absolute", Scheme::Transformers4),
    ("bf16", Scheme::Transformers5),
    ("both", Scheme::Transformers5),
    ("head24", Scheme::Transformers5),
    ("last", Scheme::Transformers5),
    ("many", Scheme::Transformers5),
    ("mmseg", Scheme::Mmseg),
    ("nopos", Scheme::Transformers4),
    ("noscale", Scheme::Transformers5),
    ("odd7", Scheme::Transformers4),
    ("oldbin", Scheme::Transformers4),
    ("pools", Scheme::Transformers5),
    ("relative", Scheme::Transformers5),
    ("sharded", Scheme::Transformers4),
    ("shared", Scheme::Transformers4),
    ("two", Scheme::Transformers4),
    ("unilm", Scheme::Unilm),
];

/// Every tensor of a model with these facts, sorted.
fn canonical_names(facts: &serde_json::Value) -> Vec<String> {
    let mut expected = vec!["cls_token".to_string()];
    let affine = |expected: &mut Vec<String>, stem: &str| {
        expected.extend([format!("{stem}.weight"), format!("{stem}.bias")]);
    };
    let norm = |expected: &mut Vec<String>, stem: &str| {
        let parts = ["weight", "bias", "running_mean", "running_var"];
        expected.extend(parts.map(|part| format!("{stem}.{part}")));
    };
    for stem in ["patch", "fpn1.deconv1", "fpn1.deconv2", "fpn2.deconv", "classifier"] {
        affine(&mut expected, stem);
    }
    norm(&mut expected, "fpn1.bn");
    let position = facts["position"].as_array().unwrap();
    let has = |kind: &str| position.iter().any(|value| value == kind);
    if has("absolute") {
        expected.push("position_embeddings".into());
    }
    if has("shared") {
        expected.push("relative_position_bias_table".into());
    }
    for block in 0..facts["layers"].as_u64().unwrap() {
        for part in ["norm1", "norm2", "q", "v", "proj", "fc1", "fc2"] {
            affine(&mut expected, &format!("blocks.{block}.{part}"));
        }
        expected.push(format!("blocks.{block}.k.weight"));
        if facts["layer_scale"] == true {
            expected.extend([1, 2].map(|number| format!("blocks.{block}.lambda{number}")));
        }
        if has("relative") {
            expected.push(format!("blocks.{block}.relative_position_bias_table"));
        }
    }
    let pools = facts["pools"].as_array().unwrap().len();
    let mut modules = vec!["psp_bottleneck".to_string(), "fpn_bottleneck".into()];
    modules.extend((0..pools).map(|number| format!("psp.{number}")));
    modules.extend((0..3).flat_map(|number| [format!("lateral.{number}"), format!("fpn.{number}")]));
    for module in modules {
        expected.push(format!("{module}.conv.weight"));
        norm(&mut expected, &format!("{module}.bn"));
    }
    expected.sort();
    expected
}

#[test]
fn every_golden_has_all_canonical_names() {
    for (name, scheme) in CASES {
        let golden_json = std::fs::read(case(name).join("golden.json")).unwrap();
        let facts: serde_json::Value = serde_json::from_slice(&golden_json).unwrap();
        let checkpoint = Checkpoint::open(&golden(name)).unwrap();
        assert_eq!(checkpoint.scheme(), scheme, "{name}");
        assert_eq!(checkpoint.folder().is_some(), case(name).join("config.json").is_file());
        let expected = canonical_names(&facts);
        // A final LayerNorm, which segmentation does not need.
        let names: Vec<&str> = checkpoint.names().filter(|name| !name.starts_with("norm.")).collect();
        assert_eq!(names, expected, "{name}");
        for name in names {
            let shape = checkpoint.shape(name).unwrap();
            let values = checkpoint.read(name, shape).unwrap();
            assert_eq!(values.len(), shape.iter().product::<usize>());
            assert!(checkpoint.source_bytes(name) >= 2 * values.len() as u64);
        }
        assert_eq!(
            checkpoint.shape("classifier.weight").unwrap()[0] as u64,
            facts["classes"].as_u64().unwrap()
        );
    }
}

#[test]
fn all_floating_point_types_are_read() {
    let folder = Folder::new();
    let halves = [half::f16::from_f32(1.5).to_le_bytes(), half::f16::from_f32(-2.0).to_le_bytes()].concat();
    let bfloats =
        [half::bf16::from_f32(1.5).to_le_bytes(), half::bf16::from_f32(-2.0).to_le_bytes()].concat();
    let doubles = [1.5f64.to_le_bytes(), (-2.0f64).to_le_bytes()].concat();
    for (dtype, bytes) in
        [("F16", halves), ("BF16", bfloats), ("F32", floats(&[1.5, -2.0])), ("F64", doubles)]
    {
        let size = bytes.len() as u64;
        let path = folder.file("model.safetensors", &safetensors_of(&[(QUERY, dtype, &[1, 2], &bytes)]));
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(checkpoint.read("blocks.0.q.weight", &[1, 2]).unwrap(), [1.5, -2.0]);
        assert_eq!(checkpoint.source_bytes("blocks.0.q.weight"), size);
        assert_eq!(checkpoint.main_file(), path);
        assert_eq!(checkpoint.folder(), None);
    }
}

#[test]
fn read_errors_name_what_was_expected() {
    let folder = Folder::new();
    let bytes = safetensors_of(&[(QUERY, "F32", &[1, 2], &floats(&[1.0, f32::NAN]))]);
    let checkpoint = Checkpoint::open(&folder.file("model.safetensors", &bytes)).unwrap();
    let message = |name: &str, shape: &[usize]| checkpoint.read(name, shape).unwrap_err().to_string();
    assert!(message("blocks.0.q.weight", &[2, 2]).contains("shape [1, 2]; expected [2, 2]"));
    assert!(message("blocks.0.q.weight", &[1, 2]).contains("value 1 is NaN; expected finite"));
    assert!(
        message("blocks.0.q.bias", &[2]).contains("blocks.0.q.bias is missing; expected one of shape [2]")
    );
    let infinite = safetensors_of(&[(QUERY, "F64", &[1], &1e300f64.to_le_bytes())]);
    let checkpoint = Checkpoint::open(&folder.file("model.safetensors", &infinite)).unwrap();
    assert!(checkpoint.read("blocks.0.q.weight", &[1]).unwrap_err().to_string().contains(QUERY));
}

#[test]
fn damaged_safetensors_files_are_errors() {
    let folder = Folder::new();
    let good = safetensors_of(&[(QUERY, "F32", &[1, 2], &floats(&[1.0, 2.0]))]);
    for length in 0..good.len() {
        assert_fails(&folder.file("model.safetensors", &good[..length]), &["safetensors"]);
    }
    assert_fails(&folder.file("model.safetensors", &good[..good.len() - 1]), &["truncated"]);
    assert_fails(&folder.file("model.safetensors", &[good.as_slice(), &[0]].concat()), &["too long"]);
    let mut bad = good.clone();
    bad[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_fails(&folder.file("model.safetensors", &bad), &["header should have 18446744073709551615 bytes"]);
    bad = good.clone();
    bad[8] = b'[';
    assert_fails(&folder.file("model.safetensors", &bad), &["header"]);
    let wrong = safetensors_of(&[(QUERY, "I64", &[1], &[0; 8])]);
    assert_fails(
        &folder.file("model.safetensors", &wrong),
        &[QUERY, "I64", "expected F32, F16, BF16 or F64"],
    );
    let short = safetensors_of(&[(QUERY, "F32", &[3], &[0; 8])]);
    assert_fails(&folder.file("model.safetensors", &short), &["header"]);
    let huge = safetensors_of(&[(QUERY, "F32", &[usize::MAX, 2], &[0; 8])]);
    assert_fails(&folder.file("model.safetensors", &huge), &["header"]);
}

#[test]
fn unknown_and_duplicate_names_are_errors() {
    let folder = Folder::new();
    let one = floats(&[1.0]);
    let file = |tensors: &[&str]| {
        let tensors: Vec<_> =
            tensors.iter().map(|name| (*name, "F32", &[1usize][..], one.as_slice())).collect();
        folder.file("model.safetensors", &safetensors_of(&tensors))
    };
    assert_fails(&file(&[QUERY, "head.scale", "what"]), &["head.scale:", "not part of a BEiT model"]);
    assert_fails(&file(&[QUERY, "beit.layers.0.attention.q_proj.weight"]), &["are the same", QUERY]);
    assert_fails(&file(&["beit.embeddings.cls_token"]), &["transformer blocks"]);
    assert_fails(&file(&[QUERY, "backbone.interactions.0.injector.gamma"]), &["is ViT-Adapter"]);
    assert_fails(&file(&["beit3.encoder.layers.0.self_attn.q_proj.A.weight"]), &["is BEiT-3"]);
    assert_fails(&file(&["blocks.0.norm1.weight", "blocks.0.mlp.w1.weight"]), &["is EVA-02"]);
    assert_fails(&file(&["blocks.0.attn.qkv.weight"]), &["[1]; expected [3 x hidden, hidden]"]);
    let checkpoint = Checkpoint::open(&file(&[QUERY, "beit.pooler.layernorm.weight"])).unwrap();
    assert_eq!(checkpoint.ignored(Task::Segmentation), ["beit.pooler.layernorm.weight"]);
    assert!(checkpoint.ignored(Task::Classification).is_empty());
    // A head that the configuration does not name, and the LayerNorm of a head for masked images below wrappers.
    let checkpoint =
        Checkpoint::open(&file(&[QUERY, "classifier.bias", "decode_head.classifier.weight"])).unwrap();
    let note = checkpoint.unused_head(Task::Features).unwrap();
    assert!(note.contains("tensor classifier.bias and 1 more: a head"), "{note}");
    assert_eq!(checkpoint.unused_head(Task::Segmentation), None);
    let masked = ["module.beit.layernorm.weight", "module.layernorm.weight"];
    let checkpoint = Checkpoint::open(&file(&[&[QUERY], &masked[..]].concat())).unwrap();
    assert_eq!(checkpoint.ignored(Task::Features), ["module.layernorm.weight"]);
    // Buffers and metrics of training frameworks.
    let checkpoint = Checkpoint::open(&file(&[QUERY, "loss_fn.weight", "val_metric.total"])).unwrap();
    let notes: Vec<_> = checkpoint.notes().collect();
    assert_eq!(notes, ["tensor loss_fn.weight and 1 more: left out, not part of the model"]);
    assert_eq!(checkpoint.ignored(Task::Segmentation), ["loss_fn.weight", "val_metric.total"]);
    // Missing tensors are named as the checkpoint would name them.
    let message = |name: &str| checkpoint.read(name, &[1]).unwrap_err().to_string();
    assert!(message("fpn_bottleneck.conv.weight").contains("tensor decode_head.fpn_bottleneck.conv"));
    assert!(message("blocks.7.q.weight").contains(&QUERY.replace(".0.", ".7.")));
}

#[test]
fn pointers_of_git_lfs_are_named() {
    let folder = Folder::new();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n";
    for name in ["model.safetensors", "pytorch_model.bin"] {
        assert_fails(&folder.file(name, pointer), &["Git LFS pointer"]);
    }
}

#[test]
fn folders_without_weights_and_bad_indices_are_errors() {
    let folder = Folder::new();
    assert_fails(&folder.0, &["model.safetensors or", "pytorch_model.bin"]);
    for (file, word) in [
        ("tf_model.h5", "TensorFlow"),
        ("flax_model.msgpack", "Flax"),
        ("adapter_model.safetensors", "an adapter"),
        ("model-00001-of-00002.safetensors", "without their index"),
    ] {
        folder.file(file, b"");
        assert_fails(&folder.0, &[word, "expected model.safetensors"]);
    }
    assert_fails(&folder.0.join("nothing.pth"), &["cannot open"]);
    let index =
        |value: serde_json::Value| folder.file("model.safetensors.index.json", value.to_string().as_bytes());
    assert_fails(
        &index(json!({"weight_map": {QUERY: "a.safetensors"}})),
        &["names the file a.safetensors, which is missing"],
    );
    folder.file("a.safetensors", &safetensors_of(&[("other", "F32", &[1], &[0; 4])]));
    assert_fails(
        &index(json!({"weight_map": {QUERY: "a.safetensors"}})),
        &["says that a.safetensors holds", QUERY],
    );
    folder.file("a.safetensors", &safetensors_of(&[(QUERY, "F32", &[1], &[0; 4])]));
    let path = index(json!({"weight_map": {QUERY: "a.safetensors"}}));
    assert_eq!(Checkpoint::open(&folder.0).unwrap().main_file(), path);
    for file in ["../a.safetensors", "/a.safetensors", "", ".", "..", "b/a.safetensors"] {
        assert_fails(&index(json!({"weight_map": {QUERY: file}})), &["expected a file in the same folder"]);
    }
    assert_fails(&index(json!({"weight_map": {QUERY: 3}})), &["expected the name of a file, found 3"]);
    assert_fails(&index(json!({"weight_map": {}})), &["weight_map is empty"]);
    assert_fails(&index(json!([])), &["field weight_map"]);
    assert_fails(&folder.file("model.safetensors.index.json", b"{"), &["is not JSON"]);
}
