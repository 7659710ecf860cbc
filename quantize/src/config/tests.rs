//! Defaults, alternative spellings of fields, and the error for each field.

use std::path::PathBuf;

use beitle::file::format::{MlpActivation, Task};

use super::{ModelConfig, Preprocessing};
use crate::error::Error;

/// A folder with these files, removed at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Folder {
        let folder = std::env::temp_dir().join(format!("beitle-config-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (file, text) in files {
            std::fs::write(folder.join(file), text).unwrap();
        }
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn model(name: &str, json: &str) -> Result<ModelConfig, Error> {
    ModelConfig::read(&Folder::new(name, &[("config.json", json)]).0)
}

fn preprocessing(name: &str, json: &str) -> Result<Option<Preprocessing>, Error> {
    Preprocessing::read(&Folder::new(name, &[("preprocessor_config.json", json)]).0, 3)
}

#[test]
fn absent_fields_have_the_defaults_of_transformers() {
    let c = model("defaults", "{}").unwrap();
    assert_eq!((c.hidden, c.layers, c.heads, c.intermediate), (768, 12, Some(12), 3072));
    assert_eq!((c.image_size, c.patch, c.classes, c.eps), ((224, 224), 16, 2, 1e-12));
    assert_eq!((c.channels, c.activation, c.mean_pooling), (3, MlpActivation::Gelu, true));
    assert_eq!((c.out_indices, c.pool_scales), (Some([3, 5, 7, 11]), vec![1, 2, 3, 6]));
    assert!(!c.absolute && !c.relative && !c.shared);
    assert_eq!(c.layer_scale, Some(true));
    assert_eq!(model("plain", r#"{"layer_scale_init_value": 0.0}"#).unwrap().layer_scale, Some(false));
    assert_eq!(preprocessing("nothing", "{}").unwrap(), Some(Preprocessing::default(3)));
    assert_eq!(Preprocessing::read(&std::env::temp_dir().join("beitle-no-such-folder"), 3).unwrap(), None);
}

#[test]
fn all_names_and_forms_of_fields_are_accepted() {
    for name in ["out_indices", "segmentation_indices", "semantic_out_indices"] {
        assert_eq!(
            model(name, &format!("{{\"{name}\": [1, 2, 3, 4]}}")).unwrap().out_indices,
            Some([1, 2, 3, 4])
        );
    }
    let names = model("names", r#"{"id2label": {"1": "b", "0": "a"}}"#).unwrap();
    assert_eq!((names.classes, names.class_names), (2, Some(vec!["a".into(), "b".into()])));
    for size in ["96", r#"{"height": 96, "width": 96}"#, r#"{"shortest_edge": 96}"#] {
        let p = preprocessing("size", &format!("{{\"size\": {size}, \"reduce_labels\": true}}"))
            .unwrap()
            .unwrap();
        assert_eq!((p.width, p.height, p.reduce_labels), (96, 96, true), "{size}");
    }
    let plain = preprocessing("plain", r#"{"do_normalize": false, "do_rescale": false}"#).unwrap().unwrap();
    assert_eq!((plain.mean, plain.std, plain.rescale), (vec![0.0; 3], vec![1.0; 3], 1.0));
}

#[test]
fn errors_name_the_file_and_the_field() {
    let bad = [
        ("hidden_size", r#"{"hidden_size": "wide"}"#),
        ("hidden_size", r#"{"hidden_size": -3}"#),
        ("num_hidden_layers", r#"{"num_hidden_layers": 0}"#),
        ("num_attention_heads", r#"{"num_attention_heads": 7}"#),
        ("intermediate_size", r#"{"intermediate_size": 1.5}"#),
        ("image_size", r#"{"image_size": 8}"#),
        ("patch_size", r#"{"patch_size": []}"#),
        ("num_channels", r#"{"num_channels": 28}"#),
        ("hidden_act", r#"{"hidden_act": "silu"}"#),
        ("image_size", r#"{"image_size": [96, 96, 96]}"#),
        ("model_type", r#"{"model_type": "swin"}"#),
        ("layer_norm_eps", r#"{"layer_norm_eps": 0}"#),
        ("out_indices", r#"{"out_indices": [1, 2, 3]}"#),
        ("out_indices", r#"{"out_indices": [4, 3, 2, 1]}"#),
        ("out_indices", r#"{"out_indices": [2, 2, 3, 4]}"#),
        ("out_features", r#"{"out_features": ["stage1", "stage2", "stage2", "stage4"]}"#),
        ("layer_scale_init_value", r#"{"layer_scale_init_value": "small"}"#),
        ("id2label", r#"{"id2label": {"0": "a", "x": "b"}}"#),
        ("id2label", r#"{"id2label": {"0": "a", "1": 2}}"#),
        ("id2label", r#"{"id2label": {"0": "a", "00": "b"}}"#),
        ("architectures", r#"{"architectures": ["BeitBackbone"], "out_indices": [4]}"#),
        ("out_indices", r#"{"out_indices": [-1, 2, 3, 4]}"#),
        ("out_features", r#"{"out_features": ["stem", "stage1", "stage2", "stage3"]}"#),
        ("out_features", r#"{"out_features": ["stage2", "stage1", "stage3", "stage4"]}"#),
        ("id2label", r#"{"id2label": {}}"#),
        ("pool_scales", r#"{"pool_scales": "all"}"#),
        ("pool_scales", r#"{"pool_scales": []}"#),
        ("use_relative_position_bias", r#"{"use_relative_position_bias": "yes"}"#),
    ];
    for (field, json) in bad {
        let message = model("bad", json).err().unwrap_or_else(|| panic!("{json} was accepted")).to_string();
        assert!(message.contains(field) && message.contains("config.json"), "{json}: {message}");
    }
    let bad = [
        ("size", r#"{"size": "large"}"#),
        ("resample", r#"{"resample": 9}"#),
        ("image_mean", r#"{"image_mean": [1, 2]}"#),
        ("image_mean", r#"{"image_mean": [1, 2, 1e39]}"#),
        ("image_std", r#"{"image_std": [0.5, 0, 0.5]}"#),
        ("image_std", r#"{"image_std": [0.5, 1e-46, 0.5]}"#),
        ("rescale_factor", r#"{"rescale_factor": -1}"#),
        ("crop_size", r#"{"do_center_crop": true, "size": 96, "crop_size": 128}"#),
        ("do_normalize", r#"{"do_normalize": 1}"#),
    ];
    for (field, json) in bad {
        let message =
            preprocessing("bad-p", json).err().unwrap_or_else(|| panic!("{json} was accepted")).to_string();
        assert!(message.contains(field) && message.contains("preprocessor_config.json"), "{json}: {message}");
    }
    for json in ["", "{", "[]", "\u{feff}{}", "nonsense"] {
        assert!(model("json", json).err().unwrap().to_string().contains("config.json"), "{json:?}");
    }
    let missing = ModelConfig::read(&std::env::temp_dir().join("beitle-no-such-folder")).unwrap_err();
    assert!(missing.to_string().contains("config.json"), "{missing}");
}

#[test]
fn what_transformers_accepts_is_accepted_with_a_note_where_versions_differ() {
    let of = |json: &str| {
        let model = model("accepted", json).unwrap();
        (model.out_indices, model.class_names.unwrap(), model.notes)
    };
    let (indices, names, notes) =
        of(r#"{"out_features": ["stage2", "stage4", "stage6", "stage8"], "num_labels": 1}"#);
    assert_eq!((indices, notes.len()), (Some([2, 4, 6, 8]), 0));
    assert_eq!(names, ["LABEL_0"]);
    assert_eq!(of(r#"{"out_indices": [-10, 5, -6, -1]}"#).0, Some([3, 5, 7, 12]));
    let (indices, _, notes) = of(r#"{"out_indices": [1, 2, 3, 4], "segmentation_indices": [3, 5, 7, 11]}"#);
    assert_eq!(indices, Some([1, 2, 3, 4]));
    assert!(notes[0].contains("segmentation_indices") && notes[0].contains("4.57"), "{notes:?}");
    assert!(of(r#"{"out_indices": [1, 2, 3, 4], "segmentation_indices": [1, 2, 3, 4]}"#).2.is_empty());
    // Three classes, one without an entry and an entry without a class.
    let (_, names, notes) = of(r#"{"id2label": {"0": "a", "255": "unknown", "2": "c"}}"#);
    assert_eq!(names, ["a", "unknown", "c"]);
    assert!(notes[0].contains("255"), "{notes:?}");
    assert!(model("kind", r#"{"model_type": "data2vec-vision"}"#).is_ok());

    let notes = |json| preprocessing("notes", json).unwrap().unwrap().notes;
    assert!(notes(r#"{"size": 96}"#).is_empty());
    assert!(notes(r#"{"size": 96, "do_resize": false}"#)[0].contains("do_resize"));
    let cut = |json| {
        let p = preprocessing("cut", json).unwrap().unwrap();
        (p.width, p.keeps_ratio, p.crop)
    };
    assert_eq!(cut(r#"{"size": {"shortest_edge": 96}}"#), (96, true, None));
    assert_eq!(cut(r#"{"size": 96, "do_center_crop": true, "crop_size": 96}"#), (96, false, None));
    assert_eq!(cut(r#"{"size": 96, "do_center_crop": true, "crop_size": 64}"#), (96, false, Some((64, 64))));
    assert_eq!(cut(r#"{"size": 96, "do_center_crop": false, "crop_size": 64}"#).2, None);
    assert_eq!(preprocessing("scalar", r#"{"image_mean": 0.25}"#).unwrap().unwrap().mean, [0.25; 3]);
}

/// A field at the weight file's limit, beyond it, and the error.
#[test]
fn the_limits_of_weight_files_hold_for_configurations() {
    let labels = |count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("\"{number}\":\"a class\"")).collect();
        format!("{{\"id2label\": {{{}}}}}", names.join(","))
    };
    let scales = |count: usize, scale: usize| format!("{{\"pool_scales\": {:?}}}", vec![scale; count]);
    let field = |text: &str| format!("{{{text}}}");
    let cases = [
        (scales(8, 64), scales(9, 64), "pool_scales: expected a list of 1 to 8 whole numbers from 1 to 64"),
        (scales(1, 64), scales(1, 65), "pool_scales: expected a list of 1 to 8 whole numbers from 1 to 64"),
        (labels(65_535), labels(65_536), "id2label: expected 1 to 65535 classes, found 65536"),
        (
            field("\"num_labels\": 65535"),
            field("\"num_labels\": 65536"),
            "num_labels: expected a whole number from 1 to 65535, found 65536",
        ),
        (
            field("\"hidden_size\": 8192, \"num_attention_heads\": 32"),
            field("\"hidden_size\": 8193, \"num_attention_heads\": 1"),
            "hidden_size: expected a whole number from 1 to 8192, found 8193",
        ),
        (
            field("\"hidden_size\": 255, \"num_attention_heads\": 255"),
            field("\"hidden_size\": 256, \"num_attention_heads\": 256"),
            "num_attention_heads: expected a whole number from 1 to 255, found 256",
        ),
        (
            field("\"hidden_size\": 256, \"num_attention_heads\": 1"),
            field("\"hidden_size\": 257, \"num_attention_heads\": 1"),
            "num_attention_heads: expected a divisor of hidden_size 257, of at most 256 channels for each head",
        ),
        (
            field("\"intermediate_size\": 65535"),
            field("\"intermediate_size\": 65536"),
            "intermediate_size: expected a whole number from 1 to 65535",
        ),
        (
            field("\"patch_size\": 256, \"image_size\": 512"),
            field("\"patch_size\": 257, \"image_size\": 514"),
            "patch_size: expected at most 256, found 257",
        ),
        (
            field("\"num_hidden_layers\": 600, \"out_indices\": [1, 2, 3, 512]"),
            field("\"num_hidden_layers\": 600, \"out_indices\": [1, 2, 3, 513]"),
            "out_indices: expected a list of 1 to 4 whole numbers from -512 to 512",
        ),
    ];
    for (good, bad, message) in cases {
        model("limit", &good).unwrap();
        let found = model("beyond", &bad).unwrap_err().to_string();
        assert!(found.contains("config.json: field ") && found.contains(message), "{found} lacks {message}");
        assert!(found.len() < 500, "{found}");
    }
}

#[test]
fn long_files_are_refused_and_long_values_are_not_quoted_whole() {
    let spaces = |length: usize| format!("{{}}{}", " ".repeat(length - 2));
    assert!(model("most", &spaces(4 << 20)).is_ok());
    let message = model("more", &spaces((4 << 20) + 1)).unwrap_err().to_string();
    assert!(message.ends_with("config.json: has 4194305 bytes; expected at most 4194304"), "{message}");
    let long = format!("{{\"hidden_act\": \"{}\"}}", "x".repeat(1 << 20));
    assert!(model("long", &long).unwrap_err().to_string().len() < 500);
}

#[test]
fn architectures_are_converted_or_named_for_what_they_are() {
    let of = |name: &str| model("architecture", &format!("{{\"architectures\": [\"{name}\"]}}"));
    for (name, task) in [
        ("BeitForSemanticSegmentation", Task::Segmentation),
        ("Data2VecVisionForImageClassification", Task::Classification),
        ("BeitForImageClassification", Task::Classification),
        ("BeitModel", Task::Features),
        ("BeitForMaskedImageModeling", Task::Features),
    ] {
        assert_eq!(of(name).unwrap().architecture.unwrap().task, task, "{name}");
    }
    for (json, what) in [
        (r#"{"architectures": ["DPTForDepthEstimation"], "model_type": "dpt"}"#, "depth"),
        (r#"{"architectures": ["BeitBackbone"]}"#, "head of another model"),
        (r#"{"model_type": "beit3"}"#, "BEiT-3"),
        (r#"{"architectures": ["EvaForCausalLM"]}"#, "EVA"),
        (r#"{"architectures": ["SegformerForSemanticSegmentation"]}"#, "SegformerForSemanticSegmentation"),
        (r#"{"architectures": ["UperNetForSemanticSegmentation"], "model_type": "beit"}"#, "upernet"),
    ] {
        let message = model("other", json).unwrap_err().to_string();
        assert!(message.contains(what) && message.contains("expected"), "{message}");
    }
}

#[test]
fn upernet_has_stages_and_a_head_of_its_own_width() {
    let json = |backbone: &str| {
        format!(
            r#"{{"architectures": ["UperNetForSemanticSegmentation"], "model_type": "upernet", "hidden_size": 96,
                 "num_labels": 5, "pool_scales": [1, 2], "backbone_config": {{"model_type": "beit",
                 "num_hidden_layers": 6, "hidden_size": 48, "num_attention_heads": 4, {backbone}}}}}"#
        )
    };
    let m =
        model("upernet", &json(r#""add_fpn": true, "out_features": ["stem", "stage2", "stage4", "stage6"]"#));
    let m = m.unwrap();
    assert_eq!((m.hidden, m.head_channels, m.classes, m.pool_scales), (48, Some(96), 5, vec![1, 2]));
    // The type is enough.
    let by_type =
        json(r#""add_fpn": true"#).replace(r#""architectures": ["UperNetForSemanticSegmentation"], "#, "");
    assert!(model("type", &by_type).unwrap_err().to_string().contains("backbone_config.out_indices"));
    // Stage i comes after i blocks, so before block i + 1.
    assert_eq!(m.out_indices, Some([1, 3, 5, 7]));
    assert!(m.notes[0].contains("interpolated once"), "{:?}", m.notes);
    for (backbone, what) in [
        (r#""out_indices": [1, 2, 3, 4]"#, "backbone_config.add_fpn"),
        (r#""add_fpn": true"#, "backbone_config.out_indices"),
        (r#""add_fpn": true, "out_indices": [1, 2, 3, 9]"#, "backbone_config.out_indices"),
        (r#""add_fpn": true, "batch_norm_eps": 0.001"#, "backbone_config.batch_norm_eps"),
    ] {
        let message = model("upernet-bad", &json(backbone)).unwrap_err().to_string();
        assert!(message.contains(what), "{message}");
    }
    let swin = r#"{"architectures": ["UperNetForSemanticSegmentation"], "model_type": "upernet",
                   "backbone_config": {"model_type": "swin"}}"#;
    assert!(model("swin", swin).unwrap_err().to_string().contains("swin"));
}

#[test]
fn inputs_of_other_shapes_channels_and_activations_are_read() {
    let m =
        model("shape", r#"{"image_size": [64, 96], "num_channels": 1, "hidden_act": "gelu_new"}"#).unwrap();
    assert_eq!((m.image_size, m.channels, m.activation), ((96, 64), 1, MlpActivation::GeluTanh));
    let of = |channels: usize, json: &str| {
        let folder = Folder::new("channels", &[("preprocessor_config.json", json)]);
        Preprocessing::read(&folder.0, channels).map(|p| p.unwrap().mean)
    };
    assert_eq!(of(1, r#"{"image_mean": [0.25]}"#).unwrap(), [0.25]);
    assert_eq!(of(4, r#"{"image_mean": [0.1, 0.2, 0.3, 0.4]}"#).unwrap(), [0.1, 0.2, 0.3, 0.4]);
    assert_eq!(of(1, r#"{"image_mean": [0.5, 0.5, 0.5]}"#).unwrap(), [0.5], "equal for all channels");
    assert!(of(1, r#"{"image_mean": [0.1, 0.2, 0.3]}"#).is_err());
}

#[test]
fn what_classification_does_differently_is_refused_or_noted() {
    let json = |more: &str| format!("{{\"architectures\": [\"BeitForImageClassification\"]{more}}}");
    assert!(model("single", &json("")).unwrap().notes.is_empty());
    let c = model("multi", &json(r#", "problem_type": "multi_label_classification""#)).unwrap();
    assert!(c.notes.iter().any(|note| note.contains("multi_label_classification")), "{:?}", c.notes);
    let both = r#""size": {"shortest_edge": 256, "longest_edge": 333}"#;
    let cropped = format!(r#"{{{both}, "do_center_crop": true, "crop_size": 224}}"#);
    let message = preprocessing("longest", &cropped).unwrap_err().to_string();
    assert!(message.contains("field size: expected shortest_edge alone"), "{message}");
    assert!(preprocessing("stretched", &format!("{{{both}}}")).unwrap().is_some());
}
