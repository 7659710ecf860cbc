//! Going through the blocks of a scan: a scan of several components has them interleaved in minimum coded units (MCUs), each
//! with `h * v` blocks of a component; a scan of one component has its blocks row by row, without padding.

use super::bits::{Bits, Damage};
use super::coefficients::{Band, Predictors, first_scan, refine, sequential};
use super::frame::{Frame, Planes};
use super::huffman::{HuffmanTable, standard};
use super::idct::idct;
use super::segments::{ScanHeader, Tables};
use crate::error::Error;

/// Decodes the entropy-coded data of a scan into `planes`; returns how many bytes of `data` it has read.
pub fn decode(
    frame: &Frame,
    planes: &mut Planes,
    header: &ScanHeader,
    tables: &mut Tables,
    data: &[u8],
) -> Result<usize, Error> {
    let indices = component_indices(frame, header)?;
    for index in &indices {
        let table = tables.quantisation[frame.components[*index].quantisation].as_ref();
        planes.start(frame, *index, table)?;
    }
    let mut bits = Bits::new(data);
    if frame.is_progressive {
        let band = progress(planes, header, &indices)?;
        progressive_scan(frame, planes, header, tables, &indices, band, &mut bits)?;
    } else {
        // Motion JPEG frames imply the standard tables.
        for component in &header.components {
            let (dc, ac) = (&mut tables.dc[component.dc], &mut tables.ac[component.ac]);
            *dc = dc.take().or_else(|| standard(false, component.dc));
            *ac = ac.take().or_else(|| standard(true, component.ac));
        }
        sequential_scan(frame, planes, header, tables, &indices, &mut bits)?;
    }
    Ok(bits.used())
}

/// The frame's indices of the scan's components.
fn component_indices(frame: &Frame, header: &ScanHeader) -> Result<Vec<usize>, Error> {
    let mut indices = Vec::new();
    for component in &header.components {
        let index = (0..frame.components.len())
            .find(|i| frame.components[*i].id == component.id && !indices.contains(i))
            .ok_or_else(|| {
                Error::content("damaged: a scan of the JPEG file has a component that the frame lacks")
            })?;
        indices.push(index);
    }
    Ok(indices)
}

/// Calls `block` for every block of a scan, with the position of its component in the scan, and its column and row.
fn for_each_block(
    frame: &Frame,
    indices: &[usize],
    restart_interval: usize,
    bits: &mut Bits<'_>,
    mut block: impl FnMut(&mut Bits<'_>, &mut Predictors, usize, (usize, usize)) -> Result<(), Damage>,
) -> Result<(), Damage> {
    let is_interleaved = indices.len() > 1;
    let (columns, rows) = if is_interleaved { frame.mcus } else { frame.components[indices[0]].blocks() };
    let mut predictors = Predictors::default();
    let mut until_restart = restart_interval;
    let mut number = 0;
    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        if restart_interval > 0 {
            if until_restart == 0 {
                bits.restart(number)?;
                (until_restart, number) = (restart_interval, (number + 1) % 8);
                predictors = Predictors::default();
            }
            until_restart -= 1;
        }
        for (position, index) in indices.iter().enumerate() {
            let component = &frame.components[*index];
            let (h, v) = if is_interleaved { (component.h, component.v) } else { (1, 1) };
            for (y, x) in (0..v).flat_map(|y| (0..h).map(move |x| (y, x))) {
                block(bits, &mut predictors, position, (column * h + x, row * v + y))?;
            }
        }
    }
    Ok(())
}

/// The table that a scan names.
fn table(tables: &[Option<HuffmanTable>; 4], index: usize) -> Result<&HuffmanTable, Error> {
    let missing = || Error::content("damaged: a Huffman table of the JPEG file is missing");
    tables[index].as_ref().ok_or_else(missing)
}

fn sequential_scan(
    frame: &Frame,
    planes: &mut Planes,
    header: &ScanHeader,
    tables: &Tables,
    indices: &[usize],
    bits: &mut Bits<'_>,
) -> Result<(), Error> {
    let named = |c: &super::segments::ScanComponent| Ok((table(&tables.dc, c.dc)?, table(&tables.ac, c.ac)?));
    let named = header.components.iter().map(named).collect::<Result<Vec<_>, Error>>()?;
    for_each_block(frame, indices, tables.restart_interval, bits, |bits, predictors, position, (x, y)| {
        let (dc, ac) = named[position];
        let block = sequential(bits, dc, ac, &mut predictors.dc[position])?;
        let (plane, component) = (&mut planes.0[indices[position]], &frame.components[indices[position]]);
        let at = y * 8 * component.stride() + x * 8;
        if let Some(quantisation) = &plane.quantisation {
            idct(&block, quantisation, &mut plane.samples[at..], component.stride());
        }
        Ok(())
    })?;
    Ok(())
}

/// Checks that a progressive scan follows the scans before it, and records which bits are missing after it.
fn progress(planes: &mut Planes, header: &ScanHeader, indices: &[usize]) -> Result<Band, Error> {
    let ((first, last), (before, after)) = (header.band, header.missing_bits);
    let is_band = if first == 0 { last == 0 } else { first <= last && last < 64 && indices.len() == 1 };
    let is_step = after < 14 && (before == 0 || before == after + 1);
    let expected = (before > 0).then_some(before);
    let follows = |index: &usize| planes.0[*index].missing_bits[first..=last].iter().all(|n| *n == expected);
    if !is_band || !is_step || !indices.iter().all(follows) {
        return Err(Error::content(
            "damaged: a progressive scan of the JPEG file does not follow the one before it",
        ));
    }
    for index in indices {
        planes.0[*index].missing_bits[first..=last].fill(Some(after));
    }
    Ok(Band { first, last, low_bit: after })
}

fn progressive_scan(
    frame: &Frame,
    planes: &mut Planes,
    header: &ScanHeader,
    tables: &Tables,
    indices: &[usize],
    band: Band,
    bits: &mut Bits<'_>,
) -> Result<(), Error> {
    let is_first = header.missing_bits.0 == 0;
    // Bits of DC coefficients are refined without codes.
    let named = |c: &super::segments::ScanComponent| match (band.first, is_first) {
        (0, true) => table(&tables.dc, c.dc).map(Some),
        (0, false) => Ok(None),
        _ => table(&tables.ac, c.ac).map(Some),
    };
    let named = header.components.iter().map(named).collect::<Result<Vec<_>, Error>>()?;
    for_each_block(frame, indices, tables.restart_interval, bits, |bits, predictors, position, (x, y)| {
        let index = indices[position];
        let block = &mut planes.0[index].coefficients[y * frame.components[index].padded.0 + x];
        match (named[position], band.first, is_first) {
            (Some(dc), 0, _) => {
                block[0] = (predictors.next_dc(position, dc, bits)? << band.low_bit) as i16;
                Ok(())
            }
            (Some(ac), _, true) => first_scan(bits, ac, &band, block, &mut predictors.end_of_band_run),
            (Some(ac), _, false) => refine(bits, ac, &band, block, &mut predictors.end_of_band_run),
            (None, _, _) => {
                block[0] |= (bits.take(1)? << band.low_bit) as i16;
                Ok(())
            }
        }
    })?;
    Ok(())
}
