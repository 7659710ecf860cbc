//! Weights of four bits back to the bytes that the int8 tiles read.

use crate::file::format::GROUP;
use crate::simd::dispatch::dispatch;
use crate::simd::lanes::{LANES, Lanes};

dispatch! {
    fn unpack(packed: &[u8], multipliers: &[i8], out: &mut [i8]);
}

/// Bytes of a line: sixteen outputs by four inputs.
const LINE: usize = 4 * LANES;

/// One panel of q + 8, two lines in one (low nibbles first), to q times its group's multiplier of the same output. Arithmetic is
/// modulo 256, so it is the same everywhere whatever the file says. Plain integers: compiled for an instruction set, they
/// become its vectors.
#[inline(always)]
fn unpack<L: Lanes>(_: L, packed: &[u8], multipliers: &[i8], out: &mut [i8]) {
    let out: &mut [u8] = bytemuck::cast_slice_mut(out);
    let groups = out.chunks_mut(LINE * GROUP / 4).zip(packed.chunks(LINE * GROUP / 8));
    for ((out, packed), multipliers) in groups.zip(multipliers.as_chunks::<LANES>().0) {
        let m = multipliers.map(|m| u32::from(m as u8));
        let minus_eight = multipliers.map(|m| u32::from(m.wrapping_mul(-8) as u8) * 0x0001_0001);
        for (out, packed) in out.chunks_mut(2 * LINE).zip(packed.chunks(LINE)) {
            let (low, high) = out.split_at_mut(LINE);
            line(low, packed, 0, &m, &minus_eight);
            line(high, packed, 4, &m, &minus_eight);
        }
    }
}

/// The low or high nibbles of a line. Over slices: of a known number of words the compiler makes sixteen scalars.
#[inline(always)]
fn line(out: &mut [u8], packed: &[u8], shift: u32, m: &[u32], c: &[u32]) {
    let words = out.as_chunks_mut::<4>().0.iter_mut().zip(packed.as_chunks::<4>().0);
    for ((o, x), (m, c)) in words.zip(m.iter().zip(c)) {
        *o = times(u32::from_le_bytes(*x) >> shift, *m, *c).to_le_bytes();
    }
}

/// (The low four bits of each byte) · m + c, modulo 256: two bytes at a time, each in sixteen bits, which hold 15 · 255 + 255.
#[inline(always)]
fn times(x: u32, m: u32, c: u32) -> u32 {
    let even = ((x & 0x000F_000F) * m + c) & 0x00FF_00FF;
    let odd = ((x >> 8 & 0x000F_000F) * m + c) & 0x00FF_00FF;
    even | odd << 8
}
