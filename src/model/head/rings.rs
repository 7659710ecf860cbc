//! The sizes of the ring buffers, in map rows. [`schedule`](super::schedule) derives them from the halos of the convolutions.

/// Rows of lateral 1.
pub(super) const LATERAL1: usize = 6;
/// Rows of level 1 after its convolution. The first band computes the most: with Winograd tiles of 4x4, one row of the first
/// row of tiles and the four rows of the second.
pub(super) const FPN1: usize = 5;
/// Rows of products of levels 1, 2 and 3.
pub(super) const PRODUCTS: [usize; 3] = [4, 3, 3];
/// Rows of feature 0 after its first deconvolution, and patch rows that are deconvolved in one step: each step reads all weights.
pub(super) const DECONVOLVED: usize = 2 * DECONVOLVED_AT_ONCE;
pub(super) const DECONVOLVED_AT_ONCE: usize = 4;
/// Rows of lateral 0.
pub(super) const LATERAL0: usize = 8;
/// Rows of level 0 after its convolution.
pub(super) const FPN0: usize = 7;
/// Rows in the f32 buffers of levels 0 and 1: the most that one step computes.
pub(super) const FINE_ROWS: usize = 4;
/// Rows of logits that a band computes.
pub(in crate::model) const BAND: usize = 4;
/// Rows of logits.
pub(in crate::model) const LOGITS: usize = 8;
