//! The worst pixels: those where the reference was surest of a class and the model says another.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// How many are kept.
const KEPT: usize = 8;

/// A pixel of the logits whose class has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Flip {
    /// The picture.
    pub image: PathBuf,
    /// Its pixel under the middle of the logits' pixel.
    pub at: (usize, usize),
    /// The reference's class.
    pub reference: usize,
    /// The model's.
    pub model: usize,
    /// By how much the reference preferred its class to the model's.
    pub margin: f32,
}

impl Flip {
    /// For programs.
    pub fn json(&self) -> Value {
        json!({"image": self.image.to_string_lossy(), "x": self.at.0, "y": self.at.1, "reference": self.reference,
               "model": self.model, "margin": self.margin})
    }
}

/// The worst pixels of all pictures, the worst first.
#[derive(Default)]
pub struct Flips(Vec<Flip>);

impl Flips {
    /// Those found.
    pub fn worst(&self) -> &[Flip] {
        &self.0
    }

    /// Looks at the logits `[classes][height][width]` of a picture of `size` pixels.
    pub fn add(
        &mut self,
        image: &Path,
        size: (usize, usize),
        [classes, height, width]: [usize; 3],
        exact: &[f32],
        found: &[f32],
    ) {
        let pixels = height * width;
        let best = |logits: &[f32], i: usize| {
            (1..classes).fold(0, |b, c| if logits[c * pixels + i] > logits[b * pixels + i] { c } else { b })
        };
        for i in 0..pixels {
            let (reference, model) = (best(exact, i), best(found, i));
            if reference == model {
                continue;
            }
            let margin = exact[reference * pixels + i] - exact[model * pixels + i];
            let rank = self.0.partition_point(|f| f.margin >= margin);
            if rank < KEPT {
                let at = (
                    (2 * (i % width) + 1) * size.0 / (2 * width),
                    (2 * (i / width) + 1) * size.1 / (2 * height),
                );
                self.0.insert(rank, Flip { image: image.to_path_buf(), at, reference, model, margin });
                self.0.truncate(KEPT);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_comes_first() {
        let mut flips = Flips::default();
        // Two classes on 2x2: pixel 1 changes by a margin of 1, pixel 2 by 3, the others stay.
        let exact = [1.0, 1.0, 3.0, 0.0, 0.0, 0.0, 0.0, 5.0];
        let found = [1.0, 0.0, 0.0, 0.0, 0.5, 0.1, 0.1, 4.0];
        flips.add(Path::new("a"), (8, 4), [2, 2, 2], &exact, &found);
        let said: Vec<_> = flips.worst().iter().map(|f| (f.at, f.reference, f.model, f.margin)).collect();
        assert_eq!(said, [((2, 3), 0, 1, 3.0), ((6, 1), 0, 1, 1.0)]);
        for _ in 0..KEPT {
            flips.add(Path::new("b"), (8, 4), [2, 2, 2], &exact, &found);
        }
        assert_eq!(flips.worst().len(), KEPT);
        assert!(flips.worst().iter().all(|f| f.margin == 3.0));
    }
}
