//! Sampled rows of a layer's input, and the choice of rows.

use half::bf16;

/// Rows kept of each layer, over all pictures.
pub(super) const ROWS: usize = 1536;

/// Rows that one matrix reads, `[rows][k]`.
#[derive(Default)]
pub struct Samples {
    /// Numbers in a row.
    pub k: usize,
    /// The rows.
    pub rows: Vec<bf16>,
}

/// Chooses rows to keep, at a given rate. The choice is scattered, so that no column of a map is preferred, and the same in
/// every run.
#[derive(Default)]
pub(super) struct RowSampler(u32);

impl RowSampler {
    /// Whether to keep the next row, at a rate of one in `one_in`.
    pub(super) fn keeps(&mut self, one_in: u32) -> bool {
        self.0 = self.0.wrapping_add(1);
        // Multiplicative hashing by 2³² divided by the golden ratio.
        (self.0.wrapping_mul(2_654_435_769) >> 12).is_multiple_of(one_in)
    }
}

/// For tests: strongly correlated inputs with a large common part.
#[cfg(test)]
pub(crate) fn correlated_samples(k: usize, count: usize) -> Samples {
    let mut x = 7u32;
    let mut next = || {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (x >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let mut rows = Vec::new();
    for _ in 0..count {
        let (common, tilt) = (2.0 + next(), next());
        rows.extend((0..k).map(|i| bf16::from_f32(common + tilt * (i as f32 / k as f32) + 0.1 * next())));
    }
    Samples { k, rows }
}
