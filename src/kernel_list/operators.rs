//! Runs of whole operators (linear layers, convolutions, attention) and of the Winograd input transform.

use super::inputs::{Bits, KernelRun, Size, Source, prepare, restore_sign};
use crate::file::format::{Role, padded, winograd_points};
use crate::file::{Linear, Panels};
use crate::ops::attention::{AttentionShape, Head, PackedHead, packed_bytes};
use crate::ops::gemm::conv3x3::conv_segment;
use crate::ops::gemm::{Gemm, Segments};
use crate::ops::rows::{Rows, RowsShape};
use crate::ops::winograd;
use crate::parallel::Workers;
use crate::parallel::chunks::Shared;
use crate::simd::isa::Isa;
use crate::simd::kernels::epilogue::Activation;
use crate::simd::lanes::LANES;
use half::{bf16, f16};
use std::boxed::Box;
use std::vec::Vec;

/// The weights of a layer, in the layout of the weight file.
pub(super) struct Weights {
    n: usize,
    k: usize,
    matrices: usize,
    data: WeightData,
}

/// The numbers of [`Weights`].
pub(super) enum WeightData {
    F32(Vec<f32>),
    F16(Vec<f16>),
    /// Weights, scales, and sums of weights.
    Int8(Vec<i8>, Vec<f32>, Vec<i32>),
}

impl Weights {
    pub(super) fn floats(size: Size, matrices: usize, source: &mut Source) -> (usize, Vec<f32>) {
        let count = matrices * size.n.div_ceil(LANES) * LANES * size.k;
        (count, source.floats(count))
    }

    pub(super) fn f32(size: Size, source: &mut Source) -> Self {
        Weights { n: size.n, k: size.k, matrices: 1, data: WeightData::F32(Self::floats(size, 1, source).1) }
    }

    pub(super) fn f16(size: Size, source: &mut Source) -> Self {
        let weights = Self::floats(size, 1, source).1.into_iter().map(f16::from_f32).collect();
        Weights { n: size.n, k: size.k, matrices: 1, data: WeightData::F16(weights) }
    }

    pub(super) fn int8(size: Size, matrices: usize, source: &mut Source) -> Self {
        let (panels, groups) = (matrices * size.n.div_ceil(LANES), size.k.div_ceil(4));
        let mut weights = source.weights(panels * groups * 4 * LANES);
        // The weights of inputs past k are zeros, as in the file.
        for panel in weights.chunks_mut(groups * 4 * LANES) {
            for four in panel[(groups - 1) * 4 * LANES..].chunks_mut(4) {
                four[size.k - (groups - 1) * 4..].fill(0);
            }
        }
        let mut sums = std::vec![0; panels * LANES];
        for (panel, sums) in weights.chunks(groups * 4 * LANES).zip(sums.chunks_mut(LANES)) {
            for (i, w) in panel.iter().enumerate() {
                sums[i / 4 % LANES] += i32::from(*w);
            }
        }
        let data = WeightData::Int8(weights, source.floats(panels * LANES), sums);
        Weights { n: size.n, k: size.k, matrices, data }
    }

    pub(super) fn linear(&self) -> Linear<'_> {
        let panels = match &self.data {
            WeightData::F32(w) => Panels::F32(w),
            WeightData::F16(w) => Panels::F16(w),
            WeightData::Int8(weights, scale, sum) => Panels::Int8 { weights, scale, sum },
        };
        Linear::from_panels(Role::Qkv, (self.n, self.k, self.matrices), panels)
    }
}

/// Activations with their pitch, as a matrix product reads them.
pub(super) enum Inputs {
    F32(Vec<f32>, usize),
    /// Bytes without and with the sign flip, their pitch, and (scale, offset) of each row.
    Bytes([Vec<u8>; 2], usize, Vec<[f32; 2]>),
}

impl Inputs {
    pub(super) fn f32(rows: usize, k: usize, source: &mut Source) -> Self {
        Inputs::F32(source.floats(rows * padded(k)), padded(k))
    }
    pub(super) fn bytes(rows: usize, k: usize, source: &mut Source) -> Self {
        let pitch = padded(k) + 64;
        let bytes = source.bytes(rows * pitch);
        let flipped = bytes.iter().map(|q| q ^ 128).collect();
        Inputs::Bytes([bytes, flipped], pitch, source.params(rows))
    }
    pub(super) fn rows(&self, isa: Isa) -> Rows<'_> {
        match self {
            Inputs::F32(data, pitch) => Rows::F32 { data, pitch: *pitch },
            Inputs::Bytes([bytes, flipped], pitch, params) => {
                let data = if isa.sign_flip() == 0 { bytes } else { flipped };
                Rows::Bytes { data, pitch: *pitch, params }
            }
        }
    }
}

/// A linear layer over `size.rows` rows.
pub(super) fn linear(size: Size, weights: Weights, x: Inputs) -> Box<dyn KernelRun> {
    linear_with(Activation::None, size, weights, x)
}

/// A linear layer with an activation, over `size.rows` rows.
pub(super) fn linear_with(
    activation: Activation,
    size: Size,
    weights: Weights,
    x: Inputs,
) -> Box<dyn KernelRun> {
    let out = std::vec![0.0; size.rows * padded(size.n)];
    prepare((weights, x), out, move |isa, (weights, x), out| {
        gemm(isa, &weights.linear(), (x.rows(isa), activation), Segments::rows(0, 0), size.rows, out)
    })
}

/// Computes segments with all matrices of a layer.
pub(super) fn gemm(
    isa: Isa,
    weights: &Linear,
    (x, activation): (Rows, Activation),
    segments: Segments,
    len: usize,
    out: &mut [f32],
) {
    let gemm = Gemm { matrices: 0..weights.matrices, ..Gemm::new(weights, x) };
    gemm.activation(activation).run(isa, (Workers::alone(), Shared::new(&mut [])), segments, len, out);
}

/// The height of the map of a convolution.
pub(super) const MAP_ROWS: usize = 4;

/// The width of the map of a convolution: whole Winograd tiles.
pub(super) fn map_width(size: Size) -> usize {
    size.rows.next_multiple_of(4)
}

/// Multiply-accumulates of the direct convolution. It leaves out kernel rows outside the map: two of twelve for four map rows.
pub(super) fn conv_work(size: Size) -> usize {
    3 * (3 * MAP_ROWS - 2) * map_width(size) * size.n * size.k
}

/// The direct 3x3 convolution.
pub(super) fn conv_direct(size: Size, mut source: Source) -> Box<dyn KernelRun> {
    let w = map_width(size);
    let x = Inputs::bytes(MAP_ROWS * (w + 2) + 1, size.k, &mut source);
    let weights = Weights::int8(size, 9, &mut source);
    prepare((weights, x), std::vec![0.0; MAP_ROWS * w * padded(size.n)], move |isa, (weights, x), out| {
        let segments = (0..MAP_ROWS).map(|y| conv_segment(y, (w, MAP_ROWS), MAP_ROWS, y * w));
        gemm(isa, &weights.linear(), (x.rows(isa), Activation::None), Segments::new(segments), w, out);
    })
}

/// The 3x3 convolution by Winograd's F(m x m, 3x3): input transform, products, output transform.
pub(super) fn conv_winograd(m: usize, size: Size, mut source: Source) -> Box<dyn KernelRun> {
    let (w, c) = (map_width(size), padded(size.k));
    let map: Vec<bf16> = source.floats(MAP_ROWS * (w + 2) * c).into_iter().map(bf16::from_f32).collect();
    let weights = Weights::int8(size, winograd_points(m), &mut source);
    let tiles = w / m;
    let strips = MAP_ROWS / m;
    let shape = RowsShape { rows: strips * tiles * winograd_points(m), k: size.k, int8: true };
    let rows = std::vec![0u64; shape.bytes() / 8];
    let out = (
        std::vec![0.0; MAP_ROWS * w * padded(size.n)],
        Scratch(rows, std::vec![0.0; winograd::scratch(m, c)]),
    );
    prepare((weights, map), out, move |isa, (weights, map), (out, Scratch(rows, scratch))| {
        let ring = winograd::RowRing { data: map, slots: MAP_ROWS, width: w, height: MAP_ROWS };
        let mut rows = shape.over(bytemuck::cast_slice_mut(rows));
        let mut transform = winograd::transform_input(
            (isa, m),
            ring,
            (0, strips),
            size.k,
            rows.reborrow(),
            (1, Shared::new(&mut *scratch)),
        );
        Workers::alone().run_all(&[transform.as_loop()]);
        drop(transform);
        let (weights, x, activation) = (&weights.linear(), rows.rows(), Activation::Relu);
        let conv = winograd::WinogradConv { isa, tile: m, weights, bias: None, activation, x, tiles, strips };
        conv.check((MAP_ROWS, w, padded(size.n)));
        // SAFETY: the size is checked, and nothing else accesses `out`.
        unsafe {
            conv.run((0..weights.panel_count(), 0..conv.tiles * conv.strips), &Shared::new(out), scratch)
        };
    })
}

/// The Winograd input transform of one tile.
pub(super) fn winograd_input<const T: usize>(size: Size, mut source: Source) -> Box<dyn KernelRun> {
    let c = padded(size.n);
    let rows: [Vec<bf16>; T] =
        core::array::from_fn(|_| source.floats(T * c).into_iter().map(bf16::from_f32).collect());
    prepare(rows, std::vec![0.0; T * T * c], |isa, rows, out| {
        isa.winograd_input(&rows.each_ref().map(|row| row.as_slice()), out)
    })
}

/// The quantisation of one transformed tile.
pub(super) fn winograd_quantise<const T: usize>(size: Size, mut source: Source) -> Box<dyn KernelRun> {
    let (n, c) = (size.n, padded(size.n));
    let pixels: Vec<f32> = (0..T * T).flat_map(|_| source.row(n)).collect();
    let out = (std::vec![0u8; T * T * c], std::vec![0.0; 2 * T * T]);
    let scratch = Scratch(Vec::<u64>::new(), pixels.clone());
    prepare(pixels, (out, scratch), move |isa, pixels, ((rows, params), Scratch(_, x))| {
        x.copy_from_slice(pixels);
        isa.winograd_quantise(x, n, rows, c, params.as_chunks_mut().0);
        // The bytes of the padding are unspecified.
        rows.chunks_mut(c).for_each(|row| row[n..].fill(isa.sign_flip()));
        restore_sign(isa, rows);
    })
}

/// Scratch memory, which is not compared.
pub(super) struct Scratch<T>(Vec<T>, Vec<f32>);

impl<T> Bits for Scratch<T> {
    fn bits(&self) -> Vec<u32> {
        Vec::new()
    }
}

/// Attention of one head over a grid of `size.rows` x `size.k` patches.
pub(super) fn attention(size: Size, mut source: Source, int8: bool) -> Box<dyn KernelRun> {
    let head_padded = padded(size.n);
    let shape = AttentionShape { grid_width: size.rows, grid_height: size.k, head: size.n, head_padded };
    let tokens = size.rows * size.k + 1;
    let qkv: Vec<f32> =
        (0..3 * tokens).flat_map(|_| source.row(size.n)).map(|x| x.clamp(-4.0, 4.0) / 4.0).collect();
    let bias = source.floats((2 * size.rows - 1) * (2 * size.k - 1) + 3);
    let scratch = Scratch(std::vec![0u64; packed_bytes(&shape, int8) / 8], std::vec![0.0; shape.scratch()]);
    let out = (std::vec![0.0; shape.qkv_len()], scratch);
    prepare((qkv, bias), out, move |isa, (qkv, bias), (out, Scratch(packed, scratch))| {
        let (packed, bias) = (bytemuck::cast_slice_mut(packed), Some(&bias[..]));
        Head { isa, shape, qkv, bias }.pack(int8, packed, scratch);
        let (head, out) = (PackedHead { isa, shape, bias, packed, int8 }, Shared::new(out));
        // SAFETY: nothing else accesses `out`.
        (0..PackedHead::tasks(&shape)).for_each(|task| unsafe { head.run(task, scratch, &out) });
    })
}

/// Multiply-accumulates of Q·Kᵀ and P·V.
pub(super) fn attention_work(size: Size) -> usize {
    2 * (size.rows * size.k + 1).pow(2) * size.n
}
