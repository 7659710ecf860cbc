//! The last step of a product: integer sums and their factors, bias and activation, and how the tile goes out.

use super::rows::store_bf16;
use crate::simd::dispatch::dispatch;
use crate::simd::lanes::{LANES, Lanes};
use crate::simd::math::{gelu, gelu_of_int8};
use half::bf16;

dispatch! {
    unsafe fn store_tile(t: &StoreTile);
    unsafe fn dequantise_tile(t: &DequantiseTile);
}

/// What follows a linear layer, fused into its last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    None,
    Gelu,
    Relu,
}

/// Where a tile goes, and through what.
#[derive(Clone, Copy)]
pub(crate) struct TileOutput {
    pub rows: usize,
    pub panels: usize,
    pub activation: Activation,
    /// Rows `pitch` apart, a row's panels `panel`.
    pub out: *mut f32,
    pub row_pitch: usize,
    pub panel_pitch: usize,
    /// Add to what is there (residual) rather than store.
    pub accumulate: bool,
    /// `out` is bfloat16, which nothing is added to.
    pub bf16: bool,
}

impl TileOutput {
    /// # Safety
    /// As the fields say; row `r` and panel `p` exist.
    #[inline(always)]
    unsafe fn put<L: Lanes>(&self, l: L, r: usize, p: usize, mut v: L::F) {
        // SAFETY: the caller's promise.
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

/// GELU as [`gelu`], or as close to it as eight bits tell.
#[inline(always)]
fn activate<L: Lanes, const EXACT: bool>(l: L, activation: Activation, v: L::F) -> L::F {
    match activation {
        Activation::None => v,
        Activation::Gelu if EXACT => gelu(l, v),
        Activation::Gelu => gelu_of_int8(l, v),
        Activation::Relu => l.max(v, l.splat(0.0)),
    }
}

/// A tile of integer sums goes out in one step: activation(scale_j · (s_i · sum_ij + m_i · Σw_j) + before_ij).
#[derive(Clone, Copy)]
pub(crate) struct DequantiseTile {
    /// `rows` x 16 · `panels`.
    pub sums: *const i32,
    /// (s, m) of each row.
    pub params: *const [f32; 2],
    /// Of each output.
    pub scale: *const f32,
    pub weight_sum: *const i32,
    /// Rows `before_pitch` apart, none for a bias; or null.
    pub before: *const f32,
    pub before_pitch: usize,
    pub to: TileOutput,
}

/// # Safety
/// The pointers of [`DequantiseTile`] cover what their comments say.
#[inline(always)]
pub(crate) unsafe fn dequantise_tile<L: Lanes>(l: L, t: &DequantiseTile) {
    // A loop for each, inlined with the constant: GELU's numbers would take the others' registers.
    // SAFETY: passed on.
    unsafe {
        match t.to.activation {
            Activation::None => dequantise_with(l, t, Activation::None),
            Activation::Gelu => dequantise_with(l, t, Activation::Gelu),
            Activation::Relu => dequantise_with(l, t, Activation::Relu),
        }
    }
}

/// # Safety
/// As [`dequantise_tile`].
#[inline(always)]
unsafe fn dequantise_with<L: Lanes>(l: L, t: &DequantiseTile, activation: Activation) {
    for p in 0..t.to.panels {
        // SAFETY: the caller's promise.
        unsafe {
            let (scale, weight_sum) = t.factors(l, p);
            for r in 0..t.to.rows {
                t.put(l, (r, p), (scale, weight_sum), activation);
            }
        }
    }
}

impl DequantiseTile {
    /// Scales of a panel's outputs, and their weights' sums.
    ///
    /// # Safety
    /// As [`dequantise_tile`]; the panel exists.
    #[inline(always)]
    pub unsafe fn factors<L: Lanes>(&self, l: L, p: usize) -> (L::F, L::F) {
        // SAFETY: the caller's promise.
        unsafe {
            (l.load_at(self.scale.add(p * LANES)), l.to_f32(l.load_i32_at(self.weight_sum.add(p * LANES))))
        }
    }

    /// Sixteen numbers, those of row `r` and panel `p`.
    ///
    /// # Safety
    /// As [`dequantise_tile`]; row and panel exist.
    #[inline(always)]
    pub unsafe fn put<L: Lanes>(
        &self,
        l: L,
        (r, p): (usize, usize),
        (scale, weight_sum): (L::F, L::F),
        activation: Activation,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let [s, m] = *self.params.add(r);
            let sum = l.to_f32(l.load_i32_at(self.sums.add((r * self.to.panels + p) * LANES)));
            let v = l.fma(sum, l.splat(s), l.mul(weight_sum, l.splat(m)));
            let before = match self.before.is_null() {
                true => l.splat(0.0),
                false => l.load_at(self.before.add(r * self.before_pitch + p * LANES)),
            };
            self.to.put(l, r, p, activate::<L, false>(l, activation, l.fma(v, scale, before)));
        }
    }
}

/// A finished tile of f32 goes out: bias, activation, store or add.
#[derive(Clone, Copy)]
pub(crate) struct StoreTile {
    /// `rows` x 16 · `panels`.
    pub acc: *const f32,
    /// Of each output, or null.
    pub bias: *const f32,
    pub to: TileOutput,
}

/// # Safety
/// The pointers of [`StoreTile`] cover what their comments say.
#[inline(always)]
pub(crate) unsafe fn store_tile<L: Lanes>(l: L, t: &StoreTile) {
    for p in 0..t.to.panels {
        // SAFETY: the caller's promise.
        unsafe {
            let bias = if t.bias.is_null() { l.splat(0.0) } else { l.load_at(t.bias.add(p * LANES)) };
            for r in 0..t.to.rows {
                let v = l.add(l.load_at(t.acc.add((r * t.to.panels + p) * LANES)), bias);
                t.to.put(l, r, p, activate::<L, true>(l, t.to.activation, v));
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
            before: core::ptr::null(),
            before_pitch: 0,
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
        DequantiseTile { before: bias.map_or(core::ptr::null(), <[f32]>::as_ptr), before_pitch: 0, ..self }
    }

    /// Adds a tile of f32 before the activation: rows from `before`, `before_pitch` apart. The tile may be the output itself.
    #[inline(always)]
    pub fn with_rows(self, before: *const f32, before_pitch: usize) -> DequantiseTile {
        DequantiseTile { before, before_pitch, ..self }
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
