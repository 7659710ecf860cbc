//! One axis of a view: the windows along it, and which of their logits a pixel of the class map reads.
//!
//! Three scales meet here. A window has `window` pixels of the resized picture and `cells` logits; the class map has a size of
//! its own. A pixel of the class map lies between two pixels of the resized picture. Each of these is the mean over the windows
//! that cover it, and in each window it lies between two logits. All interpolation is bilinear (`align_corners = false`), hence
//! linear and separable, so that along one axis a pixel is a weighted sum of a few consecutive logits of each window
//! ([`Axis::source`]).

use bytemuck::{Pod, Zeroable};
use core::ops::Range;

/// The windows along one axis of a view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    /// Pixels of the resized picture. If it is shorter than the window, the window reaches beyond its end.
    pub len: usize,
    /// Pixels of a window.
    pub window: usize,
    /// Pixels from one window to the next. The last window is moved back inside the picture. More than half a window and at most a
    /// window, so that at most three windows cover a pixel.
    pub stride: usize,
    /// Logits of a window.
    pub cells: usize,
    /// Whether the picture is stretched to one window. Its logits are then interpolated to the class map directly, not to the
    /// resized picture first.
    pub stretched: bool,
}

/// The most consecutive logits of a window that a pixel reads along an axis: three, or more if a patch has fewer than four pixels.
pub(crate) const MOST_TERMS: usize = 6;

/// The logits of one window that a pixel of the class map reads along an axis, with weights. The pixel is the sum over all windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Source {
    /// The first logit.
    pub first: u32,
    /// The weights of the logits from `first` on. All are zero if the pixel does not read the window.
    pub weights: [f32; MOST_TERMS],
}

impl Source {
    /// The logits with a weight other than zero, and their weights.
    pub fn terms(&self) -> impl Iterator<Item = (usize, f32)> {
        (self.first as usize..).zip(self.weights).filter(|(_, weight)| *weight != 0.0)
    }
}

/// The two of `small` samples that sample `at` of `large` lies between, and the weight of the second.
fn between(at: usize, small: usize, large: usize) -> (usize, usize, f64) {
    let x = (small as f64 / large as f64 * (at as f64 + 0.5) - 0.5).max(0.0);
    let low = (x as usize).min(small - 1);
    let high = (low + 1).min(small - 1);
    (low, high, if high > low { x - low as f64 } else { 0.0 })
}

impl Axis {
    /// The number of windows.
    pub fn windows(&self) -> usize {
        if self.stretched {
            return 1;
        }
        self.len.saturating_sub(self.window).div_ceil(self.stride) + 1
    }

    /// The first pixel of a window in the resized picture.
    pub fn start(&self, window: usize) -> usize {
        (window * self.stride).min(self.len.saturating_sub(self.window))
    }

    /// The first window that covers pixel `x` of the resized picture.
    pub fn first_over(&self, x: usize) -> usize {
        let first = if x < self.window { 0 } else { (x - self.window) / self.stride + 1 };
        first.min(self.windows() - 1)
    }

    /// The last window that covers pixel `x` of the resized picture.
    pub fn last_over(&self, x: usize) -> usize {
        let last = self.windows() - 1;
        if x >= self.start(last) { last } else { (x / self.stride).min(last) }
    }

    /// The windows that pixel `at` of a class map of `size` pixels reads. The last of them decides the pixel.
    pub fn needed(&self, at: usize, size: usize) -> Range<usize> {
        if self.stretched {
            return 0..1;
        }
        let (low, high, weight) = between(at, self.len, size);
        self.first_over(low)..self.last_over(if weight > 0.0 { high } else { low }) + 1
    }

    /// The pixels of a class map of `size` pixels that `window` decides.
    pub fn decided(&self, window: usize, size: usize) -> Range<usize> {
        let first_from = |window: usize| {
            // The last needed window does not decrease from pixel to pixel.
            let (mut low, mut high) = (0, size);
            while low < high {
                let middle = low + (high - low) / 2;
                if self.needed(middle, size).end > window {
                    high = middle;
                } else {
                    low = middle + 1;
                }
            }
            low
        };
        first_from(window)..first_from(window + 1)
    }

    /// The logits of `window` that pixel `at` of a class map of `size` pixels reads.
    pub fn source(&self, window: usize, at: usize, size: usize) -> Source {
        let mut sums = [(0, 0.0); 4];
        if self.stretched {
            let (low, high, weight) = between(at, self.cells, size);
            (sums[0], sums[1]) = ((low, 1.0 - weight), (high, weight));
        } else {
            let (low, high, weight) = between(at, self.len, size);
            let start = self.start(window);
            for (pair, (x, share)) in sums.chunks_exact_mut(2).zip([(low, 1.0 - weight), (high, weight)]) {
                if share > 0.0 && x >= start && x - start < self.window {
                    let share = share / (self.last_over(x) - self.first_over(x) + 1) as f64;
                    let (low, high, weight) = between(x - start, self.cells, self.window);
                    pair.copy_from_slice(&[(low, share * (1.0 - weight)), (high, share * weight)]);
                }
            }
        }
        let used = || sums.iter().filter(|(_, weight)| *weight > 0.0);
        let first = used().map(|(cell, _)| *cell).min().unwrap_or(0);
        let mut weights = [0.0; MOST_TERMS];
        for (cell, weight) in used() {
            weights[cell - first] += weight;
        }
        Source { first: first as u32, weights: weights.map(|weight| weight as f32) }
    }

    /// The last window that reads logits of `window` up to `end` (exclusive), or `window` itself. It does not depend on the size of
    /// the class map, and may be later than necessary.
    pub fn last_reader(&self, window: usize, end: usize) -> usize {
        // A logit reaches less than one logit far, and a pixel of the class map one pixel.
        let reach = ((end + 1) * self.window).div_ceil(self.cells) + 1;
        let x = self.start(window) + reach.min(self.window);
        self.last_over(x.min(self.len - 1)).max(window)
    }

    /// The most pixels of a class map of `size` pixels that together read no more than `cells` consecutive logits of a window; at
    /// least 1.
    pub fn pixels_within(&self, cells: usize, size: usize) -> usize {
        let cells = cells.saturating_sub(MOST_TERMS) as f64;
        let scale = if self.stretched {
            size as f64 / self.cells as f64
        } else {
            size as f64 / self.len as f64 * (self.window as f64 / self.cells as f64)
        };
        ((cells * scale) as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn axis(len: usize, window: usize, stride: usize) -> Axis {
        Axis { len, window, stride, cells: window / 4, stretched: false }
    }

    #[test]
    fn windows_are_those_of_mmsegmentation() {
        let starts = |len, window, stride| -> Vec<usize> {
            let axis = axis(len, window, stride);
            (0..axis.windows()).map(|i| axis.start(i)).collect()
        };
        assert_eq!(starts(640, 640, 426), [0]);
        assert_eq!(starts(854, 640, 426), [0, 214]);
        assert_eq!(starts(1067, 640, 426), [0, 426, 427]);
        assert_eq!(starts(2560, 640, 426), [0, 426, 852, 1278, 1704, 1920]);
        assert_eq!(starts(683, 512, 341), [0, 171]);
        assert_eq!(starts(100, 512, 341), [0], "shorter than the window");
    }

    #[test]
    fn the_weights_of_a_pixel_sum_to_one_and_its_windows_are_those_that_cover_it() {
        for (len, window, stride) in
            [(640, 640, 426), (854, 640, 426), (1067, 640, 426), (70, 32, 17), (20, 32, 21), (97, 32, 32)]
        {
            let axis = axis(len, window, stride);
            for size in [1, 37, len, 3 * len + 1] {
                let mut decided = 0;
                for i in 0..axis.windows() {
                    let range = axis.decided(i, size);
                    assert_eq!(range.start, decided, "every pixel is decided once");
                    decided = range.end;
                }
                assert_eq!(decided, size);
                for at in 0..size {
                    let needed = axis.needed(at, size);
                    let total: f32 = (0..axis.windows())
                        .map(|i| {
                            let source = axis.source(i, at, size);
                            let sum: f32 = source.terms().map(|(_, weight)| weight).sum();
                            assert_eq!(sum > 0.0, needed.contains(&i), "{axis:?} {size} {at} {i}");
                            assert!(source.terms().all(|(cell, _)| cell < axis.cells));
                            let end = source.terms().map(|(cell, _)| cell + 1).max().unwrap_or(0);
                            assert!(sum == 0.0 || axis.last_reader(i, end) >= needed.end - 1);
                            sum
                        })
                        .sum();
                    assert!((total - 1.0).abs() < 1e-5, "{axis:?} {size} {at}: {total}");
                }
            }
        }
    }
}
