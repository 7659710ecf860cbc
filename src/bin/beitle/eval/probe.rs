//! Signal to quantisation noise, stage by stage: one run keeps its tensors, another is compared with them.

use beitle::observe::{Observer, Stage, TensorName};

/// Energy of a signal and of what differs from it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noise {
    signal: f64,
    noise: f64,
}

impl Noise {
    /// Of `found` against `exact`.
    pub fn of(exact: &[f32], found: &[f32]) -> Noise {
        exact.iter().zip(found).fold(Noise::default(), |n, (&e, &f)| Noise {
            signal: n.signal + f64::from(e) * f64::from(e),
            noise: n.noise + (f64::from(e) - f64::from(f)).powi(2),
        })
    }

    /// Adds another's energies.
    pub fn join(&mut self, other: Noise) {
        self.signal += other.signal;
        self.noise += other.noise;
    }

    /// In dB; `None` where nothing differs.
    pub fn db(self) -> Option<f64> {
        (self.noise > 0.0).then(|| 10.0 * (self.signal / self.noise).log10())
    }
}

/// What a tensor is counted under, in the order of the data.
fn stage(name: TensorName) -> String {
    match name {
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

fn dense(data: &[f32], width: usize, pitch: usize) -> impl Iterator<Item = f32> {
    data.chunks(pitch).flat_map(move |row| &row[..width]).copied()
}

/// Keeps every tensor of a run.
#[derive(Default)]
pub struct Keep {
    tensors: Vec<(TensorName, Vec<f32>)>,
}

impl Observer for Keep {
    fn done(&mut self, _: Stage, _: u64) -> bool {
        true
    }
    fn wants_tensors(&self) -> bool {
        true
    }
    fn tensor(&mut self, name: TensorName, data: &[f32], width: usize, pitch: usize) {
        self.tensors.push((name, dense(data, width, pitch).collect()));
    }
}

/// Compares a run with one that was kept.
pub struct Compare<'a> {
    exact: &'a Keep,
    /// Tensors come in the same order in every run.
    next: usize,
    stages: Vec<(String, Noise)>,
}

impl<'a> Compare<'a> {
    /// With this run.
    pub fn new(exact: &'a Keep) -> Self {
        Compare { exact, next: 0, stages: Vec::new() }
    }

    /// What was found, by stage.
    pub fn noise(self) -> Vec<(String, Noise)> {
        self.stages
    }
}

impl Observer for Compare<'_> {
    fn done(&mut self, _: Stage, _: u64) -> bool {
        true
    }
    fn wants_tensors(&self) -> bool {
        true
    }
    fn tensor(&mut self, name: TensorName, data: &[f32], width: usize, pitch: usize) {
        let Some((_, exact)) = self.exact.tensors.get(self.next).filter(|(n, _)| *n == name) else { return };
        self.next += 1;
        let found: Vec<f32> = dense(data, width, pitch).collect();
        let (noise, stage) = (Noise::of(exact, &found), stage(name));
        match self.stages.iter_mut().find(|(s, _)| *s == stage) {
            Some((_, sum)) => sum.join(noise),
            None => self.stages.push((stage, noise)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decibels() {
        let mut n = Noise::of(&[3.0, 4.0], &[3.0, 4.5]);
        assert!((n.db().unwrap() - 20.0).abs() < 1e-9);
        n.join(Noise::of(&[0.0], &[0.0]));
        assert!((n.db().unwrap() - 20.0).abs() < 1e-9);
        assert_eq!(Noise::of(&[1.0], &[1.0]).db(), None);
    }

    #[test]
    fn runs_are_compared_by_stage() {
        let mut keep = Keep::default();
        keep.tensor(TensorName::Stream(0), &[1.0, 9.0, 2.0, 9.0], 1, 2);
        keep.tensor(TensorName::Fpn(0, 0), &[1.0], 1, 1);
        keep.tensor(TensorName::Fpn(0, 4), &[1.0], 1, 1);
        let mut compare = Compare::new(&keep);
        compare.tensor(TensorName::Stream(0), &[1.0, 0.0, 2.0, 0.0], 1, 2);
        compare.tensor(TensorName::Fpn(0, 0), &[0.9], 1, 1);
        compare.tensor(TensorName::Fpn(0, 4), &[1.1], 1, 1);
        let found = compare.noise();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].0.as_str(), found[0].1.db()), ("embedding", None));
        assert!((found[1].1.db().unwrap() - 20.0).abs() < 1e-4);
    }
}
