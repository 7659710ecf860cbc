//! The most likely classes at chosen points of the class map.

use crate::error::Error;
use bytemuck::{Pod, Zeroable};

/// A class and its probability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Ranked {
    /// The number of the class.
    pub class: u32,
    /// Its share of the softmax over all classes, 0 to 1; of several views, the mean of their shares.
    pub probability: f32,
}

/// Points of the class map, and memory for the most likely classes at each.
#[derive(Debug)]
pub struct Points<'a> {
    /// Column and row of each point.
    at: &'a [[usize; 2]],
    ranked: &'a mut [Ranked],
}

impl<'a> Points<'a> {
    /// Asks for the most likely classes at each point, as many as `ranked` has room for: `[points][classes]`, the most likely first; of
    /// equally likely ones the lower number.
    ///
    /// # Errors
    /// [`Error::Output`] if the length of `ranked` is not a positive multiple of the number of points.
    pub fn new(at: &'a [[usize; 2]], ranked: &'a mut [Ranked]) -> Result<Self, Error> {
        if at.is_empty() || ranked.is_empty() || !ranked.len().is_multiple_of(at.len()) {
            return Err(Error::Output {
                what: "points need memory for at least one class each, the same for all",
            });
        }
        Ok(Points { at, ranked })
    }

    /// The points, and the places for all classes at them.
    pub(crate) fn parts(&mut self) -> (&'a [[usize; 2]], &mut [Ranked]) {
        (self.at, self.ranked)
    }

    /// Checks that all points lie in a class map of this size, and that there are enough classes.
    pub(crate) fn check(&self, (width, height): (usize, usize), classes: usize) -> Result<(), Error> {
        if self.at.iter().any(|&[x, y]| x >= width || y >= height) {
            return Err(Error::Output { what: "a point lies outside the class map" });
        }
        if self.ranked.len() / self.at.len() > classes {
            return Err(Error::Output { what: "more classes are wanted at a point than the model has" });
        }
        Ok(())
    }
}

/// Writes the largest of the weights to `ranked`, the largest first, as shares of `total`.
pub(crate) fn rank(weights: impl Iterator<Item = f32>, total: f32, ranked: &mut [Ranked]) {
    let mut filled = 0;
    for (class, weight) in weights.enumerate() {
        // NaN, of a model whose weights overflow, is no probability.
        let probability = if weight / total >= 0.0 { weight / total } else { 0.0 };
        let before = ranked[..filled].iter().position(|other| probability > other.probability);
        let place = before.unwrap_or(filled);
        if place < ranked.len() {
            filled = (filled + 1).min(ranked.len());
            ranked[place..filled].rotate_right(1);
            ranked[place] = Ranked { class: class as u32, probability };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_sorted_and_the_lower_number_comes_first() {
        let mut ranked = [Ranked::default(); 4];
        rank([1.0, 3.0, 0.0, 3.0, 1.0].into_iter(), 8.0, &mut ranked);
        assert_eq!(ranked.map(|r| r.class), [1, 3, 0, 4]);
        assert_eq!(ranked.map(|r| r.probability), [0.375, 0.375, 0.125, 0.125]);
        rank([f32::NAN; 5].into_iter(), f32::NAN, &mut ranked);
        assert_eq!(ranked.map(|r| (r.class, r.probability)), [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.0)]);
    }

    #[test]
    fn points_are_checked() {
        let mut ranked = [Ranked::default(); 4];
        assert!(Points::new(&[], &mut ranked).is_err());
        assert!(Points::new(&[[0, 0]; 3], &mut ranked).is_err());
        assert!(Points::new(&[[0, 0]], &mut []).is_err());
        let points = Points::new(&[[3, 0], [0, 4]], &mut ranked).unwrap();
        assert!(points.check((4, 5), 2).is_ok() && points.check((4, 5), 1).is_err());
        assert!(points.check((3, 5), 2).is_err() && points.check((4, 4), 2).is_err());
    }
}
