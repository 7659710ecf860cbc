//! Huffman tables, and the standard ones of T.81's annex K.

use super::bits::{Bits, Damage};
use crate::error::Error;

/// Codes of at most this many bits are looked up at once.
const FAST_BITS: u32 = 9;

/// A Huffman table for decoding.
#[derive(Clone)]
pub struct HuffmanTable {
    /// For the next [`FAST_BITS`] bits: the code's length times 256 plus its symbol, 0 if the code is longer.
    fast: [u16; 1 << FAST_BITS],
    /// For each length: the first 16-bit sequence that begins with a longer code.
    end: [u32; 17],
    /// For each length: index of the first symbol minus the first code, modulo 2^16.
    first: [u16; 17],
    symbols: [u8; 256],
}

impl HuffmanTable {
    /// A table from the number of codes of each length, 1 to 16, and the symbols in the order of their codes.
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Self, Error> {
        let total: usize = counts.iter().map(|n| usize::from(*n)).sum();
        if total > 256 || total != symbols.len() {
            return Err(Error::content("damaged: a Huffman table of the JPEG file has too many codes"));
        }
        let mut table =
            HuffmanTable { fast: [0; 1 << FAST_BITS], end: [0; 17], first: [0; 17], symbols: [0; 256] };
        table.symbols[..total].copy_from_slice(symbols);
        let (mut code, mut index) = (0u32, 0);
        for (length, count) in (1..=16u32).zip(counts) {
            table.first[length as usize] = (index as u16).wrapping_sub(code as u16);
            for symbol in &symbols[index..index + usize::from(*count)] {
                if length <= FAST_BITS && code < 1 << length {
                    let unused = FAST_BITS - length;
                    let entries = (code as usize) << unused..(code as usize + 1) << unused;
                    table.fast[entries].fill((length as u16) << 8 | u16::from(*symbol));
                }
                code += 1;
            }
            index += usize::from(*count);
            if code > 1 << length {
                return Err(Error::content("damaged: a Huffman table of the JPEG file has too many codes"));
            }
            table.end[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Ok(table)
    }

    /// Decodes a symbol.
    #[inline]
    pub fn decode(&self, bits: &mut Bits<'_>) -> Result<u8, Damage> {
        let next = bits.peek16();
        let fast = self.fast[next >> (16 - FAST_BITS)];
        if fast != 0 {
            bits.skip(u32::from(fast >> 8))?;
            return Ok(fast as u8);
        }
        self.decode_long(bits, next)
    }

    #[cold]
    fn decode_long(&self, bits: &mut Bits<'_>, next: usize) -> Result<u8, Damage> {
        let is_long_enough = |length: &u32| (next as u32) < self.end[*length as usize];
        // A sequence of ones is what a decoder finds where data are missing, so the end is reported first.
        let Some(length) = (FAST_BITS + 1..=16).find(is_long_enough) else {
            return Err(bits.skip(16).err().unwrap_or(Damage::NoCode));
        };
        bits.skip(length)?;
        let code = (next >> (16 - length)) as u16;
        Ok(self.symbols[usize::from(code.wrapping_add(self.first[length as usize]) as u8)])
    }
}

/// The standard tables (T.81, K.3): for luminance (0) and chrominance (1), of DC and AC coefficients. Motion JPEG frames imply
/// them.
pub fn standard(is_ac: bool, index: usize) -> Option<HuffmanTable> {
    let (counts, symbols): (&[u8; 16], &[u8]) = match (is_ac, index) {
        (false, 0) => (&[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &DC_SYMBOLS),
        (false, 1) => (&[0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &DC_SYMBOLS),
        (true, 0) => (&[0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d], &AC_LUMINANCE),
        (true, 1) => (&[0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77], &AC_CHROMINANCE),
        _ => return None,
    };
    HuffmanTable::new(counts, symbols).ok()
}

const DC_SYMBOLS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

#[rustfmt::skip]
const AC_LUMINANCE: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
    0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72,
    0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37,
    0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
    0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83,
    0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3,
    0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

#[rustfmt::skip]
const AC_CHROMINANCE: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
    0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1,
    0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36,
    0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
    0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
    0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
    0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
    0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_every_length_are_decoded() {
        // One code of each length: 0, 10, 110, ..., and 16 bits ending in 0.
        let symbols: Vec<u8> = (1..=16).collect();
        let table = HuffmanTable::new(&[1; 16], &symbols).unwrap();
        let mut bits = Bits::new(&[0b0101_1011, 0b1011_1111, 0b1111_1110, 0xfe]);
        let decoded: Vec<_> = (0..5).map(|_| table.decode(&mut bits).unwrap()).collect();
        assert_eq!(decoded, [1, 2, 3, 4, 14]);
        // All ones is no code of this table, and only nine bits are left.
        let mut bits = Bits::new(&[0xff, 0, 0xff, 0]);
        assert_eq!(table.decode(&mut bits), Err(Damage::NoCode));
        assert_eq!(table.decode(&mut Bits::new(&[])), Err(Damage::EndsEarly));
    }

    #[test]
    fn tables_with_too_many_codes_are_refused() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(HuffmanTable::new(&counts, &[1, 2, 3]).is_err());
        counts[0] = 2;
        assert!(HuffmanTable::new(&counts, &[1, 2]).is_ok());
        assert!(HuffmanTable::new(&counts, &[1]).is_err());
    }
}
