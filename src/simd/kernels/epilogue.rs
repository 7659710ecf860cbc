//! The last step of a product: integer sums and their factors, bias and activation, and how the tile goes out.

use super::lanes::{LANES, Lanes};
use super::math::{gelu, gelu_of_int8};
use super::rows::store_bf16;
use half::bf16;

/// What follows a linear layer, fused into its last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    None,
    Gelu,
    Relu,
}

/// Where a tile goes, and through what.
#[derive(Clone, Copy)]
pub(crate) struct Out {
    pub rows: usize,
    pub panels: usize,
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

impl Out {
    /// # Safety
    /// As the fields say; row `r` and panel `p` exist.
    #[inline(always)]
    unsafe fn put<L: Lanes>(&self, l: L, r: usize, p: usize, mut v: L::F) {
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
pub(crate) struct FinishI8 {
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
    pub to: Out,
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
            let (scale, weight_sum) = t.factors(l, p);
            for r in 0..t.to.rows {
                t.put(l, (r, p), (scale, weight_sum), activation);
            }
        }
    }
}

impl FinishI8 {
    /// Scales of a panel's outputs, and their weights' sums.
    ///
    /// # Safety
    /// As [`finish_i8`]; the panel exists.
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
    /// As [`finish_i8`]; row and panel exist.
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
pub(crate) struct Finish {
    /// `rows` x 16 · `panels`.
    pub acc: *const f32,
    /// Of each output, or null.
    pub bias: *const f32,
    pub to: Out,
}

/// # Safety
/// The pointers of [`Finish`] cover what their comments say.
#[inline(always)]
pub(crate) unsafe fn finish<L: Lanes>(l: L, t: &Finish) {
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
