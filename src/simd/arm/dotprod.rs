//! The int8 micro-kernel for Armv8.2 dot products: 6 rows, any number of panels, one after the other.
//!
//! `sdot v.4s, v.16b, v.4b[i]` multiplies a vector of weights, 4 outputs by 4 inputs, by the four activations in quarter i of a
//! register. A row's 16 outputs are four accumulators. The main loop processes eight groups per iteration, as two halves of
//! four. Each half is one 16-byte load per row, whose quarters are the groups, and 256 bytes of weights. An odd number of halves
//! starts in the middle of the loop.
//!
//! Registers of the main loops:
//!
//! | registers | 6 rows | 5 rows | up to 4 rows |
//! | --- | --- | --- | --- |
//! | accumulators: v(4r + j) is vector j of row r | v0–v23 | v0–v19 | v0–v15 |
//! | activations of each row | v24–v29 | v20–v24 | v20–v23 |
//! | weights | v30, v31 | v28–v31 | v28–v31 |
//! | not used | | v25–v27 | v16–v19, v24–v27 |
//!
//! `{w}` points to the weights, which are loaded with post-increment; `{offset}` counts up to 0 from −16 times the number of halves,
//! rounded up to an even number, and indexes the rows from their ends, so that it also ends the loop.

use super::neon::unsigned_start;
use crate::simd::lanes::LANES;
use crate::simd::tile::TileI8;
use core::arch::aarch64::*;
use core::arch::asm;

/// The largest number of rows: 24 accumulators, 6 registers of activations and 2 of weights use all 32 registers.
const MAX_ROWS: usize = 6;

/// The assembly that multiplies one vector of weights, in v`$w`, by quarter `$i` of each row's activations: for each row, its
/// accumulator in `[$($acc)+]` and its activations in `[$($a)+]`.
macro_rules! sdot_vector {
    ($w:literal, $i:literal, [$($acc:literal)+], [$($a:literal)+]) => {
        concat!($("sdot v", $acc, ".4s, v", $w, ".16b, v", $a, ".4b[", $i, "]\n",)+)
    };
}

/// The assembly that multiplies one group, quarter `$i` of the activations: its four vectors of weights are in registers
/// `$w0` to `$w3`, and `$acc0` to `$acc3` list the accumulators of each. `$load2` and `$load3` are loads between the first
/// vectors, for which registers have become free.
macro_rules! sdot_group {
    ($i:literal, [$w0:literal $w1:literal $w2:literal $w3:literal], [$load2:literal $load3:literal],
     [$acc0:tt $acc1:tt $acc2:tt $acc3:tt], $a:tt) => {
        concat!(
            sdot_vector!($w0, $i, $acc0, $a),
            $load2,
            sdot_vector!($w1, $i, $acc1, $a),
            $load3,
            sdot_vector!($w2, $i, $acc2, $a),
            sdot_vector!($w3, $i, $acc3, $a),
        )
    };
}

/// The assembly of four groups with weights in two registers (6 rows): vectors are loaded in pairs, each pair after the products
/// of the pair before. The very last pair is loaded by two instructions, each as soon as its register is free: in-order cores
/// gain from that, and others lose nothing.
macro_rules! four_groups_two_registers {
    ($acc:tt, $a:tt) => {
        concat!(
            "ldp q30, q31, [{w}], #256\n",
            sdot_group!(0, [30 31 30 31], ["" "ldp q30, q31, [{w}, #-224]\n"], $acc, $a),
            "ldp q30, q31, [{w}, #-192]\n",
            sdot_group!(1, [30 31 30 31], ["" "ldp q30, q31, [{w}, #-160]\n"], $acc, $a),
            "ldp q30, q31, [{w}, #-128]\n",
            sdot_group!(2, [30 31 30 31], ["" "ldp q30, q31, [{w}, #-96]\n"], $acc, $a),
            "ldp q30, q31, [{w}, #-64]\n",
            sdot_group!(3, [30 31 30 31], ["ldr q30, [{w}, #-32]\n" "ldr q31, [{w}, #-16]\n"], $acc, $a),
        )
    };
}

/// The assembly of four groups with weights in four registers (up to 5 rows): each pair of vectors is loaded before the
/// products of the pair before. v28 and v29 are loaded before the first group, by the caller.
///
/// The inner form is one group: `$second` loads its second pair of vectors, `$next` the first pair of the next group.
macro_rules! four_groups_four_registers {
    ($acc:tt, $a:tt) => {
        concat!(
            four_groups_four_registers!(0, "ldp q30, q31, [{w}, #-224]\n", "ldp q28, q29, [{w}, #-192]\n", $acc, $a),
            four_groups_four_registers!(1, "ldp q30, q31, [{w}, #-160]\n", "ldp q28, q29, [{w}, #-128]\n", $acc, $a),
            four_groups_four_registers!(2, "ldp q30, q31, [{w}, #-96]\n", "ldp q28, q29, [{w}, #-64]\n", $acc, $a),
            four_groups_four_registers!(3, "ldp q30, q31, [{w}, #-32]\n", "", $acc, $a),
        )
    };
    ($i:literal, $second:literal, $next:literal, $acc:tt, $a:tt) => {
        concat!($second, sdot_group!($i, [28 29 30 31], ["" $next], $acc, $a))
    };
}

/// Defines the main loop for a number of rows: eight groups an iteration, as two halves of four. An odd number of halves starts
/// in the middle of the loop.
///
/// - `$name`: the function;
/// - `$first`: the load of weights before the rows are loaded, if any;
/// - `$groups`: the macro that multiplies four groups;
/// - `[$row $next $r $a, …]`: for each row the operand names of its two halves, its index and the register of its activations;
/// - `[$($acc)+]`: for each of the four vectors of weights, the accumulators of all rows;
/// - `[$reg $i, …]`: the accumulators above v15, with their index in `acc`;
/// - `[$($unused)*]`: those of v16–v23 that are not accumulators.
///
/// A loop for another number of rows takes one more invocation, and a line in `dot`.
#[rustfmt::skip]
macro_rules! four_groups_loop {
    ($name:ident, $first:literal, $groups:ident, [$($row:ident $next:ident $r:literal $a:literal),+], [$($acc:tt)+], [$($reg:tt $i:literal),*], [$($unused:tt)*]) => {
        /// Adds the products of 4 · `count` groups of the function's number of rows to `acc`, where vector j of row r is element
        /// 4r + j.
        ///
        /// # Safety
        /// 16 · `count` bytes can be read at each of the rows, 256 · `count` at `w`; the processor has dotprod; `count` is not 0.
        #[inline]
        #[target_feature(enable = "neon,dotprod")]
        unsafe fn $name(acc: &mut [int32x4_t; 4 * MAX_ROWS], rows: [*const i8; MAX_ROWS], w: *const i8, count: usize) {
            // Rows are indexed from their ends; an iteration reads 16 bytes there and 16 bytes further on.
            let even = count.next_multiple_of(2);
            // SAFETY: each of the `count` halves reads 16 bytes of each row and 256 bytes of weights, which this function's
            // preconditions cover; every register that the assembly writes is an operand.
            unsafe {
                asm!(
                    "tbnz {count}, #0, 3f",
                    "2:",
                    $first,
                    $(concat!("ldr q", $a, ", [{", stringify!($row), "}, {offset}]"),)+
                    $groups!([$($acc)+], [$($a)+]),
                    "3:",
                    $first,
                    $(concat!("ldr q", $a, ", [{", stringify!($next), "}, {offset}]"),)+
                    "adds {offset}, {offset}, #32",
                    $groups!([$($acc)+], [$($a)+]),
                    "b.ne 2b",
                    count = in(reg) count,
                    w = inout(reg) w => _,
                    offset = inout(reg) (16 * even).wrapping_neg() => _,
                    $($row = in(reg) rows[$r].wrapping_add(16 * count), $next = in(reg) rows[$r].wrapping_add(16 * count + 16),)+
                    inout("v0") acc[0], inout("v1") acc[1], inout("v2") acc[2], inout("v3") acc[3],
                    inout("v4") acc[4], inout("v5") acc[5], inout("v6") acc[6], inout("v7") acc[7],
                    inout("v8") acc[8], inout("v9") acc[9], inout("v10") acc[10], inout("v11") acc[11],
                    inout("v12") acc[12], inout("v13") acc[13], inout("v14") acc[14], inout("v15") acc[15],
                    $(inout($reg) acc[$i],)* $(out($unused) _,)*
                    out("v24") _, out("v25") _, out("v26") _, out("v27") _,
                    out("v28") _, out("v29") _, out("v30") _, out("v31") _,
                    options(nostack, readonly),
                );
            }
        }
    };
}
#[rustfmt::skip]
four_groups_loop!(sdot_4_rows, "ldp q28, q29, [{w}], #256", four_groups_four_registers,
    [a0 b0 0 20, a1 b1 1 21, a2 b2 2 22, a3 b3 3 23], [[0 4 8 12] [1 5 9 13] [2 6 10 14] [3 7 11 15]],
    [], ["v16" "v17" "v18" "v19" "v20" "v21" "v22" "v23"]);
#[rustfmt::skip]
four_groups_loop!(sdot_5_rows, "ldp q28, q29, [{w}], #256", four_groups_four_registers,
    [a0 b0 0 20, a1 b1 1 21, a2 b2 2 22, a3 b3 3 23, a4 b4 4 24],
    [[0 4 8 12 16] [1 5 9 13 17] [2 6 10 14 18] [3 7 11 15 19]],
    ["v16" 16, "v17" 17, "v18" 18, "v19" 19], ["v20" "v21" "v22" "v23"]);
#[rustfmt::skip]
four_groups_loop!(sdot_6_rows, "", four_groups_two_registers,
    [a0 b0 0 24, a1 b1 1 25, a2 b2 2 26, a3 b3 3 27, a4 b4 4 28, a5 b5 5 29],
    [[0 4 8 12 16 20] [1 5 9 13 17 21] [2 6 10 14 18 22] [3 7 11 15 19 23]],
    ["v16" 16, "v17" 17, "v18" 18, "v19" 19, "v20" 20, "v21" 21, "v22" 22, "v23" 23], []);

/// The int8 tile: for each panel, four groups at a time in assembly, the rest one by one.
///
/// # Safety
/// The preconditions of [`TileI8`], with `ROWS` rows; the processor has dotprod.
#[target_feature(enable = "neon,dotprod")]
unsafe fn dot<const ROWS: usize>(panels: usize, t: &TileI8) {
    const { assert!(ROWS <= MAX_ROWS) }
    // The loops for 4, 5 and 6 rows read that many: the last row stands in for those that are missing.
    // SAFETY: rows below `ROWS` exist (`TileI8`).
    let rows: [*const i8; MAX_ROWS] =
        core::array::from_fn(|r| unsafe { t.a.add(r.min(ROWS - 1) * t.a_pitch).cast() });
    let whole = t.groups / 4;
    for p in 0..panels {
        let mut acc = [vdupq_n_s32(0); 4 * MAX_ROWS];
        if t.unsigned {
            // SAFETY: each panel has 16 sums (`TileI8`).
            let start = unsafe { unsigned_start(t.w_sum.add(p * LANES)) };
            for acc in acc.chunks_exact_mut(4).take(ROWS) {
                acc.copy_from_slice(&start);
            }
        }
        // SAFETY: each row has 4 · `groups` bytes, each panel 64 · `groups`, and each row of `out` 16 elements per panel
        // (`TileI8`).
        unsafe {
            let w = t.w.add(p * t.panel_pitch);
            match ROWS {
                _ if whole == 0 => {}
                6 => sdot_6_rows(&mut acc, rows, w, whole),
                5 => sdot_5_rows(&mut acc, rows, w, whole),
                _ => sdot_4_rows(&mut acc, rows, w, whole),
            }
            for g in whole * 4..t.groups {
                add_group::<ROWS>(&mut acc, rows.map(|row| row.add(g * 4)), w.add(g * 64));
            }
            let mut out = t.out.add(p * LANES);
            for acc in acc.chunks_exact(4).take(ROWS) {
                for (j, &v) in acc.iter().enumerate() {
                    vst1q_s32(out.add(4 * j), v);
                }
                out = out.wrapping_add(panels * LANES);
            }
        }
    }
}

/// Adds the products of one group to `acc`.
///
/// # Safety
/// 4 bytes can be read at each of the rows, 64 at `w`; the processor has dotprod.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn add_group<const ROWS: usize>(
    acc: &mut [int32x4_t; 4 * MAX_ROWS],
    rows: [*const i8; MAX_ROWS],
    w: *const i8,
) {
    for j in 0..4 {
        // SAFETY: the reads are covered by this function's preconditions; the assembly (the intrinsic is not stable) accesses its
        // operands only.
        unsafe {
            let w = vld1q_s8(w.add(j * 16));
            for r in 0..ROWS {
                let a = vdupq_n_s32(rows[r].cast::<i32>().read_unaligned());
                asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) acc[4 * r + j], in(vreg) w, in(vreg) a,
                     options(pure, nomem, nostack, preserves_flags));
            }
        }
    }
}

/// The int8 tile.
///
/// # Safety
/// The preconditions of [`TileI8`], with at most 6 rows; the processor has dotprod.
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    const BY_ROWS: [unsafe fn(usize, &TileI8); MAX_ROWS] =
        [dot::<1>, dot::<2>, dot::<3>, dot::<4>, dot::<5>, dot::<6>];
    // SAFETY: the preconditions are those of `dot`, and `ROWS` is `rows`.
    unsafe { BY_ROWS[rows - 1](panels, t) }
}
