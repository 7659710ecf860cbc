//! The products of a small map with the nine kernel positions of a 3x3 convolution, kept until they are interpolated and
//! added ([`upsample`](crate::ops::upsample)).

use crate::file::Linear;
use crate::file::format::padded;
use crate::model::context::Context;
use crate::ops::gemm::{Gemm, OutputElement, Segment};
use crate::ops::rows::{RowsMut, typed};
use crate::ops::upsample::{KernelProducts, ProductData};
use crate::simd::lanes::LANES;
use half::bf16;

/// The most rows that are multiplied together.
const MAX_ROWS: usize = 8;

/// The size and type of a ring of products.
#[derive(Clone, Copy)]
pub(super) struct ProductsShape {
    /// Numbers in the whole ring.
    len: usize,
    bf16: bool,
}

impl ProductsShape {
    /// The products of `pixels` pixels with `weights`: bfloat16 where they come from integers, whose noise is greater than
    /// what bfloat16 rounds away.
    pub fn of(pixels: usize, weights: &Linear) -> Self {
        ProductsShape { len: 9 * pixels * padded(weights.n), bf16: weights.is_int8() }
    }

    pub fn bytes(self) -> usize {
        self.len * if self.bf16 { size_of::<bf16>() } else { size_of::<f32>() }
    }

    /// Lays the products over a region of the arena of at least [`ProductsShape::bytes`].
    pub fn over(self, region: &mut [u8]) -> Products<'_> {
        match self.bf16 {
            true => Products::Bf16(typed(region, self.len)),
            false => Products::F32(typed(region, self.len)),
        }
    }
}

/// A ring of rows of products, `[ring][panel][ky][width][kx][16]`: the order in which the interpolation reads them.
pub(super) enum Products<'a> {
    F32(&'a mut [f32]),
    Bf16(&'a mut [bf16]),
}

/// A row of a map: index of its first pixel among the input rows, and its slot in the ring.
pub(super) type MapRow = (usize, usize);

impl Products<'_> {
    /// Multiplies map rows of `width` pixels, at most eight and in the order of their slots, so that the weights are read once
    /// for all of them.
    pub fn compute(
        &mut self,
        cx: &mut Context,
        weights: &Linear,
        rows: &RowsMut,
        map_rows: impl Iterator<Item = MapRow>,
        width: usize,
    ) {
        let mut segments = [Segment::rows(0, 0); MAX_ROWS];
        let mut count = 0;
        for (pixel, slot) in map_rows {
            segments[count] = Segment::rows(pixel, slot * 9 * width * weights.panel_count());
            count += 1;
        }
        match self {
            Products::F32(out) => multiply(cx, weights, rows, &segments[..count], width, out),
            Products::Bf16(out) => multiply(cx, weights, rows, &segments[..count], width, out),
        }
    }

    /// As a map of (width, height) pixels to be interpolated, `ring` rows of which are in memory.
    pub fn map(&self, ring: usize, (width, height): (usize, usize)) -> KernelProducts<'_> {
        let data = match self {
            Products::F32(data) => ProductData::F32(data),
            Products::Bf16(data) => ProductData::Bf16(data),
        };
        KernelProducts { data, ring, width, height }
    }
}

fn multiply<T: OutputElement>(
    cx: &mut Context,
    weights: &Linear,
    rows: &RowsMut,
    segments: &[Segment],
    width: usize,
    out: &mut [T],
) {
    for position in 0..9 {
        let (ky, kx) = (position / 3, position % 3);
        let layout = Gemm {
            row_step: 3,
            row_pitch: LANES,
            panel_pitch: 9 * width * LANES,
            ..Gemm::new(weights, rows.rows())
        };
        let first = ky * width * 3 + kx;
        cx.gemm(layout.matrix(position).without_bias(), segments, width, &mut out[first * LANES..]);
    }
}
