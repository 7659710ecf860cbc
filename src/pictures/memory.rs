//! Allocation that can fail.

use crate::error::Error;

/// A vector of `len` copies of `T`'s default value, which is zero for numbers.
///
/// # Errors
/// [`Error::OutOfMemory`] if it cannot be allocated.
pub fn zeroed<T: Clone + Default>(len: usize) -> Result<Vec<T>, Error> {
    let mut values = Vec::new();
    let bytes = len.saturating_mul(size_of::<T>());
    values.try_reserve_exact(len).map_err(|_| Error::OutOfMemory { bytes })?;
    values.resize(len, T::default());
    Ok(values)
}
