//! What the integer formats have in common.

/// A rounded weight.
#[derive(Clone, Copy, Default)]
pub(super) struct RoundedWeight {
    /// The number in the file.
    pub stored: i8,
    /// The int8 operand that kernels multiply with.
    pub operand: i8,
    /// The weight that the operand stands for.
    pub value: f32,
}

/// An integer storage format of weights.
pub(super) trait PanelFormat {
    /// The grid of a row of weights: its scale and the like.
    type Grid: Send + Sync;

    /// Initial value of a panel's bytes: all weights zero.
    const BLANK: u8;

    /// Bytes of a panel of rows with `k` weights.
    fn panel_bytes(k: usize) -> usize;

    /// The grid with the smallest error for a row.
    fn fit(row: &[f32]) -> Self::Grid;

    /// The grid point nearest to `w` for input `i`.
    fn round(grid: &Self::Grid, i: usize, w: f32) -> RoundedWeight;

    /// Stores a number for input `i` and lane `lane` of a panel.
    fn store(panel: &mut [u8], i: usize, lane: usize, stored: i8);
}

/// Adding and subtracting this rounds |x| < 2²² to the nearest integer, ties to even.
pub(super) const ROUND: f32 = 12_582_912.0;
