//! Structures of arguments of other versions of the header. A smaller structure comes from an older header: the fields that it does
//! not have count as zero. A larger one comes from a newer header, and is accepted if the fields that this library does not know
//! are zero.

use crate::pointers::{ByteRange, read, slice};
use crate::status::CallError;
use crate::types::Versioned;
use core::mem::MaybeUninit;

/// The largest structure of a future version.
const MOST_BYTES: usize = 4096;

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
    // SAFETY: the size is the first field in every version.
    let size = *unsafe { read(p.cast::<usize>(), name)? };
    // Not between two versions, where a field would be cut in half.
    if size != T::FIRST_SIZE && !(size_of::<T>()..=MOST_BYTES).contains(&size) {
        return Err(CallError::Argument(size_name, "is not the size of the structure"));
    }
    // The alignment of the whole structure.
    crate::pointers::check_aligned(p, align_of::<T>(), name)?;
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
