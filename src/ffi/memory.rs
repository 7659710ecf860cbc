//! The caller's memory as Rust sees it: null, alignment, length and overlap are checked before anything is believed.

use super::answer::Refusal;

/// `p` for reading.
///
/// # Safety
/// Where `p` is neither null nor misaligned, a valid `T` that nobody changes meanwhile is there.
pub(super) unsafe fn read<'a, T>(p: *const T, what: &'static str) -> Result<&'a T, Refusal> {
    pointer(p, 1, what)?;
    // SAFETY: not null, aligned; the rest is the caller's promise.
    Ok(unsafe { &*p })
}

/// Writes `value` to `p`.
///
/// # Safety
/// Where `p` is neither null nor misaligned, a `T` may be written there.
pub(super) unsafe fn write<T>(p: *mut T, value: T, what: &'static str) -> Result<(), Refusal> {
    pointer(p, 1, what)?;
    // SAFETY: not null, aligned; the rest is the caller's promise.
    unsafe { p.write(value) };
    Ok(())
}

/// `len` elements from `p` for reading.
///
/// # Safety
/// As [`read`], for all of them.
pub(super) unsafe fn slice<'a, T: bytemuck::Pod>(
    p: *const T,
    len: usize,
    what: &'static str,
) -> Result<&'a [T], Refusal> {
    if len == 0 {
        return Ok(&[]);
    }
    pointer(p, len, what)?;
    // SAFETY: not null, aligned, not longer than memory can be; the rest is the caller's promise.
    Ok(unsafe { core::slice::from_raw_parts(p, len) })
}

/// `len` elements from `p` for writing. Their contents may be anything.
///
/// # Safety
/// As [`slice`], and nobody else reads or writes there meanwhile.
pub(super) unsafe fn slice_mut<'a, T: bytemuck::Pod>(
    p: *mut T,
    len: usize,
    what: &'static str,
) -> Result<&'a mut [T], Refusal> {
    if len == 0 {
        return Ok(&mut []);
    }
    pointer(p, len, what)?;
    // SAFETY: not null, aligned, not longer than memory can be; the rest is the caller's promise.
    Ok(unsafe { core::slice::from_raw_parts_mut(p, len) })
}

/// Everything about a pointer and a length that can be checked.
fn pointer<T>(p: *const T, len: usize, what: &'static str) -> Result<(), Refusal> {
    if p.is_null() {
        return Err(Refusal::Argument(what, "is NULL"));
    }
    aligned(p, align_of::<T>(), what)?;
    let bytes = len.checked_mul(size_of::<T>()).filter(|&n| isize::try_from(n).is_ok());
    match bytes.and_then(|n| p.addr().checked_add(n)) {
        Some(_) => Ok(()),
        None => Err(Refusal::Argument(what, "is longer than memory can be")),
    }
}

/// Whether `p` is at a multiple of `to` bytes.
pub(super) fn aligned<T>(p: *const T, to: usize, what: &'static str) -> Result<(), Refusal> {
    if p.addr().is_multiple_of(to) { Ok(()) } else { Err(Refusal::Misaligned(what, to)) }
}

/// A range of addresses: where it starts and how many bytes it has.
pub(super) type Span = (usize, usize);

/// Where `len` elements from `p` lie, if they can.
pub(super) fn span<T>(p: *const T, len: usize, what: &'static str) -> Result<Span, Refusal> {
    if len > 0 {
        pointer(p, len, what)?;
    }
    Ok((p.addr(), len * size_of::<T>()))
}

/// Whether what is written overlaps nothing else.
pub(super) fn apart(written: &[Span], read: &[Span]) -> Result<(), Refusal> {
    let meet = |a: &Span, b: &Span| a.1 > 0 && b.1 > 0 && a.0 < b.0 + b.1 && b.0 < a.0 + a.1;
    for (i, w) in written.iter().enumerate() {
        if written[..i].iter().chain(read).any(|other| meet(w, other)) {
            return Err(Refusal::Argument("memory to be written", "overlaps other memory of this call"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_seen() {
        assert!(apart(&[(100, 10), (110, 10)], &[(90, 10), (120, 5), (105, 0)]).is_ok());
        assert!(apart(&[(100, 10), (109, 1)], &[]).is_err());
        assert!(apart(&[(100, 10)], &[(50, 100)]).is_err());
        assert!(apart(&[], &[(50, 100), (50, 100)]).is_ok());
    }

    #[test]
    fn odd_pointers_are_refused() {
        let x = [0u16; 2];
        let odd = x.as_ptr().cast::<u8>().wrapping_add(1).cast::<u16>();
        assert!(pointer(x.as_ptr(), 2, "x").is_ok());
        assert!(matches!(pointer(odd, 1, "x"), Err(Refusal::Misaligned("x", 2))));
        assert!(pointer(core::ptr::null::<u16>(), 1, "x").is_err());
        assert!(pointer(x.as_ptr(), usize::MAX, "x").is_err());
    }
}
