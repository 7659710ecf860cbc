//! Filter weights along one axis, in fixed point.
//!
//! Each output sample is a weighted sum of a run of input samples. An [`Axis`] gives that run and its weights for
//! one output at a time, scaled to sum to one and rounded to [`PRECISION`] fraction bits.
//!
//! Source: Pillow, `src/libImaging/Resample.c` (`precompute_coeffs`, `normalize_coeffs_8bpc`).

use super::filter::Filter;

/// Fraction bits of a weight. A 32-bit sum keeps eight bits for the output and two for overshoot.
pub(super) const PRECISION: u32 = 32 - 8 - 2;

/// One axis of a resize: a filter and the two lengths.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    filter: Filter,
    src: usize,
    /// Input samples per output sample.
    scale: f64,
    /// How much wider than at full size the kernel is: `scale` when shrinking, otherwise 1.
    widening: f64,
    /// Half the width of the widened kernel, in input samples.
    support: f64,
}

impl Axis {
    /// The axis from `src` input samples to `dst` output samples.
    pub(super) fn new(filter: Filter, src: usize, dst: usize) -> Self {
        let scale = src as f64 / dst as f64;
        let widening = if scale < 1.0 { 1.0 } else { scale };
        Axis { filter, src, scale, widening, support: filter.support() * widening }
    }

    /// The largest number of weights of any output sample, at most `src`.
    pub(super) fn max_weights(&self) -> usize {
        (libm::ceil(self.support) as usize * 2 + 1).min(self.src)
    }

    /// The first input sample and the number of input samples under the kernel of output `i`.
    fn bounds(&self, i: usize) -> (usize, usize) {
        let centre = (i as f64 + 0.5) * self.scale;
        // `as` rounds toward zero and saturates, as C's cast followed by its comparison with 0.
        let first = (centre - self.support + 0.5) as usize;
        let end = ((centre + self.support + 0.5) as usize).min(self.src);
        (first, end.saturating_sub(first))
    }

    /// Writes the weights of output `i`, in units of `2^-PRECISION`, to the front of `out`. Returns the first input
    /// sample and the number of weights, which is at most [`Axis::max_weights`].
    pub(super) fn weights(&self, i: usize, out: &mut [i32]) -> (usize, usize) {
        let (first, count) = self.bounds(i);
        let centre = (i as f64 + 0.5) * self.scale;
        let step = 1.0 / self.widening;
        let kernel = |x: usize| self.filter.kernel(((x + first) as f64 - centre + 0.5) * step);
        let sum = (0..count).fold(0.0, |sum, x| sum + kernel(x));
        for (x, out) in out.iter_mut().enumerate().take(count) {
            let weight = if sum == 0.0 { kernel(x) } else { kernel(x) / sum };
            let fixed = weight * f64::from(1 << PRECISION);
            *out = (if fixed < 0.0 { fixed - 0.5 } else { fixed + 0.5 }) as i32;
        }
        (first, count)
    }
}
