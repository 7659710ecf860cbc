//! Structures of other versions of the header. A smaller structure comes from an older header: the fields that it does
//! not have count as zero. A larger one comes from a newer header, and is accepted if the fields that this library does not know
//! are zero.

use crate::pointers::{ByteRange, read, slice};
use crate::status::CallError;
use crate::types::Versioned;
use core::mem::MaybeUninit;

/// The largest structure of a future version.
const MOST_BYTES: usize = 4096;

/// The memory that a structure at `p` takes at least, in the smallest of all versions.
pub(crate) fn smallest_range<T: Versioned>(p: *const T, name: &'static str) -> ByteRange {
    let bytes = T::EARLIER_SIZES.iter().copied().min().unwrap_or(size_of::<T>());
    ByteRange::of(p.cast::<u8>(), bytes, name)
}

/// A copy of the structure at `p`, and the memory that it takes.
///
/// # Safety
/// If `p` is non-null and aligned, it points to a structure of any version, as large as its first field says, that is not written to
/// during the call. Pointers to functions in it are null or point to functions of their types.
pub(crate) unsafe fn versioned<T: Versioned>(
    p: *const T,
    name: &'static str,
    size_name: &'static str,
) -> Result<(T, ByteRange), CallError> {
    // SAFETY: the requirement is the same.
    let size = unsafe { stated_size(p, name, size_name)? };
    // SAFETY: the structure has `size` bytes.
    let bytes = unsafe { slice(p.cast::<u8>(), size, name)? };
    let (known, unknown) = bytes.split_at(size.min(size_of::<T>()));
    if unknown.iter().any(|&byte| byte != 0) {
        let problem = "says that fields are set which this version of the library does not know";
        return Err(CallError::Argument(size_name, problem));
    }
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: `known` is at most as long as a `T`. Its fields are the caller's, the others are zero, which `Versioned` allows.
    let value = unsafe {
        value.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(known.as_ptr(), known.len());
        value.assume_init()
    };
    Ok((value, ByteRange::of(p.cast::<u8>(), size, name)))
}

/// The size that the structure at `p` states.
///
/// # Safety
/// If `p` is non-null and aligned, it points to a structure of any version that is not written to during the call.
unsafe fn stated_size<T: Versioned>(
    p: *const T,
    name: &'static str,
    size_name: &'static str,
) -> Result<usize, CallError> {
    // SAFETY: the size is the first field in every version.
    let size = *unsafe { read(p.cast::<usize>(), name)? };
    // Not between two versions, where a field would be cut in half.
    if !T::EARLIER_SIZES.contains(&size) && !(size_of::<T>()..=MOST_BYTES).contains(&size) {
        return Err(CallError::Argument(size_name, "is not the size of the structure"));
    }
    // The alignment of the whole structure.
    crate::pointers::check_aligned(p, align_of::<T>(), name)?;
    Ok(size)
}

/// The memory of a structure that is written, whatever is there.
///
/// # Safety
/// As [`versioned`].
pub(crate) unsafe fn result_range<T: Versioned>(
    p: *const T,
    name: &'static str,
    size_name: &'static str,
) -> Result<ByteRange, CallError> {
    // SAFETY: the requirement is the same.
    let size = unsafe { stated_size(p, name, size_name)? };
    ByteRange::new(p.cast::<u8>(), size, name)
}

/// Writes a structure, as much of it as the caller's version has, after its size, which stays. Fields of newer versions become zero.
///
/// # Safety
/// As [`versioned`]; and nothing else uses the structure during the call.
pub(crate) unsafe fn write_result<T: Versioned>(
    p: *mut T,
    value: T,
    name: &'static str,
    size_name: &'static str,
) -> Result<(), CallError> {
    // SAFETY: the requirement includes that of `stated_size`.
    let size = unsafe { stated_size(p, name, size_name)? };
    let (first, known) = (size_of::<usize>(), size.min(size_of::<T>()));
    // SAFETY: the structure at `p` has `size` bytes, which nothing else uses; `known` is at most the size of `value`.
    unsafe {
        let (from, to) = ((&raw const value).cast::<u8>(), p.cast::<u8>());
        to.add(first).copy_from_nonoverlapping(from.add(first), known - first);
        to.add(known).write_bytes(0, size - known);
    }
    Ok(())
}
