//! The size to which a picture is resized before windows are cut from it.
//!
//! Source: mmcv, `imrescale` and `rescale_size`; unilm, `SETR_Resize` for several scales. The arithmetic is that of their f64.

use super::mode::Mode;
use crate::file::Facts;

/// Without scales, the long side may be this many times as long as the short side should be.
const LONGEST: f64 = 4.0;

/// The length in pixels of the short side of a resized picture, from the file if it has one.
pub(super) fn short_side(f: &Facts) -> usize {
    f.sliding.map_or(f.width.min(f.height), |(short_side, _)| short_side)
}

/// The step of the window in pixels along an axis on which it has `window` pixels: as the file says for the shorter axis, and in
/// proportion for the longer one; without a file's word two thirds of the window, but more than half of it.
pub(super) fn stride(f: &Facts, window: usize) -> usize {
    match f.sliding {
        Some((_, stride)) => stride.saturating_mul(window) / f.width.min(f.height),
        None => (2 * window / 3).max(window / 2 + 1),
    }
}

/// Whether windows with this stride leave no gaps, and no window overlaps the one after the next, nor touches it: what is kept of
/// a window, and for how long, rests on that.
pub(super) fn is_possible(stride: usize, window: usize) -> bool {
    stride <= window && 2 * stride > window
}

/// Width and height to which a picture is resized, at the given scale if there are several.
pub(super) fn resized(f: &Facts, picture: (usize, usize), mode: Mode, ratio: Option<f64>) -> (usize, usize) {
    let (short, long) = (picture.0.min(picture.1) as f64, picture.0.max(picture.1) as f64);
    let side = short_side(f) as f64;
    let (short_limit, long_limit) = match (mode, ratio) {
        (Mode::Whole, _) => return (f.width, f.height),
        (Mode::Native, _) => return picture,
        (Mode::Slide, None) => (side, LONGEST * side),
        (Mode::Slide, Some(ratio)) => {
            let short_limit = libm::floor(side * ratio).max(side);
            (short_limit, short_limit * long / short)
        }
    };
    let factor = (long_limit / long).min(short_limit / short);
    // `as` saturates; `Views::check` refuses what is too large.
    let scaled = |side: usize| ((side as f64 * factor + 0.5) as usize).max(1);
    (scaled(picture.0), scaled(picture.1))
}
