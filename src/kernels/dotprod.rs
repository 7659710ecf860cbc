//! Armv8.2 dot products: `sdot` multiplies 4 outputs by 4 inputs, which it takes from any quarter of a register.

use super::lanes::LANES;
use super::micro::{TileI8, pick_tile};
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

/// One vector of weights in v`w` times quarter `i` of `n` rows' activations in v24 to v29, and what stands between.
#[rustfmt::skip]
macro_rules! six {
    ($n:tt, $w:literal, $i:literal, [$a:literal $b:literal $c:literal $d:literal $e:literal $f:literal],
     $before:literal, $a_done:literal, $b_done:literal, $c_done:literal, $d_done:literal, $e_done:literal, $f_done:literal) => {
        concat!(
            $before,
            "\nsdot v", $a, ".4s, v", $w, ".16b, v24.4b[", $i, "]\n", $a_done,
            "\nsdot v", $b, ".4s, v", $w, ".16b, v25.4b[", $i, "]\n", $b_done,
            "\nsdot v", $c, ".4s, v", $w, ".16b, v26.4b[", $i, "]\n", $c_done,
            "\nsdot v", $d, ".4s, v", $w, ".16b, v27.4b[", $i, "]\n", $d_done,
            "\n",
            fifth!($n, concat!("sdot v", $e, ".4s, v", $w, ".16b, v28.4b[", $i, "]\n", $e_done, "\n")),
            sixth!($n, concat!("sdot v", $f, ".4s, v", $w, ".16b, v29.4b[", $i, "]\n", $f_done, "\n")),
        )
    };
    ($n:tt, $w:literal, $i:literal, $acc:tt, $before:literal) => { six!($n, $w, $i, $acc, $before, "", "", "", "", "", "") };
}

/// Group `i` of four: the first vector of its weights is in v30, and the first of the next group's will be.
#[rustfmt::skip]
macro_rules! group {
    ($n:tt, $i:literal, $second:literal, $third:literal, $fourth:literal, $next:literal, $next_half:literal) => {
        concat!(
            six!($n, 30, $i, [0 4 8 12 16 20], $second),
            six!($n, 31, $i, [1 5 9 13 17 21], $third),
            six!($n, 30, $i, [2 6 10 14 18 22], $fourth, "", $next_half, "", "", "", ""),
            six!($n, 31, $i, [3 7 11 15 19 23], $next, "", "", "", "ins v30.d[1], {half}", "", ""),
        )
    };
}

#[rustfmt::skip]
macro_rules! fours {
    ($name:ident, $n:tt) => {
        /// Four groups at a time of the function's number of rows, `count` times, added to `acc` (vector j of row r is number 4 · r + j).
        ///
        /// Everything is loaded one step before it is used, so that in-order cores need not wait, and each group's first vector
        /// of weights in halves, which they can issue beside a product. Other compilers' schedules cost a third more there.
        ///
        /// # Safety
        /// 16 · `count` bytes can be read at each of the rows, 256 · `count` at `w`; the processor has dotprod; `count` is not 0.
        #[target_feature(enable = "neon,dotprod")]
        unsafe fn $name(acc: &mut [int32x4_t; 24], rows: [*const u8; MOST], w: *const i8, count: usize) {
            // SAFETY: the caller's promise. q ^ 128 as i8 is q − 128.
            let a = rows.map(|p| unsafe { veorq_u8(vld1q_u8(p), vdupq_n_u8(0x80)) });
            // SAFETY: it reads what the caller promises: the step to the next groups is 0 in the last round, which so loads
            // again what is there. It writes the registers that are named.
            unsafe {
                asm!(
                    "2:",
                    group!($n, 0, "ldr q31, [{w}, #16]", "ldr q30, [{w}, #32]", "ldr q31, [{w}, #48]", "ldr d30, [{w}, #64]",
                        "ldr {half}, [{w}, #72]"),
                    group!($n, 1, "ldr q31, [{w}, #80]", "ldr q30, [{w}, #96]", "ldr q31, [{w}, #112]", "ldr d30, [{w}, #128]",
                        "ldr {half}, [{w}, #136]"),
                    group!($n, 2, "ldr q31, [{w}, #144]", "ldr q30, [{w}, #160]", "ldr q31, [{w}, #176]", "ldr d30, [{w}, #192]",
                        "ldr {half}, [{w}, #200]"),
                    six!($n, 30, 3, [0 4 8 12 16 20], "ldr q31, [{w}, #208]", "subs {count}, {count}, #1", "", "", "", "", ""),
                    six!($n, 31, 3, [1 5 9 13 17 21], "ldr q30, [{w}, #224]", "csel {step}, {step}, xzr, ne", "", "", "", "", ""),
                    six!($n, 30, 3, [2 6 10 14 18 22], "ldr q31, [{w}, #240]", "add {at}, {at}, {step}",
                        "add {w}, {w}, {step}, lsl #4", "", "ldr {half}, [{w}, #8]", "", ""),
                    six!($n, 31, 3, [3 7 11 15 19 23], "ldr d30, [{w}]", "ldr q24, [{a0}, {at}]", "ldr q25, [{a1}, {at}]",
                        "ldr q26, [{a2}, {at}]", "ldr q27, [{a3}, {at}]\nins v30.d[1], {half}", "ldr q28, [{a4}, {at}]",
                        "ldr q29, [{a5}, {at}]"),
                    "movi v31.16b, #0x80",
                    "eor v24.16b, v24.16b, v31.16b",
                    "eor v25.16b, v25.16b, v31.16b",
                    "eor v26.16b, v26.16b, v31.16b",
                    "eor v27.16b, v27.16b, v31.16b",
                    fifth!($n, "eor v28.16b, v28.16b, v31.16b"),
                    sixth!($n, "eor v29.16b, v29.16b, v31.16b"),
                    "b.ne 2b",
                    // An operand has to be named.
                    "// {a4} {a5}",
                    w = inout(reg) w => _, count = inout(reg) count => _, step = inout(reg) 16usize => _,
                    at = inout(reg) 0usize => _, half = out(reg) _,
                    a0 = in(reg) rows[0], a1 = in(reg) rows[1], a2 = in(reg) rows[2],
                    a3 = in(reg) rows[3], a4 = in(reg) rows[4], a5 = in(reg) rows[5],
                    inout("v0") acc[0], inout("v1") acc[1], inout("v2") acc[2], inout("v3") acc[3],
                    inout("v4") acc[4], inout("v5") acc[5], inout("v6") acc[6], inout("v7") acc[7],
                    inout("v8") acc[8], inout("v9") acc[9], inout("v10") acc[10], inout("v11") acc[11],
                    inout("v12") acc[12], inout("v13") acc[13], inout("v14") acc[14], inout("v15") acc[15],
                    inout("v16") acc[16], inout("v17") acc[17], inout("v18") acc[18], inout("v19") acc[19],
                    inout("v20") acc[20], inout("v21") acc[21], inout("v22") acc[22], inout("v23") acc[23],
                    inout("v24") a[0] => _, inout("v25") a[1] => _, inout("v26") a[2] => _,
                    inout("v27") a[3] => _, inout("v28") a[4] => _, inout("v29") a[5] => _,
                    inout("v30") vld1q_s8(w) => _, out("v31") _,
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
unsafe fn dot<const ROWS: usize, const PANELS: usize>(t: &TileI8) {
    const { assert!(PANELS == 1 && ROWS <= MOST) }
    let mut acc = [vdupq_n_s32(0); 4 * MOST];
    // Rows that are missing are the last one again.
    // SAFETY: rows below ROWS are inside what the tile promises.
    let rows: [*const u8; MOST] = core::array::from_fn(|r| unsafe { t.a.add(r.min(ROWS - 1) * t.pitch) });
    let whole = t.groups / 4;
    if whole > 0 {
        // SAFETY: the tile's promise: 4 · groups bytes of each row, 64 · groups of the panel.
        unsafe {
            match ROWS {
                6 => six_rows(&mut acc, rows, t.w, whole),
                5 => five_rows(&mut acc, rows, t.w, whole),
                _ => four_rows(&mut acc, rows, t.w, whole),
            }
        }
    }
    for g in whole * 4..t.groups {
        for j in 0..4 {
            // SAFETY: the tile's promise: 64 bytes of the panel.
            let w = unsafe { vld1q_s8(t.w.add(g * 64 + j * 16)) };
            for r in 0..ROWS {
                // SAFETY: the tile's promise: 4 bytes of each row.
                let four = unsafe { rows[r].add(g * 4).cast::<u32>().read_unaligned() };
                let a = vdupq_n_u32(four ^ 0x8080_8080);
                // SAFETY: registers in, registers out; the function asks for dotprod. The intrinsic is not stable.
                unsafe {
                    asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) acc[4 * r + j], in(vreg) w, in(vreg) a,
                         options(pure, nomem, nostack, preserves_flags));
                }
            }
        }
    }
    for (i, &v) in acc[..4 * ROWS].iter().enumerate() {
        // SAFETY: the tile's promise: 16 outputs a row.
        unsafe { vst1q_s32(t.out.add(i / 4 * LANES + i % 4 * 4), v) }
    }
}

/// # Safety
/// See [`TileI8`]; the processor has dotprod; at most 6 rows and 1 panel.
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    // SAFETY: passed on.
    unsafe { pick_tile!(rows, panels, 1 2 3 4 5 6, [1], dot[](t)) }
}
