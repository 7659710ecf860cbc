//! Verification of the contents of a file, which opening it does not read.
//!
//! Besides checksums it checks what the kernels rely on: the sums of integer weights, zero padding, and the range of all
//! values. Kernels of different instruction sets use them differently, so that a file in which they are wrong could give
//! different results on different CPUs.

use super::crc::crc32;
use super::format::{GROUP, Header, LANES, Role, TensorKind};
use super::linear::{Linear, Panels};
use super::weight_file::WeightFile;
use crate::error::Error;

/// Reads the whole file: compares the checksum of every tensor, and checks that the gaps between tensors are zero, that padding
/// and sums of the weights are what the format requires, and that all values are finite.
///
/// # Errors
/// [`Error::Checksum`] for a damaged tensor; a gap counts as part of the tensor after it. [`Error::Tensor`] for contents that the
/// format does not allow.
pub(super) fn verify(file: &WeightFile) -> Result<(), Error> {
    let mut end = size_of::<Header>() + size_of_val(file.table());
    for e in file.table() {
        let role = Role::from_code(e.role).map_or("unknown", Role::name);
        let layer = e.layer;
        let damaged = Error::Checksum { what: role, layer };
        let gap = file.bytes().get(end..e.offset as usize).ok_or(damaged)?;
        if gap.iter().any(|&b| b != 0) || crc32(file.bytes_of(e)) != e.crc {
            return Err(damaged);
        }
        let wrong = |(field, found, expected)| Error::Tensor { role, layer, field, found, expected };
        if let Some(linear) = Linear::new(file, e) {
            check_linear(&linear).map_err(wrong)?;
            check_finite(linear.biases()).map_err(wrong)?;
        } else if e.kind == TensorKind::Plain as u8
            && let Ok(values) = bytemuck::try_cast_slice(file.bytes_of(e))
        {
            check_finite(values).map_err(wrong)?;
        }
        end = (e.offset + e.bytes) as usize;
    }
    Ok(())
}

/// A value that differs from what the format requires: the field, the value found and the value expected.
type Fault = (&'static str, u64, u64);

/// Checks a linear tensor.
///
/// # Errors
/// The first value that is wrong.
// Rare, so small code matters more than speed.
#[inline(never)]
fn check_linear(t: &Linear) -> Result<(), Fault> {
    match t.panels {
        Panels::F32(w) => {
            check_finite(w)?;
            check_padding(t, bytemuck::cast_slice(w), 4, t.k)
        }
        Panels::F16(w) => {
            if let Some(w) = w.iter().find(|w| !w.is_finite()) {
                return Err(("bits of an f16 weight", w.to_bits().into(), 0));
            }
            check_padding(t, bytemuck::cast_slice(w), 2, t.k)
        }
        Panels::Int8 { weights, scale, sum } => {
            check_finite(scale)?;
            check_padding(t, bytemuck::cast_slice(scale), 4, 1)?;
            let groups = weights.as_chunks::<64>().0;
            check_sums(t, sum, t.k.div_ceil(4), &|panel, group| groups[panel * t.k.div_ceil(4) + group])
        }
        Panels::Int4 { weights, scale, sum, multipliers } => {
            check_finite(scale)?;
            check_padding(t, bytemuck::cast_slice(scale), 4, 1)?;
            if let Some(m) = multipliers.iter().find(|m| m.unsigned_abs() > 15) {
                return Err(("magnitude of a multiplier", m.unsigned_abs().into(), 15));
            }
            let groups = weights.as_chunks::<64>().0;
            check_sums(t, sum, 2 * t.k.div_ceil(8), &|panel, group| {
                let multipliers = &multipliers[(panel * t.k.div_ceil(GROUP) + 4 * group / GROUP) * LANES..];
                let packed = &groups[panel * t.k.div_ceil(8) + group / 2];
                core::array::from_fn(|i| {
                    let u = if group % 2 == 0 { packed[i] & 15 } else { packed[i] >> 4 };
                    (u as i8 - 8) * multipliers[i / 4]
                })
            })
        }
    }
}

/// Checks that all values are finite: not every CPU gives the same bits for NaN.
#[inline(never)]
fn check_finite(values: &[f32]) -> Result<(), Fault> {
    match values.iter().find(|x| !x.is_finite()) {
        Some(x) => Err(("bits of an f32 value", x.to_bits().into(), 0)),
        None => Ok(()),
    }
}

/// Checks that the values of outputs beyond `n` are zero, in an array `[matrices][panels][depth][16]` of values of `size` bytes.
#[inline(never)]
fn check_padding(t: &Linear, bytes: &[u8], size: usize, depth: usize) -> Result<(), Fault> {
    let used = t.n % LANES * size;
    for (row, values) in bytes.chunks_exact(LANES * size).enumerate() {
        let is_last_panel = (row / depth + 1).is_multiple_of(t.panel_count());
        if used > 0
            && is_last_panel
            && let Some(b) = values[used..].iter().find(|b| **b != 0)
        {
            return Err(("padding", (*b).into(), 0));
        }
    }
    Ok(())
}

/// Checks the sums of integer weights, their range, and that inputs beyond `k` and outputs beyond `n` are zero.
/// `group(panel, g)` gives the weights `[16][4]` of a panel's outputs for the inputs 4·g to 4·g + 3.
#[inline(never)]
fn check_sums(
    t: &Linear,
    sums: &[i32],
    groups: usize,
    group: &dyn Fn(usize, usize) -> [i8; 64],
) -> Result<(), Fault> {
    for (panel, sums) in sums.chunks_exact(LANES).enumerate() {
        let outputs = t.n - panel % t.panel_count() * LANES;
        let mut expected = [0i32; LANES];
        for g in 0..groups {
            let weights = group(panel, g);
            let is_beyond = |i: usize| i / 4 >= outputs || 4 * g + i % 4 >= t.k;
            // If any weight is beyond, the last one is.
            if is_beyond(weights.len() - 1)
                && let Some((_, w)) = weights.iter().enumerate().find(|(i, w)| **w != 0 && is_beyond(*i))
            {
                return Err(("padding", w.unsigned_abs().into(), 0));
            }
            if weights.contains(&-128) {
                return Err(("magnitude of a weight", 128, 127));
            }
            // Without branches, so that the compiler uses vectors.
            for (sum, weights) in expected.iter_mut().zip(weights.as_chunks::<4>().0) {
                *sum += weights.iter().map(|&w| i32::from(w)).sum::<i32>();
            }
        }
        if let Some(o) = (0..LANES).find(|&o| sums[o] != expected[o]) {
            return Err(("sum of weights, as u32", (sums[o] as u32).into(), (expected[o] as u32).into()));
        }
    }
    Ok(())
}
