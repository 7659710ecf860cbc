//! The engine against transformers (for the recipe `paper`, against the arithmetic of the original code), stage by stage, for
//! every layout of checkpoint. `tests/goldens/README.md` describes the golden data.

mod common;

use beitle::Isa;
use beitle::file::format::Precision;
use beitle::observe::{Observer, Stage, TensorName};
use common::{CASES, Case, agreement, argmax, error, numbers, run};
use safetensors::SafeTensors;

/// Tolerated error, relative to the standard deviation: f32 arithmetic in another order.
const F32_TOLERANCE: f64 = 1e-4;

/// An observer that compares every stage with its golden tensor.
struct Stages<'a> {
    case: &'a str,
    goldens: SafeTensors<'a>,
    channels: Vec<usize>,
    compared: Vec<String>,
}

impl Stages<'_> {
    /// Compares rows of a feature map, from row `first` on, with the stored channels of a golden map.
    fn map(&mut self, name: String, first: usize, data: &[f32], pitch: usize) {
        let (want, shape) = numbers(&self.goldens, &name).unwrap();
        let (pixels, plane) = (data.len() / pitch, shape[1] * shape[2]);
        let from = first * shape[2];
        let mut pair = (Vec::new(), Vec::new());
        for (i, c) in self.channels.iter().enumerate() {
            pair.0.extend((0..pixels).map(|p| data[p * pitch + c]));
            pair.1.extend_from_slice(&want[i * plane + from..][..pixels]);
        }
        self.check(name, first, error(&pair.0, &pair.1));
    }

    fn check(&mut self, name: String, first: usize, error: f64) {
        assert!(
            error < F32_TOLERANCE,
            "{}: `{name}` from row {first} has an error of {error:.2e} standard deviations",
            self.case
        );
        self.compared.push(name);
    }
}

impl Observer for Stages<'_> {
    fn done(&mut self, _: Stage, _: u64) -> bool {
        true
    }
    fn wants_tensors(&self) -> bool {
        true
    }
    fn tensor(&mut self, name: TensorName, data: &[f32], width: usize, pitch: usize) {
        match name {
            TensorName::Stream(blocks) => {
                let name = if blocks == 0 { "embed".into() } else { format!("block.{blocks}") };
                let (want, _) = numbers(&self.goldens, &name).unwrap();
                // The engine's last token is the class token, which is the first in transformers.
                let tokens = data.len() / pitch;
                let order = std::iter::once(tokens - 1).chain(0..tokens - 1);
                let got: Vec<f32> = order.flat_map(|t| &data[t * pitch..][..width]).copied().collect();
                self.check(name, 0, error(&got, &want));
            }
            TensorName::Level3 => self.map("pyramid.3".into(), 0, data, pitch),
            TensorName::Psp => self.map("psp".into(), 0, data, pitch),
            TensorName::Fpn(level, first) => self.map(format!("fpn.{level}"), first, data, pitch),
            _ => {}
        }
    }
}

#[test]
fn f32_equals_the_reference_at_every_stage() {
    for name in CASES {
        let case = Case::open(name);
        let file = case.convert(Precision::F32);
        let mut stages = Stages {
            case: name,
            goldens: case.goldens(),
            channels: case.numbers("channels"),
            compared: Vec::new(),
        };
        let outcome = run(&file, &case.picture(), Isa::detect(), 2, &mut stages);
        let blocks = *case.numbers("feature_blocks").last().unwrap();
        for stage in ["embed", "pyramid.3", "psp", "fpn.0", "fpn.1", "fpn.2"] {
            assert!(stages.compared.iter().any(|s| s == stage), "{name}: {stage} was not compared");
        }
        assert_eq!(stages.compared.iter().filter(|s| s.starts_with("block.")).count(), blocks, "{name}");

        let goldens = case.goldens();
        let (logits, shape) = numbers(&goldens, "logits").unwrap();
        assert_eq!(outcome.shape.to_vec(), shape, "{name}");
        let e = error(&outcome.logits, &logits);
        assert!(e < F32_TOLERANCE, "{name}: the logits have an error of {e:.2e} standard deviations");
        compare_maps(&case, &outcome.map, &logits, &shape);
        println!("{name}: the logits have an error of {e:.1e} standard deviations");
    }
}

/// The class map must equal the golden one, except where two logits differ by no more than the tolerance.
fn compare_maps(case: &Case, map: &[u16], logits: &[f32], shape: &[usize]) {
    let goldens = case.goldens();
    let golden = goldens.tensor("map").unwrap();
    let wide = golden.data().len() == 2 * map.len();
    let want: Vec<u16> = match wide {
        true => golden.data().as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect(),
        false => golden.data().iter().map(|&b| b.into()).collect(),
    };
    let size = case.picture().size();
    let std = {
        let n = logits.len() as f64;
        let mean = logits.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        (logits.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n).sqrt()
    };
    for (i, (got, want)) in map.iter().zip(&want).enumerate().filter(|(_, (a, b))| a != b) {
        let (x, y) = (i % size.0, i / size.0);
        let at = |class: u16| {
            bilinear(&logits[usize::from(class) * shape[1] * shape[2]..], (shape[2], shape[1]), (x, y), size)
        };
        let gap = (at(*got) - at(*want)).abs();
        assert!(
            gap < F32_TOLERANCE * std,
            "{}: pixel ({x}, {y}) has class {got} instead of {want}; their logits differ by {gap:.2e}",
            case.name
        );
    }
}

/// One pixel of a bilinearly up-sampled plane, in f64.
fn bilinear(plane: &[f32], from: (usize, usize), at: (usize, usize), to: (usize, usize)) -> f64 {
    let axis = |at: usize, from: usize, to: usize| {
        let x = (from as f64 / to as f64 * (at as f64 + 0.5) - 0.5).max(0.0);
        let low = (x as usize).min(from - 1);
        (low, (low + 1).min(from - 1), x - low as f64)
    };
    let ((x0, x1, wx), (y0, y1, wy)) = (axis(at.0, from.0, to.0), axis(at.1, from.1, to.1));
    let p = |x: usize, y: usize| f64::from(plane[y * from.0 + x]);
    let row = |y| p(x0, y) * (1.0 - wx) + p(x1, y) * wx;
    row(y0) * (1.0 - wy) + row(y1) * wy
}

#[test]
fn f16_int8_and_int4_stay_close() {
    // Tiny random models are the worst case: narrow layers average out little noise.
    for name in CASES {
        let case = Case::open(name);
        let (want, shape) = numbers(&case.goldens(), "logits").unwrap();
        let reference = argmax(&want, shape[0]);
        for (precision, floor) in [(Precision::F16, 0.98), (Precision::Int8, 0.75), (Precision::Int4, 0.4)] {
            let file = case.convert(precision);
            let outcome = run(&file, &case.picture(), Isa::detect(), 2, &mut ());
            let share = agreement(&argmax(&outcome.logits, shape[0]), &reference);
            println!(
                "{name} {}: pixel agreement {share:.4}, error of the logits {:.1e} standard deviations",
                precision.name(),
                error(&outcome.logits, &want)
            );
            assert!(share > floor, "{name} {}: the pixel agreement is only {share:.4}", precision.name());
        }
    }
}
