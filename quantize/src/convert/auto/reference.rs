//! The reference: the half-precision model's logits on the calibration pictures, and how far another model is from them.

use crate::calibrate::{Pictures, Runner};
use crate::error::Error;
use std::path::Path;

/// Distance of a model's logits from the reference.
#[derive(Clone, Copy)]
pub(super) struct Deviation {
    /// Energy of the difference, over all pictures.
    pub(super) noise: f64,
    /// Energy of the reference logits.
    pub(super) signal: f64,
    /// Pixel agreement with the reference, over all pictures. On a single picture it can move up or down by about 0.001 while
    /// the noise falls steadily.
    pub(super) agreement: f64,
}

/// Pictures and the reference logits for them.
pub(super) struct Reference<'a> {
    pictures: &'a Pictures,
    /// `[classes][pixels]` for each picture.
    logits: Vec<Vec<f32>>,
    classes: usize,
}

impl<'a> Reference<'a> {
    /// Runs the half-precision model in `file` on every picture.
    pub(super) fn new(file: &Path, pictures: &'a Pictures) -> Result<Self, Error> {
        let runner = Runner::open(file)?;
        let logits =
            (0..pictures.count()).map(|i| runner.run(pictures, i, &mut ())).collect::<Result<_, Error>>()?;
        Ok(Reference { pictures, logits, classes: runner.facts().classes })
    }

    pub(super) fn picture_count(&self) -> usize {
        self.logits.len()
    }

    /// Deviation of the model in `file`, on the first `limit` pictures at most.
    pub(super) fn deviation(&self, file: &Path, limit: usize) -> Result<Deviation, Error> {
        let runner = Runner::open(file)?;
        let mut sum = Deviation { noise: 0.0, signal: 0.0, agreement: 0.0 };
        for (i, reference) in self.logits.iter().enumerate().take(limit) {
            let logits = runner.run(self.pictures, i, &mut ())?;
            for (a, b) in logits.iter().zip(reference) {
                sum.noise += f64::from(a - b).powi(2);
                sum.signal += f64::from(*b).powi(2);
            }
            let (ours, theirs) = (argmax(&logits, self.classes), argmax(reference, self.classes));
            let equal = ours.iter().zip(&theirs).filter(|(a, b)| a == b).count();
            sum.agreement += equal as f64 / (ours.len() * self.logits.len().min(limit)) as f64;
        }
        Ok(sum)
    }
}

/// The class of each pixel, from logits `[classes][pixels]`.
fn argmax(logits: &[f32], classes: usize) -> Vec<u16> {
    let pixels = logits.len() / classes;
    let mut best = vec![0u16; pixels];
    for class in 1..classes {
        for (i, best) in best.iter_mut().enumerate() {
            if logits[class * pixels + i] > logits[usize::from(*best) * pixels + i] {
                *best = class as u16;
            }
        }
    }
    best
}
