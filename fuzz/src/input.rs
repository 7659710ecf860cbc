//! Reads values from the bytes of a fuzzer. Beyond the end every value is 0, so that every input is valid.

/// The bytes that have not been read yet.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let taken = N.min(self.0.len());
        let (first, rest) = self.0.split_at(taken);
        self.0 = rest;
        let mut bytes = [0; N];
        bytes[..taken].copy_from_slice(first);
        bytes
    }

    pub fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.bytes())
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.bytes())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// A number below `n`, which is not 0. Takes two bytes, or four if `n` needs more.
    pub fn below(&mut self, n: usize) -> usize {
        if n <= 1 << 16 { usize::from(self.u16()) % n } else { self.u32() as usize % n }
    }

    /// An element of a list.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.u8()) % of.len()]
    }

    /// A size as careless callers pass it: small, any, or close to a power of two, such as those where arithmetic overflows.
    pub fn wild(&mut self) -> usize {
        match self.u8() {
            0..64 => usize::from(self.u8()),
            64..128 => self.u64() as usize,
            128..192 => usize::from(self.u16()),
            power => (1usize << (power & 63)).wrapping_sub(8).wrapping_add(usize::from(self.u8() & 15)),
        }
    }
}
