//! The seeds: small inputs from which a fuzzer starts. This test makes them (`BEITLE_RECORD=1` writes them to `seeds`) and runs
//! every target on them, without libFuzzer.

use beitle_fuzz::TARGETS;
use beitle_fuzz::checkpoint::{Layout, QUERY, archive};
use image::{DynamicImage, ImageFormat};
use serde_json::json;
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// Numbers of a linear congruential generator.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A pickle of a dictionary with one tensor of 2x3 numbers.
fn pickle() -> Vec<u8> {
    let text = |value: &str| [&b"X"[..], &(value.len() as u32).to_le_bytes(), value.as_bytes()].concat();
    let parts = [
        &b"\x80\x02}"[..],
        &text(QUERY),
        b"ctorch._utils\n_rebuild_tensor_v2\n((",
        &text("storage"),
        b"ctorch\nFloatStorage\n",
        &text("0"),
        &text("cpu"),
        b"K\x06tQK\0(K\x02K\x03t(K\x03K\x01t\x89ccollections\nOrderedDict\n)RtRs.",
    ];
    parts.concat()
}

/// The inputs of the target `checkpoint`: the number of a layout and its content.
fn checkpoints() -> Vec<Vec<u8>> {
    let text = |value: serde_json::Value| value.to_string().into_bytes();
    let tensor = json!({"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]});
    let header = text(json!({QUERY: tensor, "__metadata__": {"format": "pt"}}));
    let file = [&(header.len() as u64).to_le_bytes(), header.as_slice(), &[0; 12]].concat();
    let second = QUERY.replace(".0.", ".1.");
    let index = json!({"weight_map": {QUERY: "0.safetensors", second: "1.safetensors"}});
    let config = json!({
        "hidden_size": 16, "num_hidden_layers": 12, "num_attention_heads": 2, "intermediate_size": 48, "image_size": 96,
        "patch_size": 16, "out_indices": [3, 5, 7, 11], "id2label": {"0": "sky", "1": "sea"}, "layer_norm_eps": 1e-12,
        "pool_scales": [1, 2, 3, 6], "use_relative_position_bias": true, "use_mask_token": true, "hidden_act": "gelu",
    });
    let preprocessor = json!({
        "do_resize": true, "do_normalize": true, "do_center_crop": false, "size": {"height": 96, "width": 96},
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "rescale_factor": 0.00392156862745098, "resample": 2,
        "do_reduce_labels": true,
    });
    let saved = archive(&[("m/data.pkl", &pickle()), ("m/byteorder", b"little"), ("m/data/0", &[0; 24])]);
    let contents = [
        (Layout::Safetensors, file),
        (Layout::Header, header),
        (Layout::Archive, saved),
        (Layout::Pickle, pickle()),
        (Layout::Index, text(index)),
        (Layout::Config, text(config)),
        (Layout::Preprocessor, text(preprocessor)),
        (Layout::Legacy, legacy()),
    ];
    contents.map(|(layout, bytes)| [&[layout as u8], bytes.as_slice()].concat()).into()
}

/// The pickles and storages of a file of PyTorch before 1.6, after its magic number.
fn legacy() -> Vec<u8> {
    let pickle = pickle();
    let mut file = b"\x80\x02M\xe9\x03.\x80\x02}X\x0d\0\0\0little_endian\x88s.".to_vec();
    file.extend_from_slice(&pickle);
    // The names of the storages 0 and 1, then 12 numbers of each.
    file.extend(b"\x80\x02](X\x01\0\0\x000X\x01\0\0\x001e.");
    for _ in 0..2 {
        file.extend(12u64.to_le_bytes());
        file.extend([0; 96]);
    }
    file
}

/// Files of 5x3 pixels in the formats of the crate `image`. JPEG files are in `tests/data/jpeg`.
fn pictures() -> Vec<Vec<u8>> {
    let picture = image::RgbImage::from_raw(5, 3, noise(1, 45)).unwrap();
    let pictures =
        [DynamicImage::from(picture.clone()), DynamicImage::from(picture).into_luma_alpha8().into()];
    let formats = [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Pnm, ImageFormat::WebP];
    let encode = |(format, picture): (ImageFormat, &DynamicImage)| {
        let mut file = Cursor::new(Vec::new());
        let picture = if format == ImageFormat::Png { picture.clone() } else { picture.to_rgb8().into() };
        picture.write_to(&mut file, format).unwrap();
        file.into_inner()
    };
    pictures.iter().flat_map(|p| formats.map(|f| encode((f, p)))).collect()
}

/// The seeds of a target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let with = |first: &[u8], seed, len| [first, &noise(seed, len)].concat();
    match target {
        // Runs with the default arguments, then with a few that are not.
        "c_api" => {
            let mut seeds = vec![vec![0; 4], [vec![0, 15], vec![0; 60], vec![15], vec![0; 60]].concat()];
            seeds.extend((0..6).map(|i| with(&[0, 2, 0, 0, 15, 0], i, 160)));
            seeds
        }
        "checkpoint" => checkpoints(),
        "image" => (0..12).map(|i| with(&[i, i, if i < 10 { 200 } else { 0 }], i.into(), 60)).collect(),
        "pictures" => pictures(),
        "random_model" => (0..6).map(|i| noise(i, 50)).collect(),
        // Valid files of a few kinds, then some with changes.
        "weight_file" => {
            (0..12).map(|i| with(&[1 | i << 4, 9, 7, 9], i.into(), 11 * usize::from(i / 4))).collect()
        }
        _ => panic!("no seeds for {target}"),
    }
}

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn seeds_are_recorded() {
    for (target, _) in TARGETS {
        let folder = folder("seeds").join(target);
        let seeds = seeds(target);
        if std::env::var_os("BEITLE_RECORD").is_some() {
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).unwrap();
            for (i, seed) in seeds.iter().enumerate() {
                std::fs::write(folder.join(format!("{i:02}")), seed).unwrap();
            }
        }
        for (i, seed) in seeds.iter().enumerate() {
            assert!(
                std::fs::read(folder.join(format!("{i:02}"))).unwrap() == *seed,
                "{target}: seed {i} differs"
            );
        }
    }
}

#[test]
fn every_target_accepts_its_seeds() {
    for (target, run) in TARGETS {
        seeds(target).iter().for_each(|seed| run(seed));
        if *target == "pictures" {
            let files = std::fs::read_dir(folder("../tests/data/jpeg")).unwrap();
            files.for_each(|file| run(&std::fs::read(file.unwrap().path()).unwrap()));
        }
    }
}

#[test]
fn every_target_is_built_and_run() {
    let manifest = std::fs::read_to_string(folder("Cargo.toml")).unwrap();
    let script = std::fs::read_to_string(folder("../.ci/fuzz")).unwrap();
    for (target, _) in TARGETS {
        assert!(manifest.contains(&format!("\nname = \"{target}\"\n")), "{target} has no program");
        assert!(script.contains(&format!("[{target}]=")), "`.ci/fuzz` does not run {target}");
    }
}
