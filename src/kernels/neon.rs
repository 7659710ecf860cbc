//! NEON, which every 64-bit Arm has: sixteen lanes are four q registers. Also the int8 tile for processors without
//! dot products.

use super::lanes::{LANES, Lanes};
use super::micro::{TileF, TileI8, pick_tile};
use core::arch::aarch64::*;
use core::arch::asm;

/// Proof of NEON.
#[derive(Clone, Copy)]
pub(crate) struct Neon(());

impl Neon {
    /// # Safety
    /// The processor has neon.
    #[inline(always)]
    pub(crate) const unsafe fn new() -> Self {
        Neon(())
    }
}

#[inline(always)]
fn zip<A: Copy, B: Copy, C>(a: [A; 4], b: [B; 4], f: impl Fn(A, B) -> C) -> [C; 4] {
    core::array::from_fn(|i| f(a[i], b[i]))
}

// SAFETY of every block below: a `Neon` exists only where the processor has the instructions (`Neon::new`); reads and
// writes through pointers are the caller's promise, and need no more than the element's alignment.
impl Lanes for Neon {
    type F = [float32x4_t; 4];
    type I = [int32x4_t; 4];
    type H = [int16x8_t; 4];

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [unsafe { vdupq_n_f32(x) }; 4]
    }
    #[inline(always)]
    unsafe fn load_at(self, p: *const f32) -> Self::F {
        core::array::from_fn(|i| unsafe { vld1q_f32(p.add(4 * i)) })
    }
    #[inline(always)]
    unsafe fn store_at(self, v: Self::F, p: *mut f32) {
        for (i, v) in v.into_iter().enumerate() {
            unsafe { vst1q_f32(p.add(4 * i), v) }
        }
    }
    #[inline(always)]
    unsafe fn load_f16_at(self, p: *const half::f16) -> Self::F {
        let [a, b]: [uint16x8_t; 2] = core::array::from_fn(|i| unsafe { vld1q_u16(p.add(8 * i).cast()) });
        let (a0, a1, b0, b1);
        // As assembly because the intrinsics are younger than the oldest compiler this crate builds with.
        unsafe {
            asm!("fcvtl {0:v}.4s, {1:v}.4h", out(vreg) a0, in(vreg) a, options(pure, nomem, nostack, preserves_flags));
            asm!("fcvtl2 {0:v}.4s, {1:v}.8h", out(vreg) a1, in(vreg) a, options(pure, nomem, nostack, preserves_flags));
            asm!("fcvtl {0:v}.4s, {1:v}.4h", out(vreg) b0, in(vreg) b, options(pure, nomem, nostack, preserves_flags));
            asm!("fcvtl2 {0:v}.4s, {1:v}.8h", out(vreg) b1, in(vreg) b, options(pure, nomem, nostack, preserves_flags));
        }
        [a0, a1, b0, b1]
    }
    #[inline(always)]
    unsafe fn load_bf16_at(self, p: *const half::bf16) -> Self::F {
        core::array::from_fn(|i| unsafe {
            let wide = vmovl_u16(vld1_u16(p.add(4 * i).cast()));
            vreinterpretq_f32_u32(vshlq_n_u32::<16>(wide))
        })
    }
    #[inline(always)]
    unsafe fn store_upper_at(self, v: Self::I, p: *mut half::bf16) {
        for (i, v) in v.into_iter().enumerate() {
            unsafe { vst1_s16(p.add(4 * i).cast(), vshrn_n_s32::<16>(v)) }
        }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| unsafe { vaddq_f32(a, b) })
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| unsafe { vsubq_f32(a, b) })
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| unsafe { vmulq_f32(a, b) })
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| unsafe { vdivq_f32(a, b) })
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        core::array::from_fn(|i| unsafe { vfmaq_f32(c[i], a[i], b[i]) })
    }
    // `fmax` and `fmin` settle zeros and NaN differently.
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        self.if_greater(a, b, a, b)
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        self.if_greater(b, a, a, b)
    }
    #[inline(always)]
    fn if_greater(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F {
        core::array::from_fn(|i| unsafe { vbslq_f32(vcgtq_f32(a[i], b[i]), x[i], y[i]) })
    }
    // Conversions clamp to what fits, and NaN to 0.
    #[inline(always)]
    unsafe fn store_rounded_at(self, v: Self::F, p: *mut u8) {
        unsafe {
            let [a, b] = rounded_halves(v);
            vst1q_u8(p, vqmovun_high_s16(vqmovun_s16(a), b));
        }
    }
    #[inline(always)]
    fn sum(self, v: Self::F) -> f32 {
        unsafe { tree(v, |a, b| vaddq_f32(a, b)) }
    }
    #[inline(always)]
    fn largest(self, v: Self::F) -> f32 {
        unsafe { tree(v, |a, b| vbslq_f32(vcgtq_f32(a, b), a, b)) }
    }
    #[inline(always)]
    fn smallest(self, v: Self::F) -> f32 {
        unsafe { tree(v, |a, b| vbslq_f32(vcgtq_f32(b, a), a, b)) }
    }
    #[inline(always)]
    unsafe fn load_i32_at(self, p: *const i32) -> Self::I {
        core::array::from_fn(|i| unsafe { vld1q_s32(p.add(4 * i)) })
    }
    #[inline(always)]
    fn to_f32(self, v: Self::I) -> Self::F {
        v.map(|v| unsafe { vcvtq_f32_s32(v) })
    }
    #[inline(always)]
    fn bits(self, v: Self::F) -> Self::I {
        v.map(|v| unsafe { vreinterpretq_s32_f32(v) })
    }
    #[inline(always)]
    fn float_of_bits(self, v: Self::I) -> Self::F {
        v.map(|v| unsafe { vreinterpretq_f32_s32(v) })
    }
    #[inline(always)]
    fn add_i32(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| unsafe { vaddq_s32(a, b) })
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> Self::I {
        [unsafe { vdupq_n_s32(x) }; 4]
    }
    #[inline(always)]
    fn shl23(self, v: Self::I) -> Self::I {
        v.map(|v| unsafe { vshlq_n_s32::<23>(v) })
    }
    #[inline(always)]
    unsafe fn store_low_bytes_at(self, v: Self::I, p: *mut u8) {
        unsafe {
            let [a, b] = low_halves(v);
            vst1q_u8(p, vuzp1q_u8(a, b));
        }
    }
    #[inline(always)]
    fn pack_fours(self, [a, b, c, d]: [Self::I; 4]) -> Self::I {
        core::array::from_fn(|i| unsafe {
            let (low, high) = (vsliq_n_s32::<8>(a[i], b[i]), vsliq_n_s32::<8>(c[i], d[i]));
            vsliq_n_s32::<16>(low, high)
        })
    }
    #[inline(always)]
    unsafe fn store_i32_at(self, v: Self::I, p: *mut i32) {
        for (i, v) in v.into_iter().enumerate() {
            unsafe { vst1q_s32(p.add(4 * i), v) }
        }
    }
    #[inline(always)]
    unsafe fn load_i16_at(self, p: *const i16) -> Self::H {
        core::array::from_fn(|i| unsafe { vld1q_s16(p.add(8 * i)) })
    }
    #[inline(always)]
    fn narrow(self, a: Self::I, b: Self::I, by: u32) -> Self::H {
        let by = unsafe { vdupq_n_s32(-(by as i32)) };
        zip(a, b, |a, b| unsafe { vqmovn_high_s32(vqmovn_s32(vshlq_s32(a, by)), vshlq_s32(b, by)) })
    }
    #[inline(always)]
    fn splat_i16(self, x: i16) -> Self::H {
        [unsafe { vdupq_n_s16(x) }; 4]
    }
    #[inline(always)]
    fn add_i16(self, a: Self::H, b: Self::H) -> Self::H {
        zip(a, b, |a, b| unsafe { vaddq_s16(a, b) })
    }
    #[inline(always)]
    fn sub_i16(self, a: Self::H, b: Self::H) -> Self::H {
        zip(a, b, |a, b| unsafe { vqsubq_s16(a, b) })
    }
    #[inline(always)]
    fn max_i16(self, a: Self::H, b: Self::H) -> Self::H {
        zip(a, b, |a, b| unsafe { vmaxq_s16(a, b) })
    }
    #[inline(always)]
    fn largest_i16(self, [a, b, c, d]: Self::H) -> Self::H {
        unsafe {
            let two = vpmaxq_s16(vmaxq_s16(a, b), vmaxq_s16(c, d));
            let two = vpmaxq_s16(two, two);
            let two = vpmaxq_s16(two, two);
            [vpmaxq_s16(two, two); 4]
        }
    }
    #[inline(always)]
    fn first_i16(self, v: Self::H) -> i16 {
        unsafe { vgetq_lane_s16::<0>(v[0]) }
    }
    #[inline(always)]
    fn times_rounded(self, a: Self::H, b: Self::H) -> Self::H {
        zip(a, b, |a, b| unsafe { vqrdmulhq_s16(a, b) })
    }
    // In units of 2^-15: twice the product's upper half is what is asked for.
    #[inline(always)]
    fn fraction(self, x: Self::H, unit: u32) -> Self::H {
        let by = unsafe { vdupq_n_s16(16 - unit as i16) };
        x.map(|x| unsafe { vreinterpretq_s16_u16(vshrq_n_u16::<1>(vreinterpretq_u16_s16(vshlq_s16(x, by)))) })
    }
    #[inline(always)]
    fn times(self, fraction: Self::H, c: Self::H) -> Self::H {
        zip(fraction, c, |f, c| unsafe { vqdmulhq_s16(f, c) })
    }
    #[inline(always)]
    fn scale_by(self, v: Self::H, x: Self::H, unit: u32) -> Self::H {
        let unit = unsafe { vdupq_n_s16(-(unit as i16)) };
        zip(v, x, |v, x| unsafe {
            // The shift takes the low byte of its count.
            let n = vmaxq_s16(vshlq_s16(x, unit), vdupq_n_s16(-32));
            let by = vsubq_s16(n, vdupq_n_s16(7));
            vreinterpretq_s16_u16(vrshlq_u16(vreinterpretq_u16_s16(v), by))
        })
    }
    #[inline(always)]
    unsafe fn store_bytes_at(self, a: Self::H, b: Self::H, p: *mut u8) -> Self::I {
        core::array::from_fn(|q| unsafe {
            let bytes = vuzp1q_u8(vreinterpretq_u8_s16(a[q]), vreinterpretq_u8_s16(b[q]));
            vst1q_u8(p.add(16 * q), bytes);
            vreinterpretq_s32_u32(vpaddlq_u16(vpaddlq_u8(bytes)))
        })
    }
    #[inline(always)]
    fn largest_of_each(self, v: &[Self::F; 8]) -> [f32; 8] {
        let mut out = [0.0; 8];
        unsafe {
            for (out, v) in out.chunks_exact_mut(4).zip(v.chunks_exact(4)) {
                let mut one = [vdupq_n_f32(0.0); 4];
                for (one, [a, b, c, d]) in one.iter_mut().zip(v) {
                    *one = vmaxq_f32(vmaxq_f32(*a, *b), vmaxq_f32(*c, *d));
                }
                let [a, b, c, d] = one;
                vst1q_f32(out.as_mut_ptr(), vpmaxq_f32(vpmaxq_f32(a, b), vpmaxq_f32(c, d)));
            }
        }
        out
    }
}

/// The fixed reduction tree, in registers.
///
/// # Safety
/// The processor has neon.
#[inline(always)]
unsafe fn tree([a, b, c, d]: [float32x4_t; 4], op: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> f32 {
    let v = op(op(a, c), op(b, d));
    // SAFETY: the caller's promise.
    unsafe {
        let v = op(v, vextq_f32::<2>(v, v));
        vgetq_lane_f32::<0>(op(v, vdupq_laneq_f32::<1>(v)))
    }
}

/// The nearest i16 of sixteen f32, halves to the even.
///
/// # Safety
/// The processor has neon.
#[inline(always)]
unsafe fn rounded_halves(v: [float32x4_t; 4]) -> [int16x8_t; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let [a, b, c, d] = v.map(|v| vcvtnq_s32_f32(v));
        [vqmovn_high_s32(vqmovn_s32(a), b), vqmovn_high_s32(vqmovn_s32(c), d)]
    }
}

/// The low 16 bits of sixteen i32.
///
/// # Safety
/// The processor has neon.
#[inline(always)]
unsafe fn low_halves(v: [int32x4_t; 4]) -> [uint8x16_t; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let h = v.map(|v| vreinterpretq_u16_s32(v));
        [vreinterpretq_u8_u16(vuzp1q_u16(h[0], h[1])), vreinterpretq_u8_u16(vuzp1q_u16(h[2], h[3]))]
    }
}

/// Four weights, widened.
pub(crate) trait Widen: Copy {
    /// # Safety
    /// 4 weights can be read at `p`.
    unsafe fn four(p: *const Self) -> float32x4_t;
}

impl Widen for f32 {
    #[inline(always)]
    unsafe fn four(p: *const f32) -> float32x4_t {
        // SAFETY: the caller's promise; only the tile below calls it, which asks for neon.
        unsafe { vld1q_f32(p) }
    }
}

impl Widen for half::f16 {
    #[inline(always)]
    unsafe fn four(p: *const half::f16) -> float32x4_t {
        let wide;
        // SAFETY: as above.
        unsafe {
            let half = vld1_u16(p.cast());
            asm!("fcvtl {0:v}.4s, {1:v}.4h", out(vreg) wide, in(vreg) half, options(pure, nomem, nostack, preserves_flags));
        }
        wide
    }
}

/// Adds the products of one k: number `I` of each row's four with the 16 weights at `w`.
///
/// # Safety
/// 16 weights can be read at `w`; the processor has neon.
#[inline(always)]
unsafe fn one<W: Widen, const ROWS: usize, const I: usize>(
    acc: &mut [[float32x4_t; 4]; ROWS],
    a: &[float32x4_t; ROWS],
    w: *const W,
) {
    for j in 0..4 {
        // SAFETY: the caller's promise.
        let w = unsafe { W::four(w.add(j * 4)) };
        for (acc, &a) in acc.iter_mut().zip(a) {
            // SAFETY: registers in, registers out. Assembly without `pure` and `nomem` keeps the order as written, and
            // so all accumulators in registers.
            unsafe {
                asm!("fmla {0:v}.4s, {1:v}.4s, {2:v}.s[{3}]", inout(vreg) acc[j], in(vreg) w, in(vreg) a, const I,
                     options(nostack, preserves_flags));
            }
        }
    }
}

/// The floating-point tile: activations are loaded four at a time, and each is taken from its register by number.
///
/// # Safety
/// See [`TileF`], with `ROWS` rows and one panel; the processor has neon.
#[inline(always)]
pub(crate) unsafe fn tile_f<L: Lanes, W: Widen, const ROWS: usize, const PANELS: usize>(_: L, t: &TileF<W>) {
    const { assert!(PANELS == 1) }
    // SAFETY: all reads and writes are inside what the tile promises.
    unsafe {
        let mut acc = [[vdupq_n_f32(0.0); 4]; ROWS];
        if !t.first {
            for (r, acc) in acc.iter_mut().enumerate() {
                *acc = core::array::from_fn(|j| vld1q_f32(t.out.add(r * LANES + 4 * j)));
            }
        }
        let whole = t.k / 4 * 4;
        for k in (0..whole).step_by(4) {
            let a: [float32x4_t; ROWS] = core::array::from_fn(|r| vld1q_f32(t.a.add(r * t.pitch + k)));
            let w = t.w.add(k * LANES);
            one::<W, ROWS, 0>(&mut acc, &a, w);
            one::<W, ROWS, 1>(&mut acc, &a, w.add(LANES));
            one::<W, ROWS, 2>(&mut acc, &a, w.add(2 * LANES));
            one::<W, ROWS, 3>(&mut acc, &a, w.add(3 * LANES));
        }
        for k in whole..t.k {
            let a: [float32x4_t; ROWS] = core::array::from_fn(|r| vdupq_n_f32(*t.a.add(r * t.pitch + k)));
            one::<W, ROWS, 0>(&mut acc, &a, t.w.add(k * LANES));
        }
        for (r, acc) in acc.iter().enumerate() {
            for (j, &v) in acc.iter().enumerate() {
                vst1q_f32(t.out.add(r * LANES + 4 * j), v);
            }
        }
    }
}

/// Four activations of a row, as q − 128 in i8, repeated four times.
///
/// # Safety
/// 4 bytes can be read at `p`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn four(p: *const u8) -> int8x16_t {
    // SAFETY: the caller's promise.
    let four = unsafe { p.cast::<u32>().read_unaligned() };
    vreinterpretq_s8_u32(vdupq_n_u32(four ^ 0x8080_8080))
}

/// One vector of the weights of two groups, v`w0` and v`w1`, times two rows. Of either row, half the outputs' products of
/// the first group go to i16 lanes, the second group's are added, and the next round adds them to the accumulators, in
/// pairs: here to those of the round before. Between the steps of a product stand those of three others, and what the
/// next rounds need, so that an in-order core does not wait.
#[rustfmt::skip]
macro_rules! round {
    ([$a:literal $b:literal $c:literal $d:literal], $w0:literal, $w1:literal, $next0:literal, $next1:literal,
     $first:literal, $second:literal, $third:literal, $fourth:literal) => {
        concat!(
            "sadalp v", $a, ".4s, v16.8h\nsmull v16.8h, v20.8b, v", $w0, ".8b\n",
            "sadalp v", $b, ".4s, v17.8h\nsmull2 v17.8h, v20.16b, v", $w0, ".16b\n",
            "sadalp v", $c, ".4s, v18.8h\nsmull v18.8h, v22.8b, v", $w0, ".8b\n",
            "sadalp v", $d, ".4s, v19.8h\nsmull2 v19.8h, v22.16b, v", $w0, ".16b\n",
            "smlal v16.8h, v21.8b, v", $w1, ".8b\n", $next0, "\n", $first,
            "\nsmlal2 v17.8h, v21.16b, v", $w1, ".16b\n", $second,
            "\nsmlal v18.8h, v23.8b, v", $w1, ".8b\n", $next1, "\n", $third,
            "\nsmlal2 v19.8h, v23.16b, v", $w1, ".16b\n", $fourth, "\n",
        )
    };
}

/// Four groups at a time of two rows, `count` times, added to `acc`.
///
/// # Safety
/// 16 · `count` bytes can be read at each of the rows, 256 · `count` at `w`; the processor has neon; `count` is not 0.
#[target_feature(enable = "neon")]
unsafe fn fours(acc: &mut [[int32x4_t; 8]; 2], rows: [*const u8; 2], w: *const i8, count: usize) {
    let zero = vdupq_n_s32(0);
    let [r0, r1] = acc;
    // SAFETY: it reads what the caller promises: the step to the next groups is 0 in the last round, which so loads
    // again what is there. It writes the registers that are named.
    unsafe {
        asm!(
            "2:",
            round!([6 7 14 15], 27, 29, "ldr q28, [{w}, #16]", "ldr q30, [{w}, #80]",
                "", "subs {count}, {count}, #1", "", ""),
            round!([0 1 8 9], 28, 30, "ldr q27, [{w}, #32]", "ldr q29, [{w}, #96]",
                "", "csel {step}, {step}, xzr, ne", "", ""),
            round!([2 3 10 11], 27, 29, "ldr q28, [{w}, #48]", "ldr q30, [{w}, #112]",
                "", "add {at}, {at}, {step}", "", ""),
            round!([4 5 12 13], 28, 30, "ldr q27, [{w}, #128]", "ldr q29, [{w}, #192]",
                "dup v20.4s, v24.s[2]", "dup v21.4s, v24.s[3]", "dup v22.4s, v25.s[2]", "dup v23.4s, v25.s[3]"),
            round!([6 7 14 15], 27, 29, "ldr q28, [{w}, #144]", "ldr q30, [{w}, #208]",
                "", "ldr q24, [{a0}, {at}]", "", "ldr q25, [{a1}, {at}]"),
            round!([0 1 8 9], 28, 30, "ldr q27, [{w}, #160]", "ldr q29, [{w}, #224]",
                "", "eor v24.16b, v24.16b, v26.16b", "", "eor v25.16b, v25.16b, v26.16b"),
            round!([2 3 10 11], 27, 29, "ldr q28, [{w}, #176]", "ldr q30, [{w}, #240]",
                "", "", "", "add {w}, {w}, {step}, lsl #4"),
            round!([4 5 12 13], 28, 30, "ldr q27, [{w}]", "ldr q29, [{w}, #64]",
                "dup v20.4s, v24.s[0]", "dup v21.4s, v24.s[1]", "dup v22.4s, v25.s[0]", "dup v23.4s, v25.s[1]"),
            "b.ne 2b",
            "sadalp v6.4s, v16.8h",
            "sadalp v7.4s, v17.8h",
            "sadalp v14.4s, v18.8h",
            "sadalp v15.4s, v19.8h",
            w = inout(reg) w => _, count = inout(reg) count => _, step = inout(reg) 16usize => _,
            at = inout(reg) 0usize => _, a0 = in(reg) rows[0], a1 = in(reg) rows[1],
            inout("v0") r0[0], inout("v1") r0[1], inout("v2") r0[2], inout("v3") r0[3],
            inout("v4") r0[4], inout("v5") r0[5], inout("v6") r0[6], inout("v7") r0[7],
            inout("v8") r1[0], inout("v9") r1[1], inout("v10") r1[2], inout("v11") r1[3],
            inout("v12") r1[4], inout("v13") r1[5], inout("v14") r1[6], inout("v15") r1[7],
            inout("v16") zero => _, inout("v17") zero => _, inout("v18") zero => _, inout("v19") zero => _,
            inout("v20") four(rows[0]) => _, inout("v21") four(rows[0].add(4)) => _,
            inout("v22") four(rows[1]) => _, inout("v23") four(rows[1].add(4)) => _,
            inout("v24") veorq_u8(vld1q_u8(rows[0]), vdupq_n_u8(0x80)) => _,
            inout("v25") veorq_u8(vld1q_u8(rows[1]), vdupq_n_u8(0x80)) => _,
            in("v26") vdupq_n_u8(0x80),
            inout("v27") vld1q_s8(w) => _, out("v28") _,
            inout("v29") vld1q_s8(w.add(64)) => _, out("v30") _,
            options(nostack, readonly),
        );
    }
}

/// Products in i16, two to a lane (2 · 128 · 127 < 2¹⁵, weights being at least −127), then pairs of lanes into i32.
///
/// # Safety
/// See [`TileI8`]; the processor has neon.
#[target_feature(enable = "neon")]
unsafe fn widen<const ROWS: usize, const PANELS: usize>(t: &TileI8) {
    const { assert!(PANELS == 1 && ROWS <= 2) }
    // Each output is two lanes: the first and the second half of its groups of four.
    let mut acc = [[vdupq_n_s32(0); 8]; 2];
    // A missing row is the first again.
    // SAFETY: rows below ROWS are inside what the tile promises.
    let rows = [0, ROWS - 1].map(|r| unsafe { t.a.add(r * t.pitch) });
    let whole = t.groups / 4;
    if whole > 0 {
        // SAFETY: the tile's promise: 4 · groups bytes of each row, 64 · groups of the panel.
        unsafe { fours(&mut acc, rows, t.w, whole) }
    }
    for g in whole * 4..t.groups {
        for (acc, row) in acc.iter_mut().zip(rows) {
            // SAFETY: the tile's promise: 4 bytes of each row, 64 of the panel.
            unsafe {
                let a = four(row.add(g * 4));
                for j in 0..4 {
                    let w = vld1q_s8(t.w.add(g * 64 + j * 16));
                    acc[2 * j] = vpadalq_s16(acc[2 * j], vmull_s8(vget_low_s8(a), vget_low_s8(w)));
                    acc[2 * j + 1] = vpadalq_s16(acc[2 * j + 1], vmull_high_s8(a, w));
                }
            }
        }
    }
    for (r, acc) in acc[..ROWS].iter().enumerate() {
        for j in 0..4 {
            // SAFETY: the tile's promise: 16 outputs a row.
            unsafe { vst1q_s32(t.out.add(r * LANES + 4 * j), vpaddq_s32(acc[2 * j], acc[2 * j + 1])) }
        }
    }
}

/// # Safety
/// See [`TileI8`]; the processor has neon; at most 2 rows and 1 panel.
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    // SAFETY: passed on.
    unsafe { pick_tile!(rows, panels, 1 2, [1], widen[](t)) }
}
