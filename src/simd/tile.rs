//! The contract of the micro-kernels: small tiles of outputs, kept in registers along the whole of K.
//!
//! Stateless, no allocation, no threads; the caller chooses the portion. A tile has up to `rows` activation rows (the
//! table says how many fit) by up to `panels` panels of 16 outputs. Each output is one accumulator, summed in order.

use super::lanes::{LANES, Lanes};

/// The most rows of any instruction set's tile, attention's blocks included.
pub(crate) const MAX_ROWS: usize = 10;
/// The most panels of any instruction set's tile in matrix products.
pub(crate) const MAX_PANELS: usize = 3;

/// Operands of the int8 micro-kernel: Σ (q − 128) · w over u8 activations q and int8 weights w, exactly.
///
/// Preconditions of running one with `rows` rows and `panels` panels ([`TileI8::new`] checks them in debug builds):
/// - `a` points to `rows` rows, `a_pitch` bytes apart, each with `4 · groups` readable bytes, stored with the instruction
///   set's [`Lanes::SIGN_FLIP`];
/// - `w` points to `panels` panels, `panel_pitch` bytes apart, each of `64 · groups` bytes (`[groups][16 outputs][4 inputs]`);
/// - `w_sum` points to `16 · panels` numbers: the sums of the weights of each output;
/// - `out` points to `rows · panels · 16` writable i32, rows `16 · panels` apart.
#[derive(Clone, Copy)]
pub(crate) struct TileI8 {
    pub a: *const u8,
    pub a_pitch: usize,
    pub w: *const i8,
    pub panel_pitch: usize,
    pub groups: usize,
    pub w_sum: *const i32,
    /// Any address. The weights there, as many as in a panel, are needed next; a kernel may prefetch them.
    // Arm kernels leave prefetching to the hardware: what a hint gains there has not been measured.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    pub prefetch: *const i8,
    pub out: *mut i32,
}

impl TileI8 {
    /// A tile over slices that start at its first row, panel, sum and output. `shape` is (rows, panels).
    #[inline(always)]
    pub fn new(
        (rows, panels): (usize, usize),
        (a, a_pitch): (&[u8], usize),
        (w, panel_pitch): (&[i8], usize),
        groups: usize,
        w_sum: &[i32],
        out: &mut [i32],
    ) -> TileI8 {
        debug_assert!(rows > 0 && a.len() >= (rows - 1) * a_pitch + 4 * groups, "the rows must exist");
        debug_assert!(
            panels > 0 && w.len() >= (panels - 1) * panel_pitch + 64 * groups,
            "the panels must exist"
        );
        debug_assert!(w_sum.len() >= panels * LANES, "the sums of the weights must exist");
        debug_assert!(out.len() >= rows * panels * LANES, "the output must hold the tile");
        TileI8 {
            a: a.as_ptr(),
            a_pitch,
            w: w.as_ptr(),
            panel_pitch,
            groups,
            w_sum: w_sum.as_ptr(),
            prefetch: core::ptr::null(),
            out: out.as_mut_ptr(),
        }
    }
}

/// Operands of the floating-point micro-kernel: Σ a · w in f32. Each output is one chain of fused multiply-adds along K, which
/// starts from 0 if `overwrite`, else from what `out` holds.
///
/// Preconditions: as for [`TileI8`], with `a_pitch` and `panel_pitch` in elements, rows of `k` f32 and panels of `16 · k`
/// weights (`[k][16 outputs]`).
pub(crate) struct TileF<W> {
    pub a: *const f32,
    pub a_pitch: usize,
    pub w: *const W,
    pub panel_pitch: usize,
    pub k: usize,
    pub overwrite: bool,
    pub out: *mut f32,
}

impl<W> TileF<W> {
    /// A tile over slices that start at its first row, panel and output. `shape` is (rows, panels).
    #[inline(always)]
    pub fn new(
        (rows, panels): (usize, usize),
        (a, a_pitch): (&[f32], usize),
        (w, panel_pitch): (&[W], usize),
        k: usize,
        overwrite: bool,
        out: &mut [f32],
    ) -> TileF<W> {
        debug_assert!(rows > 0 && a.len() >= (rows - 1) * a_pitch + k, "the rows must exist");
        debug_assert!(
            panels > 0 && w.len() >= (panels - 1) * panel_pitch + LANES * k,
            "the panels must exist"
        );
        debug_assert!(out.len() >= rows * panels * LANES, "the output must hold the tile");
        TileF { a: a.as_ptr(), a_pitch, w: w.as_ptr(), panel_pitch, k, overwrite, out: out.as_mut_ptr() }
    }
}

/// Weights that widen to sixteen f32.
pub(crate) trait Widen: Copy {
    /// # Safety
    /// 16 weights can be read at `p`.
    unsafe fn load<L: Lanes>(l: L, p: *const Self) -> L::F;
}

impl Widen for f32 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(l: L, p: *const f32) -> L::F {
        // SAFETY: the caller's promise.
        unsafe { l.load_at(p) }
    }
}

impl Widen for half::f16 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(l: L, p: *const half::f16) -> L::F {
        // SAFETY: the caller's promise.
        unsafe { l.load_f16_at(p) }
    }
}

impl Widen for half::bf16 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(l: L, p: *const half::bf16) -> L::F {
        // SAFETY: the caller's promise.
        unsafe { l.load_bf16_at(p) }
    }
}

/// Row `r` of rows that are `pitch` elements apart.
///
/// # Safety
/// The row is inside the same allocation as `p`.
#[inline(always)]
pub(crate) unsafe fn row_of<P: Pointer>(p: P, pitch: usize, r: usize) -> P {
    // SAFETY: the caller's promise.
    unsafe { p.offset_by(pitch * r) }
}

/// Pointers of either kind, so that [`row_of`] is written once.
pub(crate) trait Pointer: Copy {
    /// # Safety
    /// As `add` of raw pointers.
    unsafe fn offset_by(self, n: usize) -> Self;
}
impl<T> Pointer for *const T {
    #[inline(always)]
    unsafe fn offset_by(self, n: usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe { self.add(n) }
    }
}
impl<T> Pointer for *mut T {
    #[inline(always)]
    unsafe fn offset_by(self, n: usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe { self.add(n) }
    }
}

/// The floating-point tile, over any lanes and either weight type.
///
/// # Safety
/// See [`TileF`], with `ROWS` rows and `PANELS` panels.
#[inline(always)]
pub(crate) unsafe fn tile_f<L: Lanes, W: Widen, const ROWS: usize, const PANELS: usize>(l: L, t: &TileF<W>) {
    let mut acc = [[l.splat(0.0); PANELS]; ROWS];
    // SAFETY: all reads and writes are inside what the tile promises.
    unsafe {
        if !t.overwrite {
            for (r, row) in acc.iter_mut().enumerate() {
                for (p, v) in row.iter_mut().enumerate() {
                    *v = l.load_at(t.out.add((r * PANELS + p) * LANES));
                }
            }
        }
        for k in 0..t.k {
            let w: [L::F; PANELS] =
                core::array::from_fn(|p| W::load(l, t.w.add(p * t.panel_pitch + k * LANES)));
            for (r, row) in acc.iter_mut().enumerate() {
                let a = l.splat(*t.a.add(r * t.a_pitch + k));
                for (v, &w) in row.iter_mut().zip(&w) {
                    *v = l.fma(a, w, *v);
                }
            }
        }
        for (r, row) in acc.iter().enumerate() {
            for (p, &v) in row.iter().enumerate() {
                l.store_at(v, t.out.add((r * PANELS + p) * LANES));
            }
        }
    }
}

/// Calls a tile function with its two constants taken from run-time numbers: `tile!(rows, panels, [1 2 3] [1], f(args))`.
macro_rules! pick_tile {
    ($rows:expr, $panels:expr, $($r:literal)+, $p:tt, $f:ident $gen:tt $args:tt) => {
        match $rows {
            $($r => $crate::simd::tile::pick_tile!(@panels $panels, $r, $p, $f $gen $args),)+
            _ => unreachable!("a tile has at most as many rows as its kernel's table says"),
        }
    };
    (@panels $panels:expr, $r:literal, [$($p:literal)+], $f:ident $gen:tt $args:tt) => {
        match $panels {
            $($p => $crate::simd::tile::pick_tile!(@call $f $gen $r $p $args),)+
            _ => unreachable!("a tile has at most as many panels as its kernel's table says"),
        }
    };
    (@call $f:ident [$($gen:ty),*] $r:literal $p:literal ($($arg:expr),*)) => { $f::<$($gen,)* $r, $p>($($arg),*) };
}
pub(crate) use pick_tile;

/// Makes `tile_f32` and `tile_f16` of one instruction set: functions that take the numbers of rows and panels at run time
/// and call the tile with these constants, compiled for the given features.
macro_rules! float_tiles {
    ($proof:expr, $tile:ident, $weight:ident, [$($attr:tt)*], $($r:literal)+, $p:tt) => {
        /// # Safety
        /// See [`TileF`](crate::simd::tile::TileF), with `ROWS` rows and `PANELS` panels; the processor has the features.
        #[$($attr)*]
        unsafe fn float_tile<W: $weight, const ROWS: usize, const PANELS: usize>(t: &$crate::simd::tile::TileF<W>) {
            #[allow(unused_unsafe)] // the portable lanes need none
            // SAFETY: the preconditions are this function's.
            unsafe {
                $tile::<_, W, ROWS, PANELS>($proof, t)
            }
        }

        /// The tile of f32 weights.
        ///
        /// # Safety
        /// See [`TileF`](crate::simd::tile::TileF); the processor has the instruction set's features.
        pub(crate) unsafe fn tile_f32(rows: usize, panels: usize, t: &$crate::simd::tile::TileF<f32>) {
            // SAFETY: the preconditions are this function's.
            unsafe { $crate::simd::tile::pick_tile!(rows, panels, $($r)+, $p, float_tile[f32](t)) }
        }

        /// The tile of f16 weights.
        ///
        /// # Safety
        /// See [`TileF`](crate::simd::tile::TileF); the processor has the instruction set's features.
        pub(crate) unsafe fn tile_f16(rows: usize, panels: usize, t: &$crate::simd::tile::TileF<half::f16>) {
            // SAFETY: the preconditions are this function's.
            unsafe { $crate::simd::tile::pick_tile!(rows, panels, $($r)+, $p, float_tile[half::f16](t)) }
        }
    };
}
pub(crate) use float_tiles;
