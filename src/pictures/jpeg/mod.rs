//! A JPEG decoder whose pixels equal libjpeg-turbo's, which Pillow uses: sequential and progressive DCT with Huffman codes and
//! eight bits per sample, as ITU-T T.81 describes them.
//!
//! [`segments`] reads the headers, [`scan`] goes through the blocks of a scan and [`coefficients`] decodes them from [`bits`]
//! with [`huffman`] tables. A block becomes 8x8 samples of its component's plane ([`idct`]); in progressive files once all
//! scans are read. Planes of lower resolution are interpolated ([`upsample`]) and all are converted to RGB ([`colour`]) row
//! by row. These three have the arithmetic of libjpeg's files `jidctint.c`, `jdsample.c` and `jdcolor.c`.
//!
//! Everything that libjpeg-turbo merely warns of is an error here, as is a file without an end-of-image marker: the missing
//! part would be grey. Files without Huffman tables, as many cameras send them, use the tables of T.81's annex K.

mod bits;
mod coefficients;
mod colour;
mod frame;
mod huffman;
mod idct;
mod scan;
mod segments;
mod upsample;

use crate::error::Error;
use crate::limits::Limits;
use crate::rgb::Picture;
use frame::{Frame, Planes};
use image::metadata::Orientation;
use segments::{Reader, Segment, Tables};

/// More scans than any encoder writes; each may take as long as a whole picture.
const MAX_SCANS: usize = 256;

/// Whether a file begins as a JPEG file does.
pub fn is_jpeg(file: &[u8]) -> bool {
    file.starts_with(b"\xff\xd8")
}

/// Decodes a file. The orientation is that of its EXIF data; it is not applied.
pub fn decode(file: &[u8], limits: &Limits) -> Result<(Picture, Orientation), Error> {
    let mut reader = Reader::new(file);
    let mut tables = Tables::default();
    let mut started: Option<(Frame, Planes)> = None;
    let mut scans = 0;
    loop {
        match (reader.next(&mut tables)?, &mut started) {
            (Segment::Frame(frame), None) => {
                limits.check(frame.width as u64, frame.height as u64)?;
                let planes = Planes::new(&frame, reader.rest().len())?;
                started = Some((frame, planes));
            }
            (Segment::Frame(_), Some(_)) => return Err(Error::content("JPEG: a second frame header")),
            (Segment::Scan(header), Some((frame, planes))) => {
                scans += 1;
                if scans > MAX_SCANS {
                    return Err(Error::content(format!("JPEG: more than {MAX_SCANS} scans")));
                }
                let used = scan::decode(frame, planes, &header, &mut tables, reader.rest())?;
                reader.skip(used);
            }
            (Segment::End, Some((frame, planes))) => {
                planes.finish(frame)?;
                let rgb = colour::to_rgb(frame, planes, tables.adobe, tables.jfif)?;
                let picture = Picture { width: frame.width, height: frame.height, rgb };
                return Ok((picture, tables.orientation.unwrap_or(Orientation::NoTransforms)));
            }
            (Segment::Scan(_) | Segment::End, None) => {
                return Err(Error::content("JPEG: no frame header before the compressed data"));
            }
        }
    }
}
