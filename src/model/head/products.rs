//! The products of a low-resolution map with the nine kernel positions of a 3x3 convolution.
//!
//! A 3x3 convolution of an up-sampled map need not run at full resolution: interpolation commutes with the multiplication by a
//! matrix. The map is multiplied by the nine matrices at its own resolution, and [`upsample`](crate::ops::upsample)
//! interpolates the products and adds them, each shifted by its kernel position. Products are kept in a ring of map rows.

use crate::file::format::padded;
use crate::file::{Linear, LinearShape};
use crate::model::context::Context;
use crate::ops::gemm::{Gemm, Segment};
use crate::ops::rows::{RowsMut, typed};
use crate::ops::upsample::{KernelProducts, ProductData};
use half::bf16;

/// The most map rows that one call multiplies.
const MAX_ROWS: usize = 8;

/// The size and type of a ring of products.
#[derive(Clone, Copy)]
pub(super) struct ProductsShape {
    /// Values in the whole ring.
    len: usize,
    bf16: bool,
}

impl ProductsShape {
    /// The products of `pixels` pixels with the nine matrices of `weights`. Products of int8 layers are stored in bfloat16, whose
    /// rounding is smaller than the quantisation noise that they already have.
    pub fn of(pixels: usize, weights: LinearShape) -> Self {
        ProductsShape { len: 9 * pixels * padded(weights.n), bf16: weights.int8 }
    }

    /// Size of the ring in bytes.
    pub fn bytes(self) -> usize {
        self.len * if self.bf16 { size_of::<bf16>() } else { size_of::<f32>() }
    }

    /// Places the ring in a region of the arena of at least [`ProductsShape::bytes`].
    pub fn over(self, region: &mut [u8]) -> Products<'_> {
        match self.bf16 {
            true => Products::Bf16(typed(region, self.len)),
            false => Products::F32(typed(region, self.len)),
        }
    }
}

/// A ring of map rows of products, `[ring][panel][ky][width][kx][16]`: the order in which the interpolation reads them.
pub(super) enum Products<'a> {
    F32(&'a mut [f32]),
    Bf16(&'a mut [bf16]),
}

/// A map row to multiply: the index of its first pixel among the input rows, and its slot in the ring.
pub(super) type MapRow = (usize, usize);

impl Products<'_> {
    /// Multiplies map rows of `width` pixels of `rows` by the nine matrices. `map_rows` are in ascending order of their slots; the
    /// weights are read once for every [`MAX_ROWS`] of them.
    pub fn compute(
        &mut self,
        cx: &mut Context,
        weights: &Linear,
        rows: &RowsMut,
        mut map_rows: impl Iterator<Item = MapRow>,
        width: usize,
    ) {
        loop {
            let mut segments = [Segment::rows(0, 0); MAX_ROWS];
            let mut count = 0;
            for (segment, (pixel, slot)) in segments.iter_mut().zip(&mut map_rows) {
                *segment = Segment::rows(pixel, slot * 9 * width * weights.panel_count());
                count += 1;
            }
            if count == 0 {
                return;
            }
            let gemm = Gemm::new(weights, rows.rows()).without_bias().kernel_products(width);
            match self {
                Products::F32(out) => cx.gemm(gemm, &segments[..count], width, out),
                Products::Bf16(out) => cx.gemm(gemm, &segments[..count], width, out),
            }
        }
    }

    /// The products as input of the interpolation: of a map of (width, height) pixels, of which `ring` rows are in memory.
    pub fn map(&self, ring: usize, (width, height): (usize, usize)) -> KernelProducts<'_> {
        let data = match self {
            Products::F32(data) => ProductData::F32(data),
            Products::Bf16(data) => ProductData::Bf16(data),
        };
        KernelProducts { data, ring, width, height }
    }
}
