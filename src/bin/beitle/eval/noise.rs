//! Signal-to-quantisation-noise ratio of every stage: a run of the reference is recorded, and runs of other models are
//! compared with it tensor by tensor.

use beitle::observe::{Observer, Stage, TensorName};

/// Energy of a reference signal and of the difference from it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noise {
    signal: f64,
    noise: f64,
}

impl Noise {
    /// The noise of `values` relative to `reference`.
    pub fn of(reference: &[f32], values: &[f32]) -> Noise {
        reference.iter().zip(values).fold(Noise::default(), |n, (&r, &v)| Noise {
            signal: n.signal + f64::from(r) * f64::from(r),
            noise: n.noise + (f64::from(r) - f64::from(v)).powi(2),
        })
    }

    /// Adds the energies of `other`.
    pub fn join(&mut self, other: Noise) {
        self.signal += other.signal;
        self.noise += other.noise;
    }

    /// The ratio in dB; `None` if there is no noise, and not a number if a value is none.
    pub fn db(self) -> Option<f64> {
        (self.noise != 0.0).then(|| 10.0 * (self.signal / self.noise).log10())
    }
}

/// Adds `noise` to the stage of this name, which is appended if the list does not have it.
pub fn add_to_stage(stages: &mut Vec<(String, Noise)>, name: &str, noise: Noise) {
    match stages.iter_mut().find(|(stage, _)| stage == name) {
        Some((_, sum)) => sum.join(noise),
        None => stages.push((name.into(), noise)),
    }
}

/// The stage in which a tensor is counted.
fn stage_name(tensor: TensorName) -> String {
    match tensor {
        TensorName::Stream(0) => "embedding".into(),
        TensorName::Stream(block) => format!("block {block}"),
        TensorName::Level3 => "level 3".into(),
        TensorName::Psp => "pooling".into(),
        TensorName::Lateral2 => "lateral 2".into(),
        TensorName::Lateral1(_) => "lateral 1".into(),
        TensorName::Lateral0(_) => "lateral 0".into(),
        TensorName::Fpn(level, _) => format!("fpn {level}"),
    }
}

/// The values of `[rows][pitch]` without the padding beyond `width`.
fn without_padding(data: &[f32], width: usize, pitch: usize) -> Vec<f32> {
    data.chunks(pitch).flat_map(|row| &row[..width]).copied().collect()
}

/// Records every tensor of a run.
#[derive(Default)]
pub struct TensorRecorder {
    tensors: Vec<(TensorName, Vec<f32>)>,
}

impl Observer for TensorRecorder {
    fn done(&mut self, _: Stage, _: u64) -> bool {
        true
    }
    fn wants_tensors(&self) -> bool {
        true
    }
    fn tensor(&mut self, name: TensorName, data: &[f32], width: usize, pitch: usize) {
        self.tensors.push((name, without_padding(data, width, pitch)));
    }
}

/// Compares every tensor of a run with a recorded run.
pub struct TensorComparison<'a> {
    reference: &'a TensorRecorder,
    /// Index of the next recorded tensor; every run has the same order.
    next: usize,
    stages: Vec<(String, Noise)>,
}

impl<'a> TensorComparison<'a> {
    /// A comparison with `reference`.
    pub fn new(reference: &'a TensorRecorder) -> Self {
        TensorComparison { reference, next: 0, stages: Vec::new() }
    }

    /// The noise of each stage, in the order of the run.
    pub fn into_stages(self) -> Vec<(String, Noise)> {
        self.stages
    }
}

impl Observer for TensorComparison<'_> {
    fn done(&mut self, _: Stage, _: u64) -> bool {
        true
    }
    fn wants_tensors(&self) -> bool {
        true
    }
    fn tensor(&mut self, name: TensorName, data: &[f32], width: usize, pitch: usize) {
        let recorded = self.reference.tensors.get(self.next).filter(|(recorded, _)| *recorded == name);
        let Some((_, reference)) = recorded else { return };
        self.next += 1;
        let noise = Noise::of(reference, &without_padding(data, width, pitch));
        add_to_stage(&mut self.stages, &stage_name(name), noise);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratio_is_in_decibels() {
        let mut n = Noise::of(&[3.0, 4.0], &[3.0, 4.5]);
        assert!((n.db().unwrap() - 20.0).abs() < 1e-9);
        n.join(Noise::of(&[0.0], &[0.0]));
        assert!((n.db().unwrap() - 20.0).abs() < 1e-9);
        assert_eq!(Noise::of(&[1.0], &[1.0]).db(), None);
        assert!(Noise::of(&[1.0], &[f32::NAN]).db().unwrap().is_nan());
    }

    #[test]
    fn tensors_are_compared_by_stage() {
        let mut recorder = TensorRecorder::default();
        recorder.tensor(TensorName::Stream(0), &[1.0, 9.0, 2.0, 9.0], 1, 2);
        recorder.tensor(TensorName::Fpn(0, 0), &[1.0], 1, 1);
        recorder.tensor(TensorName::Fpn(0, 4), &[1.0], 1, 1);
        let mut comparison = TensorComparison::new(&recorder);
        comparison.tensor(TensorName::Stream(0), &[1.0, 0.0, 2.0, 0.0], 1, 2);
        comparison.tensor(TensorName::Fpn(0, 0), &[0.9], 1, 1);
        comparison.tensor(TensorName::Fpn(0, 4), &[1.1], 1, 1);
        let stages = comparison.into_stages();
        assert_eq!(stages.len(), 2);
        assert_eq!((stages[0].0.as_str(), stages[0].1.db()), ("embedding", None));
        assert!((stages[1].1.db().unwrap() - 20.0).abs() < 1e-4);
    }
}
