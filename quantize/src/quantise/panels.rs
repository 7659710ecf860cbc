//! The panel layout: `LANES` rows of a matrix side by side, so that a vector holds one input's weights for all of them.

use beitle::file::format::LANES;
use rayon::prelude::*;

/// Matrices `[matrices][n][k]`, row-major.
pub(super) struct Matrices<'a> {
    pub(super) weights: &'a [f32],
    pub(super) matrices: usize,
    pub(super) n: usize,
    pub(super) k: usize,
}

impl Matrices<'_> {
    pub(super) fn panels_per_matrix(&self) -> usize {
        self.n.div_ceil(LANES)
    }

    /// Panels of all matrices.
    pub(super) fn panel_count(&self) -> usize {
        self.matrices * self.panels_per_matrix()
    }

    /// The row in lane `lane` of a panel, counted through all matrices; `None` for padding.
    pub(super) fn row(&self, panel: usize, lane: usize) -> Option<&[f32]> {
        let panels = self.panels_per_matrix();
        let row = panel % panels * LANES + lane;
        (row < self.n).then(|| &self.weights[(panel / panels * self.n + row) * self.k..][..self.k])
    }

    /// Floating-point panels `[matrices][panels][k][LANES]`, each weight in the `B` bytes that `store` returns. Padding is
    /// zero.
    pub(super) fn to_panels<const B: usize>(&self, store: impl Fn(f32) -> [u8; B] + Sync) -> Vec<u8> {
        let mut out = vec![0u8; self.panel_count() * self.k * LANES * B];
        out.par_chunks_mut((self.k * LANES * B).max(1)).enumerate().for_each(|(panel, out)| {
            for lane in 0..LANES {
                let Some(row) = self.row(panel, lane) else { continue };
                for (i, w) in row.iter().enumerate() {
                    out[(i * LANES + lane) * B..][..B].copy_from_slice(&store(*w));
                }
            }
        });
        out
    }
}
