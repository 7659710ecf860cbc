//! The segments of a JPEG file (ITU-T T.81, annex B), and the file as the decoder receives it.

use std::io::{self, Read};
use std::iter::Peekable;

/// Start of a scan.
pub const SOS: u8 = 0xda;
/// End of the image.
pub const EOI: u8 = 0xd9;

/// Start of the image, and a segment by which `jpeg-decoder` recognises Motion JPEG: it then takes the standard Huffman tables
/// (T.81, K.3) where a scan uses tables that the file does not define. The frames of many cameras imply them.
const START: &[u8] = b"\xff\xd8\xff\xe0\0\x07AVI1\0";

/// Ones as entropy-coded data, where a zero byte follows 0xff. No Huffman code consists of ones only.
const ONES: [u8; 4096] = *[*b"\xff\0"; 2048].as_flattened().first_chunk().unwrap();

/// Bytes of [`ONES`] before a restart marker, 48 bits: the decoder finds the marker behind at most 56 unused bits.
const BEFORE_RESTART: usize = 12;

/// A marker with what follows it.
pub struct Segment<'a> {
    /// The second byte of the marker.
    pub marker: u8,
    /// The content after the length.
    pub content: &'a [u8],
    /// The whole segment. After a scan header or a restart marker, entropy-coded data belong to it.
    bytes: &'a [u8],
}

/// The segments of a file after its start, up to the end of the image or to a segment that is cut.
pub struct Segments<'a>(&'a [u8]);

impl<'a> Segments<'a> {
    /// The segments of a file.
    pub fn new(file: &'a [u8]) -> Self {
        Segments(file.get(2..).unwrap_or_default())
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        // Other bytes before the marker are ignored, as in libjpeg.
        let bytes = &self.0[find_marker(self.0)?..];
        let marker = bytes[1];
        let mut end = 2;
        if marker != EOI && !is_restart(marker) {
            end += usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])).max(2);
        }
        let content = bytes.get(4.min(end)..end)?;
        if has_data(marker) {
            end += find_marker(&bytes[end..])?;
        }
        self.0 = if marker == EOI { &[] } else { &bytes[end..] };
        Some(Segment { marker, content, bytes: &bytes[..end] })
    }
}

/// The position of the next marker.
fn find_marker(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|w| w[0] == 0xff && !matches!(w[1], 0 | 1 | 0xd8 | 0xff))
}

fn is_restart(marker: u8) -> bool {
    matches!(marker, 0xd0..=0xd7)
}

fn has_data(marker: u8) -> bool {
    marker == SOS || is_restart(marker)
}

/// A file as the decoder receives it: with [`START`], without segments that do not concern it (colours and orientation are
/// handled elsewhere), and with [`ONES`] after entropy-coded data, on which it fails if they end early. Without them, it would
/// go on with zeros.
pub struct Repaired<'a> {
    segments: Peekable<Segments<'a>>,
    /// What is read next, and what after that.
    ready: [&'a [u8]; 2],
}

impl<'a> Repaired<'a> {
    /// Reads a file.
    pub fn new(file: &'a [u8]) -> Self {
        Repaired { segments: Segments::new(file).peekable(), ready: [START, &[]] }
    }
}

impl Read for Repaired<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.ready[0].is_empty() {
            self.ready = [self.ready[1], &[]];
            if !self.ready[0].is_empty() {
                break;
            }
            let Some(Segment { marker, mut bytes, .. }) = self.segments.next() else { return Ok(0) };
            if has_data(marker) {
                // Any number of bytes 0xff may precede a marker; those in the data are followed by zero.
                while let [data @ .., 0xff] = bytes {
                    bytes = data;
                }
                let restarts = self.segments.peek().is_some_and(|next| is_restart(next.marker));
                self.ready = [bytes, if restarts { &ONES[..BEFORE_RESTART] } else { &ONES }];
            } else if matches!(marker, 0xc0..=0xc2 | 0xc4 | 0xdb | 0xdd | EOI) {
                self.ready[0] = bytes;
            }
        }
        self.ready[0].read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decoder_receives_what_concerns_it_and_ones_after_data() {
        let (tables, scan) = (b"\xff\xdb\0\x03q", b"\xff\xda\0\x02a\xff\0b\xff\xd0c");
        let file =
            [b"\xff\xd8\xff\xe1\0\x06Exif", &tables[..], b"rubbish", scan, b"\xff\xff\xd9trailer"].concat();
        let mut read = Vec::new();
        Repaired::new(&file).read_to_end(&mut read).unwrap();
        let data = [b"\xff\xda\0\x02a\xff\0b", &ONES[..12], b"\xff\xd0c", &ONES].concat();
        assert_eq!(read, [START, tables, &data, b"\xff\xd9"].concat());
        for length in 0..file.len() - 7 {
            assert!(Segments::new(&file[..length]).all(|segment| segment.marker != EOI), "{length}");
        }
    }
}
