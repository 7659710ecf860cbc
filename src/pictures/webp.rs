//! What a WebP file's chunks must satisfy before the decoder reads them: it allocates whatever size a chunk or a frame
//! announces.

use crate::error::Error;
use crate::limits::Limits;

/// The part of the file that its RIFF header covers.
///
/// # Errors
/// A chunk is longer than the file, or a frame has more pixels than the limit.
pub fn checked<'a>(file: &'a [u8], limits: &Limits) -> Result<&'a [u8], Error> {
    let Some(size) = file.get(4..8).and_then(|bytes| bytes.first_chunk::<4>()) else {
        return Err(Error::content("cannot be read as WebP: the file ends in its header"));
    };
    let end = usize::try_from(u32::from_le_bytes(*size)).unwrap_or(usize::MAX).saturating_add(8);
    let file = &file[..end.min(file.len())];
    check_chunks(file.get(12..).unwrap_or_default(), limits)?;
    Ok(file)
}

fn check_chunks(mut rest: &[u8], limits: &Limits) -> Result<(), Error> {
    while let Some(([a, b, c, d, s0, s1, s2, s3], after)) = rest.split_first_chunk::<8>() {
        let name = [*a, *b, *c, *d];
        let size = u32::from_le_bytes([*s0, *s1, *s2, *s3]) as usize;
        let Some((content, after)) = after.split_at_checked(size) else {
            let (name, found) = (name.escape_ascii(), after.len());
            return Err(Error::content(format!(
                "truncated: the chunk {name} of the WebP file has {size} bytes, found {found}"
            )));
        };
        if let Some((width, height)) = announced(&name, content) {
            limits.check(width, height)?;
        }
        // A frame of an animation: a header of 16 bytes, then chunks.
        if name == *b"ANMF" {
            check_chunks_of_frame(content.get(16..).unwrap_or_default(), limits)?;
        }
        // Chunks are padded to even sizes.
        rest = after.get(size % 2..).unwrap_or_default();
    }
    Ok(())
}

/// Chunks of a frame hold no frames, so the nesting is bounded.
fn check_chunks_of_frame(chunks: &[u8], limits: &Limits) -> Result<(), Error> {
    match chunks.first_chunk::<4>() {
        Some(b"ANMF") => Err(Error::content("damaged: a frame of the WebP file contains a frame")),
        _ => check_chunks(chunks, limits),
    }
}

/// The width and height that a chunk announces.
fn announced(name: &[u8; 4], content: &[u8]) -> Option<(u64, u64)> {
    let number = |at: usize, bytes: usize| {
        let digits = content.get(at..at + bytes)?;
        Some(digits.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)))
    };
    match name {
        b"VP8 " => Some((number(6, 2)? & 0x3fff, number(8, 2)? & 0x3fff)),
        b"VP8L" => {
            let bits = number(1, 4)?;
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => Some((number(4, 3)? + 1, number(7, 3)? + 1)),
        b"ANMF" => Some((number(6, 3)? + 1, number(9, 3)? + 1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webp(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WEBP".to_vec();
        for (name, content) in chunks {
            file.extend_from_slice(*name);
            file.extend_from_slice(&(content.len() as u32).to_le_bytes());
            file.extend_from_slice(content);
            file.resize(file.len() + content.len() % 2, 0);
        }
        let size = file.len() as u32 - 8;
        file[4..8].copy_from_slice(&size.to_le_bytes());
        file
    }

    #[test]
    fn every_announced_size_is_checked() {
        let limits = Limits { max_pixels: 100, ..Limits::default() };
        let check = |chunks: &[(&[u8; 4], &[u8])]| {
            checked(&webp(chunks), &limits).map(<[u8]>::len).map_err(|e| e.to_string())
        };
        let canvas = |side: u8| [0, 0, 0, 0, side - 1, 0, 0, side - 1, 0, 0];
        let lossy = |side: u8| [0, 0, 0, 0x9d, 1, 0x2a, side, 0, side, 0];
        assert_eq!(
            check(&[(b"VP8X", &canvas(10)), (b"VP8 ", &lossy(10)), (b"EXIF", b"abc")]),
            Ok(12 + 18 + 18 + 12)
        );
        assert!(check(&[(b"VP8X", &canvas(11))]).unwrap_err().contains("11x11"));
        assert!(check(&[(b"VP8X", &canvas(1)), (b"VP8 ", &lossy(12))]).unwrap_err().contains("12x12"));
        assert!(check(&[(b"VP8L", b"\x2f\x00\xff\xff\0")]).unwrap_err().contains("pixels"));
        let mut frame = [0; 34];
        frame[16..24].copy_from_slice(b"VP8 \x0a\0\0\0");
        frame[24..].copy_from_slice(&lossy(13));
        assert!(check(&[(b"ANMF", &frame)]).unwrap_err().contains("13x13"));
    }

    #[test]
    fn chunks_end_within_the_file() {
        let mut file = webp(&[(b"EXIF", b"abcd")]);
        assert!(checked(&file, &Limits::default()).is_ok());
        file[19] = 0x7f;
        let message = checked(&file, &Limits::default()).unwrap_err().to_string();
        assert!(message.contains("EXIF") && message.ends_with("found 4"), "{message}");
        assert!(checked(b"RIFF", &Limits::default()).is_err());
    }
}
