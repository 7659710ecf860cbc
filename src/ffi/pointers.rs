//! Pointers and sizes from C. Everything that can be validated is, before a reference or a slice exists.
//!
//! What cannot be validated is that memory exists at a non-null, aligned pointer. `include/beitle.h` requires it of the
//! caller, and the unsafe functions below repeat it.

use crate::status::CallError;

/// The value at `p`.
///
/// # Safety
/// If `p` is non-null and aligned, it points to a valid `T` that is not written to during `'a`.
pub(crate) unsafe fn read<'a, T>(p: *const T, name: &'static str) -> Result<&'a T, CallError> {
    validate(p, 1, name)?;
    // SAFETY: `validate` established that `p` is non-null and aligned, which gives this function's requirement.
    Ok(unsafe { &*p })
}

/// Writes `value` to `p`.
///
/// # Safety
/// If `p` is non-null and aligned, a `T` may be written there.
pub(crate) unsafe fn write<T>(p: *mut T, value: T, name: &'static str) -> Result<(), CallError> {
    validate(p, 1, name)?;
    // SAFETY: `validate` established that `p` is non-null and aligned, which gives this function's requirement.
    unsafe { p.write(value) };
    Ok(())
}

/// `len` elements at `p`. With a `len` of 0, `p` may be anything.
///
/// # Safety
/// If `p` is non-null and aligned, it points to `len` initialised elements that are not written to during `'a`.
pub(crate) unsafe fn slice<'a, T: bytemuck::Pod>(
    p: *const T,
    len: usize,
    name: &'static str,
) -> Result<&'a [T], CallError> {
    if len == 0 {
        return Ok(&[]);
    }
    validate(p, len, name)?;
    // SAFETY: `validate` established that `p` is non-null and aligned and that the size is at most `isize::MAX` bytes; the
    // requirement of this function gives the rest.
    Ok(unsafe { core::slice::from_raw_parts(p, len) })
}

/// `len` writable elements at `p`. With a `len` of 0, `p` may be anything.
///
/// # Safety
/// If `p` is non-null and aligned, it points to `len` elements that nothing else reads or writes during `'a`.
pub(crate) unsafe fn slice_mut<'a, T: bytemuck::Pod>(
    p: *mut T,
    len: usize,
    name: &'static str,
) -> Result<&'a mut [T], CallError> {
    if len == 0 {
        return Ok(&mut []);
    }
    validate(p, len, name)?;
    // SAFETY: `validate` established that `p` is non-null and aligned and that the size is at most `isize::MAX` bytes; the
    // requirement of this function gives the rest. The memory is C's, so that it counts as initialised, and any bits are a
    // valid `T`.
    Ok(unsafe { core::slice::from_raw_parts_mut(p, len) })
}

/// Checks that `p` is non-null, aligned, and that `len` elements at `p` fit in the address space.
fn validate<T>(p: *const T, len: usize, name: &'static str) -> Result<(), CallError> {
    if p.is_null() {
        return Err(CallError::Argument(name, "is NULL"));
    }
    check_aligned(p, align_of::<T>(), name)?;
    let bytes = len.checked_mul(size_of::<T>()).filter(|&n| isize::try_from(n).is_ok());
    match bytes.and_then(|n| p.addr().checked_add(n)) {
        Some(_) => Ok(()),
        None => Err(CallError::Argument(name, "extends past the end of the address space")),
    }
}

/// Checks that `p` is a multiple of `alignment`.
pub(crate) fn check_aligned<T>(p: *const T, alignment: usize, name: &'static str) -> Result<(), CallError> {
    if p.addr().is_multiple_of(alignment) { Ok(()) } else { Err(CallError::Misaligned(name, alignment)) }
}

/// The address range of a buffer.
#[derive(Clone, Copy)]
pub(crate) struct ByteRange {
    name: &'static str,
    start: usize,
    bytes: usize,
}

impl ByteRange {
    /// `len` elements at `p`.
    pub fn new<T>(p: *const T, len: usize, name: &'static str) -> Result<ByteRange, CallError> {
        if len > 0 {
            validate(p, len, name)?;
        }
        // `validate` has excluded an overflow of the product, and of `start + bytes`.
        Ok(ByteRange { name, start: p.addr(), bytes: len * size_of::<T>() })
    }

    /// `len` elements at `p`; empty if they cannot exist, which whoever makes a reference of them reports.
    pub fn of<T>(p: *const T, len: usize, name: &'static str) -> ByteRange {
        let bytes = len.checked_mul(size_of::<T>()).filter(|&n| p.addr().checked_add(n).is_some());
        ByteRange { name, start: p.addr(), bytes: if p.is_null() { 0 } else { bytes.unwrap_or(0) } }
    }

    fn overlaps(&self, other: &ByteRange) -> bool {
        let end = |s: &ByteRange| s.start + s.bytes;
        self.bytes > 0 && other.bytes > 0 && self.start < end(other) && other.start < end(self)
    }
}

/// Checks that no written buffer overlaps another written buffer or a buffer that is read.
pub(crate) fn check_disjoint(written: &[ByteRange], read: &[ByteRange]) -> Result<(), CallError> {
    for (i, w) in written.iter().enumerate() {
        if let Some(other) = written[..i].iter().chain(read).find(|other| w.overlaps(other)) {
            return Err(CallError::Overlap(w.name, other.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_found() {
        let disjoint = |written: &[(usize, usize)], read: &[(usize, usize)]| {
            let spans = |ranges: &[(usize, usize)]| -> Vec<ByteRange> {
                ranges.iter().map(|&(start, bytes)| ByteRange { name: "a buffer", start, bytes }).collect()
            };
            check_disjoint(&spans(written), &spans(read)).is_ok()
        };
        assert!(disjoint(&[(100, 10), (110, 10)], &[(90, 10), (120, 5), (105, 0)]));
        assert!(!disjoint(&[(100, 10), (109, 1)], &[]));
        assert!(!disjoint(&[(100, 10)], &[(50, 100)]));
        assert!(disjoint(&[], &[(50, 100), (50, 100)]));
    }

    #[test]
    fn invalid_pointers_are_rejected() {
        let x = [0u16; 2];
        let odd = x.as_ptr().cast::<u8>().wrapping_add(1).cast::<u16>();
        assert!(validate(x.as_ptr(), 2, "x").is_ok());
        assert!(matches!(validate(odd, 1, "x"), Err(CallError::Misaligned("x", 2))));
        assert!(validate(core::ptr::null::<u16>(), 1, "x").is_err());
        assert!(validate(x.as_ptr(), usize::MAX, "x").is_err());
    }
}
