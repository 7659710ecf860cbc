//! Relative-position biases as plain runs of memory.
//!
//! For a column xi of the patch grid the biases of all its queries lie in one plane D[dy][xj] = table[dy][xj − xi], and the
//! bias row of query (yi, xi) over all keys, in token order, is the run of D that starts at row gh − 1 − yi.

use super::shape::AttentionShape;
use crate::simd::kernels::attention::blocks::BLOCK;
use crate::simd::lanes::ROUND;
use crate::simd::tile::MAX_ROWS;
use core::ops::Range;

/// What biases are.
pub(super) trait BiasValue: bytemuck::Pod {
    /// For keys that do not exist.
    const ABSENT: Self;
    fn of(x: f32) -> Self;
}

impl BiasValue for f32 {
    const ABSENT: f32 = f32::NEG_INFINITY;
    fn of(x: f32) -> f32 {
        x
    }
}

impl BiasValue for i16 {
    const ABSENT: i16 = i16::MIN;
    fn of(x: f32) -> i16 {
        // The low bits of the biased number.
        (x + ROUND).to_bits() as i16
    }
}

/// Biases of a tile: row r for the patches starts at `at[start − r · step]`, the class key's is `class` for all.
#[derive(Clone, Copy)]
pub(super) struct Bias<'a, T> {
    at: &'a [T],
    start: usize,
    step: usize,
    class: T,
    patches: usize,
}

/// Where the biases of a tile of keys are: row r starts `r · step` numbers from `at`.
pub(super) struct BiasRows<T> {
    pub at: *const T,
    pub step: isize,
}

impl<'a, T: BiasValue> Bias<'a, T> {
    /// The plane of a column, times `unit`, written to `plane`; tiles take [`Bias::starting_at`] of it.
    pub fn of_column(
        d: &AttentionShape,
        table: Option<&[f32]>,
        unit: f32,
        xi: usize,
        plane: &'a mut [T],
    ) -> Bias<'a, T> {
        let (w, table_w) = (d.grid_width, 2 * d.grid_width - 1);
        match table {
            None => plane.fill(T::of(0.0)),
            Some(table) => {
                for (dy, row) in plane.chunks_mut(w).enumerate().take(2 * d.grid_height - 1) {
                    let from = &table[dy * table_w + w - 1 - xi..][..w];
                    row.iter_mut().zip(from).for_each(|(x, bias)| *x = T::of(bias * unit));
                }
            }
        }
        let class = T::of(table.map_or(0.0, |table| table[table.len() - 2] * unit));
        Bias { at: plane, start: 0, step: w, class, patches: d.patches() }
    }

    /// The row of the class token's query, written to `row`.
    pub fn of_class(d: &AttentionShape, table: Option<&[f32]>, unit: f32, row: &'a mut [T]) -> Bias<'a, T> {
        let [to_token, _, own] =
            table.map_or([0.0; 3], |b| core::array::from_fn(|i| b[b.len() - 3 + i])).map(|b| T::of(b * unit));
        row.fill(to_token);
        Bias { at: row, start: 0, step: 0, class: own, patches: d.patches() }
    }

    /// For queries of the column from row yi of the grid on.
    pub fn starting_at(self, d: &AttentionShape, yi: usize) -> Bias<'a, T> {
        Bias { start: (d.grid_height - 1 - yi) * d.grid_width, ..self }
    }

    /// The biases of some keys. Where these reach past the patches, they are of one block, and rows are made in `tail`, key n of
    /// them at `slot(n)`: absent behind the class token.
    pub fn of_keys(
        &self,
        rows: usize,
        keys: Range<usize>,
        tail: &mut [T],
        slot: impl Fn(usize) -> usize,
    ) -> BiasRows<T> {
        debug_assert!(rows <= MAX_ROWS && rows.saturating_sub(1) * self.step <= self.start);
        if keys.end <= self.patches {
            return BiasRows { at: self.at[self.start + keys.start..].as_ptr(), step: -(self.step as isize) };
        }
        for (r, row) in tail.chunks_mut(BLOCK).enumerate().take(rows) {
            row.fill(T::ABSENT);
            for (n, key) in keys.clone().enumerate().take_while(|(_, key)| *key <= self.patches) {
                row[slot(n)] = match key == self.patches {
                    true => self.class,
                    false => self.at[self.start - r * self.step + key],
                };
            }
        }
        BiasRows { at: tail.as_ptr(), step: BLOCK as isize }
    }
}
