//! From the coefficients of a block to its samples: the arithmetic of libjpeg's `jidctint.c` ("islow", the algorithm of
//! Loeffler, Ligtenberg and Moschytz 1989 with 11 multiplications), which its SIMD code reproduces.

use std::num::Wrapping;

/// Coefficients of a block, row by row, before or after multiplication by the quantisation table.
pub type Block = [i16; 64];

type Int = Wrapping<i32>;
/// One of the eight inputs or outputs of the transform, for eight rows or columns at once.
type Lane = [Int; 8];

/// Fractional bits of the constants.
const CONST_BITS: usize = 13;
/// Fractional bits between the two passes.
const PASS1_BITS: usize = 2;

/// Writes the 8x8 samples of a block; rows of `output` are `stride` bytes apart.
///
/// Damaged files may have coefficients of any size: products wrap, as in libjpeg's SIMD code.
pub fn idct(block: &Block, quantisation: &[u16; 64], output: &mut [u8], stride: usize) {
    if block[1..].iter().all(|c| *c == 0) {
        let dc = i32::from(block[0].wrapping_mul(quantisation[0] as i16));
        let sample = level((dc + 4) >> 3);
        output.chunks_mut(stride).take(8).for_each(|row| row[..8].fill(sample));
        return;
    }
    let mut rows = [[Wrapping(0); 8]; 8];
    for (i, (c, q)) in block.iter().zip(quantisation).enumerate() {
        rows[i / 8][i % 8] = Wrapping(i32::from(c.wrapping_mul(*q as i16)));
    }
    let columns = transpose(&pass(&rows, CONST_BITS - PASS1_BITS));
    let rows = transpose(&pass(&columns, CONST_BITS + PASS1_BITS + 3));
    for (row, samples) in output.chunks_mut(stride).zip(&rows) {
        for (to, from) in row.iter_mut().zip(samples) {
            *to = level(from.0);
        }
    }
}

/// Shifts a value from around 0 to around 128.
fn level(value: i32) -> u8 {
    (value + 128).clamp(0, 255) as u8
}

fn transpose(rows: &[Lane; 8]) -> [Lane; 8] {
    std::array::from_fn(|i| std::array::from_fn(|k| rows[k][i]))
}

/// A one-dimensional transform of each of eight columns, rounded to `shift` fewer bits.
fn pass(rows: &[Lane; 8], shift: usize) -> [Lane; 8] {
    let mut output = [[Wrapping(0); 8]; 8];
    for lane in 0..8 {
        let column = transform(std::array::from_fn(|i| rows[i][lane]));
        for (row, value) in output.iter_mut().zip(column) {
            row[lane] = (value + Wrapping(1 << (shift - 1))) >> shift;
        }
    }
    output
}

/// The transform of eight values; the result has [`CONST_BITS`] more fractional bits.
#[inline(always)]
fn transform(x: Lane) -> Lane {
    let times = |value: Int, constant: i32| value * Wrapping(constant);
    // Even part.
    let z1 = times(x[2] + x[6], 4433);
    let (low, high) = (z1 + times(x[6], -15137), z1 + times(x[2], 6270));
    let (sum, difference) = ((x[0] + x[4]) << CONST_BITS, (x[0] - x[4]) << CONST_BITS);
    let even = [sum + high, difference + low, difference - low, sum - high];
    // Odd part.
    let z5 = times(x[7] + x[3] + x[5] + x[1], 9633);
    let z1 = times(x[7] + x[1], -7373);
    let z2 = times(x[5] + x[3], -20995);
    let z3 = times(x[7] + x[3], -16069) + z5;
    let z4 = times(x[5] + x[1], -3196) + z5;
    let odd = [
        times(x[1], 12299) + z1 + z4,
        times(x[3], 25172) + z2 + z3,
        times(x[5], 16819) + z2 + z4,
        times(x[7], 2446) + z1 + z3,
    ];
    std::array::from_fn(|i| if i < 4 { even[i] + odd[i] } else { even[7 - i] - odd[7 - i] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_transform_in_floating_point() {
        let mut state = 7u32;
        for _ in 0..200 {
            let block: Block = std::array::from_fn(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 20) as i16 % 600 / (1 + i as i16)
            });
            let mut samples = [0; 64];
            idct(&block, &[1; 64], &mut samples, 8);
            for (i, sample) in samples.iter().enumerate() {
                let want = (exact(&block, i % 8, i / 8) + 128.0).clamp(0.0, 255.0);
                assert!((f64::from(*sample) - want).abs() < 0.6, "{sample} {want}");
            }
        }
    }

    /// The sample in column `x` and row `y` by the definition of the transform.
    fn exact(block: &Block, x: usize, y: usize) -> f64 {
        let basis = |at: usize, frequency: usize| {
            let norm = if frequency == 0 { 0.125f64.sqrt() } else { 0.5 };
            norm * (std::f64::consts::PI * (2 * at + 1) as f64 * frequency as f64 / 16.0).cos()
        };
        block.iter().enumerate().map(|(i, c)| f64::from(*c) * basis(x, i % 8) * basis(y, i / 8)).sum()
    }

    #[test]
    fn any_coefficients_are_safe() {
        let mut samples = [0; 64];
        for value in [i16::MIN, i16::MAX] {
            idct(&[value; 64], &[u16::MAX; 64], &mut samples, 8);
            idct(&std::array::from_fn(|i| if i == 0 { value } else { 0 }), &[0x7fff; 64], &mut samples, 8);
        }
    }
}
