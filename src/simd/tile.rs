//! The contract of the GEMM micro-kernels.
//!
//! A micro-kernel multiplies `rows` rows of activations (MR of them at most) by `panels` panels of 16 outputs
//! (NR = 16 · `panels`), over the whole of K. The sums of a panel, or of the whole tile, stay in registers; the instruction set's table entry
//! ([`Isa::shape_i8`](super::isa::Isa::shape_i8) and its neighbours) says how large a tile may be. Micro-kernels are
//! stateless: they neither allocate nor start threads, and the caller chooses the tiles (`ops::gemm`).
//!
//! | operand | int8 ([`TileI8`]) | floating point ([`TileF`]) |
//! | --- | --- | --- |
//! | activations | `[rows][4 · groups]` bytes, row-major | `[rows][k]` f32, row-major |
//! | weights, one panel | `[groups][16 outputs][4 inputs]` i8 | `[k][16 outputs]` f32 or f16 |
//! | tile of sums | `[rows][panels][16]` i32 | `[rows][panels][16]` f32 |
//! | a sum | Σ (q − 128) · w or Σ q · w, exact | one chain of fused multiply-adds, k ascending |
//!
//! In int8, K is cut into *groups* of four inputs, because that is what one lane of `vpdpbusd` and of `sdot` multiplies: 64
//! bytes of a panel are 16 outputs by 4 inputs. The file stores panels in this order, so int8 weights are not packed at run time.
//! Integer sums are exact and floating-point chains have a fixed order, so every instruction set computes the same sums.
//!
//! Source: the packed panels of Goto and van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication", in the order
//! of four inputs that XNNPACK's and oneDNN's int8 kernels use.

use super::lanes::{LANES, Lanes};

/// The largest number of rows of any instruction set's tile, in matrix products and in attention.
pub(crate) const MAX_ROWS: usize = 10;
/// The largest number of panels of any instruction set's tile in matrix products.
pub(crate) const MAX_PANELS: usize = 6;
/// The most sums in any instruction set's tile in matrix products.
pub(crate) const MAX_SUMS: usize = 30 * LANES;

/// Operands of the int8 micro-kernel, which computes Σ (q − 128) · w, or Σ q · w if `unsigned`, exactly, for u8 activations q and
/// weights w in −127 ..= 127.
///
/// Preconditions of a call with `rows` rows and `panels` panels ([`TileI8::new`] checks them in debug builds):
/// - `a` points to `rows` rows, `a_pitch` bytes apart, each of `4 · groups` readable bytes, XORed with the instruction set's
///   [`Lanes::SIGN_FLIP`];
/// - `w` points to `panels` panels, `panel_pitch` bytes apart, each of `64 · groups` bytes (`[groups][16 outputs][4 inputs]`);
/// - `w_sum` points to `16 · panels` i32: Σ w of each output;
/// - `out` points to `rows · panels · 16` writable i32, rows `16 · panels` apart, which no other operand overlaps.
#[derive(Clone, Copy)]
pub(crate) struct TileI8 {
    /// Activations, `[rows][4 · groups]`.
    pub a: *const u8,
    /// Bytes from one row of activations to the next.
    pub a_pitch: usize,
    /// Weights, `[panels][groups][16][4]`.
    pub w: *const i8,
    /// Bytes from one panel of weights to the next.
    pub panel_pitch: usize,
    /// Groups of four inputs: K / 4, rounded up; at least one.
    pub groups: usize,
    /// Σ w of each output, `[panels][16]`. Kernels that multiply q subtract 128 times these sums; with `unsigned`, kernels that
    /// multiply q − 128 add as much.
    pub w_sum: *const i32,
    /// Whether the sums are those of q, not of q − 128.
    pub unsigned: bool,
    /// A hint: a panel's worth of weights at this address is needed next. Any address is allowed.
    // Arm kernels leave prefetching to the hardware; the gain of a hint has not been measured there.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    pub prefetch: *const i8,
    /// Sums, `[rows][panels][16]`.
    pub out: *mut i32,
}

impl TileI8 {
    /// A tile of (rows, panels) over slices that start at its first row, panel, weight sum and output; rows and panels come with
    /// their pitch.
    #[inline(always)]
    pub fn new(
        (rows, panels): (usize, usize),
        (a, a_pitch): (&[u8], usize),
        (w, panel_pitch): (&[i8], usize),
        groups: usize,
        w_sum: &[i32],
        out: &mut [i32],
    ) -> TileI8 {
        debug_assert!(groups > 0, "a product must have inputs");
        debug_assert!(
            rows > 0 && a.len() >= (rows - 1) * a_pitch + 4 * groups,
            "the activations must hold every row"
        );
        debug_assert!(
            panels > 0 && w.len() >= (panels - 1) * panel_pitch + 64 * groups,
            "the weights must hold every panel"
        );
        debug_assert!(w_sum.len() >= panels * LANES, "every output must have a weight sum");
        debug_assert!(out.len() >= rows * panels * LANES, "the output must hold the tile");
        TileI8 {
            a: a.as_ptr(),
            a_pitch,
            w: w.as_ptr(),
            panel_pitch,
            groups,
            w_sum: w_sum.as_ptr(),
            unsigned: false,
            prefetch: core::ptr::null(),
            out: out.as_mut_ptr(),
        }
    }
}

/// Operands of the floating-point micro-kernel, which computes Σ a · w in f32: for each output one chain of fused multiply-adds
/// along K.
///
/// Preconditions of a call with `rows` rows and `panels` panels ([`TileF::new`] checks them in debug builds):
/// - `a` points to `rows` rows of `k` readable f32, `a_pitch` elements apart;
/// - `w` points to `panels` panels of `16 · k` weights (`[k][16 outputs]`), `panel_pitch` elements apart;
/// - `out` points to `rows · panels · 16` writable f32, rows `16 · panels` apart, initialised unless `overwrite`, and no other
///   operand overlaps it.
pub(crate) struct TileF<W> {
    /// Activations, `[rows][k]`.
    pub a: *const f32,
    /// Elements from one row of activations to the next.
    pub a_pitch: usize,
    /// Weights, `[panels][k][16]`.
    pub w: *const W,
    /// Elements from one panel of weights to the next.
    pub panel_pitch: usize,
    /// Inputs of each output.
    pub k: usize,
    /// Whether the chains start from 0; otherwise from the contents of `out`.
    pub overwrite: bool,
    /// Sums, `[rows][panels][16]`.
    pub out: *mut f32,
}

impl<W> TileF<W> {
    /// A tile of (rows, panels) over slices that start at its first row, panel and output; rows and panels come with their pitch.
    #[inline(always)]
    pub fn new(
        (rows, panels): (usize, usize),
        (a, a_pitch): (&[f32], usize),
        (w, panel_pitch): (&[W], usize),
        k: usize,
        overwrite: bool,
        out: &mut [f32],
    ) -> TileF<W> {
        debug_assert!(rows > 0 && a.len() >= (rows - 1) * a_pitch + k, "the activations must hold every row");
        debug_assert!(
            panels > 0 && w.len() >= (panels - 1) * panel_pitch + LANES * k,
            "the weights must hold every panel"
        );
        debug_assert!(out.len() >= rows * panels * LANES, "the output must hold the tile");
        TileF { a: a.as_ptr(), a_pitch, w: w.as_ptr(), panel_pitch, k, overwrite, out: out.as_mut_ptr() }
    }
}

/// Stored number types that are widened to f32 when they are loaded.
pub(crate) trait Widen: Copy {
    /// Loads sixteen numbers, widened to f32.
    ///
    /// # Safety
    /// 16 numbers can be read at `p`.
    unsafe fn load<L: Lanes>(l: L, p: *const Self) -> L::F;
}

impl Widen for f32 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(l: L, p: *const f32) -> L::F {
        // SAFETY: 16 numbers can be read at `p`, by this function's precondition.
        unsafe { l.load_at(p) }
    }
}

impl Widen for half::f16 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(l: L, p: *const half::f16) -> L::F {
        // SAFETY: 16 numbers can be read at `p`, by this function's precondition.
        unsafe { l.load_f16_at(p) }
    }
}

impl Widen for half::bf16 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(l: L, p: *const half::bf16) -> L::F {
        // SAFETY: 16 numbers can be read at `p`, by this function's precondition.
        unsafe { l.load_bf16_at(p) }
    }
}

/// A pointer to row `r` of rows that are `pitch` elements apart.
///
/// # Safety
/// The row is inside the same allocation as `p`.
#[inline(always)]
pub(crate) unsafe fn row_of<P: Pointer>(p: P, pitch: usize, r: usize) -> P {
    // SAFETY: the row is inside the allocation, by this function's precondition.
    unsafe { p.offset_by(pitch * r) }
}

/// Constant and mutable pointers, so that [`row_of`] is written once.
pub(crate) trait Pointer: Copy {
    /// # Safety
    /// The preconditions of `add` of raw pointers.
    unsafe fn offset_by(self, n: usize) -> Self;
}
impl<T> Pointer for *const T {
    #[inline(always)]
    unsafe fn offset_by(self, n: usize) -> Self {
        // SAFETY: the preconditions of `add` are this function's.
        unsafe { self.add(n) }
    }
}
impl<T> Pointer for *mut T {
    #[inline(always)]
    unsafe fn offset_by(self, n: usize) -> Self {
        // SAFETY: the preconditions of `add` are this function's.
        unsafe { self.add(n) }
    }
}

/// The floating-point tile over any lanes and weight type: for each k one vector of weights per panel, and per row one activation
/// in all lanes.
///
/// # Safety
/// The preconditions of [`TileF`], with `ROWS` rows and `PANELS` panels.
#[inline(always)]
pub(crate) unsafe fn tile_f<L: Lanes, W: Widen, const ROWS: usize, const PANELS: usize>(l: L, t: &TileF<W>) {
    let mut acc = [[l.splat(0.0); PANELS]; ROWS];
    // SAFETY: every access is to row r < ROWS, panel p < PANELS and k < t.k, which the preconditions of `TileF` cover.
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

/// Calls a function that is generic over the numbers of rows and panels with run-time numbers.
///
/// `pick_tile!(rows, panels, 1 2 3, [1 2], f[T](x))` becomes a match that calls `f::<T, 1, 1>(x)` to `f::<T, 3, 2>(x)`. The lists
/// must contain every number up to the instruction set's shape (its `Spec` in [`isa`](super::isa)); others are unreachable.
macro_rules! pick_tile {
    ($rows:expr, $panels:expr, $($r:literal)+, $p:tt, $f:ident $gen:tt $args:tt) => {
        match $rows {
            $($r => $crate::simd::tile::pick_tile!(@panels $panels, $r, $p, $f $gen $args),)+
            _ => unreachable!("the instruction set's tile shape limits the number of rows"),
        }
    };
    (@panels $panels:expr, $r:literal, [$($p:literal)+], $f:ident $gen:tt $args:tt) => {
        match $panels {
            $($p => $crate::simd::tile::pick_tile!(@call $f $gen $r $p $args),)+
            _ => unreachable!("the instruction set's tile shape limits the number of panels"),
        }
    };
    (@call $f:ident [$($gen:ty),*] $r:literal $p:literal ($($arg:expr),*)) => { $f::<$($gen,)* $r, $p>($($arg),*) };
}
pub(crate) use pick_tile;

/// Defines `tile_f32` and `tile_f16` of one instruction set, which take the numbers of rows and panels at run time.
///
/// The parameters are the proof value of the lanes, the generic tile function (`tile_f` above, or an instruction set's own), the
/// trait of its weights, the attributes that enable the features, and the numbers of rows and of panels that the tile is compiled
/// for. Adding an instruction set takes one invocation and an entry in [`isa`](super::isa).
macro_rules! float_tiles {
    ($proof:expr, $tile:ident, $weight:ident, [$($attr:tt)*], $($r:literal)+, $p:tt) => {
        /// # Safety
        /// The preconditions of [`TileF`](crate::simd::tile::TileF), with `ROWS` rows and `PANELS` panels; the processor has the
        /// features.
        #[$($attr)*]
        unsafe fn float_tile<W: $weight, const ROWS: usize, const PANELS: usize>(t: &$crate::simd::tile::TileF<W>) {
            #[allow(unused_unsafe)] // the portable lanes need none
            // SAFETY: the preconditions of `TileF` are this function's.
            unsafe {
                $tile::<_, W, ROWS, PANELS>($proof, t)
            }
        }

        /// The floating-point tile for f32 weights.
        ///
        /// # Safety
        /// The preconditions of [`TileF`](crate::simd::tile::TileF), with `rows` and `panels` within the instruction set's shape;
        /// the processor has the features.
        pub(crate) unsafe fn tile_f32(rows: usize, panels: usize, t: &$crate::simd::tile::TileF<f32>) {
            // SAFETY: the preconditions of `TileF` are this function's.
            unsafe { $crate::simd::tile::pick_tile!(rows, panels, $($r)+, $p, float_tile[f32](t)) }
        }

        /// The floating-point tile for f16 weights.
        ///
        /// # Safety
        /// The preconditions of [`TileF`](crate::simd::tile::TileF), with `rows` and `panels` within the instruction set's shape;
        /// the processor has the features.
        pub(crate) unsafe fn tile_f16(rows: usize, panels: usize, t: &$crate::simd::tile::TileF<half::f16>) {
            // SAFETY: the preconditions of `TileF` are this function's.
            unsafe { $crate::simd::tile::pick_tile!(rows, panels, $($r)+, $p, float_tile[half::f16](t)) }
        }
    };
}
pub(crate) use float_tiles;
