//! The last step of a product: integer sums and their factors, bias and activation, and how the tile goes out.

use super::lanes::{LANES, Lanes};
use super::math::gelu;
use super::rows::store_bf16;
use half::bf16;

/// What follows a linear layer, fused into its last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    None,
    Gelu,
    Relu,
}

/// A tile of integer sums becomes part of a tile of f32: acc (+)= scale_j · (s_i · sum_ij + m_i · Σw_j).
pub(crate) struct Accumulate {
    /// `rows` x 16 · `panels`.
    pub sums: *const i32,
    pub rows: usize,
    pub panels: usize,
    /// (s, m) of each row.
    pub params: *const [f32; 2],
    /// Of each output.
    pub scale: *const f32,
    pub weight_sum: *const i32,
    /// `rows` x 16 · `panels`.
    pub acc: *mut f32,
    /// Overwrite rather than add.
    pub first: bool,
}

/// # Safety
/// The pointers of [`Accumulate`] cover what their comments say.
#[inline(always)]
pub(crate) unsafe fn accumulate<L: Lanes>(l: L, t: &Accumulate) {
    for p in 0..t.panels {
        // SAFETY: the caller's promise.
        unsafe {
            let scale = l.load_at(t.scale.add(p * LANES));
            let weight_sum = l.to_f32(l.load_i32_at(t.weight_sum.add(p * LANES)));
            for r in 0..t.rows {
                let [s, m] = *t.params.add(r);
                let at = (r * t.panels + p) * LANES;
                let sum = l.to_f32(l.load_i32_at(t.sums.add(at)));
                let v = l.fma(sum, l.splat(s), l.mul(weight_sum, l.splat(m)));
                let before = if t.first { l.splat(0.0) } else { l.load_at(t.acc.add(at)) };
                l.store_at(l.fma(v, scale, before), t.acc.add(at));
            }
        }
    }
}

/// A tile of integer sums goes out in one step: activation(scale_j · (s_i · sum_ij + m_i · Σw_j) + bias_j).
pub(crate) struct FinishI8 {
    /// `rows` x 16 · `panels`.
    pub sums: *const i32,
    /// (s, m) of each row.
    pub params: *const [f32; 2],
    /// Of each output.
    pub scale: *const f32,
    pub weight_sum: *const i32,
    /// Where it goes; `acc` is not looked at.
    pub to: Finish,
}

/// # Safety
/// The pointers of [`FinishI8`] cover what their comments say.
#[inline(always)]
pub(crate) unsafe fn finish_i8<L: Lanes>(l: L, t: &FinishI8) {
    // A loop for each, inlined with the constant: GELU's numbers would take the others' registers.
    // SAFETY: passed on.
    unsafe {
        match t.to.activation {
            Activation::None => finish_i8_with(l, t, Activation::None),
            Activation::Gelu => finish_i8_with(l, t, Activation::Gelu),
            Activation::Relu => finish_i8_with(l, t, Activation::Relu),
        }
    }
}

/// # Safety
/// As [`finish_i8`].
#[inline(always)]
unsafe fn finish_i8_with<L: Lanes>(l: L, t: &FinishI8, activation: Activation) {
    for p in 0..t.to.panels {
        // SAFETY: the caller's promise.
        unsafe {
            let scale = l.load_at(t.scale.add(p * LANES));
            let weight_sum = l.to_f32(l.load_i32_at(t.weight_sum.add(p * LANES)));
            let bias = t.to.bias_of(l, p);
            for r in 0..t.to.rows {
                let [s, m] = *t.params.add(r);
                let sum = l.to_f32(l.load_i32_at(t.sums.add((r * t.to.panels + p) * LANES)));
                let v = l.fma(sum, l.splat(s), l.mul(weight_sum, l.splat(m)));
                t.to.put(l, r, p, activation, l.fma(v, scale, bias));
            }
        }
    }
}

/// A finished tile goes out: bias, activation, store or add.
#[derive(Clone, Copy)]
pub(crate) struct Finish {
    /// `rows` x 16 · `panels`.
    pub acc: *const f32,
    pub rows: usize,
    pub panels: usize,
    /// Of each output, or null.
    pub bias: *const f32,
    pub activation: Activation,
    /// Rows `pitch` apart, a row's panels `panel`.
    pub out: *mut f32,
    pub pitch: usize,
    pub panel: usize,
    /// Add to what is there (residual) rather than store.
    pub add: bool,
    /// `out` is bfloat16, which nothing is added to.
    pub half: bool,
}

/// # Safety
/// The pointers of [`Finish`] cover what their comments say.
#[inline(always)]
pub(crate) unsafe fn finish<L: Lanes>(l: L, t: &Finish) {
    for p in 0..t.panels {
        // SAFETY: the caller's promise.
        unsafe {
            let bias = t.bias_of(l, p);
            for r in 0..t.rows {
                t.put(l, r, p, t.activation, l.add(l.load_at(t.acc.add((r * t.panels + p) * LANES)), bias));
            }
        }
    }
}

impl Finish {
    /// # Safety
    /// As the fields say; panel `p` exists.
    #[inline(always)]
    unsafe fn bias_of<L: Lanes>(&self, l: L, p: usize) -> L::F {
        // SAFETY: the caller's promise.
        unsafe { if self.bias.is_null() { l.splat(0.0) } else { l.load_at(self.bias.add(p * LANES)) } }
    }

    /// Activation, then out.
    ///
    /// # Safety
    /// As the fields say; row `r` and panel `p` exist.
    #[inline(always)]
    unsafe fn put<L: Lanes>(&self, l: L, r: usize, p: usize, activation: Activation, mut v: L::F) {
        match activation {
            Activation::None => {}
            Activation::Gelu => v = gelu(l, v),
            Activation::Relu => v = l.max(v, l.splat(0.0)),
        }
        // SAFETY: the caller's promise.
        unsafe {
            let at = r * self.pitch + p * self.panel;
            if self.half {
                return store_bf16(l, v, self.out.cast::<bf16>().add(at));
            }
            let out = self.out.add(at);
            if self.add {
                v = l.add(v, l.load_at(out));
            }
            l.store_at(v, out);
        }
    }
}
