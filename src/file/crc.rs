//! CRC-32 as in zip and PNG (IEEE 802.3: reflected, polynomial 0xEDB88320), four bytes per step with four tables
//! ("slicing-by-4", Kounavis and Berry 2005).

/// `TABLES[s][b]` is the checksum register after byte b and s zero bytes.
const TABLES: [[u32; 256]; 4] = {
    let mut t = [[0u32; 256]; 4];
    let mut i = 0;
    while i < 256 {
        let mut c = i as u32;
        let mut bit = 0;
        while bit < 8 {
            c = if c & 1 != 0 { 0xEDB8_8320 ^ (c >> 1) } else { c >> 1 };
            bit += 1;
        }
        t[0][i] = c;
        i += 1;
    }
    let mut s = 1;
    while s < 4 {
        let mut i = 0;
        while i < 256 {
            let c = t[s - 1][i];
            t[s][i] = t[0][(c & 0xFF) as usize] ^ (c >> 8);
            i += 1;
        }
        s += 1;
    }
    t
};

/// A CRC-32 over bytes that arrive in pieces.
#[derive(Clone, Copy)]
pub struct Crc32(u32);

impl Default for Crc32 {
    fn default() -> Self {
        Crc32::new()
    }
}

impl Crc32 {
    /// The checksum of no bytes.
    pub const fn new() -> Self {
        Crc32(!0)
    }

    /// Appends bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut c = self.0;
        let mut chunks = bytes.chunks_exact(4);
        for b in &mut chunks {
            let x = c ^ u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            c = TABLES[3][(x & 0xFF) as usize]
                ^ TABLES[2][(x >> 8 & 0xFF) as usize]
                ^ TABLES[1][(x >> 16 & 0xFF) as usize]
                ^ TABLES[0][(x >> 24) as usize];
        }
        for &b in chunks.remainder() {
            c = TABLES[0][((c ^ u32::from(b)) & 0xFF) as usize] ^ (c >> 8);
        }
        self.0 = c;
    }

    /// The checksum of all bytes appended so far.
    pub const fn value(&self) -> u32 {
        !self.0
    }
}

/// The checksum of one slice.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut c = Crc32::new();
    c.update(bytes);
    c.value()
}

#[cfg(test)]
mod tests {
    use super::crc32;

    #[test]
    fn known_values() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"The quick brown fox jumps over the lazy dog"), 0x414F_A339);
    }
}
