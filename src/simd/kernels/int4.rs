//! Unpacks 4-bit weights to the int8 panels that the micro-kernels read.
//!
//! A weight is q · m: a q in −8 ..= 7 for each weight, and a multiplier m for each [`GROUP`] inputs of an output. A packed
//! panel holds q + 8 as nibbles: each 64 bytes are two consecutive groups of a panel (16 outputs by 4 inputs), one in the
//! low nibbles, the next in the high nibbles. The arithmetic is modulo 256, so the output is defined whatever the file
//! contains.
//!
//! The code is plain integer arithmetic, two bytes at a time in the halves of a u32; the compiler vectorises it for each
//! instruction set.

use crate::file::format::GROUP;
use crate::simd::dispatch::dispatch;
use crate::simd::lanes::{LANES, Lanes};

dispatch! {
    fn unpack(packed: &[u8], multipliers: &[i8], out: &mut [i8]);
}

/// Bytes of 16 outputs by 4 inputs, unpacked.
const PANEL_GROUP: usize = 4 * LANES;

/// Unpacks one panel. `packed` is `[K / 8][16 outputs][4 inputs]` bytes, `multipliers` `[K / GROUP][16 outputs]`, and `out`
/// `[K / 4][16 outputs][4 inputs]`, each with K rounded up.
#[inline(always)]
fn unpack<L: Lanes>(_: L, packed: &[u8], multipliers: &[i8], out: &mut [i8]) {
    let out: &mut [u8] = bytemuck::cast_slice_mut(out);
    let groups = out.chunks_mut(PANEL_GROUP * GROUP / 4).zip(packed.chunks(PANEL_GROUP * GROUP / 8));
    for ((out, packed), multipliers) in groups.zip(multipliers.as_chunks::<LANES>().0) {
        let m = multipliers.map(|m| u32::from(m as u8));
        // −8 · m in each half: turns (q + 8) · m into q · m.
        let minus_eight = multipliers.map(|m| u32::from(m.wrapping_mul(-8) as u8) * 0x0001_0001);
        for (out, packed) in out.chunks_mut(2 * PANEL_GROUP).zip(packed.chunks(PANEL_GROUP)) {
            let (low, high) = out.split_at_mut(PANEL_GROUP);
            unpack_nibbles(low, packed, 0, &m, &minus_eight);
            unpack_nibbles(high, packed, 4, &m, &minus_eight);
        }
    }
}

/// Unpacks the low nibbles (`shift` 0) or the high nibbles (`shift` 4) of 64 bytes. The operands are slices on purpose: from
/// arrays, whose length is known, the compiler makes scalar code.
#[inline(always)]
fn unpack_nibbles(out: &mut [u8], packed: &[u8], shift: u32, m: &[u32], c: &[u32]) {
    let words = out.as_chunks_mut::<4>().0.iter_mut().zip(packed.as_chunks::<4>().0);
    for ((o, x), (m, c)) in words.zip(m.iter().zip(c)) {
        *o = mul_add_nibbles(u32::from_le_bytes(*x) >> shift, *m, *c).to_le_bytes();
    }
}

/// (x & 15) · m + c of each byte of x, modulo 256. Bytes at even and at odd places are computed apart, each in 16 bits, which
/// hold the largest value, 15 · 255 + 255.
#[inline(always)]
fn mul_add_nibbles(x: u32, m: u32, c: u32) -> u32 {
    let even = ((x & 0x000F_000F) * m + c) & 0x00FF_00FF;
    let odd = ((x >> 8 & 0x000F_000F) * m + c) & 0x00FF_00FF;
    even | odd << 8
}
