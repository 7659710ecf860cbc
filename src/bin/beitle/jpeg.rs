//! Detection of truncated JPEG files. The decoder fills the missing part with grey and reports no error.

/// Whether a JPEG file has its end-of-image marker. True for data that does not begin as a JPEG file.
///
/// Segments are skipped by their lengths, so the markers of an embedded thumbnail do not count. In entropy-coded data,
/// `FF` is followed by 0 or by a restart marker until the next segment. Bytes after the image are ignored.
pub fn is_whole(file: &[u8]) -> bool {
    let Some(mut rest) = file.strip_prefix(b"\xff\xd8") else { return true };
    loop {
        let marker = rest.windows(2).position(|w| w[0] == 0xff && !matches!(w[1], 0 | 0xff | 0xd0..=0xd7));
        let Some(at) = marker else { return false };
        if rest[at + 1] == 0xd9 {
            return true;
        }
        let Some(&[high, low]) = rest.get(at + 2..at + 4) else { return false };
        let length = usize::from(u16::from_be_bytes([high, low]));
        match rest.get(at + 2 + length.max(2)..) {
            Some(after) => rest = after,
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    #[test]
    fn only_the_end_marker_of_the_image_itself_counts() {
        // Start, a segment that contains an end marker, a scan with a stuffed FF and a restart, the end, a trailer.
        let file = b"\xff\xd8\xff\xe1\0\x06\xff\xd9AB\xff\xda\0\x03xdata\xff\0\xff\xd0more\xff\xd9trailer";
        assert!(is_whole(file));
        let end = file.len() - b"\xff\xd9trailer".len();
        for n in 2..end + 2 {
            assert!(!is_whole(&file[..n]), "{n} bytes");
        }
        assert!(is_whole(b"") && is_whole(b"\x89PNG"));
    }
}
