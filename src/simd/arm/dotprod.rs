//! Armv8.2 dot products: `sdot` multiplies 4 outputs by 4 inputs, which it takes from any quarter of a register.

use crate::simd::lanes::LANES;
use crate::simd::tile::TileI8;
use core::arch::aarch64::*;
use core::arch::asm;

/// The most rows: 24 accumulators, the activations of 6 rows and 2 vectors of weights are all registers there are.
const MOST: usize = 6;

/// A vector of weights in v`w` times quarter `i` of each row's activations.
macro_rules! vector {
    ($w:literal, $i:literal, [$($acc:literal)+], [$($a:literal)+]) => {
        concat!($("sdot v", $acc, ".4s, v", $w, ".16b, v", $a, ".4b[", $i, "]\n",)+)
    };
}

/// Group `i` of four with its weights in these four registers. `second` follows the first vector, and so on.
macro_rules! group {
    ($i:literal, [$w0:literal $w1:literal $w2:literal $w3:literal], [$second:literal $third:literal],
     [$acc0:tt $acc1:tt $acc2:tt $acc3:tt], $a:tt) => {
        concat!(
            vector!($w0, $i, $acc0, $a),
            $second,
            vector!($w1, $i, $acc1, $a),
            $third,
            vector!($w2, $i, $acc2, $a),
            vector!($w3, $i, $acc3, $a),
        )
    };
}

/// Four groups of six rows: two registers are left for weights, which come in pairs. The last pair comes in two loads, each
/// beside the products of the other's register: so much in-order cores gain by it, and others lose nothing.
macro_rules! by_pairs {
    ($acc:tt, $a:tt) => {
        concat!(
            "ldp q30, q31, [{w}], #256\n",
            group!(0, [30 31 30 31], ["" "ldp q30, q31, [{w}, #-224]\n"], $acc, $a),
            "ldp q30, q31, [{w}, #-192]\n",
            group!(1, [30 31 30 31], ["" "ldp q30, q31, [{w}, #-160]\n"], $acc, $a),
            "ldp q30, q31, [{w}, #-128]\n",
            group!(2, [30 31 30 31], ["" "ldp q30, q31, [{w}, #-96]\n"], $acc, $a),
            "ldp q30, q31, [{w}, #-64]\n",
            group!(3, [30 31 30 31], ["ldr q30, [{w}, #-32]\n" "ldr q31, [{w}, #-16]\n"], $acc, $a),
        )
    };
}

/// Four groups of fewer rows: each pair of weights is loaded before the products of the pair before, the first before the rows.
macro_rules! ahead {
    ($acc:tt, $a:tt) => {
        concat!(
            ahead!(0, "ldp q30, q31, [{w}, #-224]\n", "ldp q28, q29, [{w}, #-192]\n", $acc, $a),
            ahead!(1, "ldp q30, q31, [{w}, #-160]\n", "ldp q28, q29, [{w}, #-128]\n", $acc, $a),
            ahead!(2, "ldp q30, q31, [{w}, #-96]\n", "ldp q28, q29, [{w}, #-64]\n", $acc, $a),
            ahead!(3, "ldp q30, q31, [{w}, #-32]\n", "", $acc, $a),
        )
    };
    ($i:literal, $second:literal, $next:literal, $acc:tt, $a:tt) => {
        concat!($second, group!($i, [28 29 30 31], ["" $next], $acc, $a))
    };
}

#[rustfmt::skip]
macro_rules! fours {
    ($name:ident, $first:literal, $weights:ident, [$($row:ident $r:literal $a:literal),+], [$($acc:tt)+], [$($reg:tt $i:literal),*], [$($free:tt)*]) => {
        /// Four groups at a time of the function's number of rows, `count` times, added to `acc` (vector j of row r is number 4 · r + j).
        ///
        /// # Safety
        /// 16 · `count` bytes can be read at each of the rows, 256 · `count` at `w`; the processor has dotprod; `count` is not 0.
        #[target_feature(enable = "neon,dotprod")]
        unsafe fn $name(acc: &mut [int32x4_t; 4 * MOST], rows: [*const i8; MOST], w: *const i8, count: usize) {
            // SAFETY: it reads what the caller promises and writes the registers that are named.
            unsafe {
                asm!(
                    "2:",
                    $first,
                    $(concat!("ldr q", $a, ", [{", stringify!($row), "}, {at}]"),)+
                    "adds {at}, {at}, #16",
                    $weights!([$($acc)+], [$($a)+]),
                    "b.ne 2b",
                    w = inout(reg) w => _,
                    // From the rows' ends, so that the sum tells when it is over.
                    at = inout(reg) (16 * count).wrapping_neg() => _,
                    $($row = in(reg) rows[$r].add(16 * count),)+
                    inout("v0") acc[0], inout("v1") acc[1], inout("v2") acc[2], inout("v3") acc[3],
                    inout("v4") acc[4], inout("v5") acc[5], inout("v6") acc[6], inout("v7") acc[7],
                    inout("v8") acc[8], inout("v9") acc[9], inout("v10") acc[10], inout("v11") acc[11],
                    inout("v12") acc[12], inout("v13") acc[13], inout("v14") acc[14], inout("v15") acc[15],
                    $(inout($reg) acc[$i],)* $(out($free) _,)*
                    out("v24") _, out("v25") _, out("v26") _, out("v27") _,
                    out("v28") _, out("v29") _, out("v30") _, out("v31") _,
                    options(nostack, readonly),
                );
            }
        }
    };
}
#[rustfmt::skip]
fours!(four_rows, "ldp q28, q29, [{w}], #256", ahead, [a0 0 20, a1 1 21, a2 2 22, a3 3 23], [[0 4 8 12] [1 5 9 13] [2 6 10 14] [3 7 11 15]],
    [], ["v16" "v17" "v18" "v19" "v20" "v21" "v22" "v23"]);
#[rustfmt::skip]
fours!(five_rows, "ldp q28, q29, [{w}], #256", ahead, [a0 0 20, a1 1 21, a2 2 22, a3 3 23, a4 4 24],
    [[0 4 8 12 16] [1 5 9 13 17] [2 6 10 14 18] [3 7 11 15 19]],
    ["v16" 16, "v17" 17, "v18" 18, "v19" 19], ["v20" "v21" "v22" "v23"]);
#[rustfmt::skip]
fours!(six_rows, "", by_pairs, [a0 0 24, a1 1 25, a2 2 26, a3 3 27, a4 4 28, a5 5 29],
    [[0 4 8 12 16 20] [1 5 9 13 17 21] [2 6 10 14 18 22] [3 7 11 15 19 23]],
    ["v16" 16, "v17" 17, "v18" 18, "v19" 19, "v20" 20, "v21" 21, "v22" 22, "v23" 23], []);

/// # Safety
/// See [`TileI8`]; the processor has dotprod.
#[target_feature(enable = "neon,dotprod")]
unsafe fn dot<const ROWS: usize>(panels: usize, t: &TileI8) {
    const { assert!(ROWS <= MOST) }
    // Rows that are missing are the last one again.
    // SAFETY: rows below ROWS are inside what the tile promises.
    let rows: [*const i8; MOST] =
        core::array::from_fn(|r| unsafe { t.a.add(r.min(ROWS - 1) * t.a_pitch).cast() });
    let whole = t.groups / 4;
    for p in 0..panels {
        let mut acc = [vdupq_n_s32(0); 4 * MOST];
        // SAFETY: the tile's promise: 4 · groups bytes of each row, 64 · groups of the panel.
        unsafe {
            let w = t.w.add(p * t.panel_pitch);
            match ROWS {
                _ if whole == 0 => {}
                6 => six_rows(&mut acc, rows, w, whole),
                5 => five_rows(&mut acc, rows, w, whole),
                _ => four_rows(&mut acc, rows, w, whole),
            }
            for g in whole * 4..t.groups {
                last::<ROWS>(&mut acc, rows.map(|row| row.add(g * 4)), w.add(g * 64));
            }
            // 16 outputs a row.
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

/// One group, added to `acc`.
///
/// # Safety
/// 4 bytes can be read at each of the rows, 64 at `w`; the processor has dotprod.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn last<const ROWS: usize>(acc: &mut [int32x4_t; 4 * MOST], rows: [*const i8; MOST], w: *const i8) {
    for j in 0..4 {
        // SAFETY: the caller's promise. Registers in, registers out; the function asks for dotprod. The intrinsic is not stable.
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

/// # Safety
/// See [`TileI8`]; the processor has dotprod; at most 6 rows.
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    const BY_ROWS: [unsafe fn(usize, &TileI8); MOST] =
        [dot::<1>, dot::<2>, dot::<3>, dot::<4>, dot::<5>, dot::<6>];
    // SAFETY: passed on.
    unsafe { BY_ROWS[rows - 1](panels, t) }
}
