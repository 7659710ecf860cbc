//! The kernels: what runs on the processor's vectors, behind one table per instruction set.
//!
//! [`lanes`] is the 16-lane type, [`rows`] and [`math`] are written over it once, [`micro`] is the contract of the
//! matrix tiles. The instruction-set files hold the lanes and the int8 tile. An [`Isa`] can only be had where the
//! processor has the instructions; every `unsafe` call below rests on that.

pub(crate) mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod column;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod dotprod;
pub(crate) mod epilogue;
pub(crate) mod gemm;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod i8mm;
pub(crate) mod interpolate;
pub(crate) mod lanes;
pub(crate) mod lerp;
#[cfg(any(test, feature = "bench"))]
pub mod list;
pub(crate) mod math;
pub(crate) mod micro;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod neon;
pub(crate) mod nibbles;
#[cfg(feature = "peak")]
mod peak;
mod portable;
pub(crate) mod rows;
pub(crate) mod split;
mod tap;
#[cfg(test)]
mod tests;
pub(crate) mod transform;
pub(crate) mod winograd;

use attention::blend::Blend;
use attention::pack::Token;
use attention::softmax::Weights;
use epilogue::{Finish, FinishI8};
use half::{bf16, f16};
use lanes::LANES;
use lerp::{Along, Lerp};
use micro::{TileF, TileI8, pick_tile};
use transform::Gather;

/// The most rows of any tile, and panels of those for matrix products.
pub(crate) const MAX_ROWS: usize = 10;
pub(crate) const MAX_PANELS: usize = 3;

/// How much of a product one micro-kernel call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub rows: usize,
    pub panels: usize,
}

/// Products and what follows products at the same time, where vectors can do more than multiply.
#[derive(Clone, Copy)]
struct Together {
    /// A tile, and the last step of another.
    tile_i8: unsafe fn(usize, usize, &TileI8, &FinishI8),
    /// Attention's whole blocks: as [`attention::tiles::weigh`] and [`mix`](attention::tiles::mix).
    weigh: unsafe fn(&TileI8, &Weights),
    mix: unsafe fn(&TileI8, &Blend),
}

/// Hands the list of row kernels to a macro: first the safe ones (slices), then those that take pointers.
macro_rules! with_row_kernels {
    ($then:ident $args:tt) => {
        $then! { $args
            safe {
                fn layer_norm(x: &[f32], n: usize, eps: f32, out: &mut [f32]);
                fn quantise(x: &[f32], n: usize, out: &mut [u8]) -> [f32; 2];
                fn sum_rows(rows: &[f32], pitch: usize, out: &mut [f32]);
                fn spread(rows: &[f32], pitch: usize, low: &mut [f32], high: &mut [f32]);
                fn quantise_tokens(x: &[f32], pitch: usize, centre: &[f32], out: &mut [i8], tokens: &mut [Token]);
                fn quantise_values(x: &[f32], pitch: usize, first: &[usize], by: &[[f32; LANES]; 2], out: &mut [i8], sums: &mut [i32; LANES]);
                fn lerp_pixels(low: &[f32], high: &[f32], weight: f32, pitch: usize, out: &mut [f32]);
                fn add_scaled(a: &[f32], w: f32, out: &mut [f32]);
                fn scale_and_add(x: &[f32], w: f32, scale: &[f32], offset: &[f32], out: &mut [f32]);
                fn sum_lerps(runs: &[Lerp<f32>], out: &mut [f32]);
                fn sum_lerps_bf16(runs: &[Lerp<bf16>], out: &mut [f32]);
                fn max_into(a: &[f32], out: &mut [f32]);
                fn bias_relu(bias: &[f32], out: &mut [f32]);
                fn softmax(x: &mut [f32], n: usize) -> f32;
                fn block_factors(tops: &mut [f32], totals: &[i32], unit: u32, shares: &mut [f32]);
                fn argmax_lerp(a: &[f32], b: &[f32], w: f32, n: usize) -> u16;
                fn to_bf16(x: &[f32], out: &mut [bf16]);
                fn unpack(packed: &[u8], multipliers: &[i8], out: &mut [i8]);
                fn winograd_input(lines: &[&[bf16]], out: &mut [f32]);
                fn winograd_quantise(x: &mut [f32], n: usize, rows: &mut [u8], pitch: usize, params: &mut [[f32; 2]]);
            }
            raw {
                fn finish(t: &Finish);
                fn finish_i8(t: &FinishI8);
                fn gather(t: &Gather);
                fn block_weights(t: &Weights);
                fn blend(t: &Blend);
                fn add_along(lines: &[Along], bias: &[f32], large: usize, panels: usize, out: *mut f32, pitch: usize);
            }
        }
    };
}

macro_rules! table {
    (() safe { $(fn $s:ident($($sa:ident: $st:ty),*) $(-> $sr:ty)?;)* } raw { $(fn $r:ident($($ra:ident: $rt:ty),*);)* }) => {
        /// What an instruction set offers.
        pub(crate) struct Table {
            name: &'static str,
            flip: u8,
            shape_i8: Shape,
            tile_i8: unsafe fn(usize, usize, &TileI8),
            shape_block: Shape,
            together: Option<Together>,
            shape_f: Shape,
            tile_f32: unsafe fn(usize, usize, &TileF<f32>),
            tile_f16: unsafe fn(usize, usize, &TileF<f16>),
            $($s: unsafe fn($($st),*) $(-> $sr)?,)*
            $($r: unsafe fn($($rt),*),)*
        }

        /// The row kernels; see [`rows`] for what each computes.
        impl Isa {
            $(#[inline]
            pub(crate) fn $s(self, $($sa: $st),*) $(-> $sr)? {
                // SAFETY: an `Isa` exists only where the processor has the instructions.
                unsafe { (self.0.$s)($($sa),*) }
            })*
            $(/// # Safety
            /// As the function of this name in [`rows`].
            #[inline]
            pub(crate) unsafe fn $r(self, $($ra: $rt),*) {
                // SAFETY: the caller's promise; an `Isa` exists only where the processor has the instructions.
                unsafe { (self.0.$r)($($ra),*) }
            })*
        }
    };
}
with_row_kernels!(table());

/// [`Lanes::FLIP`] of what `_proof` makes.
const fn flip<L: lanes::Lanes>(_proof: &impl Fn() -> L) -> u8 {
    L::FLIP
}

/// Makes the module of one instruction set: every kernel compiled for its features over its lanes.
macro_rules! instance {
    (($isa:ident, $name:literal, $lanes:expr, [#[$attr:meta]],
      f: $f_rows:literal x $f_panels:literal [$($fr:literal)+] $fp:tt $f_of:ident,
      i8: $i_rows:literal x $i_panels:literal $tile_i8:path, block: $b_rows:literal x $b_panels:literal $together:expr)
     safe { $(fn $s:ident($($sa:ident: $st:ty),*) $(-> $sr:ty)?;)* } raw { $(fn $r:ident($($ra:ident: $rt:ty),*);)* }) => {
        mod $isa {
            use super::*;
            use lanes::Lanes;
            #[allow(unused_unsafe)]
            #[inline(always)]
            fn proof() -> impl Lanes {
                // SAFETY: only the functions of this table call it, and the table is reached through an `Isa`.
                unsafe { $lanes }
            }
            $(#[$attr]
            unsafe fn $s($($sa: $st),*) $(-> $sr)? {
                rows::$s(proof(), $($sa),*)
            })*
            $(#[$attr]
            unsafe fn $r($($ra: $rt),*) {
                // SAFETY: passed on.
                unsafe { rows::$r(proof(), $($ra),*) }
            })*
            #[$attr]
            unsafe fn tile_of<W: $f_of::Widen, const ROWS: usize, const PANELS: usize>(t: &TileF<W>) {
                // SAFETY: passed on.
                unsafe { $f_of::tile_f::<_, W, ROWS, PANELS>(proof(), t) }
            }
            unsafe fn tile_f32(rows: usize, panels: usize, t: &TileF<f32>) {
                // SAFETY: passed on.
                unsafe { pick_tile!(rows, panels, $($fr)+, $fp, tile_of[f32](t)) }
            }
            unsafe fn tile_f16(rows: usize, panels: usize, t: &TileF<f16>) {
                // SAFETY: passed on.
                unsafe { pick_tile!(rows, panels, $($fr)+, $fp, tile_of[f16](t)) }
            }
            pub(super) static TABLE: Table = Table {
                name: $name,
                flip: flip(&proof),
                shape_i8: Shape { rows: $i_rows, panels: $i_panels },
                tile_i8: $tile_i8,
                shape_block: Shape { rows: $b_rows, panels: $b_panels },
                together: $together,
                shape_f: Shape { rows: $f_rows, panels: $f_panels },
                tile_f32,
                tile_f16,
                $($s,)*
                $($r,)*
            };
        }
    };
}

with_row_kernels!(instance(on_portable, "portable", portable::Portable, [#[inline]],
    f: 4 x 1 [1 2 3 4] [1] micro, i8: 4 x 1 portable::tile_i8, block: 4 x 1 None));
#[cfg(target_arch = "x86_64")]
with_row_kernels!(instance(on_avx2, "avx2", avx2::Avx2::new(), [#[target_feature(enable = "avx2,fma,f16c")]],
    f: 6 x 1 [1 2 3 4 5 6] [1] micro, i8: 5 x 3 avx2::tile_i8, block: 5 x 4 None));
#[cfg(target_arch = "x86_64")]
with_row_kernels!(instance(on_avxvnni, "avxvnni", avx2::Avx2::new(), [#[target_feature(enable = "avx2,fma,f16c")]],
    f: 6 x 1 [1 2 3 4 5 6] [1] micro, i8: 6 x 1 avx2::tile_i8_vnni, block: 6 x 1 None));
#[cfg(all(target_arch = "x86_64", any(test, feature = "bench")))]
with_row_kernels!(instance(on_evex, "avxvnni-evex", avx2::Avx2::new(), [#[target_feature(enable = "avx2,fma,f16c")]],
    f: 6 x 1 [1 2 3 4 5 6] [1] micro, i8: 6 x 1 avx2::tile_i8_evex, block: 6 x 1 None));
#[cfg(target_arch = "x86_64")]
with_row_kernels!(instance(on_avx512, "avx512", avx512::Avx512::new(),
    [#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]],
    f: 8 x 3 [1 2 3 4 5 6 7 8] [1 2 3] micro, i8: 8 x 3 avx512::tile_i8, block: 5 x 3 Some(avx512::TOGETHER)));
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
with_row_kernels!(instance(on_neon, "neon", neon::Neon::new(), [#[target_feature(enable = "neon")]],
    f: 6 x 1 [1 2 3 4 5 6] [1] neon, i8: 2 x 1 neon::tile_i8, block: 2 x 1 None));
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
with_row_kernels!(instance(on_dotprod, "dotprod", neon::Neon::new(), [#[target_feature(enable = "neon")]],
    f: 6 x 1 [1 2 3 4 5 6] [1] neon, i8: 6 x 3 dotprod::tile_i8, block: 6 x 4 None));
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
with_row_kernels!(instance(on_i8mm, "i8mm", neon::Neon::new(), [#[target_feature(enable = "neon")]],
    f: 6 x 1 [1 2 3 4 5 6] [1] neon, i8: 10 x 3 i8mm::tile_i8, block: 8 x 1 None));

/// An instruction set that this processor has.
#[derive(Clone, Copy)]
pub struct Isa(&'static Table);

impl core::fmt::Debug for Isa {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Isa({})", self.name())
    }
}

/// Whether the processor has the features: asked of it with `std`, known from the build without.
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
macro_rules! has {
    ($($feature:tt),+) => {{
        #[cfg(all(feature = "std", target_arch = "x86_64"))]
        { $(std::arch::is_x86_feature_detected!($feature))&&+ }
        #[cfg(all(feature = "std", target_arch = "aarch64"))]
        { $(std::arch::is_aarch64_feature_detected!($feature))&&+ }
        #[cfg(not(feature = "std"))]
        { $(cfg!(target_feature = $feature))&&+ }
    }};
}

impl Isa {
    /// Every instruction set this processor has that there are kernels for, the slowest first.
    pub fn available() -> impl DoubleEndedIterator<Item = Isa> {
        let all = [
            Some(Isa(&on_portable::TABLE)),
            #[cfg(target_arch = "x86_64")]
            has!("avx2", "fma", "f16c").then_some(Isa(&on_avx2::TABLE)),
            #[cfg(target_arch = "x86_64")]
            has!("avx2", "fma", "f16c", "avxvnni").then_some(Isa(&on_avxvnni::TABLE)),
            // AVX-VNNI's tile as AVX-512 encodes it, to test it where there is no AVX-VNNI.
            #[cfg(all(target_arch = "x86_64", any(test, feature = "bench")))]
            has!("avx2", "fma", "f16c", "avx512vnni", "avx512vl").then_some(Isa(&on_evex::TABLE)),
            #[cfg(target_arch = "x86_64")]
            has!("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni")
                .then_some(Isa(&on_avx512::TABLE)),
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            has!("neon").then_some(Isa(&on_neon::TABLE)),
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            has!("neon", "dotprod").then_some(Isa(&on_dotprod::TABLE)),
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            has!("neon", "i8mm").then_some(Isa(&on_i8mm::TABLE)),
        ];
        all.into_iter().flatten()
    }

    /// The fastest.
    pub fn detect() -> Isa {
        Isa::available().next_back().unwrap_or(Isa(&on_portable::TABLE))
    }

    /// The one with this name, where the processor has it: `portable`, `avx2`, `avxvnni`, `avx512`, `neon`,
    /// `dotprod`, `i8mm`.
    pub fn by_name(name: &str) -> Option<Isa> {
        Isa::available().find(|isa| isa.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// What bytes of rows are stored exclusive-or: see [`Lanes::FLIP`](lanes::Lanes::FLIP).
    pub(crate) fn flip(self) -> u8 {
        self.0.flip
    }

    pub(crate) fn shape_i8(self) -> Shape {
        self.0.shape_i8
    }

    /// The tile for blocks of attention, or, with [`Isa::weigh`] and [`Isa::mix`], for what is less than a block: one panel, or as many as
    /// there are together.
    pub(crate) fn shape_block(self) -> Shape {
        self.0.shape_block
    }

    /// Blocks of keys that are taken together.
    pub(crate) fn span(self) -> usize {
        if self.0.together.is_some() { usize::MAX } else { attention::SPAN }
    }

    /// What does the whole of [`attention::tiles::weigh`] at once for whole blocks.
    pub(crate) fn weigh(self) -> Option<unsafe fn(&TileI8, &Weights)> {
        self.0.together.map(|t| t.weigh)
    }

    /// What does the whole of [`attention::tiles::mix`] at once for whole blocks of values.
    pub(crate) fn mix(self) -> Option<unsafe fn(&TileI8, &Blend)> {
        self.0.together.map(|t| t.mix)
    }

    /// Whether a tile's last step is better done by [`Isa::tile_i8_while`].
    pub(crate) fn finishes_later(self) -> bool {
        self.0.together.is_some()
    }

    /// As [`Isa::tile_i8`], then [`Isa::finish_i8`], or both at once.
    ///
    /// # Safety
    /// As there; neither reads what the other writes.
    #[inline]
    pub(crate) unsafe fn tile_i8_while(self, rows: usize, panels: usize, t: &TileI8, other: &FinishI8) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.0.together {
                Some(together) => (together.tile_i8)(rows, panels, t, other),
                None => {
                    self.tile_i8(rows, panels, t);
                    self.finish_i8(other);
                }
            }
        }
    }

    pub(crate) fn shape_f(self) -> Shape {
        self.0.shape_f
    }

    /// # Safety
    /// See [`TileI8`]; `rows` and `panels` at most [`Isa::shape_i8`], or [`Isa::shape_block`].
    #[inline]
    pub(crate) unsafe fn tile_i8(self, rows: usize, panels: usize, t: &TileI8) {
        // SAFETY: the caller's promise; an `Isa` exists only where the processor has the instructions.
        unsafe { (self.0.tile_i8)(rows, panels, t) }
    }

    /// # Safety
    /// See [`TileF`]; `rows` and `panels` at most [`Isa::shape_f`].
    #[inline]
    pub(crate) unsafe fn tile_f32(self, rows: usize, panels: usize, t: &TileF<f32>) {
        // SAFETY: the caller's promise; an `Isa` exists only where the processor has the instructions.
        unsafe { (self.0.tile_f32)(rows, panels, t) }
    }

    /// # Safety
    /// See [`TileF`]; `rows` and `panels` at most [`Isa::shape_f`].
    #[inline]
    pub(crate) unsafe fn tile_f16(self, rows: usize, panels: usize, t: &TileF<f16>) {
        // SAFETY: the caller's promise; an `Isa` exists only where the processor has the instructions.
        unsafe { (self.0.tile_f16)(rows, panels, t) }
    }
}
