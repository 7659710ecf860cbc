//! Outlier channels. An output channel of one layer is multiplied by a factor, and the input channel of the next layer by its
//! inverse. The f32 model does not change; without equalisation, the outlier would take most of the int8 range and the other
//! channels would lose precision.

mod common;

use beitle::Isa;
use beitle::file::format::Precision;
use beitle_quantize::{Options, convert};
use common::checkpoint::{Weights, copy};
use common::{Case, run};
use std::path::Path;

/// Converts a checkpoint and runs it on the picture of the case.
fn logits(case: &Case, folder: &Path, precision: Precision) -> Vec<f32> {
    let output = folder.join(format!("{}.beitle", precision.name()));
    convert(&Options::new(folder, &output, precision), &mut |_| {}).unwrap();
    run(&output, &case.picture(), Isa::detect(), 1, &mut ()).logits
}

#[test]
fn outlier_channels_do_not_add_int8_noise() {
    let case = Case::open("relative");
    let plain = copy(&case, "outliers-plain");
    let exact = logits(&case, &plain, Precision::F32);
    let noise = |x: &[f32]| x.iter().zip(&exact).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>();
    let before = noise(&logits(&case, &plain, Precision::Int8));

    let block = "beit.layers.0";
    type Change = fn(&mut Weights, &str, usize, f32);
    let changes: [(&str, Change); 5] = [
        ("layer norm", |w, block, c, f| {
            for part in ["weight", "bias"] {
                w.row(&format!("{block}.layernorm_before.{part}"), c, f);
            }
            for part in ["q_proj", "k_proj", "v_proj"] {
                w.column(&format!("{block}.attention.{part}.weight"), c, 1.0 / f);
            }
        }),
        ("second layer norm", |w, block, c, f| {
            for part in ["weight", "bias"] {
                w.row(&format!("{block}.layernorm_after.{part}"), c, f);
            }
            w.column(&format!("{block}.mlp.fc1.weight"), c, 1.0 / f);
        }),
        ("values", |w, block, c, f| {
            for part in ["weight", "bias"] {
                w.row(&format!("{block}.attention.v_proj.{part}"), c, f);
            }
            w.column(&format!("{block}.attention.o_proj.weight"), c, 1.0 / f);
        }),
        ("pyramid", |w, _, c, f| {
            for part in ["weight", "bias"] {
                w.row(&format!("decode_head.fpn_convs.1.normalization.{part}"), c, f);
            }
            w.column("decode_head.fpn_bottleneck.convolution.weight", 32 + c, 1.0 / f);
        }),
        ("bottleneck", |w, _, c, f| {
            for part in ["weight", "bias"] {
                w.row(&format!("decode_head.fpn_bottleneck.normalization.{part}"), c, f);
            }
            w.column("decode_head.classifier.weight", c, 1.0 / f);
        }),
    ];
    for (name, change) in changes {
        for factor in [32.0, 128.0] {
            let folder = copy(&case, &format!("outliers-{name}"));
            let mut weights = Weights::open(&plain.join("model.safetensors"));
            for channel in [3, 20] {
                change(&mut weights, block, channel, factor);
            }
            weights.save(&folder.join("model.safetensors"));
            assert_eq!(
                logits(&case, &folder, Precision::F32),
                exact,
                "{name}: powers of two must not change the f32 logits"
            );
            let after = noise(&logits(&case, &folder, Precision::Int8));
            println!("{name} x{factor}: noise {after:.3e}, without outliers {before:.3e}");
            assert!(after < 1.5 * before, "{name} x{factor}: {after:.3e} against {before:.3e}");
        }
    }
}
