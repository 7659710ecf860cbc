//! The pickle's bytes, read from front to back.

/// Result of one step of the parser; the error says what is wrong with the pickle.
pub(super) type PickleResult<T = ()> = Result<T, String>;

/// A read position in the pickle.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, position: 0 }
    }

    /// Number of bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The next `length` bytes.
    pub(super) fn take(&mut self, length: u64) -> PickleResult<&'a [u8]> {
        let rest = self.bytes.get(self.position..).unwrap_or(&[]);
        let taken = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let taken = taken.ok_or_else(|| "its pickle is truncated".to_string())?;
        self.position += taken.len();
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> PickleResult<u8> {
        Ok(self.take(1)?.first().copied().unwrap_or(0))
    }

    /// A little-endian unsigned number of `width` bytes, at most eight.
    pub(super) fn unsigned(&mut self, width: usize) -> PickleResult<u64> {
        Ok(self.take(width as u64)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A little-endian two's complement number of `width` bytes, at most eight.
    pub(super) fn signed(&mut self, width: usize) -> PickleResult<i64> {
        if width == 0 {
            return Ok(0);
        }
        let unused = 64 - 8 * width.min(8) as u32;
        Ok((self.unsigned(width)? << unused) as i64 >> unused)
    }

    /// The text up to the next line feed, without it and without trailing white space.
    pub(super) fn line(&mut self) -> PickleResult<&'a str> {
        let rest = self.bytes.get(self.position..).unwrap_or(&[]);
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or("its pickle is truncated")?;
        let line = self.take(end as u64 + 1)?;
        std::str::from_utf8(&line[..end]).map(str::trim_end).map_err(|_| "a line is not UTF-8".into())
    }
}
