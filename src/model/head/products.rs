//! The products of a low-resolution map with the nine kernel positions of a 3x3 convolution.
//!
//! A 3x3 convolution of an up-sampled map need not run at full resolution: interpolation commutes with the multiplication by a
//! matrix. The map is multiplied by the nine matrices at its own resolution, and [`upsample`](crate::ops::upsample)
//! interpolates the products and adds them, each shifted by its kernel position. Products are kept in a ring of map rows.

use super::work::Work;
use crate::file::format::padded;
use crate::file::{Linear, LinearShape};
use crate::model::context::Context;
use crate::ops::gemm::{Gemm, Outputs, Segment, Segments};
use crate::ops::rows::{Rows, typed};
use crate::ops::upsample::{KernelProducts, ProductData};
use core::ops::Range;
use half::bf16;

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
            true => Products(Outputs::Bf16(typed(region, self.len))),
            false => Products(Outputs::F32(typed(region, self.len))),
        }
    }
}

/// A ring of map rows of products, `[slots][panel][ky][width][kx][16]`: the order in which the interpolation reads them.
pub(super) struct Products<'a>(Outputs<'a>);

impl Products<'_> {
    /// The tasks that multiply the map rows `wanted`, of `width` pixels, by the nine matrices: at most
    /// [`MAX_SEGMENTS`](crate::ops::gemm::MAX_SEGMENTS) rows, in a ring of `slots` slots. `rows` holds the map, or a ring of
    /// `input_slots` map rows of it.
    pub fn tasks<'t, 'a: 't>(
        &'t mut self,
        cx: &mut Context<'a>,
        weights: &'t Linear,
        (rows, input_slots): (Rows<'t>, Option<usize>),
        (wanted, width, slots): (Range<usize>, usize, usize),
    ) -> Work<impl Fn(usize, usize) + Sync + use<'t>> {
        let pixel = |y: usize| input_slots.map_or(y, |slots| y % slots) * width;
        // In ascending order of their slots.
        let segments = Segments::new((0..slots).filter_map(|slot| {
            let y = wanted.clone().find(|y| y % slots == slot)?;
            Some(Segment::rows(pixel(y), slot * 9 * width * weights.panel_count()))
        }));
        let gemm = Gemm::new(weights, rows).without_bias().kernel_products(width);
        let macs = cx.show_gemm(&gemm, &segments, width);
        let scratch = (cx.workers.count(), cx.unpacked());
        Work::new(macs, gemm.tasks(cx.isa, scratch, segments, width, self.0.reborrow()))
    }

    /// The products as input of the interpolation: of a map of (width, height) pixels, of which `slots` rows are in memory.
    pub fn map(&self, slots: usize, (width, height): (usize, usize)) -> KernelProducts<'_> {
        let data = match &self.0 {
            Outputs::F32(data) => ProductData::F32(data),
            Outputs::Bf16(data) => ProductData::Bf16(data),
        };
        KernelProducts { data, slots, width, height }
    }
}
