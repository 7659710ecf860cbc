//! The segments of a JPEG file: markers, tables and headers (T.81, annex B).

use super::frame::Frame;
use super::huffman::HuffmanTable;
use crate::error::Error;
use image::metadata::Orientation;

/// For each position in zigzag order: the position row by row.
#[rustfmt::skip]
pub const ZIGZAG: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// What segments define for the scans after them.
#[derive(Default)]
pub struct Tables {
    /// Huffman tables of DC coefficients.
    pub dc: [Option<HuffmanTable>; 4],
    /// Huffman tables of AC coefficients.
    pub ac: [Option<HuffmanTable>; 4],
    /// Quantisation tables, row by row.
    pub quantisation: [Option<[u16; 64]>; 4],
    /// MCUs between restart markers; 0 for none.
    pub restart_interval: usize,
    /// Whether the file has a JFIF segment.
    pub jfif: bool,
    /// The colour transform of Adobe's segment.
    pub adobe: Option<u8>,
    /// The orientation of the first EXIF segment.
    pub orientation: Option<Orientation>,
}

/// A component in a scan.
pub struct ScanComponent {
    /// Its identifier.
    pub id: u8,
    /// Index of its table for DC coefficients.
    pub dc: usize,
    /// Index of its table for AC coefficients.
    pub ac: usize,
}

/// A scan header.
pub struct ScanHeader {
    /// One to four components.
    pub components: Vec<ScanComponent>,
    /// The first and the last coefficient in zigzag order, for progressive files.
    pub band: (usize, usize),
    /// How many low bits were missing before this scan (0 for the first one) and are missing after it.
    pub missing_bits: (u8, u8),
}

/// A segment that [`Tables`] does not hold.
pub enum Segment {
    /// A frame header.
    Frame(Frame),
    /// A scan header; entropy-coded data follow.
    Scan(ScanHeader),
    /// The end of the image.
    End,
}

fn damaged(what: &str) -> Error {
    Error::content(format!("damaged: the {what} of the JPEG file is invalid"))
}

/// Reads segments one after another.
pub struct Reader<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts after the start-of-image marker.
    pub fn new(file: &'a [u8]) -> Self {
        Reader { file, at: 2 }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        &self.file[self.at..]
    }

    /// Skips bytes of the rest.
    pub fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Reads up to the next segment that is not a table.
    pub fn next(&mut self, tables: &mut Tables) -> Result<Segment, Error> {
        loop {
            let marker = self.marker()?;
            if marker == 0xd9 {
                return Ok(Segment::End);
            }
            let content = self.content()?;
            match marker {
                0xc0..=0xc2 => return Ok(Segment::Frame(Frame::new(content, marker == 0xc2)?)),
                0xc4 => tables.huffman(content)?,
                0xc3 | 0xc5..=0xcf | 0xde if marker != 0xcc && marker != 0xc8 => {
                    return Err(unsupported(marker));
                }
                0xda => return Ok(Segment::Scan(ScanHeader::new(content)?)),
                0xdb => tables.quantisation(content)?,
                0xdd => match content {
                    [high, low, ..] => {
                        tables.restart_interval = usize::from(u16::from_be_bytes([*high, *low]))
                    }
                    _ => return Err(damaged("restart interval")),
                },
                0xe0..=0xef => tables.application(marker, content),
                // Comments and what decoders may ignore.
                _ => {}
            }
        }
    }

    /// Skips to the next marker of a segment. Restart markers and zero bytes are what remains of entropy-coded data.
    fn marker(&mut self) -> Result<u8, Error> {
        let is_segment = |w: &[u8]| w[0] == 0xff && !matches!(w[1], 0..=1 | 0xd0..=0xd8 | 0xff);
        let at = self.rest().windows(2).position(is_segment).ok_or_else(no_end)?;
        self.at += at + 2;
        Ok(self.file[self.at - 1])
    }

    /// Reads the content of a segment after its marker.
    fn content(&mut self) -> Result<&'a [u8], Error> {
        let [high, low, ..] = self.rest() else { return Err(no_end()) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let content = self.rest().get(2..length.max(2)).ok_or_else(no_end)?;
        self.at += length.max(2);
        Ok(content)
    }
}

fn no_end() -> Error {
    Error::content("truncated: the JPEG file has no end-of-image marker")
}

fn unsupported(marker: u8) -> Error {
    let what = match marker {
        0xc3 => "lossless JPEG",
        0xc9..=0xcb => "JPEG with arithmetic coding",
        _ => "hierarchical JPEG",
    };
    Error::content(format!(
        "{what} is not supported, only sequential and progressive JPEG with Huffman codes"
    ))
}

impl ScanHeader {
    fn new(content: &[u8]) -> Result<Self, Error> {
        let parse = || {
            let (count, rest) = content.split_first()?;
            let (parts, rest) = rest.split_at_checked(usize::from(*count) * 2)?;
            let [first, last, bits, ..] = rest else { return None };
            let component = |[id, tables]: &[u8; 2]| {
                let (dc, ac) = (usize::from(tables >> 4), usize::from(tables & 15));
                (dc < 4 && ac < 4).then_some(ScanComponent { id: *id, dc, ac })
            };
            let components = parts.as_chunks::<2>().0.iter().map(component).collect::<Option<Vec<_>>>()?;
            let band = (usize::from(*first), usize::from(*last));
            let is_valid = (1..=4).contains(&components.len());
            is_valid.then_some(ScanHeader { components, band, missing_bits: (bits >> 4, bits & 15) })
        };
        parse().ok_or_else(|| damaged("scan header"))
    }
}

impl Tables {
    fn huffman(&mut self, mut content: &[u8]) -> Result<(), Error> {
        while let [id, rest @ ..] = content {
            let tables = match id >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(damaged("Huffman table")),
            };
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or_else(|| damaged("Huffman table"))?;
            let total = counts.iter().map(|n| usize::from(*n)).sum();
            let (symbols, rest) = rest.split_at_checked(total).ok_or_else(|| damaged("Huffman table"))?;
            let table = tables.get_mut(usize::from(id & 15)).ok_or_else(|| damaged("Huffman table"))?;
            *table = Some(HuffmanTable::new(counts, symbols)?);
            content = rest;
        }
        Ok(())
    }

    fn quantisation(&mut self, mut content: &[u8]) -> Result<(), Error> {
        while let [id, rest @ ..] = content {
            let width = 1 + usize::from(id >> 4);
            let table = self.quantisation.get_mut(usize::from(id & 15));
            let (Some(table), 1..=2, Some((values, rest))) =
                (table, width, rest.split_at_checked(64 * width))
            else {
                return Err(damaged("quantisation table"));
            };
            let mut ordered = [0; 64];
            for (value, at) in values.chunks(width).zip(ZIGZAG) {
                ordered[usize::from(at)] = value.iter().fold(0, |all, byte| all << 8 | u16::from(*byte));
            }
            *table = Some(ordered);
            content = rest;
        }
        Ok(())
    }

    /// Application segments that concern colour or orientation.
    fn application(&mut self, marker: u8, content: &[u8]) {
        match (marker, content) {
            (0xe0, [b'J', b'F', b'I', b'F', 0, ..]) => self.jfif = true,
            (0xe1, [b'E', b'x', b'i', b'f', 0, _, tiff @ ..]) if self.orientation.is_none() => {
                self.orientation = Orientation::from_exif_chunk(tiff);
            }
            (0xee, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..]) => {
                self.adobe = Some(*transform)
            }
            _ => {}
        }
    }
}
