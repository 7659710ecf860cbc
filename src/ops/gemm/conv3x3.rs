//! The input layout of 3x3 convolutions with padding 1: a ring buffer of feature map rows, `[slots][1 + width + 1]` pixels.
//!
//! Row y of the map is in slot y % slots, between two blank pixels that stand for the padding on the left and right. Kernel
//! positions that fall on a row above or below the map are left out of the sum.

use super::product::Segment;

/// Index of the first pixel of the map row in `slot`, for rows of `width` pixels between two blank ones.
pub(crate) fn bordered(slot: usize, width: usize) -> usize {
    slot * (width + 2) + 1
}

/// The segment that computes row `y` of a map of (width, height) pixels from a ring of `slots` input rows. Its output rows start
/// at `to`.
pub(crate) fn conv_segment(y: usize, (width, height): (usize, usize), slots: usize, to: usize) -> Segment {
    let mut from = [None; 9];
    for (position, from) in from.iter_mut().enumerate() {
        let (ky, kx) = (position / 3, position % 3);
        if let Some(row) = (y + ky).checked_sub(1).filter(|&row| row < height) {
            *from = Some((bordered(row % slots, width) + kx - 1) as u32);
        }
    }
    Segment { from, to }
}
