//! Splits the queries of a head into tasks: one per grid column (two where several workers share the columns), and one for
//! the class token.

use super::bias::Bias;
use super::float::FloatHead;
use super::head::{Head, QueryTile, TileAttention};
use super::int8::Int8Head;
use crate::parallel::chunks::{Shared, part, with_scratch};

impl Head<'_> {
    /// Writes the head's columns, the first of each row of `out`, for all tokens. `packed` is scratch of
    /// [`packed_bytes`](super::AttentionShape::packed_bytes), `scratch` of [`scratch`](super::AttentionShape::scratch)
    /// numbers for each worker.
    pub fn run(&self, int8: bool, packed: &mut [u8], scratch: &mut [f32], out: &mut [f32]) {
        match int8 {
            true => self.attend(&Int8Head::pack(self, packed, scratch), scratch, out),
            false => self.attend(&FloatHead::pack(self, packed), scratch, out),
        }
    }

    fn attend<A: TileAttention>(&self, packed: &A, scratch: &mut [f32], out: &mut [f32]) {
        let s = &self.shape;
        let out = Shared::new(out);
        let parts = self.par.workers().min(2);
        with_scratch(self.par, parts * s.grid_width + 1, scratch, |task, scratch| {
            let (bias, scratch) = scratch.split_at_mut(s.bias_len());
            let bias = bytemuck::cast_slice_mut(bias);
            let column = task / parts;
            if column == s.grid_width {
                let queries = QueryTile { first: s.patches(), step: 1, count: 1 };
                let bias = Bias::of_class(s, self.bias, packed.unit(), bias);
                return packed.attend_tile(&queries, &bias, scratch, &out);
            }
            let plane = Bias::of_column(s, self.bias, packed.unit(), column, bias);
            let tiles = s.grid_height.div_ceil(packed.rows());
            for i in part(tiles, parts, task % parts) {
                let rows = part(s.grid_height, tiles, i);
                let first = rows.start * s.grid_width + column;
                let queries = QueryTile { first, step: s.grid_width, count: rows.len() };
                packed.attend_tile(&queries, &plane.starting_at(s, rows.start), scratch, &out);
            }
        });
    }
}
