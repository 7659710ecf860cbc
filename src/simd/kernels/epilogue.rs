//! Epilogues: the last step of a GEMM tile, which turns its sums into outputs and stores them.
//!
//! A micro-kernel leaves a tile of sums, `[rows][panels][16]`. [`store_tile`] adds the bias to f32 sums; [`dequantise_tile`]
//! turns int8 sums into f32. Both then apply the activation and store the tile ([`TileOutput`]), as f32 or bfloat16, or add
//! it to the output (a residual connection).
//!
//! Dequantisation: an input row is quantised as x_k = s · (q_k − 128) + m (one scale s and offset m per row), the weights of
//! output j as scale_j · w_kj. So Σ_k x_k · scale_j · w_kj = scale_j · (s · Σ (q_k − 128) · w_kj + m · Σ w_kj): the tile's
//! sum, and the sum of the output's weights, which the file stores.

use super::rows::store_bf16;
use crate::simd::dispatch::dispatch;
use crate::simd::lanes::{DequantiseVector, LANES, Lanes, VectorActivation};
use crate::simd::math::{gelu, gelu_of_int8, gelu_tanh};
use half::bf16;

dispatch! {
    unsafe fn store_tile(t: &StoreTile);
    unsafe fn dequantise_tile(t: &DequantiseTile);
}

/// The activation function after a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    None,
    Gelu,
    /// GELU approximated by tanh, as some models are trained with.
    GeluTanh,
    Relu,
}

/// The output of a tile, and the activation applied to it.
///
/// Precondition of storing a tile: 16 numbers can be written at `out + r · row_pitch + p · panel_pitch` for each row r and
/// panel p, and with `accumulate` they are initialised.
#[derive(Clone, Copy)]
pub(crate) struct TileOutput {
    /// Rows of the tile.
    pub rows: usize,
    /// Panels of 16 outputs.
    pub panels: usize,
    pub activation: Activation,
    /// Row 0, panel 0. With `bf16` it points to bfloat16.
    pub out: *mut f32,
    /// Elements from one row to the next.
    pub row_pitch: usize,
    /// Elements from one panel to the next.
    pub panel_pitch: usize,
    /// Add to the output (residual connection) instead of overwriting it.
    pub accumulate: bool,
    /// Store bfloat16; excludes `accumulate`.
    pub bf16: bool,
}

impl TileOutput {
    /// Stores 16 outputs: those of row `r` and panel `p`.
    ///
    /// # Safety
    /// The precondition of [`TileOutput`]; row `r` and panel `p` are inside the tile.
    #[inline(always)]
    unsafe fn store_vector<L: Lanes>(&self, l: L, r: usize, p: usize, mut v: L::F) {
        // SAFETY: the precondition of `TileOutput` covers row `r` and panel `p`.
        unsafe {
            let at = r * self.row_pitch + p * self.panel_pitch;
            if self.bf16 {
                return store_bf16(l, v, self.out.cast::<bf16>().add(at));
            }
            let out = self.out.add(at);
            if self.accumulate {
                v = l.add(v, l.load_at(out));
            }
            l.store_at(v, out);
        }
    }
}

/// Applies the activation: GELU by [`gelu`] if `EXACT`, otherwise by [`gelu_of_int8`], whose error is small beside that of int8
/// products.
#[inline(always)]
fn activate<L: Lanes, const EXACT: bool>(l: L, activation: Activation, v: L::F) -> L::F {
    match activation {
        Activation::None => v,
        Activation::Gelu if EXACT => gelu(l, v),
        Activation::Gelu => gelu_of_int8(l, v),
        Activation::GeluTanh => gelu_tanh(l, v),
        Activation::Relu => l.max(v, l.splat(0.0)),
    }
}

/// The operands of [`dequantise_tile`]: out_ij = activation(scale_j · (s_i · sum_ij + m_i · Σ w_j) + addend_ij).
///
/// Preconditions: the pointers are valid for the shapes below, of the tile's `to.rows` and `to.panels`, and `to` for storing it.
#[derive(Clone, Copy)]
pub(crate) struct DequantiseTile {
    /// Sums of the tile, `[rows][panels][16]`.
    pub sums: *const i32,
    /// (scale s, offset m) of the input rows, `[rows]`.
    pub params: *const [f32; 2],
    /// Scale of the weights of each output, `[panels][16]`.
    pub scale: *const f32,
    /// Σ w of each output, `[panels][16]`.
    pub weight_sum: *const i32,
    /// Added before the activation, `[rows][panels][16]`: partial sums, or a bias; null for none.
    pub addend: *const f32,
    /// Elements from one row of `addend` to the next; 0 for a bias.
    pub addend_pitch: usize,
    pub to: TileOutput,
}

/// Dequantises a tile of int8 sums and stores it.
///
/// # Safety
/// The preconditions of [`DequantiseTile`].
#[inline(always)]
pub(crate) unsafe fn dequantise_tile<L: Lanes>(l: L, t: &DequantiseTile) {
    // One loop for each activation, so that the constants of GELU occupy registers only where they are used.
    // SAFETY: the preconditions are this function's.
    unsafe {
        match t.to.activation {
            Activation::None => dequantise_with(l, t, Activation::None),
            Activation::Gelu => dequantise_with(l, t, Activation::Gelu),
            Activation::GeluTanh => dequantise_with(l, t, Activation::GeluTanh),
            Activation::Relu => dequantise_with(l, t, Activation::Relu),
        }
    }
}

/// [`dequantise_tile`] for a known activation.
///
/// # Safety
/// The preconditions of [`DequantiseTile`].
#[inline(always)]
unsafe fn dequantise_with<L: Lanes>(l: L, t: &DequantiseTile, activation: Activation) {
    let vector_activation = match activation {
        Activation::None => VectorActivation::None,
        Activation::Relu => VectorActivation::Relu,
        Activation::Gelu => VectorActivation::Gelu,
        Activation::GeluTanh => VectorActivation::Other,
    };
    for p in 0..t.to.panels {
        // SAFETY: row r and panel p are inside the tile.
        unsafe {
            if l.dequantises(vector_activation) {
                for r in 0..t.to.rows {
                    if !l.dequantise(&t.vector((r, p), vector_activation)) {
                        t.store_vector(l, (r, p), t.factors(l, p), activation);
                    }
                }
                continue;
            }
            let (scale, weight_sum) = t.factors(l, p);
            for r in 0..t.to.rows {
                t.store_vector(l, (r, p), (scale, weight_sum), activation);
            }
        }
    }
}

impl DequantiseTile {
    /// Sixteen outputs, those of row `r` and panel `p`, as operands of [`Lanes::dequantise`].
    ///
    /// # Safety
    /// The preconditions of [`DequantiseTile`]; row `r` and panel `p` are inside the tile.
    #[inline(always)]
    unsafe fn vector(&self, (r, p): (usize, usize), activation: VectorActivation) -> DequantiseVector {
        let at = r * self.to.row_pitch + p * self.to.panel_pitch;
        // SAFETY: the preconditions of `DequantiseTile` cover row `r` and panel `p`.
        unsafe {
            DequantiseVector {
                sums: self.sums.add((r * self.to.panels + p) * LANES),
                weight_sum: self.weight_sum.add(p * LANES),
                scale: self.scale.add(p * LANES),
                addend: match self.addend.is_null() {
                    true => self.addend,
                    false => self.addend.add(r * self.addend_pitch + p * LANES),
                },
                params: *self.params.add(r),
                activation,
                accumulate: self.to.accumulate,
                bf16: self.to.bf16,
                out: if self.to.bf16 {
                    self.to.out.cast::<bf16>().add(at).cast()
                } else {
                    self.to.out.add(at)
                },
            }
        }
    }

    /// The scales of panel `p`, and the sums of its weights.
    ///
    /// # Safety
    /// The preconditions of [`DequantiseTile`]; panel `p` is inside the tile.
    #[inline(always)]
    pub unsafe fn factors<L: Lanes>(&self, l: L, p: usize) -> (L::F, L::F) {
        // SAFETY: panel `p` has 16 scales and 16 sums, by the preconditions of `DequantiseTile`.
        unsafe {
            (l.load_at(self.scale.add(p * LANES)), l.to_f32(l.load_i32_at(self.weight_sum.add(p * LANES))))
        }
    }

    /// Dequantises and stores 16 outputs: those of row `r` and panel `p`, whose [`factors`](Self::factors) are given.
    ///
    /// # Safety
    /// The preconditions of [`DequantiseTile`]; row `r` and panel `p` are inside the tile.
    #[inline(always)]
    pub unsafe fn store_vector<L: Lanes>(
        &self,
        l: L,
        (r, p): (usize, usize),
        (scale, weight_sum): (L::F, L::F),
        activation: Activation,
    ) {
        // SAFETY: the preconditions of `DequantiseTile` cover row `r` and panel `p`.
        unsafe {
            let [s, m] = *self.params.add(r);
            let sum = l.to_f32(l.load_i32_at(self.sums.add((r * self.to.panels + p) * LANES)));
            let v = l.fma(sum, l.splat(s), l.mul(weight_sum, l.splat(m)));
            let addend = match self.addend.is_null() {
                true => l.splat(0.0),
                false => l.load_at(self.addend.add(r * self.addend_pitch + p * LANES)),
            };
            self.to.store_vector(l, r, p, activate::<L, false>(l, activation, l.fma(v, scale, addend)));
        }
    }
}

/// The operands of [`store_tile`]: out_ij = activation(acc_ij + bias_j).
///
/// Preconditions: the pointers are valid for the shapes below, of the tile's `to.rows` and `to.panels`, and `to` for storing it.
#[derive(Clone, Copy)]
pub(crate) struct StoreTile {
    /// Sums of the tile, `[rows][panels][16]`.
    pub acc: *const f32,
    /// Bias of each output, `[panels][16]`, or null.
    pub bias: *const f32,
    pub to: TileOutput,
}

/// Stores a tile of f32 sums.
///
/// # Safety
/// The preconditions of [`StoreTile`].
#[inline(always)]
pub(crate) unsafe fn store_tile<L: Lanes>(l: L, t: &StoreTile) {
    for p in 0..t.to.panels {
        // SAFETY: row r and panel p are inside the tile, which the preconditions of `StoreTile` cover.
        unsafe {
            let bias = if t.bias.is_null() { l.splat(0.0) } else { l.load_at(t.bias.add(p * LANES)) };
            for r in 0..t.to.rows {
                let v = l.add(l.load_at(t.acc.add((r * t.to.panels + p) * LANES)), bias);
                t.to.store_vector(l, r, p, activate::<L, true>(l, t.to.activation, v));
            }
        }
    }
}

impl DequantiseTile {
    /// A tile over slices that start at its first sum, row and output. Nothing is added before the activation.
    #[inline(always)]
    pub fn new(
        sums: &[i32],
        params: &[[f32; 2]],
        scale: &[f32],
        weight_sum: &[i32],
        to: TileOutput,
    ) -> DequantiseTile {
        let columns = to.panels * LANES;
        debug_assert!(sums.len() >= to.rows * columns, "the sums must exist");
        debug_assert!(params.len() >= to.rows, "every row must have a scale and an offset");
        debug_assert!(scale.len() >= columns, "every output must have a scale");
        debug_assert!(weight_sum.len() >= columns, "every output must have a sum of weights");
        DequantiseTile {
            sums: sums.as_ptr(),
            params: params.as_ptr(),
            scale: scale.as_ptr(),
            weight_sum: weight_sum.as_ptr(),
            addend: core::ptr::null(),
            addend_pitch: 0,
            to,
        }
    }

    /// Adds a bias of each output before the activation, if there is one.
    #[inline(always)]
    pub fn with_bias(self, bias: Option<&[f32]>) -> DequantiseTile {
        debug_assert!(
            bias.is_none_or(|b| b.len() >= self.to.panels * LANES),
            "every output must have a bias"
        );
        DequantiseTile { addend: bias.map_or(core::ptr::null(), <[f32]>::as_ptr), addend_pitch: 0, ..self }
    }

    /// Adds a tile of f32 before the activation: rows from `addend`, `addend_pitch` apart. The tile may be the output itself.
    #[inline(always)]
    pub fn with_rows(self, addend: *const f32, addend_pitch: usize) -> DequantiseTile {
        DequantiseTile { addend, addend_pitch, ..self }
    }
}

impl StoreTile {
    /// A tile over slices that start at its first number and output.
    #[inline(always)]
    pub fn new(acc: &[f32], bias: Option<&[f32]>, to: TileOutput) -> StoreTile {
        let columns = to.panels * LANES;
        debug_assert!(acc.len() >= to.rows * columns, "the accumulators must exist");
        debug_assert!(bias.is_none_or(|b| b.len() >= columns), "every output must have a bias");
        StoreTile { acc: acc.as_ptr(), bias: bias.map_or(core::ptr::null(), <[f32]>::as_ptr), to }
    }
}
