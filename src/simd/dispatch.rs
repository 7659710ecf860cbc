//! How a row kernel, written once over [`Lanes`](super::lanes::Lanes), becomes a method of [`Isa`](super::isa::Isa).

/// Compiles row kernels for every set of lanes and adds each to [`Isa`](crate::simd::isa::Isa) as a method of its name.
///
/// A kernel is an `#[inline(always)]` function over any lanes, and the line that declares it stands beside it:
///
/// ```text
/// dispatch! { fn scale(x: &mut [f32], by: f32); }
/// #[inline(always)]
/// fn scale<L: Lanes>(l: L, x: &mut [f32], by: f32) { … }
///
/// isa.scale(x, 0.5);
/// ```
///
/// Adding a kernel touches nothing else (and its entry in the list that tests and benchmarks read, `kernel_list`). Kernels
/// that take raw pointers are declared as `unsafe fn`; their preconditions are documented with the function.
///
/// For each set of lanes the macro makes a function with the target features of these lanes, into which the kernel and all
/// it calls are inlined; the method chooses among them. The portable function is never inlined into callers: it is large.
macro_rules! dispatch {
    ($(fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?;)+) => {
        $($crate::simd::dispatch::dispatch!(@method [] $name [$($arg: $ty),*] [$(-> $ret)?]);)+
    };
    ($(unsafe fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?;)+) => {
        $($crate::simd::dispatch::dispatch!(@method [unsafe] $name [$($arg: $ty),*] [$(-> $ret)?]);)+
    };
    (@method [$($unsafe:ident)?] $name:ident [$($arg:ident: $ty:ty),*] [$($ret:tt)*]) => {
        impl $crate::simd::isa::Isa {
            #[doc = concat!("The kernel `", stringify!($name), "`, with the preconditions documented there.")]
            #[doc = ""]
            #[doc = "# Safety"]
            #[doc = "Where it is `unsafe`: the preconditions documented with the kernel."]
            pub(crate) $($unsafe)? fn $name(self, $($arg: $ty),*) $($ret)* {
                use $crate::simd::isa::LaneSet;
                $crate::simd::dispatch::dispatch!(@compile portable, $crate::simd::portable::Portable,
                    [inline(never)] $name [$($arg: $ty),*] [$($ret)*]);
                #[cfg(target_arch = "x86_64")]
                $crate::simd::dispatch::dispatch!(@compile avx2, $crate::simd::x86::avx2::Avx2::new(),
                    [target_feature(enable = "avx2,fma,f16c")] $name [$($arg: $ty),*] [$($ret)*]);
                #[cfg(target_arch = "x86_64")]
                $crate::simd::dispatch::dispatch!(@compile avx512, $crate::simd::x86::avx512::Avx512::new(),
                    [target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
                    $name [$($arg: $ty),*] [$($ret)*]);
                #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
                $crate::simd::dispatch::dispatch!(@compile neon, $crate::simd::arm::neon::Neon::new(),
                    [target_feature(enable = "neon")] $name [$($arg: $ty),*] [$($ret)*]);
                // SAFETY: an `Isa` exists only where the processor has the instructions of its lanes; the kernel's own
                // preconditions, where it has any, are this method's.
                unsafe {
                    match self.lanes() {
                        #[cfg(target_arch = "x86_64")]
                        LaneSet::Avx2 if LaneSet::AVX2_IN_BUILD => avx2($($arg),*),
                        #[cfg(target_arch = "x86_64")]
                        LaneSet::Avx512 if LaneSet::AVX512_IN_BUILD => avx512($($arg),*),
                        #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
                        LaneSet::Neon => neon($($arg),*),
                        _ => portable($($arg),*),
                    }
                }
            }
        }
    };
    (@compile $isa:ident, $proof:expr, [$($attr:tt)*] $name:ident [$($arg:ident: $ty:ty),*] [$($ret:tt)*]) => {
        #[$($attr)*]
        #[allow(unused_unsafe)] // the portable lanes and safe kernels need none
        unsafe fn $isa($($arg: $ty),*) $($ret)* {
            // SAFETY: the method calls this function only where the processor has the instructions, and with the
            // kernel's preconditions.
            unsafe { $name($proof, $($arg),*) }
        }
    };
}
pub(crate) use dispatch;
