//! Defaults, alternative spellings of fields, and the error for each field.

use std::path::PathBuf;

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
    Preprocessing::read(&Folder::new(name, &[("preprocessor_config.json", json)]).0)
}

#[test]
fn absent_fields_have_the_defaults_of_transformers() {
    let c = model("defaults", "{}").unwrap();
    assert_eq!((c.hidden, c.layers, c.heads, c.intermediate), (768, 12, Some(12), 3072));
    assert_eq!((c.image_size, c.patch, c.classes, c.eps), (224, 16, 2, 1e-12));
    assert_eq!((c.out_indices, c.pool_scales), ([3, 5, 7, 11], vec![1, 2, 3, 6]));
    assert!(!c.absolute && !c.relative && !c.shared);
    assert_eq!(preprocessing("nothing", "{}").unwrap(), Some(Preprocessing::default()));
    assert_eq!(Preprocessing::read(&std::env::temp_dir().join("beitle-no-such-folder")).unwrap(), None);
}

#[test]
fn all_names_and_forms_of_fields_are_accepted() {
    for name in ["out_indices", "segmentation_indices", "semantic_out_indices"] {
        assert_eq!(model(name, &format!("{{\"{name}\": [1, 2, 3, 4]}}")).unwrap().out_indices, [1, 2, 3, 4]);
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
    assert_eq!((plain.mean, plain.std, plain.rescale), ([0.0; 3], [1.0; 3], 1.0));
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
        ("num_channels", r#"{"num_channels": 4}"#),
        ("hidden_act", r#"{"hidden_act": "relu"}"#),
        ("model_type", r#"{"model_type": "swin"}"#),
        ("layer_norm_eps", r#"{"layer_norm_eps": 0}"#),
        ("out_indices", r#"{"out_indices": [1, 2, 3]}"#),
        ("out_indices", r#"{"out_indices": [4, 3, 2, 1]}"#),
        ("id2label", r#"{"id2label": {"0": "a", "2": "b"}}"#),
        ("id2label", r#"{"id2label": {}}"#),
        ("pool_scales", r#"{"pool_scales": "all"}"#),
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
        ("image_std", r#"{"image_std": [0.5, 0, 0.5]}"#),
        ("rescale_factor", r#"{"rescale_factor": -1}"#),
        ("do_center_crop", r#"{"do_center_crop": true, "size": 96, "crop_size": 64}"#),
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
