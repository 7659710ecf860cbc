//! From bits to the coefficients of a block: sequential files (T.81, annex F) and progressive ones (annex G).

use super::bits::{Bits, Damage};
use super::huffman::HuffmanTable;
use super::idct::Block;
use super::segments::ZIGZAG;

/// What a block takes over from the blocks before it, back to the last restart marker.
#[derive(Default)]
pub struct Predictors {
    /// The DC coefficient of the previous block, for each component of the scan.
    pub dc: [i32; 4],
    /// How many more blocks have no further coefficients in the band of this scan.
    pub end_of_band_run: u32,
}

impl Predictors {
    /// The DC coefficient of the next block of a component.
    pub fn next_dc(
        &mut self,
        position: usize,
        table: &HuffmanTable,
        bits: &mut Bits<'_>,
    ) -> Result<i32, Damage> {
        next_dc(bits, table, &mut self.dc[position])
    }
}

/// The coefficients of a progressive scan, in zigzag order.
pub struct Band {
    /// The first one.
    pub first: usize,
    /// The last one.
    pub last: usize,
    /// The lowest bit that the scan contains.
    pub low_bit: u8,
}

fn next_dc(bits: &mut Bits<'_>, table: &HuffmanTable, previous: &mut i32) -> Result<i32, Damage> {
    let size = table.decode(bits)?;
    if size > 15 {
        return Err(Damage::NoCode);
    }
    // Sums of damaged files wrap.
    *previous = previous.wrapping_add(bits.take_signed(size.into())?);
    Ok(*previous)
}

/// Decodes a block of a sequential file.
pub fn sequential(
    bits: &mut Bits<'_>,
    dc: &HuffmanTable,
    ac: &HuffmanTable,
    previous: &mut i32,
) -> Result<Block, Damage> {
    let mut block = [0; 64];
    block[0] = next_dc(bits, dc, previous)? as i16;
    let mut at = 1;
    while at < 64 {
        let symbol = ac.decode(bits)?;
        let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        match (zeros, size) {
            (15, 0) => at += 16,
            (_, 0) => return Ok(block),
            _ => {
                at += zeros;
                let position = ZIGZAG.get(at).ok_or(Damage::Coefficient)?;
                block[usize::from(*position)] = bits.take_signed(size)? as i16;
                at += 1;
            }
        }
    }
    Ok(block)
}

/// The number of blocks, including this one, whose band ends here.
fn end_of_band(bits: &mut Bits<'_>, size: usize) -> Result<u32, Damage> {
    Ok((1 << size) + bits.take(size as u32)? as u32)
}

/// Decodes the first scan of a band of AC coefficients.
pub fn first_scan(
    bits: &mut Bits<'_>,
    table: &HuffmanTable,
    band: &Band,
    block: &mut Block,
    run: &mut u32,
) -> Result<(), Damage> {
    if *run > 0 {
        *run -= 1;
        return Ok(());
    }
    let mut at = band.first;
    while at <= band.last {
        let symbol = table.decode(bits)?;
        let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        match (zeros, size) {
            (15, 0) => at += 16,
            (_, 0) => {
                *run = end_of_band(bits, zeros)? - 1;
                return Ok(());
            }
            _ => {
                at += zeros;
                if at > band.last {
                    return Err(Damage::Coefficient);
                }
                block[usize::from(ZIGZAG[at])] = (bits.take_signed(size)? << band.low_bit) as i16;
                at += 1;
            }
        }
    }
    Ok(())
}

/// Decodes one more bit of a band of AC coefficients. Coefficients that are not zero have a bit each; codes say where the next
/// ones follow that become plus or minus one in this bit.
pub fn refine(
    bits: &mut Bits<'_>,
    table: &HuffmanTable,
    band: &Band,
    block: &mut Block,
    run: &mut u32,
) -> Result<(), Damage> {
    let mut at = band.first;
    while at <= band.last && *run == 0 {
        let symbol = table.decode(bits)?;
        let (zeros, size) = (usize::from(symbol >> 4), symbol & 15);
        let value = match (zeros, size) {
            (15, 0) => 0,
            (_, 0) => {
                *run = end_of_band(bits, zeros)?;
                break;
            }
            (_, 1) if bits.take(1)? == 1 => 1 << band.low_bit,
            (_, 1) => -1 << band.low_bit,
            _ => return Err(Damage::NoCode),
        };
        at = refine_until(bits, band, block, at, Some(zeros))?;
        if at > band.last {
            return if value == 0 { Ok(()) } else { Err(Damage::Coefficient) };
        }
        if value != 0 {
            block[usize::from(ZIGZAG[at])] = value;
        }
        at += 1;
    }
    if *run > 0 {
        refine_until(bits, band, block, at, None)?;
        *run -= 1;
    }
    Ok(())
}

/// Reads a bit for every coefficient that is not zero, up to the end of the band or to the zero after `zeros` others. Returns
/// where it stopped.
fn refine_until(
    bits: &mut Bits<'_>,
    band: &Band,
    block: &mut Block,
    start: usize,
    mut zeros: Option<usize>,
) -> Result<usize, Damage> {
    let bit = 1i16 << band.low_bit;
    for at in start..=band.last {
        let coefficient = &mut block[usize::from(ZIGZAG[at])];
        if *coefficient == 0 {
            match &mut zeros {
                Some(0) => return Ok(at),
                Some(n) => *n -= 1,
                None => {}
            }
        } else if bits.take(1)? == 1 && *coefficient & bit == 0 {
            *coefficient = coefficient.wrapping_add(if *coefficient > 0 { bit } else { -bit });
        }
    }
    Ok(band.last + 1)
}
