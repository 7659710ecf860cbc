//! Rows of a picture, converted from the format and turned from the way in which it is stored.
//!
//! Every pixel of a row is converted to the row format ([`PixelFormat::row_format`]): packed formats stay as they are, 16-bit grey becomes
//! grey, all others red, green, blue and 0.

use super::format::PixelFormat;
use super::view::{ImageView, Plane};
use super::yuv::{self, Samples, YuvRow};

/// Pairs of pixels of a column that are converted together.
const PAIRS: usize = 32;

/// Converts a row of YUV to RGB; the engine passes the function of the instruction set.
pub(crate) type ConvertYuv<'c> = &'c (dyn Fn(&YuvRow, &mut [u8]) + Sync);

impl<'a> ImageView<'a> {
    /// The bytes of a stored pixel of the visible part in the row format, then zeros.
    #[inline(always)]
    pub(super) fn pixel(&self, x: usize, y: usize) -> [u8; 4] {
        let (x, y) = (self.x + x, self.y + y);
        let bits16 = || u16::from_le_bytes([self.at(0, 2 * x, y)[0], self.at(0, 2 * x, y)[1]]);
        let group = || self.at(0, x / 2 * 4, y);
        let (luma, u, v) = match self.format {
            PixelFormat::Rgb565 => return from_rgb565(bits16()),
            PixelFormat::Gray16 => return [from_gray16(bits16(), self.range16), 0, 0, 0],
            PixelFormat::Yuyv => (group()[x % 2 * 2], group()[1], group()[3]),
            PixelFormat::Uyvy => (group()[x % 2 * 2 + 1], group()[0], group()[2]),
            format if format.is_yuv() => {
                let (u, v) = self.chroma(x, y);
                (self.at(0, x, y)[0], u, v)
            }
            format => {
                let (mut pixel, bytes) = ([0; 4], format.bytes());
                pixel.iter_mut().zip(&self.at(0, x * bytes, y)[..bytes]).for_each(|(to, from)| *to = *from);
                return pixel;
            }
        };
        let [r, g, b] = yuv::pixel(&self.coefficients, luma, u, v);
        [r, g, b, 0]
    }

    /// Writes pixels of row `y` from column `first` on, as they are seen, in the row format, as many as `out` has room for. They lie
    /// inside the picture.
    pub(crate) fn convert_row(&self, y: usize, first: usize, out: &mut [u8], convert: ConvertYuv) {
        let bytes = self.format.row_format().bytes();
        if self.turn.swap {
            return self.convert_column(y, first, out, convert);
        }
        let count = out.len() / bytes;
        // The last pixel is the first one that is stored if the picture is mirrored.
        let first = if self.turn.flip_x { first + count - 1 } else { first };
        let (x, y) = self.stored(first, y);
        self.convert_stored(y, x, out, convert);
        if self.turn.flip_x {
            reverse_pixels(out, bytes);
        }
    }

    /// [`convert_row`](Self::convert_row) for pictures that are turned by 90 degrees, whose rows are stored as columns.
    fn convert_column(&self, y: usize, first: usize, out: &mut [u8], convert: ConvertYuv) {
        let (x, start) = self.stored(first, y);
        let row = |i: usize| if self.turn.flip_y { start - i } else { start + i };
        if self.format.planes() > 1 {
            return self.convert_yuv_column(x, row, out, convert);
        }
        let stored = |i: usize| (self.x + x, self.y + row(i));
        macro_rules! packed {
            ($n:literal) => {
                for (i, out) in out.as_chunks_mut::<$n>().0.iter_mut().enumerate() {
                    let (x, y) = stored(i);
                    out.copy_from_slice(&self.at(0, $n * x, y)[..$n]);
                }
            };
        }
        match (self.format.row_format() == self.format, self.format.row_format().bytes()) {
            (true, 1) => packed!(1),
            (true, 2) => packed!(2),
            (true, 3) => packed!(3),
            (true, _) => packed!(4),
            (false, bytes) => {
                for (i, out) in out.chunks_exact_mut(bytes).enumerate() {
                    out.copy_from_slice(&self.pixel(x, row(i))[..bytes]);
                }
            }
        }
    }

    /// [`convert_column`](Self::convert_column) where two by two pixels share U and V: column `x`, pixel i in row `row(i)`.
    fn convert_yuv_column(
        &self,
        x: usize,
        row: impl Fn(usize) -> usize,
        out: &mut [u8],
        convert: ConvertYuv,
    ) {
        let mut pixels = out.as_chunks_mut::<4>().0;
        let mut done = 0;
        // The first of a pair is the upper one, or from below the lower one.
        let upper = if self.turn.flip_y { 1 } else { 0 };
        if (self.y + row(0)) % 2 != upper
            && let Some((first, rest)) = core::mem::take(&mut pixels).split_first_mut()
        {
            *first = self.pixel(x, row(0));
            (pixels, done) = (rest, 1);
        }
        for pixels in pixels.chunks_mut(2 * PAIRS) {
            let ([mut luma, mut u, mut v], x) = ([[0; 2 * PAIRS]; 3], self.x + x);
            let count = pixels.len();
            for (i, luma) in luma[..count].iter_mut().enumerate() {
                *luma = self.at(0, x, self.y + row(done + i))[0];
            }
            for (pair, (u, v)) in u.iter_mut().zip(&mut v).enumerate().take(count.div_ceil(2)) {
                (*u, *v) = self.chroma(x, self.y + row(done + 2 * pair));
            }
            let samples = Samples::Planar([&luma, &u, &v]);
            convert(&YuvRow { coefficients: self.coefficients, samples }, pixels.as_flattened_mut());
            done += count;
        }
    }

    /// The bytes of a plane, as stored, from column `x`, counted in bytes, of row `y` on.
    #[inline(always)]
    fn at(&self, plane: usize, x: usize, y: usize) -> &'a [u8] {
        let Plane { data, stride } = self.planes[plane];
        &data[y * stride + x..]
    }

    /// U and V of a pixel, as stored, where two by two pixels share them.
    #[inline(always)]
    fn chroma(&self, x: usize, y: usize) -> (u8, u8) {
        let pair = |bytes: &[u8]| (bytes[0], bytes[1]);
        match self.format {
            PixelFormat::I420 => (self.at(1, x / 2, y / 2)[0], self.at(2, x / 2, y / 2)[0]),
            PixelFormat::Nv12 => pair(self.at(1, x / 2 * 2, y / 2)),
            _ => {
                let (v, u) = pair(self.at(1, x / 2 * 2, y / 2));
                (u, v)
            }
        }
    }

    /// Writes stored pixels of the visible part, from column `x` of row `y` on, in the row format.
    fn convert_stored(&self, y: usize, x: usize, out: &mut [u8], convert: ConvertYuv) {
        let (x, y) = (self.x + x, self.y + y);
        let Plane { data, stride } = self.planes[0];
        let row = &data[y * stride..];
        match self.format {
            PixelFormat::Rgb565 => {
                let pixels = row[2 * x..].as_chunks::<2>().0;
                for (out, pixel) in out.as_chunks_mut::<4>().0.iter_mut().zip(pixels) {
                    *out = from_rgb565(u16::from_le_bytes(*pixel));
                }
            }
            PixelFormat::Gray16 => {
                let pixels = row[2 * x..].as_chunks::<2>().0;
                for (out, pixel) in out.iter_mut().zip(pixels) {
                    *out = from_gray16(u16::from_le_bytes(*pixel), self.range16);
                }
            }
            format if format.is_yuv() => self.convert_yuv(x, y, out, convert),
            format => out.copy_from_slice(&row[x * format.bytes()..][..out.len()]),
        }
    }

    /// Writes pixels of a YUV picture, from the stored column `x` of row `y` on, as red, green, blue and 0.
    fn convert_yuv(&self, mut x: usize, y: usize, mut out: &mut [u8], convert: ConvertYuv) {
        // Two pixels share U and V, of which the left one is in an even column.
        if x % 2 == 1 && out.len() >= 4 {
            let (first, rest) = core::mem::take(&mut out).split_at_mut(4);
            first.copy_from_slice(&self.pixel(x - self.x, y - self.y));
            (out, x) = (rest, x + 1);
        }
        if out.is_empty() {
            return;
        }
        let part = |plane, x, y| self.at(plane, x, y);
        let samples = match self.format {
            PixelFormat::I420 => {
                Samples::Planar([part(0, x, y), part(1, x / 2, y / 2), part(2, x / 2, y / 2)])
            }
            PixelFormat::Nv12 => Samples::UvInTurn([part(0, x, y), part(1, x, y / 2)]),
            PixelFormat::Nv21 => Samples::VuInTurn([part(0, x, y), part(1, x, y / 2)]),
            PixelFormat::Uyvy => Samples::Uyvy(part(0, 2 * x, y)),
            _ => Samples::Yuyv(part(0, 2 * x, y)),
        };
        convert(&YuvRow { coefficients: self.coefficients, samples }, out);
    }
}

/// Red, green, blue and 0: five and six bits spread evenly over 0 to 255, rounded.
fn from_rgb565(pixel: u16) -> [u8; 4] {
    let (r, g, b) = (u32::from(pixel >> 11), u32::from(pixel >> 5 & 63), u32::from(pixel & 31));
    [((r * 527 + 23) >> 6) as u8, ((g * 259 + 33) >> 6) as u8, ((b * 527 + 23) >> 6) as u8, 0]
}

fn from_gray16(pixel: u16, (low, high): (u16, u16)) -> u8 {
    let (x, span) = (u32::from(pixel.clamp(low, high) - low), u32::from(high - low));
    ((x * 255 + span / 2) / span) as u8
}

/// Reverses the order of pixels of `bytes` bytes.
pub(crate) fn reverse_pixels(row: &mut [u8], bytes: usize) {
    match bytes {
        1 => row.reverse(),
        2 => row.as_chunks_mut::<2>().0.reverse(),
        4 => row.as_chunks_mut::<4>().0.reverse(),
        _ => row.as_chunks_mut::<3>().0.reverse(),
    }
}
