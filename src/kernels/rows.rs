//! Everything that is done to a row of numbers, over the lanes: normalise, quantise, interpolate, pool, softmax, argmax.
//!
//! Rows are padded to whole vectors ([`padded`](crate::format::padded)); the padding is zero and stays zero. `n` counts
//! the real numbers of a row.

pub(crate) use super::attention::softmax::{blend, block_factors, block_weights};
use super::interpolate::{Position, position};
use super::lanes::{LANES, Lanes};
use super::math::{exp, gelu, sqrt};
use super::micro::Widen;
pub(crate) use super::nibbles::unpack;
pub(crate) use super::transform::{gather, winograd_input};
use half::bf16;

/// What follows a linear layer, fused into its last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    None,
    Gelu,
    Relu,
}

#[inline(always)]
fn vectors(x: &[f32]) -> impl Iterator<Item = &[f32; LANES]> {
    x.as_chunks().0.iter()
}

#[inline(always)]
fn vectors_mut(x: &mut [f32]) -> impl Iterator<Item = &mut [f32; LANES]> {
    x.as_chunks_mut().0.iter_mut()
}

/// (x − mean) / √(variance + eps); gain and bias are in the layer that follows. `x` and `out` are padded rows.
#[inline(always)]
pub(crate) fn layer_norm<L: Lanes>(l: L, x: &[f32], n: usize, eps: f32, out: &mut [f32]) {
    let mut sum = l.splat(0.0);
    for v in vectors(x) {
        sum = l.add(sum, l.load(v));
    }
    let mean = l.splat(l.sum(sum) / n as f32);
    let (whole, part) = x[..n].as_chunks::<LANES>();
    let mut squares = l.splat(0.0);
    for v in whole {
        let d = l.sub(l.load(v), mean);
        squares = l.fma(d, d, squares);
    }
    if !part.is_empty() {
        let mut m = [0.0; LANES];
        l.store(mean, &mut m);
        let d = l.sub(l.load_part(part, m[0]), mean);
        squares = l.fma(d, d, squares);
    }
    let scale = l.splat(1.0 / sqrt(l.sum(squares) / n as f32 + eps));
    for (v, o) in vectors(x).zip(vectors_mut(out)) {
        l.store(l.mul(l.sub(l.load(v), mean), scale), o);
    }
    out[n..].fill(0.0);
}

/// Smallest and largest of the first `n`.
#[inline(always)]
fn range<L: Lanes>(l: L, x: &[f32], n: usize) -> (f32, f32) {
    let (whole, part) = x[..n].as_chunks::<LANES>();
    let first = l.splat(x[0]);
    let (mut low, mut high) = (first, first);
    for v in whole {
        let v = l.load(v);
        low = l.min(v, low);
        high = l.max(v, high);
    }
    if !part.is_empty() {
        let v = l.load_part(part, x[0]);
        low = l.min(v, low);
        high = l.max(v, high);
    }
    (l.smallest(low), l.largest(high))
}

/// A row to bytes: x ≈ scale · (q − 128) + offset with q in 0 ..= 255 over the row's own range. Returns (scale, offset).
#[inline(always)]
pub(crate) fn quantise<L: Lanes>(l: L, x: &[f32], n: usize, out: &mut [u8]) -> [f32; 2] {
    let (low, high) = range(l, x, n);
    let scale = (high - low) / 255.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let (inverse, low_v) = (l.splat(inverse), l.splat(low));
    for (v, o) in vectors(x).zip(out.as_chunks_mut::<LANES>().0) {
        // SAFETY: `o` is 16 bytes.
        unsafe { l.store_rounded_at(l.mul(l.sub(l.load(v), low_v), inverse), o.as_mut_ptr()) };
    }
    [scale, low + 128.0 * scale]
}

/// A row to int8, symmetric: x ≈ scale · q with q in −127 ..= 127. Returns the scale.
#[inline(always)]
pub(crate) fn quantise_signed<L: Lanes>(l: L, x: &[f32], n: usize, out: &mut [i8]) -> f32 {
    let (low, high) = range(l, x, n);
    let scale = if -low > high { -low } else { high } / 127.0;
    let inverse = l.splat(if scale > 0.0 { 1.0 / scale } else { 0.0 });
    for (v, o) in vectors(x).zip(out.as_chunks_mut::<LANES>().0) {
        // SAFETY: `o` is 16 bytes.
        unsafe { l.store_rounded_signed_at(l.mul(l.load(v), inverse), o.as_mut_ptr()) };
    }
    scale
}

/// A row to int8 with a centre and a factor for each number: q = round((x − centre) · factor), clamped to −127 ..= 127.
#[inline(always)]
pub(crate) fn quantise_by<L: Lanes>(l: L, x: &[f32], centre: &[f32], factor: &[f32], out: &mut [i8]) {
    let by = vectors(centre).zip(vectors(factor));
    for ((v, (c, f)), o) in vectors(x).zip(by).zip(out.as_chunks_mut::<LANES>().0) {
        // SAFETY: `o` is 16 bytes.
        unsafe { l.store_rounded_signed_at(l.mul(l.sub(l.load(v), l.load(c)), l.load(f)), o.as_mut_ptr()) };
    }
}

/// low = min(low, x), high = max(high, x)
#[inline(always)]
pub(crate) fn spread<L: Lanes>(l: L, x: &[f32], low: &mut [f32], high: &mut [f32]) {
    for ((v, low), high) in vectors(x).zip(vectors_mut(low)).zip(vectors_mut(high)) {
        let v = l.load(v);
        l.store(l.min(v, l.load(low)), low);
        l.store(l.max(v, l.load(high)), high);
    }
}

/// out = a + (b − a) · w
#[inline(always)]
pub(crate) fn lerp<L: Lanes>(l: L, a: &[f32], b: &[f32], w: f32, out: &mut [f32]) {
    let w = l.splat(w);
    for ((a, b), o) in vectors(a).zip(vectors(b)).zip(vectors_mut(out)) {
        let a = l.load(a);
        l.store(l.fma(l.sub(l.load(b), a), w, a), o);
    }
}

/// out += a · w
#[inline(always)]
pub(crate) fn add_scaled<L: Lanes>(l: L, a: &[f32], w: f32, out: &mut [f32]) {
    let w = l.splat(w);
    for (a, o) in vectors(a).zip(vectors_mut(out)) {
        l.store(l.fma(l.load(a), w, l.load(o)), o);
    }
}

/// out = x · w · scale + offset, as many as `out` has.
#[inline(always)]
pub(crate) fn scale_and_add<L: Lanes>(
    l: L,
    x: &[f32],
    w: f32,
    scale: &[f32],
    offset: &[f32],
    out: &mut [f32],
) {
    let whole = out.len() / LANES * LANES;
    let by = vectors(scale).zip(vectors(offset));
    for ((x, (scale, offset)), o) in vectors(x).zip(by).zip(vectors_mut(&mut out[..whole])) {
        l.store(l.fma(l.mul(l.load(x), l.splat(w)), l.load(scale), l.load(offset)), o);
    }
    let part = whole..out.len();
    if !part.is_empty() {
        let x = l.mul(l.load_part(&x[part.clone()], 0.0), l.splat(w));
        let mut v = [0.0; LANES];
        let (scale, offset) =
            (l.load_part(&scale[part.clone()], 0.0), l.load_part(&offset[part.clone()], 0.0));
        l.store(l.fma(x, scale, offset), &mut v);
        out[part.clone()].copy_from_slice(&v[..part.len()]);
    }
}

/// Two runs of numbers and how much of the second is taken.
pub(crate) struct Lerp<'a, T> {
    pub low: &'a [T],
    pub high: &'a [T],
    pub weight: f32,
}

/// out = Σ low + (high − low) · weight
#[inline(always)]
pub(crate) fn sum_lerps<L: Lanes>(l: L, runs: &[Lerp<f32>], out: &mut [f32]) {
    lerps(l, runs, out);
}

/// The same of bfloat16.
#[inline(always)]
pub(crate) fn sum_lerps_bf16<L: Lanes>(l: L, runs: &[Lerp<bf16>], out: &mut [f32]) {
    lerps(l, runs, out);
}

#[inline(always)]
fn lerps<L: Lanes, T: Widen>(l: L, runs: &[Lerp<T>], out: &mut [f32]) {
    let len = out.len();
    assert!(runs.iter().all(|run| run.low.len() == len && run.high.len() == len), "runs are of one length");
    for (i, o) in vectors_mut(out).enumerate() {
        let mut sum = l.splat(0.0);
        for run in runs {
            // SAFETY: vector i exists in `out`, so in the runs, as asserted.
            let (a, b) = unsafe {
                let at = i * LANES;
                (T::load(l, run.low.as_ptr().add(at)), T::load(l, run.high.as_ptr().add(at)))
            };
            sum = l.add(sum, l.fma(l.sub(b, a), l.splat(run.weight), a));
        }
        l.store(sum, o);
    }
}

/// A line of `small` pixels that is interpolated to a longer one: for one tap, read where it lies, or for three, read one pixel to
/// the left, at it, and one to the right.
#[derive(Clone, Copy)]
pub(crate) struct Along<'a> {
    /// A panel's numbers lie `panel` from the next one's, a pixel's `pixel`, a tap's 16.
    pub columns: &'a [f32],
    pub panel: usize,
    pub pixel: usize,
    pub taps: usize,
    pub small: usize,
}

/// Pixels from the one that [`add_along`] writes to the one that it has fetched.
const AHEAD: usize = 8;
/// The most lines that [`add_along`] takes.
pub(crate) const MAX_ALONG: usize = 3;

/// Adds lines, at most [`MAX_ALONG`], to `panels` panels of `large` pixels, `pitch` numbers apart. With a bias (of each output, or
/// empty) that is added too, and a ReLU follows.
///
/// # Safety
/// (large − 1) · pitch + 16 · panels numbers from `out` can be written.
#[inline(always)]
pub(crate) unsafe fn add_along<L: Lanes>(
    l: L,
    lines: &[Along],
    bias: &[f32],
    large: usize,
    panels: usize,
    out: *mut f32,
    pitch: usize,
) {
    for t in lines {
        let needed = (panels - 1) * t.panel + (t.small - 1) * t.pixel + t.taps * LANES;
        assert!(t.columns.len() >= needed && (t.taps == 1 || t.taps == 3), "the columns must be there");
    }
    assert!(bias.is_empty() || bias.len() >= panels * LANES, "a bias is one of each output");
    // Of each line, the positions around a pixel: those that its taps read are the last. Each is made once.
    let mut windows = [[Position { low: 0, high: 0, weight: 0.0 }; 3]; MAX_ALONG];
    for (window, t) in windows.iter_mut().zip(lines) {
        window[2] = position(0, t.small, large);
    }
    for x in 0..large {
        // Where each tap of each line reads, and how far its panels are apart.
        let mut reads = [(core::ptr::null::<f32>(), core::ptr::null::<f32>(), 0.0, 0); 3 * MAX_ALONG];
        let mut count = 0;
        for (window, t) in windows.iter_mut().zip(lines) {
            let side = t.taps / 2;
            *window = [window[1], window[2], position((x + side).min(large - 1), t.small, large)];
            for tap in 0..t.taps {
                if x + tap < side || x + tap >= large + side {
                    continue;
                }
                let p = window[3 - t.taps + tap];
                let at = |small: usize| t.columns[small * t.pixel + tap * LANES..].as_ptr();
                reads[count] = (at(p.low), at(p.high), p.weight, t.panel);
                count += 1;
            }
        }
        for p in 0..panels {
            // Pixels lie too far apart for the processor to foresee the next.
            l.fetch(out.wrapping_add((x + AHEAD) * pitch + p * LANES));
            // SAFETY: the columns hold every panel, as asserted, `out` the pixel's, as promised.
            unsafe {
                let at = out.add(x * pitch + p * LANES);
                let mut v = l.load_at(at);
                for &(low, high, weight, panel) in &reads[..count] {
                    let a = l.load_at(low.add(p * panel));
                    let b = l.load_at(high.add(p * panel));
                    v = l.add(v, l.fma(l.sub(b, a), l.splat(weight), a));
                }
                if !bias.is_empty() {
                    v = l.max(l.add(v, l.load_at(bias.as_ptr().add(p * LANES))), l.splat(0.0));
                }
                l.store_at(v, at);
            }
        }
    }
}

/// out = max(out, a)
#[inline(always)]
pub(crate) fn max_into<L: Lanes>(l: L, a: &[f32], out: &mut [f32]) {
    for (a, o) in vectors(a).zip(vectors_mut(out)) {
        l.store(l.max(l.load(a), l.load(o)), o);
    }
}

/// out = max(out + bias, 0)
#[inline(always)]
pub(crate) fn bias_relu<L: Lanes>(l: L, bias: &[f32], out: &mut [f32]) {
    for (b, o) in vectors(bias).zip(vectors_mut(out)) {
        l.store(l.max(l.add(l.load(o), l.load(b)), l.splat(0.0)), o);
    }
}

/// Softmax without the division: x becomes e^(x − max), the sum is returned. The first `n` count, the rest become 0.
#[inline(always)]
pub(crate) fn softmax<L: Lanes>(l: L, x: &mut [f32], n: usize) -> f32 {
    x[n..].fill(f32::NEG_INFINITY);
    let (_, high) = range(l, x, n);
    let (high, mut sum) = (l.splat(high), l.splat(0.0));
    for v in vectors_mut(x) {
        l.store(exp(l, l.sub(l.load(v), high)), v);
    }
    x[n..].fill(0.0);
    for v in vectors(x) {
        sum = l.add(sum, l.load(v));
    }
    l.sum(sum)
}

/// The index of the largest of a + (b − a) · w over the first `n`, the lowest where several are.
#[inline(always)]
pub(crate) fn argmax_lerp<L: Lanes>(l: L, a: &[f32], b: &[f32], w: f32, n: usize) -> u16 {
    let w = l.splat(w);
    let lane: [f32; LANES] = core::array::from_fn(|i| i as f32);
    let mut index = l.load(&lane);
    let (mut best, mut at) = (l.splat(f32::NEG_INFINITY), l.splat(0.0));
    let (a_whole, a_part) = a[..n].as_chunks::<LANES>();
    let (b_whole, b_part) = b[..n].as_chunks::<LANES>();
    for (a, b) in a_whole.iter().zip(b_whole) {
        let a = l.load(a);
        let v = l.fma(l.sub(l.load(b), a), w, a);
        at = l.if_greater(v, best, index, at);
        best = l.max(v, best);
        index = l.add(index, l.splat(LANES as f32));
    }
    if !a_part.is_empty() {
        // Both ends finite in the absent lanes (−∞ − −∞ would be NaN), and never the largest.
        let a = l.load_part(a_part, f32::MIN);
        let v = l.fma(l.sub(l.load_part(b_part, f32::MIN), a), w, a);
        at = l.if_greater(v, best, index, at);
        best = l.max(v, best);
    }
    let most = l.splat(l.largest(best));
    l.smallest(l.if_greater(most, best, l.splat(f32::INFINITY), at)) as u16
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

/// The nearest bfloat16 of every number.
#[inline(always)]
pub(crate) fn to_bf16<L: Lanes>(l: L, x: &[f32], out: &mut [bf16]) {
    for (v, o) in vectors(x).zip(out.as_chunks_mut::<LANES>().0) {
        // SAFETY: `o` is 16 numbers.
        unsafe { store_bf16(l, l.load(v), o.as_mut_ptr()) };
    }
}

/// # Safety
/// 16 numbers can be written at `out`.
#[inline(always)]
unsafe fn store_bf16<L: Lanes>(l: L, v: L::F, out: *mut bf16) {
    // SAFETY: the caller's promise.
    unsafe { l.store_upper_at(l.add_i32(l.bits(v), l.splat_i32(0x8000)), out) };
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
