//! YUV4MPEG2, the uncompressed video of `ffmpeg -f yuv4mpegpipe`: a line of text with size and colours, then frames, each after a line
//! that begins with FRAME.
//!
//! Source: the manual page yuv4mpeg(5) of mjpegtools, and FFmpeg's `libavformat/yuv4mpegdec.c` for `XCOLORRANGE`.

use beitle::image::{PixelFormat, YuvRange, check_size};

/// How a stream begins.
pub const MAGIC: &[u8] = b"YUV4MPEG2";
/// The longest line of a header, in bytes.
pub const MAX_LINE: usize = 1024;

/// What the first line of a stream says.
#[derive(Debug, PartialEq)]
pub struct Header {
    pub width: usize,
    pub height: usize,
    /// Frames per second, as two numbers.
    pub rate: (u32, u32),
    pub format: PixelFormat,
    pub range: Option<YuvRange>,
}

impl Header {
    /// Reads the first line, without the line break.
    ///
    /// # Errors
    /// What is wrong with it, and what was expected.
    pub fn parse(line: &[u8]) -> Result<Header, String> {
        let text = line.strip_prefix(MAGIC).filter(|rest| matches!(rest, [] | [b' ', ..]));
        let text = text.ok_or("does not begin with YUV4MPEG2 and a space")?;
        let text = std::str::from_utf8(text).map_err(|_| "the header is not text")?;
        let field = |name: char| text.split(' ').find_map(|field| field.strip_prefix(name));
        let side = |name: char| {
            let value = field(name).ok_or_else(|| format!("the header has no field {name}"))?;
            value
                .parse::<usize>()
                .map_err(|_| format!("field {name}: expected a number of pixels, found {value:?}"))
        };
        let (width, height) = (side('W')?, side('H')?);
        check_size(width, height).map_err(|e| format!("{width}x{height}: {e}"))?;
        let rate = match field('F') {
            None => (25, 1),
            Some(value) => ratio(value).ok_or_else(|| {
                format!("field F: expected frames per second such as 30:1, found {value:?}")
            })?,
        };
        let format = match field('C').unwrap_or("420") {
            "420" | "420jpeg" | "420mpeg2" | "420paldv" => PixelFormat::I420,
            "mono" => PixelFormat::Gray8,
            other => {
                return Err(format!(
                    "field C: expected 420, 420jpeg, 420mpeg2, 420paldv or mono, found {other:?} (ffmpeg -pix_fmt yuv420p)"
                ));
            }
        };
        let range = text.split(' ').find_map(|field| field.strip_prefix("XCOLORRANGE="));
        let range = match range {
            None => None,
            Some("LIMITED") => Some(YuvRange::Limited),
            Some("FULL") => Some(YuvRange::Full),
            Some(other) => {
                return Err(format!("field XCOLORRANGE: expected LIMITED or FULL, found {other:?}"));
            }
        };
        Ok(Header { width, height, rate, format, range })
    }
}

/// Two positive numbers; `0:0` is an unknown rate, for which 25 frames per second are taken.
fn ratio(text: &str) -> Option<(u32, u32)> {
    let (a, b) = text.split_once(':')?;
    match (a.parse().ok()?, b.parse().ok()?) {
        (0, 0) => Some((25, 1)),
        (0, _) | (_, 0) => None,
        both => Some(both),
    }
}

/// The first line of a stream that is written; `colours` is the value of C and what follows.
pub fn first_line((width, height): (usize, usize), (a, b): (u32, u32), colours: &str) -> Vec<u8> {
    format!("YUV4MPEG2 W{width} H{height} F{a}:{b} Ip A1:1 C{colours}\n").into_bytes()
}

/// The line before each frame that is written.
pub const FRAME_LINE: &[u8] = b"FRAME\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_ffmpeg_are_read() {
        let parse = |text: &str| Header::parse(text.as_bytes());
        let header =
            parse("YUV4MPEG2 W640 H480 F30000:1001 Ip A1:1 C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=LIMITED");
        let header = header.unwrap();
        assert_eq!((header.width, header.height, header.rate), (640, 480, (30000, 1001)));
        assert_eq!((header.format, header.range), (PixelFormat::I420, Some(YuvRange::Limited)));
        let plain = parse("YUV4MPEG2 H2 W3").unwrap();
        assert_eq!((plain.width, plain.height, plain.rate, plain.range), (3, 2, (25, 1), None));
        assert_eq!(parse("YUV4MPEG2 W8 H8 F0:0 Cmono XCOLORRANGE=FULL").unwrap().format, PixelFormat::Gray8);
    }

    #[test]
    fn errors_name_the_field() {
        for (text, part) in [
            ("RIFF", "YUV4MPEG2"),
            ("YUV4MPEG2X W8 H8", "a space"),
            ("YUV4MPEG2", "no field W"),
            ("YUV4MPEG2 W8", "no field H"),
            ("YUV4MPEG2 Wx H8", "field W"),
            ("YUV4MPEG2 W0 H8", "0x8"),
            ("YUV4MPEG2 W99999999 H8", "99999999x8"),
            ("YUV4MPEG2 W8 H8 F25", "field F"),
            ("YUV4MPEG2 W8 H8 F25:0", "field F"),
            ("YUV4MPEG2 W8 H8 C444", "-pix_fmt yuv420p"),
            ("YUV4MPEG2 W8 H8 XCOLORRANGE=HALF", "XCOLORRANGE"),
        ] {
            let message = Header::parse(text.as_bytes()).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
