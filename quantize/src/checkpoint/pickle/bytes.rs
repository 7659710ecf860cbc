//! The pickle's bytes, read from front to back.

/// What reading gives, or what is wrong.
pub(super) type Step<T = ()> = Result<T, String>;

/// Bytes and how many of them have been read.
pub(super) struct Bytes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Bytes<'a> {
        Bytes { bytes, at: 0 }
    }

    /// How many have been read.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, length: u64) -> Step<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let taken = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let taken = taken.ok_or_else(|| "its pickle is truncated".to_string())?;
        self.at += taken.len();
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Step<u8> {
        Ok(self.take(1)?.first().copied().unwrap_or(0))
    }

    pub(super) fn unsigned(&mut self, width: usize) -> Step<u64> {
        Ok(self.take(width as u64)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A little-endian two's complement number of at most eight bytes.
    pub(super) fn signed(&mut self, width: usize) -> Step<i64> {
        if width == 0 {
            return Ok(0);
        }
        let unused = 64 - 8 * width.min(8) as u32;
        Ok((self.unsigned(width)? << unused) as i64 >> unused)
    }

    pub(super) fn line(&mut self) -> Step<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or("its pickle is truncated")?;
        let line = self.take(end as u64 + 1)?;
        std::str::from_utf8(&line[..end]).map(str::trim_end).map_err(|_| "a line that is not text".into())
    }
}
