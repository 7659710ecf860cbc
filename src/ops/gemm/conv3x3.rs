//! The input layout of 3x3 convolutions: rows of a feature map with a blank pixel at both ends, kept in a ring buffer.

use super::product::Segment;

/// Index of the first pixel of the row in slot `slot`, for rows of `width` pixels between two blank ones.
pub(crate) fn bordered(slot: usize, width: usize) -> usize {
    slot * (width + 2) + 1
}

/// The segment that computes row `y` of a map of (width, height) pixels from a ring of `ring` input rows; output rows start
/// at `to`.
pub(crate) fn conv_segment(y: usize, (width, height): (usize, usize), ring: usize, to: usize) -> Segment {
    let mut from = [None; 9];
    for (position, from) in from.iter_mut().enumerate() {
        let (ky, kx) = (position / 3, position % 3);
        if let Some(row) = (y + ky).checked_sub(1).filter(|&row| row < height) {
            *from = Some((bordered(row % ring, width) + kx - 1) as u32);
        }
    }
    Segment { from, to }
}
