//! The two steps of attention: packing a head, and its tasks, each a tile column of queries.

use super::bias::RelativeBias;
use super::float::{self, FloatHead};
use super::head::{Head, QueryTile, TileAttention};
use super::int8::Int8Head;
use super::int8_pack;
use super::shape::AttentionShape;
use crate::parallel::chunks::{Shared, chunk_range};
use crate::simd::isa::Isa;

/// The size of the packed operands of a head in bytes, a multiple of 64.
pub(crate) fn packed_bytes(shape: &AttentionShape, int8: bool) -> usize {
    let bytes: usize = match int8 {
        true => int8_pack::lengths(shape).iter().sum(),
        false => float::lengths(shape).iter().sum(),
    };
    bytes.next_multiple_of(64)
}

impl Head<'_> {
    /// Packs the head into `packed`, of [`packed_bytes`]. `scratch` is that of
    /// [`AttentionShape::scratch`].
    pub fn pack(&self, int8: bool, packed: &mut [u8], scratch: &mut [f32]) {
        match int8 {
            true => int8_pack::pack(self, packed, scratch),
            false => float::pack(self, packed),
        }
    }
}

/// A packed head. Its queries are divided into [`tasks`](PackedHead::tasks).
pub(crate) struct PackedHead<'a> {
    pub isa: Isa,
    pub shape: AttentionShape,
    /// As [`Head::bias`].
    pub bias: Option<&'a [f32]>,
    /// What [`Head::pack`] has written.
    pub packed: &'a [u8],
    pub int8: bool,
}

impl PackedHead<'_> {
    /// The number of tasks: one for each column of the patch grid, and one for the class token.
    pub fn tasks(shape: &AttentionShape) -> usize {
        shape.grid_width + 1
    }

    /// Computes the queries of a task, each into the first numbers of its row of `out`; rows are
    /// [`qkv`](AttentionShape::qkv) numbers apart. `scratch` is that of [`AttentionShape::scratch`].
    ///
    /// # Safety
    /// Nothing else accesses the head's rows of `out`, except other tasks.
    pub unsafe fn run(&self, task: usize, scratch: &mut [f32], out: &Shared<f32>) {
        match self.int8 {
            true => self.attend(&Int8Head::read(self.isa, &self.shape, self.packed), task, scratch, out),
            false => self.attend(&FloatHead::read(self.isa, &self.shape, self.packed), task, scratch, out),
        }
    }

    /// [`run`](PackedHead::run) for one of the implementations.
    fn attend<A: TileAttention>(&self, head: &A, task: usize, scratch: &mut [f32], out: &Shared<f32>) {
        let s = &self.shape;
        let (bias, scratch) = scratch.split_at_mut(s.bias_len());
        let bias = bytemuck::cast_slice_mut(bias);
        if task == s.grid_width {
            let queries = QueryTile { first: s.patches(), step: 1, count: 1 };
            let bias = RelativeBias::of_class(s, self.bias, head.bias_scale(), bias);
            return head.attend_tile(&queries, &bias, scratch, out);
        }
        let bias = RelativeBias::of_column(s, self.bias, head.bias_scale(), task, bias);
        let tiles = s.grid_height.div_ceil(head.max_queries());
        for i in 0..tiles {
            let rows = chunk_range(s.grid_height, tiles, i);
            let queries =
                QueryTile { first: rows.start * s.grid_width + task, step: s.grid_width, count: rows.len() };
            head.attend_tile(&queries, &bias.starting_at_row(s, rows.start), scratch, out);
        }
    }
}
