//! Where frames come from: raw frames, or YUV4MPEG2.

use super::handover::End;
use super::y4m::{self, Header};
use crate::console::Failure;
use crate::numbers::pair;
use beitle::image::{ImageView, PixelFormat, YuvMatrix, YuvRange};
use clap::ValueEnum;
use std::fs::File;
use std::io::{self, BufReader, Read, stdin};
use std::path::{Path, PathBuf};

/// Arguments that describe the frames.
#[derive(clap::Args)]
pub struct InputArgs {
    /// A file or named pipe [default: standard input]
    #[arg(value_name = "INPUT")]
    pub input: Option<PathBuf>,
    /// Frames are raw, in this pixel format [default: the stream is YUV4MPEG2, as of ffmpeg -f yuv4mpegpipe]
    #[arg(long, value_enum, requires = "size")]
    format: Option<FormatArg>,
    /// Width and height of raw frames in pixels
    #[arg(long, value_name = "WxH", value_parser = size, requires = "format")]
    size: Option<(usize, usize)>,
    /// Matrix of YUV frames
    #[arg(long, value_enum, default_value_t = MatrixArg::Bt601)]
    matrix: MatrixArg,
    /// Range of YUV frames [default: as YUV4MPEG2 says, else limited]. Grey frames always have the full range
    #[arg(long, value_enum)]
    range: Option<RangeArg>,
    /// Turn frames clockwise by 90, 180 or 270 degrees
    #[arg(long, value_name = "DEGREES", default_value_t = 0, value_parser = quarters)]
    rotate: u32,
    /// Mirror frames left to right, after they have been turned
    #[arg(long)]
    mirror: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatArg {
    Nv12,
    Nv21,
    #[value(alias = "yuv420p")]
    I420,
    #[value(alias = "yuyv422")]
    Yuyv,
    #[value(alias = "uyvy422")]
    Uyvy,
    #[value(alias = "rgb24")]
    Rgb,
    #[value(alias = "bgr24")]
    Bgr,
    Rgba,
    Bgra,
    Gray,
    #[value(alias = "rgb565le")]
    Rgb565,
    #[value(alias = "gray16le")]
    Gray16,
}

#[derive(Clone, Copy, ValueEnum)]
enum MatrixArg {
    /// Standard definition and most web cameras
    Bt601,
    /// High definition
    Bt709,
}

#[derive(Clone, Copy, ValueEnum)]
enum RangeArg {
    /// Y from 16 to 235
    Limited,
    /// Y from 0 to 255
    Full,
}

impl FormatArg {
    fn format(self) -> PixelFormat {
        match self {
            FormatArg::Nv12 => PixelFormat::Nv12,
            FormatArg::Nv21 => PixelFormat::Nv21,
            FormatArg::I420 => PixelFormat::I420,
            FormatArg::Yuyv => PixelFormat::Yuyv,
            FormatArg::Uyvy => PixelFormat::Uyvy,
            FormatArg::Rgb => PixelFormat::Rgb8,
            FormatArg::Bgr => PixelFormat::Bgr8,
            FormatArg::Rgba => PixelFormat::Rgba8,
            FormatArg::Bgra => PixelFormat::Bgra8,
            FormatArg::Gray => PixelFormat::Gray8,
            FormatArg::Rgb565 => PixelFormat::Rgb565,
            FormatArg::Gray16 => PixelFormat::Gray16,
        }
    }
}

fn size(text: &str) -> Result<(usize, usize), String> {
    pair(text, &['x']).ok_or_else(|| "expected width and height in pixels, such as 1280x720".into())
}

fn quarters(text: &str) -> Result<u32, String> {
    match text {
        "0" => Ok(0),
        "90" => Ok(1),
        "180" => Ok(2),
        "270" => Ok(3),
        _ => Err("expected 0, 90, 180 or 270".into()),
    }
}

/// What all frames of a stream have in common.
pub struct Video {
    /// As they are stored.
    pub width: usize,
    pub height: usize,
    pub format: PixelFormat,
    colours: (YuvMatrix, YuvRange),
    /// Frames per second, as two numbers.
    pub rate: (u32, u32),
    quarters: u32,
    mirror: bool,
}

impl Video {
    /// Bytes of a frame; `usize::MAX` if they cannot be addressed.
    pub fn frame_bytes(&self) -> usize {
        let planes = (0..self.format.planes()).map(|p| self.format.plane_size(p, self.width, self.height));
        planes.fold(0, |sum, (row, rows)| row.saturating_mul(rows).saturating_add(sum))
    }

    /// Width and height of the frames as they are seen.
    pub fn size(&self) -> (usize, usize) {
        if self.quarters % 2 == 1 { (self.height, self.width) } else { (self.width, self.height) }
    }

    /// A frame as it is seen.
    ///
    /// # Errors
    /// There are too few bytes.
    pub fn view<'a>(&self, bytes: &'a [u8]) -> Result<ImageView<'a>, beitle::Error> {
        let view = ImageView::packed(bytes, self.width, self.height, self.format)?;
        let view = view.with_colours(self.colours.0, self.colours.1).rotated(self.quarters);
        Ok(if self.mirror { view.mirrored() } else { view })
    }
}

/// Reads frames.
pub struct Source {
    reader: BufReader<Box<dyn Read + Send>>,
    /// Whether each frame comes after a line of text.
    is_y4m: bool,
}

/// A line of text, without its break.
enum Line {
    Whole(Vec<u8>),
    /// The stream has ended before the break. Empty: there is no further line.
    Torn(Vec<u8>),
}

impl Source {
    /// Opens the input and reads what it says of its frames.
    ///
    /// # Errors
    /// It cannot be opened, is empty, or has another format than stated.
    pub fn open(args: &InputArgs) -> Result<(Source, Video), Failure> {
        let name = args.name();
        let failed = |what: String| Failure::file(name, what);
        let reader: Box<dyn Read + Send> = match &args.input {
            Some(path) if path != Path::new("-") => {
                Box::new(File::open(path).map_err(|e| failed(format!("cannot be opened: {e}")))?)
            }
            _ => Box::new(stdin()),
        };
        let mut source = Source { reader: BufReader::new(reader), is_y4m: args.format.is_none() };
        let (format, (width, height), range, rate) = match (args.format, args.size) {
            (Some(format), Some(size)) => (format.format(), size, None, (25, 1)),
            _ => {
                let line = source.line().map_err(|e| failed(format!("cannot be read: {e}")))?;
                let line = match line {
                    Line::Whole(line) => line,
                    Line::Torn(line) if line.is_empty() => {
                        return Err(failed("is empty; expected frames".into()));
                    }
                    Line::Torn(line) if line.starts_with(y4m::MAGIC) => {
                        return Err(failed("ends within the header of YUV4MPEG2".into()));
                    }
                    Line::Torn(line) => line,
                };
                let header = Header::parse(&line).map_err(|what| {
                    failed(format!(
                        "cannot be read as YUV4MPEG2: {what} (raw frames need --format and --size)"
                    ))
                })?;
                (header.format, (header.width, header.height), header.range, header.rate)
            }
        };
        let matrix = match args.matrix {
            MatrixArg::Bt601 => YuvMatrix::Bt601,
            MatrixArg::Bt709 => YuvMatrix::Bt709,
        };
        let range = match args.range {
            Some(RangeArg::Limited) => YuvRange::Limited,
            Some(RangeArg::Full) => YuvRange::Full,
            None => range.unwrap_or_default(),
        };
        // FFmpeg, too, takes grey frames for full-range ones.
        let is_grey = matches!(format, PixelFormat::Gray8 | PixelFormat::Gray16);
        if is_grey && matches!(args.range, Some(RangeArg::Limited)) {
            return Err(Failure::usage("--range limited: grey frames have the full range"));
        }
        beitle::image::check_size(width, height)
            .map_err(|e| Failure::usage(format_args!("--size {width}x{height}: {e}")))?;
        let (quarters, mirror) = (args.rotate, args.mirror);
        Ok((source, Video { width, height, format, colours: (matrix, range), rate, quarters, mirror }))
    }

    /// Fills `frame` with the next one; the end of the stream if there is none.
    pub fn read(&mut self, frame: &mut [u8]) -> Result<(), End> {
        let failed = |e: io::Error| End::Failed(format!("cannot be read: {e}"));
        if self.is_y4m {
            match self.line().map_err(failed)? {
                Line::Whole(line) if line == b"FRAME" || line.starts_with(b"FRAME ") => {}
                Line::Torn(line) if line.is_empty() => return Err(End::Complete),
                Line::Torn(line) if b"FRAME ".starts_with(&line) || line.starts_with(b"FRAME ") => {
                    return Err(End::Torn(0, frame.len()));
                }
                _ => return Err(End::Failed("expected FRAME before a frame of YUV4MPEG2".into())),
            }
        }
        let mut filled = 0;
        while filled < frame.len() {
            match self.reader.read(&mut frame[filled..]) {
                Ok(0) if filled == 0 && !self.is_y4m => return Err(End::Complete),
                Ok(0) => return Err(End::Torn(filled, frame.len())),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(failed(e)),
            }
        }
        Ok(())
    }

    /// Reads a line.
    ///
    /// # Errors
    /// The stream cannot be read, or the line is longer than [`y4m::MAX_LINE`].
    fn line(&mut self) -> io::Result<Line> {
        let (mut line, mut byte) = (Vec::new(), [0]);
        loop {
            match self.reader.read(&mut byte) {
                Ok(0) => return Ok(Line::Torn(line)),
                Ok(_) if byte[0] == b'\n' => return Ok(Line::Whole(line)),
                Ok(_) if line.len() == y4m::MAX_LINE => {
                    let what = format!("a line of YUV4MPEG2 is longer than {} bytes", y4m::MAX_LINE);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
                Ok(_) => line.push(byte[0]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl InputArgs {
    /// The input's name in messages.
    pub fn name(&self) -> &Path {
        match &self.input {
            Some(path) if path != Path::new("-") => path,
            _ => Path::new("standard input"),
        }
    }
}
