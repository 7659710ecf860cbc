//! Weights and pictures that are difficult for int8: a few huge activations, heavy-tailed weights, dead channels, saturated
//! pictures. The signal-to-noise ratio of the logits against f32 must not collapse.

mod common;

use beitle::Isa;
use beitle::file::format::Precision;
use beitle_quantize::{Options, convert};
use common::checkpoint::{Weights, copy};
use common::{Case, Picture, run};
use std::path::Path;

/// Signal-to-noise ratio in dB of the int8 logits against f32, for a checkpoint folder and a picture.
fn decibels(folder: &Path, picture: &Picture) -> f64 {
    let [exact, found] = [Precision::F32, Precision::Int8].map(|precision| {
        let output = folder.join(format!("{}.beitle", precision.name()));
        convert(&Options::new(folder, &output, precision), &mut |_| {}).unwrap();
        run(&output, picture, Isa::detect(), 1, &mut ()).logits
    });
    let mean = exact.iter().map(|x| f64::from(*x)).sum::<f64>() / exact.len() as f64;
    let signal: f64 = exact.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum();
    let noise: f64 = exact.iter().zip(&found).map(|(x, y)| f64::from(x - y).powi(2)).sum();
    assert!(found.iter().all(|x| x.is_finite()));
    10.0 * (signal / noise).log10()
}

/// Signal-to-noise ratios in dB with the original weights of a case and with changed ones.
fn stressed(case: &str, name: &str, change: impl Fn(&mut Weights)) -> (f64, f64) {
    let case = Case::open(case);
    let before = decibels(&copy(&case, &format!("stress-{name}-before")), &case.picture());
    let folder = copy(&case, &format!("stress-{name}"));
    let file = folder.join("model.safetensors");
    let mut weights = Weights::open(&file);
    change(&mut weights);
    weights.save(&file);
    let after = decibels(&folder, &case.picture());
    println!("{name}: {before:.1} dB before, {after:.1} dB after");
    (before, after)
}

#[test]
fn a_few_huge_activations() {
    // Trained transformers have them: a few channels of a few tokens, hundreds of times as large as all others (Sun et al.
    // 2024, "Massive Activations in Large Language Models").
    let (before, after) = stressed("absolute", "tokens", |w| {
        let (values, shape) = w.get("beit.embeddings.position_embeddings");
        let c = shape[2];
        for (token, channel) in [(0, 3), (5, 3), (7, 11)] {
            values[token * c + channel] = 300.0;
        }
    });
    assert!(after > before - 3.0, "{after:.1} dB, before {before:.1} dB");
}

#[test]
fn heavy_tailed_weights() {
    let (before, after) = stressed("relative", "tails", |w| {
        for (values, _) in w.0.values_mut().filter(|(_, shape)| shape.len() > 1) {
            let energy = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let old = energy(values);
            values.iter_mut().for_each(|x| *x = x.powi(3));
            let factor = (old / energy(values).max(1e-30)) as f32;
            values.iter_mut().for_each(|x| *x *= factor);
        }
    });
    assert!(after > before - 6.0, "{after:.1} dB, before {before:.1} dB");
}

#[test]
fn dead_and_tiny_channels() {
    let (before, after) = stressed("relative", "zeros", |w| {
        let names: Vec<String> = w.0.keys().filter(|n| n.ends_with("weight")).cloned().collect();
        for name in names.iter().filter(|n| n.contains("layers.") || n.contains("fpn_convs")) {
            let rows = w.get(name).1[0];
            for (i, factor) in [(1, 0.0), (2, 1e-30), (7, 1e-12), (11, 0.0)] {
                w.row(name, i % rows, factor);
            }
        }
    });
    assert!(after > before - 3.0, "{after:.1} dB, before {before:.1} dB");
}

#[test]
fn saturated_pictures() {
    let case = Case::open("relative");
    let folder = copy(&case, "stress-pictures");
    let before = decibels(&folder, &case.picture());
    let (width, height) = (96, 64);
    type Pixel = fn(usize, usize) -> u8;
    let pictures: [(&str, Pixel); 4] = [
        ("black", |_, _| 0),
        ("white", |_, _| 255),
        ("checkerboard", |x, y| ((x + y) % 2 * 255) as u8),
        ("half and half", |x, _| if x < 48 { 0 } else { 255 }),
    ];
    for (name, pixel) in pictures {
        let rgb = (0..3 * width * height).map(|i| pixel(i / 3 % width, i / 3 / width)).collect();
        let after = decibels(&folder, &Picture { rgb, width, height });
        println!("{name}: {after:.1} dB; the picture of the case: {before:.1} dB");
        assert!(after > before - 6.0, "{name}: {after:.1} dB, before {before:.1} dB");
    }
}
