//! Relative-position biases of a tile of queries, as contiguous rows that the kernels load as vectors.
//!
//! In: a head's table, `[2·gh − 1][2·gw − 1]` for a grid of gw x gh patches, followed by three numbers for the class token:
//! its query with the patches' keys, the patches' queries with its key, its query with its own key. The bias of query
//! (yi, xi) and key (yj, xj) is `table[yj − yi + gh − 1][xj − xi + gw − 1]`. Out: [`BiasRows`].
//!
//! All queries of grid column xi share one plane, `plane[dy][xj] = table[dy][xj − xi + gw − 1]`. The biases of query (yi, xi)
//! with all patches, in token order, are consecutive in it: they start at row gh − 1 − yi.

use super::shape::AttentionShape;
use crate::simd::kernels::attention::blocks::BLOCK;
use crate::simd::lanes::ROUND;
use crate::simd::tile::MAX_ROWS;
use core::ops::Range;

/// The type of biases: f32, or i16 in the fixed point of the logits.
pub(super) trait BiasValue: bytemuck::Pod {
    /// The bias of keys that do not exist: it makes their probability 0.
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
    /// Rounds to the nearest integer: [`ROUND`] moves it to the low bits of the sum.
    fn of(x: f32) -> i16 {
        (x + ROUND).to_bits() as i16
    }
}

/// The biases of a tile of queries. Those of query r with the patches start at `plane[start − r · step]`; the bias with the
/// class token's key is `class` for all queries.
#[derive(Clone, Copy)]
pub(super) struct RelativeBias<'a, T> {
    plane: &'a [T],
    start: usize,
    step: usize,
    class: T,
    patches: usize,
}

/// The biases of a tile of queries with some keys: those of query r start at `at + r · step`.
pub(super) struct BiasRows<T> {
    pub at: *const T,
    pub step: isize,
}

impl<'a, T: BiasValue> RelativeBias<'a, T> {
    /// Writes the plane of grid column `xi`, multiplied by `scale`, to `plane`. Without a table all biases are 0. The result is
    /// for the query in the last row of the grid; [`RelativeBias::starting_at_row`] makes it that of a tile.
    pub fn of_column(
        s: &AttentionShape,
        table: Option<&[f32]>,
        scale: f32,
        xi: usize,
        plane: &'a mut [T],
    ) -> RelativeBias<'a, T> {
        let (w, table_w) = (s.grid_width, 2 * s.grid_width - 1);
        match table {
            None => plane.fill(T::of(0.0)),
            Some(table) => {
                for (dy, row) in plane.chunks_mut(w).enumerate().take(2 * s.grid_height - 1) {
                    let from = &table[dy * table_w + w - 1 - xi..][..w];
                    row.iter_mut().zip(from).for_each(|(x, bias)| *x = T::of(bias * scale));
                }
            }
        }
        let class = T::of(table.map_or(0.0, |table| table[table.len() - 2] * scale));
        RelativeBias { plane, start: 0, step: w, class, patches: s.patches() }
    }

    /// Writes the biases of the class token's query, multiplied by `scale`, to `row`.
    pub fn of_class(
        s: &AttentionShape,
        table: Option<&[f32]>,
        scale: f32,
        row: &'a mut [T],
    ) -> RelativeBias<'a, T> {
        let [to_patches, _, to_itself] = table
            .map_or([0.0; 3], |b| core::array::from_fn(|i| b[b.len() - 3 + i]))
            .map(|b| T::of(b * scale));
        row.fill(to_patches);
        RelativeBias { plane: row, start: 0, step: 0, class: to_itself, patches: s.patches() }
    }

    /// The biases of the column's queries from row `yi` of the grid on.
    pub fn starting_at_row(self, s: &AttentionShape, yi: usize) -> RelativeBias<'a, T> {
        RelativeBias { start: (s.grid_height - 1 - yi) * s.grid_width, ..self }
    }

    /// The biases of `rows` queries with the given keys. If the keys are all patches, the rows lie in the plane. Otherwise the
    /// keys belong to one block and the rows are written to `tail`, [`BLOCK`] apart, with key n at `slot(n)`; keys after the
    /// class token are absent.
    pub fn of_keys(
        &self,
        rows: usize,
        keys: Range<usize>,
        tail: &mut [T],
        slot: impl Fn(usize) -> usize,
    ) -> BiasRows<T> {
        debug_assert!(rows <= MAX_ROWS && rows.saturating_sub(1) * self.step <= self.start);
        if keys.end <= self.patches {
            assert!(
                self.start + keys.end <= self.plane.len(),
                "the plane must hold the biases of all patches"
            );
            // The pointer is that of the whole plane: later rows lie in front of it.
            let at = self.plane.as_ptr().wrapping_add(self.start + keys.start);
            return BiasRows { at, step: -(self.step as isize) };
        }
        for (r, row) in tail.chunks_mut(BLOCK).enumerate().take(rows) {
            row.fill(T::ABSENT);
            for (n, key) in keys.clone().enumerate().take_while(|(_, key)| *key <= self.patches) {
                row[slot(n)] = match key == self.patches {
                    true => self.class,
                    false => self.plane[self.start - r * self.step + key],
                };
            }
        }
        BiasRows { at: tail.as_ptr(), step: BLOCK as isize }
    }
}
