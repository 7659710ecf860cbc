//! The contract of the micro-kernels: small tiles of outputs, kept in registers along the whole of K.
//!
//! Stateless, no allocation, no threads; the caller chooses the portion. A tile has up to `rows` activation rows (the
//! table says how many fit) by up to `panels` panels of 16 outputs. Each output is one accumulator, summed in order.

use super::lanes::{LANES, Lanes};

/// Σ (q − 128) · w over u8 activations q and int8 weights w, exactly.
///
/// Preconditions of whoever runs one with `rows` and `panels`:
/// - `a` points at `rows` rows, `pitch` bytes apart, each with `4 · groups` readable bytes, stored as [`Lanes::FLIP`] says;
/// - `w` points at `panels` panels, `panel` bytes apart, each `64 · groups` bytes;
/// - `sum` points at `16 · panels` sums of the weights of each output;
/// - `out` points at `rows · panels · 16` writable i32, rows `16 · panels` apart.
///
/// `ahead` may be any address: what is there, as many bytes as a panel has, will be asked for next, and a kernel may have it
/// fetched meanwhile.
pub(crate) struct TileI8 {
    pub a: *const u8,
    pub pitch: usize,
    pub w: *const i8,
    pub panel: usize,
    pub groups: usize,
    pub sum: *const i32,
    // Arm's kernels leave it to the hardware: without a board nobody could say what a hint gains.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    pub ahead: *const i8,
    pub out: *mut i32,
}

/// Σ a · w in f32, each output one fused chain along K, added to what `out` holds unless `first`.
///
/// Preconditions: as for [`TileI8`], with `pitch` and `panel` in elements, rows of `k` f32 and panels of `16 · k` weights.
pub(crate) struct TileF<W> {
    pub a: *const f32,
    pub pitch: usize,
    pub w: *const W,
    pub panel: usize,
    pub k: usize,
    pub first: bool,
    pub out: *mut f32,
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
        if !t.first {
            for (r, row) in acc.iter_mut().enumerate() {
                for (p, v) in row.iter_mut().enumerate() {
                    *v = l.load_at(t.out.add((r * PANELS + p) * LANES));
                }
            }
        }
        for k in 0..t.k {
            let w: [L::F; PANELS] = core::array::from_fn(|p| W::load(l, t.w.add(p * t.panel + k * LANES)));
            for (r, row) in acc.iter_mut().enumerate() {
                let a = l.splat(*t.a.add(r * t.pitch + k));
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
            $($r => pick_tile!(@panels $panels, $r, $p, $f $gen $args),)+
            _ => unreachable!("a tile has at most as many rows as its kernel's table says"),
        }
    };
    (@panels $panels:expr, $r:literal, [$($p:literal)+], $f:ident $gen:tt $args:tt) => {
        match $panels {
            $($p => pick_tile!(@call $f $gen $r $p $args),)+
            _ => unreachable!("a tile has at most as many panels as its kernel's table says"),
        }
    };
    (@call $f:ident [$($gen:ty),*] $r:literal $p:literal ($($arg:expr),*)) => { $f::<$($gen,)* $r, $p>($($arg),*) };
}
pub(crate) use pick_tile;
