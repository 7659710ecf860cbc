//! Relative-position biases as plain runs of memory.
//!
//! For a column xi of the patch grid the biases of all its queries lie in one plane D[dy][xj] = table[dy][xj − xi], and the
//! bias row of query (yi, xi) over all keys, in token order, is the run of D that starts at row gh − 1 − yi.

use super::super::MAX_ROWS;
use super::{BLOCK, Dims, SPAN};
use core::ops::Range;

/// Biases of a tile: row r for the patches starts at `at[start − r · step]`, the class key's is `class` for all.
#[derive(Clone, Copy)]
pub(super) struct Bias<'a> {
    at: &'a [f32],
    start: usize,
    step: usize,
    class: f32,
    patches: usize,
}

/// Where the biases of a tile of keys are: row r starts `r · step` numbers from `at`.
pub(super) struct BiasRows {
    pub at: *const f32,
    pub step: isize,
}

impl<'a> Bias<'a> {
    /// The plane of a column, times `unit`, written to `plane`; tiles take [`Bias::starting_at`] of it.
    pub fn of_column(
        d: &Dims,
        table: Option<&[f32]>,
        unit: f32,
        xi: usize,
        plane: &'a mut [f32],
    ) -> Bias<'a> {
        let (w, table_w) = (d.grid_width, 2 * d.grid_width - 1);
        match table {
            None => plane.fill(0.0),
            Some(table) => {
                for (dy, row) in plane.chunks_mut(w).enumerate().take(2 * d.grid_height - 1) {
                    let from = &table[dy * table_w + w - 1 - xi..][..w];
                    row.iter_mut().zip(from).for_each(|(x, bias)| *x = bias * unit);
                }
            }
        }
        let class = table.map_or(0.0, |table| table[table.len() - 2] * unit);
        Bias { at: plane, start: 0, step: w, class, patches: d.patches() }
    }

    /// The row of the class token's query, written to `row`.
    pub fn of_class(d: &Dims, table: Option<&[f32]>, unit: f32, row: &'a mut [f32]) -> Bias<'a> {
        let [to_token, _, own] =
            table.map_or([0.0; 3], |b| core::array::from_fn(|i| b[b.len() - 3 + i] * unit));
        row.fill(to_token);
        Bias { at: row, start: 0, step: 0, class: own, patches: d.patches() }
    }

    /// For queries of the column from row yi of the grid on.
    pub fn starting_at(self, d: &Dims, yi: usize) -> Bias<'a> {
        Bias { start: (d.grid_height - 1 - yi) * d.grid_width, ..self }
    }

    /// The biases of up to a span of keys. Where these reach past the patches, rows are made in `tail`: −∞ behind the class
    /// token.
    pub fn of_keys(&self, rows: usize, keys: Range<usize>, tail: &mut [f32]) -> BiasRows {
        debug_assert!(
            rows <= MAX_ROWS
                && keys.len() <= SPAN * BLOCK
                && rows.saturating_sub(1) * self.step <= self.start
        );
        if keys.end <= self.patches {
            return BiasRows { at: self.at[self.start + keys.start..].as_ptr(), step: -(self.step as isize) };
        }
        for (r, row) in tail.chunks_mut(SPAN * BLOCK).enumerate().take(rows) {
            row[..keys.len()].fill(f32::NEG_INFINITY);
            for (out, key) in row.iter_mut().zip(keys.clone()).take_while(|(_, key)| *key <= self.patches) {
                *out = match key == self.patches {
                    true => self.class,
                    false => self.at[self.start - r * self.step + key],
                };
            }
        }
        BiasRows { at: tail.as_ptr(), step: (SPAN * BLOCK) as isize }
    }
}
