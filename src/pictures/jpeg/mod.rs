//! JPEG files, decoded by the crate `jpeg-decoder`.
//!
//! On its own that crate returns garbage without an error for data that end early and for a few rare files, and it allocates
//! whatever a file announces. Therefore [`Header::read`] checks all headers first, and [`Repaired`] changes what it receives.
//!
//! Pictures wider than 128 pixels are decoded by one thread more for each component. These threads do integer arithmetic that
//! cannot overflow; a panic in one would be an error here.

mod segments;

use crate::error::Error;
use crate::limits::Limits;
use crate::rgb::{self, Picture};
use image::ColorType;
use image::metadata::Orientation;
use jpeg_decoder::{ColorTransform, Decoder};
use segments::{EOI, Repaired, SOS, Segments};

/// More scans than any encoder writes; each may take as long as a whole picture.
const MAX_SCANS: usize = 256;

/// Whether a file begins as a JPEG file does.
pub fn is_jpeg(file: &[u8]) -> bool {
    file.starts_with(b"\xff\xd8")
}

/// Decodes a file. The orientation is that of its EXIF data; it is not applied.
pub fn decode(file: &[u8], limits: &Limits) -> Result<(Picture, Orientation), Error> {
    let header = Header::read(file, limits)?;
    let mut decoder = Decoder::new(Repaired::new(file));
    decoder.set_color_transform(header.colours());
    let decoded = decoder.decode().map_err(|e| Error::content(format!("truncated or damaged: {e}")))?;
    // Its coefficients are not needed any more.
    drop(decoder);
    let rgb = match header.components.len() {
        1 => rgb::from_decoded(decoded, ColorType::L8)?.0,
        3 => decoded,
        _ => rgb::convert(&decoded, |[c, m, y, k]| [c, m, y].map(|ink| from_ink(ink, 255 - k)))?,
    };
    let orientation = header.orientation.unwrap_or(Orientation::NoTransforms);
    Ok((Picture { width: header.size[0], height: header.size[1], rgb, alpha: None }, orientation))
}

/// A channel of RGB from the amount of its ink and 255 minus that of black: Pillow's `cmyk2rgb`.
fn from_ink(ink: u8, not_black: u8) -> u8 {
    let product = i32::from(ink) * i32::from(not_black) + 128;
    (i32::from(not_black) - (((product >> 8) + product) >> 8)).clamp(0, 255) as u8
}

fn damaged(what: &str) -> Error {
    Error::content(format!("damaged: the {what} of the JPEG file is invalid"))
}

/// A component: grey, or one of the three or four channels.
struct Component {
    id: u8,
    /// Sampling factors of columns and rows.
    factors: [usize; 2],
    /// In progressive files, for each coefficient in zigzag order: how many low bits are missing; `None` before its first scan.
    missing_bits: [Option<u8>; 64],
}

/// What the headers of a file say.
#[derive(Default)]
struct Header {
    /// Pixels in a row, and rows.
    size: [usize; 2],
    components: Vec<Component>,
    /// The largest sampling factors.
    largest: [usize; 2],
    is_progressive: bool,
    scans: usize,
    is_jfif: bool,
    /// The colour transform of Adobe's segment.
    adobe: Option<u8>,
    /// That of the first EXIF segment.
    orientation: Option<Orientation>,
}

impl Header {
    /// Reads and checks all headers.
    ///
    /// # Errors
    /// The file has no end-of-image marker, announces more pixels than the limit or than its bytes can hold, or is of a kind
    /// that the decoder does not decode right.
    fn read(file: &[u8], limits: &Limits) -> Result<Header, Error> {
        let mut header = Header::default();
        for segment in Segments::new(file) {
            let unsupported = |what: &str| Err(Error::content(format!("{what} JPEG is not supported")));
            match (segment.marker, segment.content) {
                (0xc0..=0xc2, content) => {
                    header.frame(content, segment.marker == 0xc2)?;
                    limits.check(header.size[0] as u64, header.size[1] as u64)?;
                    header.check_plausible(file.len())?;
                }
                (0xc3, _) => return unsupported("lossless"),
                (0xc9..=0xcb, _) => return unsupported("arithmetic-coded"),
                (0xc5..=0xc7 | 0xcd..=0xcf | 0xde, _) => return unsupported("hierarchical"),
                (SOS, content) => header.scan(content).ok_or_else(|| damaged("scan header"))??,
                (EOI, _) if header.is_complete() => return Ok(header),
                (EOI, _) => return Err(Error::content("truncated: scans of the JPEG file are missing")),
                (0xe0, [b'J', b'F', b'I', b'F', 0, ..]) => header.is_jfif = true,
                (0xe1, [b'E', b'x', b'i', b'f', 0, _, tiff @ ..]) if header.orientation.is_none() => {
                    header.orientation = Orientation::from_exif_chunk(tiff);
                }
                (0xee, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..]) => {
                    header.adobe = Some(*transform);
                }
                _ => {}
            }
        }
        Err(Error::content("truncated: the JPEG file has no end-of-image marker"))
    }

    fn frame(&mut self, content: &[u8], is_progressive: bool) -> Result<(), Error> {
        let [bits, h1, h0, w1, w0, count, parts @ ..] = content else { return Err(damaged("frame header")) };
        if *bits != 8 || ![1, 3, 4].contains(count) {
            return Err(Error::content(format!(
                "JPEG with {count} components of {bits} bits is not supported, only 1, 3 or 4 of 8 bits"
            )));
        }
        self.is_progressive = is_progressive;
        self.size = [[*w1, *w0], [*h1, *h0]].map(|side| u16::from_be_bytes(side).into());
        for [id, factors, _] in parts.as_chunks::<3>().0 {
            let factors = [factors >> 4, factors & 15].map(usize::from);
            self.largest = [0, 1].map(|i| self.largest[i].max(factors[i]));
            self.components.push(Component { id: *id, factors, missing_bits: [None; 64] });
        }
        let is_valid = |c: &Component| c.factors.iter().all(|factor| (1..=4).contains(factor));
        if self.components.len() != usize::from(*count) || !self.components.iter().all(is_valid) {
            return Err(damaged("frame header"));
        }
        Ok(())
    }

    /// Checks that so few bytes can hold so many pixels. A block of a sequential file takes a code for its DC coefficient and
    /// one for its end, so at least two bits; in progressive files one code may end thousands of blocks.
    fn check_plausible(&self, bytes: usize) -> Result<(), Error> {
        let side = |c: &Component, i: usize| (self.size[i] * c.factors[i]).div_ceil(8 * self.largest[i]);
        let blocks: usize = self.components.iter().map(|c| side(c, 0) * side(c, 1)).sum();
        if blocks > bytes.saturating_mul(if self.is_progressive { 8 } else { 4 }) {
            let [width, height] = self.size;
            return Err(Error::content(format!(
                "truncated or damaged: {bytes} bytes of JPEG cannot hold {width}x{height} pixels"
            )));
        }
        Ok(())
    }

    /// Checks a scan header; `None` if it is malformed.
    fn scan(&mut self, content: &[u8]) -> Option<Result<(), Error>> {
        let (count, rest) = content.split_first()?;
        let (parts, rest) = rest.split_at_checked(usize::from(*count) * 2)?;
        let [first, last, bits, ..] = rest else { return None };
        self.scans += 1;
        if self.scans > MAX_SCANS {
            return Some(Err(Error::content(format!(
                "JPEG with more than {MAX_SCANS} scans is not supported"
            ))));
        }
        for [id, _] in parts.as_chunks::<2>().0 {
            let component = self.components.iter_mut().find(|c| c.id == *id)?;
            // The decoder would read more blocks than the scan has.
            if *count == 1 && (0..2).any(|i| (2..self.largest[i]).contains(&component.factors[i])) {
                let message = "JPEG with these sampling factors in scans of one component is not supported";
                return Some(Err(Error::content(message)));
            }
            if !self.is_progressive {
                continue;
            }
            let (before, after) = (bits >> 4, bits & 15);
            for missing in component.missing_bits.get_mut(usize::from(*first)..=usize::from(*last))? {
                if *missing != (before > 0).then_some(before) {
                    return Some(Err(damaged("order of scans")));
                }
                *missing = Some(after);
            }
        }
        Some(Ok(()))
    }

    /// Whether all scans were there.
    fn is_complete(&self) -> bool {
        let is_exact = |c: &Component| c.missing_bits.iter().all(|bits| *bits == Some(0));
        self.scans > 0 && (!self.is_progressive || self.components.iter().all(is_exact))
    }

    /// What the components stand for: guessed as libjpeg does, from the segments of Adobe and JFIF, else from the identifiers.
    /// CMYK is inverted, as Adobe's programs store it and Pillow assumes.
    fn colours(&self) -> ColorTransform {
        let is_rgb = self.components.iter().map(|c| c.id).eq(*b"RGB");
        match (self.components.len(), self.adobe) {
            (1, _) => ColorTransform::Grayscale,
            (3, Some(0)) if !self.is_jfif => ColorTransform::RGB,
            (3, None) if !self.is_jfif && is_rgb => ColorTransform::RGB,
            (3, _) => ColorTransform::YCbCr,
            (_, Some(0) | None) => ColorTransform::CMYK,
            _ => ColorTransform::YCCK,
        }
    }
}
