//! The 3x3 convolutions at full resolution, on a ring of lines with blank borders: direct, or by Winograd's F(2x2, 3x3).

use super::{Call, Context, bordered, conv_segment};
use crate::activations::RowsMut;
use crate::format::WINOGRAD_TAPS;
use crate::kernels::gemm::Segment;
use crate::kernels::rows::Activation;
use crate::kernels::winograd;
use crate::plan::ring;
use crate::weights::Linear;

/// Working memory of Winograd's convolutions.
pub(super) struct Transformed<'a> {
    rows: RowsMut<'a>,
    scratch: &'a mut [f32],
}

impl<'a> Transformed<'a> {
    /// Lays it over its regions of the arena; `None` where no convolution needs it.
    pub fn new(cx: &Context, rows: &'a mut [u8], scratch: &'a mut [u8]) -> Option<Self> {
        let pixels = ring::WINOGRAD / 2 * cx.facts.level(0).0 / 2 * WINOGRAD_TAPS;
        let len = cx.par.workers() * winograd::scratch(cx.pitch()) * size_of::<f32>();
        (!rows.is_empty()).then(|| Transformed {
            rows: RowsMut::new(rows, pixels, cx.facts.channels, true),
            scratch: bytemuck::cast_slice_mut(&mut scratch[..len]),
        })
    }
}

/// One convolution: its weights, the lines it reads, `ring` of them in memory.
pub(super) struct Conv<'a> {
    pub weights: &'a Linear<'a>,
    pub x: &'a RowsMut<'a>,
    /// Of the map.
    pub size: (usize, usize),
    pub ring: usize,
    pub activation: Activation,
    /// Whether the bias is added here.
    pub bias: bool,
}

impl Conv<'_> {
    /// Lines `first..` of the map, as many as `out` holds.
    pub fn run(&self, cx: &mut Context, first: usize, transformed: &mut Option<Transformed>, out: &mut [f32]) {
        match transformed {
            Some(transformed) if self.weights.is_winograd() => self.winograd(cx, first, transformed, out),
            _ => self.direct(cx, first, out),
        }
    }

    fn direct(&self, cx: &mut Context, first: usize, out: &mut [f32]) {
        let w = self.size.0;
        let segments: [Segment; ring::LINES] =
            core::array::from_fn(|i| conv_segment(first + i, self.size, self.ring, i * w));
        let lines = out.len() / (w * cx.pitch());
        let call = Call { bias: self.bias, ..Call::new(self.weights, self.x.rows()).conv() };
        cx.product(call.activation(self.activation), &segments[..lines], w, out);
    }

    /// `first` and the number of lines are even: tiles are two lines high.
    fn winograd(&self, cx: &mut Context, first: usize, transformed: &mut Transformed, out: &mut [f32]) {
        let (RowsMut::F32 { data, pitch }, (w, h), n) = (self.x, self.size, cx.facts.channels) else { return };
        let line = |y: Option<usize>| {
            let y = y.filter(|&y| y < h)?;
            Some(&data[(bordered(y % self.ring, w) - 1) * pitch..][..(w + 2) * pitch])
        };
        for (i, out) in out.chunks_mut(ring::WINOGRAD * w * pitch).enumerate() {
            let first = first + ring::WINOGRAD * i;
            let pairs = out.len() / (2 * w * pitch);
            let lines = |pair: usize| core::array::from_fn(|i| line((first + 2 * pair + i).checked_sub(1)));
            let machine = (cx.isa, cx.par);
            let Transformed { rows, scratch } = transformed;
            winograd::transform(machine, pairs, &lines, w / 2, n, rows, scratch);
            cx.macs += (pairs * w / 2 * WINOGRAD_TAPS * n * self.weights.n) as u64;
            let bias = self.bias.then(|| self.weights.bias(0)).flatten();
            winograd::Convolution {
                isa: cx.isa,
                weights: self.weights,
                bias,
                activation: self.activation,
                x: rows,
                tiles: w / 2,
            }
            .run(cx.par, pairs, out);
        }
    }
}
