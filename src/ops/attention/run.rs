//! Splits the queries of a head into tasks: one per column of the patch grid, or two if there are several workers, and one for
//! the class token.

use super::bias::RelativeBias;
use super::float::FloatHead;
use super::head::{Head, QueryTile, TileAttention};
use super::int8::Int8Head;
use crate::parallel::chunks::{Shared, chunk_range, with_scratch};

impl Head<'_> {
    /// Writes the head's columns of all tokens: the first numbers of each row of `out`, rows
    /// [`out_pitch`](super::AttentionShape::out_pitch) apart. `packed` is scratch of
    /// [`packed_bytes`](super::AttentionShape::packed_bytes), `scratch` of [`scratch`](super::AttentionShape::scratch)
    /// numbers for each worker.
    pub fn run(&self, int8: bool, packed: &mut [u8], scratch: &mut [f32], out: &mut [f32]) {
        match int8 {
            true => self.attend(&Int8Head::pack(self, packed, scratch), scratch, out),
            false => self.attend(&FloatHead::pack(self, packed), scratch, out),
        }
    }

    /// Computes all tiles of queries.
    fn attend<A: TileAttention>(&self, packed: &A, scratch: &mut [f32], out: &mut [f32]) {
        let s = &self.shape;
        let out = Shared::new(out);
        let tasks_per_column = self.workers.count().min(2);
        with_scratch(self.workers, tasks_per_column * s.grid_width + 1, scratch, |task, scratch| {
            let (bias, scratch) = scratch.split_at_mut(s.bias_len());
            let bias = bytemuck::cast_slice_mut(bias);
            let column = task / tasks_per_column;
            if column == s.grid_width {
                let queries = QueryTile { first: s.patches(), step: 1, count: 1 };
                let bias = RelativeBias::of_class(s, self.bias, packed.bias_scale(), bias);
                return packed.attend_tile(&queries, &bias, scratch, &out);
            }
            let bias = RelativeBias::of_column(s, self.bias, packed.bias_scale(), column, bias);
            let tiles = s.grid_height.div_ceil(packed.max_queries());
            for i in chunk_range(tiles, tasks_per_column, task % tasks_per_column) {
                let rows = chunk_range(s.grid_height, tiles, i);
                let first = rows.start * s.grid_width + column;
                let queries = QueryTile { first, step: s.grid_width, count: rows.len() };
                packed.attend_tile(&queries, &bias.starting_at_row(s, rows.start), scratch, &out);
            }
        });
    }
}
