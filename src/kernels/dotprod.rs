//! Armv8.2 dot products: `sdot` multiplies 4 outputs by 4 inputs, which it takes from any quarter of a register.

use super::lanes::LANES;
use super::micro::TileI8;
use core::arch::aarch64::*;
use core::arch::asm;

/// The most rows: 24 accumulators, the activations of 6 rows and 2 vectors of weights are all registers there are.
const MOST: usize = 6;

/// What concerns the fifth row, where there are as many.
macro_rules! fifth {
    (4, $text:expr) => {
        ""
    };
    ($n:tt, $text:expr) => {
        $text
    };
}
/// What concerns the sixth.
macro_rules! sixth {
    (6, $text:expr) => {
        $text
    };
    ($n:tt, $text:expr) => {
        ""
    };
}

/// Vector `j` of a group of weights, in v`w`, times quarter `i` of `n` rows' activations, in v24 to v29.
#[rustfmt::skip]
macro_rules! vector {
    ($n:tt, $w:literal, $i:literal, [$a:literal $b:literal $c:literal $d:literal $e:literal $f:literal]) => {
        concat!(
            "sdot v", $a, ".4s, v", $w, ".16b, v24.4b[", $i, "]\n",
            "sdot v", $b, ".4s, v", $w, ".16b, v25.4b[", $i, "]\n",
            "sdot v", $c, ".4s, v", $w, ".16b, v26.4b[", $i, "]\n",
            "sdot v", $d, ".4s, v", $w, ".16b, v27.4b[", $i, "]\n",
            fifth!($n, concat!("sdot v", $e, ".4s, v", $w, ".16b, v28.4b[", $i, "]\n")),
            sixth!($n, concat!("sdot v", $f, ".4s, v", $w, ".16b, v29.4b[", $i, "]\n")),
        )
    };
}

/// Group `i` of four, whose first two vectors of weights are in v30 and v31; `second` loads the others.
#[rustfmt::skip]
macro_rules! group {
    ($n:tt, $i:literal, $second:literal) => {
        concat!(
            vector!($n, 30, $i, [0 4 8 12 16 20]),
            vector!($n, 31, $i, [1 5 9 13 17 21]),
            $second, "\n",
            vector!($n, 30, $i, [2 6 10 14 18 22]),
            vector!($n, 31, $i, [3 7 11 15 19 23]),
        )
    };
}

#[rustfmt::skip]
macro_rules! fours {
    ($name:ident, $n:tt) => {
        /// Four groups at a time of the function's number of rows, `count` times, added to `acc` (vector j of row r is number 4 · r + j).
        ///
        /// Weights come in pairs of vectors, the fewest instructions. One pair comes in two loads, each beside the products
        /// of the other's register: so much an in-order core gains, and no more is lost elsewhere.
        ///
        /// # Safety
        /// 16 · `count` bytes can be read at each of the rows, 256 · `count` at `w`; the processor has dotprod; `count` is not 0.
        #[target_feature(enable = "neon,dotprod")]
        unsafe fn $name(acc: &mut [int32x4_t; 24], rows: [*const i8; MOST], w: *const i8, count: usize) {
            // SAFETY: it reads what the caller promises and writes the registers that are named.
            unsafe {
                asm!(
                    "2:",
                    "ldp q30, q31, [{w}], #256",
                    "ldr q24, [{a0}, {at}]",
                    "ldr q25, [{a1}, {at}]",
                    "ldr q26, [{a2}, {at}]",
                    "ldr q27, [{a3}, {at}]",
                    fifth!($n, "ldr q28, [{a4}, {at}]"),
                    sixth!($n, "ldr q29, [{a5}, {at}]"),
                    group!($n, 0, "ldp q30, q31, [{w}, #-224]\nadds {at}, {at}, #16"),
                    "ldp q30, q31, [{w}, #-192]",
                    group!($n, 1, "ldp q30, q31, [{w}, #-160]"),
                    "ldp q30, q31, [{w}, #-128]",
                    group!($n, 2, "ldp q30, q31, [{w}, #-96]"),
                    "ldp q30, q31, [{w}, #-64]",
                    vector!($n, 30, 3, [0 4 8 12 16 20]),
                    "ldr q30, [{w}, #-32]",
                    vector!($n, 31, 3, [1 5 9 13 17 21]),
                    "ldr q31, [{w}, #-16]",
                    vector!($n, 30, 3, [2 6 10 14 18 22]),
                    vector!($n, 31, 3, [3 7 11 15 19 23]),
                    "b.ne 2b",
                    // An operand has to be named.
                    "// {a4} {a5}",
                    w = inout(reg) w => _,
                    // From the rows' ends, so that the sum tells when it is over.
                    at = inout(reg) (16 * count).wrapping_neg() => _,
                    a0 = in(reg) rows[0].add(16 * count), a1 = in(reg) rows[1].add(16 * count),
                    a2 = in(reg) rows[2].add(16 * count), a3 = in(reg) rows[3].add(16 * count),
                    a4 = in(reg) rows[4].add(16 * count), a5 = in(reg) rows[5].add(16 * count),
                    inout("v0") acc[0], inout("v1") acc[1], inout("v2") acc[2], inout("v3") acc[3],
                    inout("v4") acc[4], inout("v5") acc[5], inout("v6") acc[6], inout("v7") acc[7],
                    inout("v8") acc[8], inout("v9") acc[9], inout("v10") acc[10], inout("v11") acc[11],
                    inout("v12") acc[12], inout("v13") acc[13], inout("v14") acc[14], inout("v15") acc[15],
                    inout("v16") acc[16], inout("v17") acc[17], inout("v18") acc[18], inout("v19") acc[19],
                    inout("v20") acc[20], inout("v21") acc[21], inout("v22") acc[22], inout("v23") acc[23],
                    out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _, out("v31") _,
                    options(nostack, readonly),
                );
            }
        }
    };
}
fours!(four_rows, 4);
fours!(five_rows, 5);
fours!(six_rows, 6);

/// # Safety
/// See [`TileI8`]; the processor has dotprod.
#[target_feature(enable = "neon,dotprod")]
unsafe fn dot<const ROWS: usize>(panels: usize, t: &TileI8) {
    const { assert!(ROWS <= MOST) }
    // Rows that are missing are the last one again.
    // SAFETY: rows below ROWS are inside what the tile promises.
    let rows: [*const i8; MOST] =
        core::array::from_fn(|r| unsafe { t.a.add(r.min(ROWS - 1) * t.pitch).cast() });
    let whole = t.groups / 4;
    for p in 0..panels {
        let mut acc = [vdupq_n_s32(0); 4 * MOST];
        // SAFETY: the tile's promise: 4 · groups bytes of each row, 64 · groups of the panel.
        unsafe {
            let w = t.w.add(p * t.panel);
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
            for (i, &v) in acc[..4 * ROWS].iter().enumerate() {
                vst1q_s32(t.out.add((i / 4 * panels + p) * LANES + i % 4 * 4), v);
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
    // SAFETY: passed on.
    unsafe {
        match rows {
            1 => dot::<1>(panels, t),
            2 => dot::<2>(panels, t),
            3 => dot::<3>(panels, t),
            4 => dot::<4>(panels, t),
            5 => dot::<5>(panels, t),
            6 => dot::<6>(panels, t),
            _ => unreachable!("a tile has at most as many rows as its kernel's table says"),
        }
    }
}
