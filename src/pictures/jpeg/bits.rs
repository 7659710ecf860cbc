//! Bits of entropy-coded data, most significant first.

use crate::error::Error;

/// What is wrong with entropy-coded data. Small, because every code of a scan may return it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Damage {
    /// A marker or the end of the file comes before the last block.
    EndsEarly,
    /// A bit sequence that is no code of the table.
    NoCode,
    /// A coefficient beyond the last of its band.
    Coefficient,
    /// A restart marker is missing or out of order.
    Restart,
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Error {
        Error::content(match damage {
            Damage::EndsEarly => "truncated or damaged: the compressed JPEG data end before the last row",
            Damage::NoCode => "damaged: the JPEG data contain a bit sequence that is no Huffman code",
            Damage::Coefficient => "damaged: the JPEG data have more than 64 coefficients in a block",
            Damage::Restart => "damaged: a restart marker of the JPEG data is missing or out of order",
        })
    }
}

/// Reads bits up to the next marker.
pub struct Bits<'a> {
    data: &'a [u8],
    /// The next byte to load.
    at: usize,
    /// Loaded bits, the next one uppermost; zeros follow them.
    loaded: u64,
    /// Number of loaded bits.
    count: u32,
}

impl<'a> Bits<'a> {
    /// Bits from the first byte on.
    pub fn new(data: &'a [u8]) -> Self {
        Bits { data, at: 0, loaded: 0, count: 0 }
    }

    /// Loads bytes until at least 32 bits are loaded or a marker comes next. In entropy-coded data `FF 00` stands for the byte
    /// `FF`, and further `FF` before it are padding.
    fn load(&mut self) {
        while self.count <= 56 {
            let byte = match self.data.get(self.at..) {
                Some([0xff, 0, ..]) => {
                    self.at += 1;
                    0xff
                }
                Some([0xff, 0xff, ..]) => {
                    self.at += 1;
                    continue;
                }
                Some([byte, ..]) if *byte != 0xff => *byte,
                _ => return,
            };
            self.at += 1;
            self.loaded |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next 16 bits; zeros after the last one.
    #[inline]
    pub fn peek16(&mut self) -> usize {
        if self.count < 16 {
            self.load();
        }
        (self.loaded >> 48) as usize
    }

    /// Drops `n` bits, at most 16.
    #[inline]
    pub fn skip(&mut self, n: u32) -> Result<(), Damage> {
        if n > self.count {
            self.load();
            if n > self.count {
                return Err(Damage::EndsEarly);
            }
        }
        self.loaded <<= n;
        self.count -= n;
        Ok(())
    }

    /// The next `n` bits, at most 16.
    #[inline]
    pub fn take(&mut self, n: u32) -> Result<i32, Damage> {
        let bits = self.peek16() >> (16 - n);
        self.skip(n)?;
        Ok(bits as i32)
    }

    /// The next `n` bits as a signed value (T.81's procedures RECEIVE and EXTEND): a value whose first bit is 0 is negative.
    #[inline]
    pub fn take_signed(&mut self, n: u32) -> Result<i32, Damage> {
        let bits = self.take(n)?;
        let is_negative = n > 0 && bits < 1 << (n - 1);
        Ok(if is_negative { bits - (1 << n) + 1 } else { bits })
    }

    /// Drops the rest of the interval and reads the restart marker of this number.
    pub fn restart(&mut self, number: u8) -> Result<(), Damage> {
        (self.loaded, self.count) = (0, 0);
        let rest = &self.data[self.at..];
        let marker = rest.windows(2).position(|w| w[0] == 0xff && !matches!(w[1], 0 | 0xff));
        let at = marker.ok_or(Damage::EndsEarly)?;
        if rest[at + 1] != 0xd0 + number {
            return Err(Damage::Restart);
        }
        self.at += at + 2;
        Ok(())
    }

    /// Bytes that were loaded. No marker is among them but restart markers.
    pub fn used(&self) -> usize {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_stop_at_a_marker() {
        let mut bits = Bits::new(b"\xa5\xff\xff\x00\x0f\xff\xd3\x81\xff\xd9");
        assert_eq!((bits.take(4), bits.take(4), bits.take(8)), (Ok(0xa), Ok(5), Ok(0xff)));
        assert_eq!((bits.take_signed(5), bits.take_signed(3)), (Ok(-30), Ok(7)));
        assert_eq!(bits.take(1), Err(Damage::EndsEarly));
        assert_eq!(bits.restart(2), Err(Damage::Restart));
        assert_eq!(bits.restart(3), Ok(()));
        assert_eq!((bits.take(0), bits.take(8)), (Ok(0), Ok(0x81)));
        assert_eq!((bits.take(1), bits.used()), (Err(Damage::EndsEarly), 8));
    }
}
