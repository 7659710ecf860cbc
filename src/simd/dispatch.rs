//! [`dispatch!`]: compiles a row kernel, written once over [`Lanes`](super::lanes::Lanes), for every instruction set
//! and makes it a method of [`Isa`](super::isa::Isa).

/// Declares row kernels: each becomes a method of [`Isa`](crate::simd::isa::Isa) with the kernel's name.
///
/// A kernel is an `#[inline(always)]` function that is generic over the lanes. Its declaration is in the same file:
///
/// ```text
/// dispatch! { fn scale(x: &mut [f32], factor: f32); }
/// #[inline(always)]
/// fn scale<L: Lanes>(l: L, x: &mut [f32], factor: f32) { … }
///
/// isa.scale(x, 0.5);
/// ```
///
/// Adding a kernel takes the function, this declaration, and an entry in `kernel_list`, which the tests and benchmarks read.
/// Kernels that take raw pointers are declared as `unsafe fn`; their preconditions are documented at the function.
///
/// The method (`@method`) matches on [`LaneSet`](crate::simd::isa::LaneSet) and calls one function per implementation of `Lanes`
/// (`@compile`). That function enables the target features of its lanes, and the kernel and all it calls are inlined into it: a
/// function that is not inlined would be compiled without the features. The portable function is large and never inlined into
/// callers.
macro_rules! dispatch {
    ($(fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?;)+) => {
        $($crate::simd::dispatch::dispatch!(@method [] $name [$($arg: $ty),*] [$(-> $ret)?]);)+
    };
    ($(unsafe fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?;)+) => {
        $($crate::simd::dispatch::dispatch!(@method [unsafe] $name [$($arg: $ty),*] [$(-> $ret)?]);)+
    };
    (@method [$($unsafe:ident)?] $name:ident [$($arg:ident: $ty:ty),*] [$($ret:tt)*]) => {
        impl $crate::simd::isa::Isa {
            #[doc = concat!("The row kernel `", stringify!($name), "`, compiled for this instruction set.")]
            #[doc = ""]
            #[doc = "# Safety"]
            #[doc = "If the method is `unsafe`: the preconditions documented at the kernel."]
            #[inline]
            pub(crate) $($unsafe)? fn $name(self, $($arg: $ty),*) $($ret)* {
                use $crate::simd::isa::LaneSet;
                $crate::simd::dispatch::dispatch!(@compile portable, $crate::simd::portable::Portable,
                    [inline(never)] $name [$($arg: $ty),*] [$($ret)*]);
                #[cfg(target_arch = "x86_64")]
                $crate::simd::dispatch::dispatch!(@compile sse41, $crate::simd::x86::sse41::Sse41::new(),
                    [target_feature(enable = "sse4.1")] $name [$($arg: $ty),*] [$($ret)*]);
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
                #[cfg(all(target_arch = "arm", target_os = "linux", target_abi = "eabihf"))]
                $crate::simd::dispatch::dispatch!(@compile neon, $crate::simd::arm32::lanes::Neon::<false>::new(),
                    [inline(never)] $name [$($arg: $ty),*] [$($ret)*]);
                #[cfg(all(target_arch = "arm", target_os = "linux", target_abi = "eabihf"))]
                $crate::simd::dispatch::dispatch!(@compile neon_vfpv4, $crate::simd::arm32::lanes::Neon::<true>::new(),
                    [inline(never)] $name [$($arg: $ty),*] [$($ret)*]);
                // SAFETY: the processor has the instructions of the lanes, because this is an `Isa`; the
                // kernel's preconditions, if it has any, are this method's.
                unsafe {
                    match self.lanes() {
                        LaneSet::Portable if LaneSet::PORTABLE_IN_BUILD => portable($($arg),*),
                        #[cfg(target_arch = "x86_64")]
                        LaneSet::Sse41 if LaneSet::SSE41_IN_BUILD => sse41($($arg),*),
                        #[cfg(target_arch = "x86_64")]
                        LaneSet::Avx512 => avx512($($arg),*),
                        // The last arm is also that of the kernels that a build leaves out: no `Isa` of such a build names them.
                        #[cfg(target_arch = "x86_64")]
                        _ => avx2($($arg),*),
                        #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
                        _ => neon($($arg),*),
                        #[cfg(all(target_arch = "arm", target_os = "linux", target_abi = "eabihf"))]
                        LaneSet::Neon => neon($($arg),*),
                        #[cfg(all(target_arch = "arm", target_os = "linux", target_abi = "eabihf"))]
                        LaneSet::NeonVfpv4 => neon_vfpv4($($arg),*),
                        #[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon"))))]
                        LaneSet::Portable => portable($($arg),*),
                    }
                }
            }
        }
    };
    (@compile $isa:ident, $proof:expr, [$($attr:tt)*] $name:ident [$($arg:ident: $ty:ty),*] [$($ret:tt)*]) => {
        #[$($attr)*]
        #[allow(unused_unsafe)] // The portable lanes and safe kernels need no `unsafe`.
        unsafe fn $isa($($arg: $ty),*) $($ret)* {
            // SAFETY: the method above calls this function only if the processor has the instructions, and passes on the
            // kernel's preconditions.
            unsafe { $name($proof, $($arg),*) }
        }
    };
}
pub(crate) use dispatch;
