//! Pictures in the caller's memory: borrowed bytes, a size, strides and a pixel format.
//!
//! Sizes are checked once, when an [`ImageView`] is made; reading rows and pixels cannot fail afterwards. A crop, a rotated or a
//! mirrored picture is a view of the same bytes. Conversion to RGB happens row by row (`rows`), so no copy of the picture is ever needed.

use super::format::PixelFormat;
use super::yuv::{Coefficients, YuvMatrix, YuvRange};
use crate::error::Error;

/// The longest side a picture may have, in pixels.
pub const MAX_SIDE: usize = 1 << 24;

/// A plane of a picture: the first row at its start, `stride` bytes from the start of one row to the next.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// The bytes.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// A borrowed picture.
#[derive(Clone, Copy)]
pub struct ImageView<'a> {
    pub(super) planes: [Plane<'a>; 3],
    pub(super) format: PixelFormat,
    /// How YUV becomes RGB.
    pub(super) coefficients: Coefficients,
    /// The values of 16-bit grey that become 0 and 255.
    pub(super) range16: (u16, u16),
    /// The part of the stored picture that is seen: its first column and row, and its size, as stored.
    pub(super) x: usize,
    pub(super) y: usize,
    width: usize,
    height: usize,
    pub(super) turn: Turn,
}

/// How the stored picture is seen: pixel (x, y) of the view is that of (y, x) if `swap`, counted from the right and the lower end of
/// the stored picture if flipped.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) struct Turn {
    pub swap: bool,
    pub flip_x: bool,
    pub flip_y: bool,
}

impl core::fmt::Debug for ImageView<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (width, height, stride) = (self.width(), self.height(), self.stride());
        write!(f, "ImageView({width}x{height} {:?}, stride {stride})", self.format)
    }
}

impl<'a> ImageView<'a> {
    /// A picture whose first row starts at `data[0]`. The last row needs no padding up to the stride; bytes after its last pixel are
    /// ignored. Further planes follow the one before after all its rows and have the same stride, those of [`PixelFormat::I420`] half
    /// of it, as Video4Linux2 stores them.
    ///
    /// # Errors
    /// [`Error::Image`] if a side is 0 or longer than [`MAX_SIDE`], or the stride is shorter than a row; [`Error::Buffer`] if `data` is
    /// too short; [`Error::TooLarge`] if the picture's size in bytes overflows.
    pub fn new(
        data: &'a [u8],
        width: usize,
        height: usize,
        stride: usize,
        format: PixelFormat,
    ) -> Result<Self, Error> {
        let chroma = if format == PixelFormat::I420 { stride.div_ceil(2) } else { stride };
        Self::contiguous(data, width, height, [stride, chroma, chroma], format)
    }

    /// A picture in as many planes as its format has, in the order in which the format names them.
    ///
    /// # Errors
    /// As [`ImageView::new`], for each plane.
    pub fn planar(
        planes: &[Plane<'a>],
        width: usize,
        height: usize,
        format: PixelFormat,
    ) -> Result<Self, Error> {
        check_size(width, height)?;
        if planes.len() != format.planes() {
            return Err(Error::Image { what: "the picture does not have the planes of its pixel format" });
        }
        for (i, plane) in planes.iter().enumerate() {
            let (row, rows) = format.plane_size(i, width, height);
            if plane.stride < row {
                return Err(Error::Image {
                    what: "the picture's stride is shorter than one row of its pixels",
                });
            }
            let needed = (rows - 1).checked_mul(plane.stride).and_then(|n| n.checked_add(row));
            let (needed, found) = (needed.ok_or(Error::TooLarge)?, plane.data.len());
            if found < needed {
                return Err(Error::Buffer { what: "the picture's bytes", needed, found });
            }
        }
        let plane = |i: usize| *planes.get(i).unwrap_or(&Plane { data: &[], stride: 0 });
        Ok(ImageView {
            planes: [plane(0), plane(1), plane(2)],
            format,
            coefficients: Coefficients::new(YuvMatrix::Bt601, YuvRange::Limited),
            range16: (0, u16::MAX),
            x: 0,
            y: 0,
            width,
            height,
            turn: Turn::default(),
        })
    }

    /// A picture without padding between its rows, and with its planes one after the other.
    ///
    /// # Errors
    /// As [`ImageView::new`].
    pub fn packed(data: &'a [u8], width: usize, height: usize, format: PixelFormat) -> Result<Self, Error> {
        check_size(width, height)?;
        let strides = [0, 1, 2].map(|plane| format.plane_size(plane, width, height).0);
        Self::contiguous(data, width, height, strides, format)
    }

    /// A picture whose planes lie one after the other, each after all rows of the one before.
    fn contiguous(
        data: &'a [u8],
        width: usize,
        height: usize,
        strides: [usize; 3],
        format: PixelFormat,
    ) -> Result<Self, Error> {
        check_size(width, height)?;
        let mut planes = [Plane { data: &[], stride: 0 }; 3];
        let (mut rest, count) = (data, format.planes());
        for (i, plane) in planes.iter_mut().enumerate().take(count) {
            let (_, rows) = format.plane_size(i, width, height);
            *plane = Plane { data: rest, stride: strides[i] };
            let len = rows.checked_mul(strides[i]).ok_or(Error::TooLarge)?;
            rest = rest.get(len..).unwrap_or(&[]);
        }
        Self::planar(&planes[..count], width, height, format)
    }

    /// The same picture, of which the matrix and the range of a YUV format are these; BT.601 and limited by default. Other formats
    /// ignore them.
    #[must_use]
    pub const fn with_colours(mut self, matrix: YuvMatrix, range: YuvRange) -> Self {
        self.coefficients = Coefficients::new(matrix, range);
        self
    }

    /// The same picture, of which 16-bit grey from `low` to `high` becomes 0 to 255, rounded; what is beyond becomes 0 or 255. By
    /// default the range is that of 16 bits. Other formats ignore it.
    ///
    /// # Errors
    /// [`Error::Image`] if `low` is not below `high`.
    pub fn with_range16(mut self, low: u16, high: u16) -> Result<Self, Error> {
        if low >= high {
            return Err(Error::Image { what: "the lower end of a 16-bit range must be below the upper end" });
        }
        self.range16 = (low, high);
        Ok(self)
    }

    /// The picture turned clockwise by `quarters` times 90 degrees.
    #[must_use]
    pub fn rotated(mut self, quarters: u32) -> Self {
        for _ in 0..quarters % 4 {
            let Turn { swap, flip_x, flip_y } = self.turn;
            // Pixel (x, y) of the new view is (y, height − 1 − x) of the old one.
            self.turn = match swap {
                false => Turn { swap: true, flip_x, flip_y: !flip_y },
                true => Turn { swap: false, flip_x: !flip_x, flip_y },
            };
        }
        self
    }

    /// The picture mirrored left to right.
    #[must_use]
    pub fn mirrored(mut self) -> Self {
        match self.turn.swap {
            false => self.turn.flip_x = !self.turn.flip_x,
            true => self.turn.flip_y = !self.turn.flip_y,
        }
        self
    }

    /// Width in pixels.
    #[must_use]
    pub const fn width(&self) -> usize {
        if self.turn.swap { self.height } else { self.width }
    }

    /// Height in pixels.
    #[must_use]
    pub const fn height(&self) -> usize {
        if self.turn.swap { self.width } else { self.height }
    }

    /// Bytes from the start of one row of the first plane to the next, as stored.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.planes[0].stride
    }

    /// The pixel format.
    #[must_use]
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// Whether rows are stored as they are seen: in a format that needs no conversion, neither rotated nor mirrored.
    pub(crate) fn is_direct(&self) -> bool {
        self.format.row_format() == self.format && self.turn == Turn::default()
    }

    /// Row `y`, `width * format.bytes()` bytes. Empty if the picture has no such row, or if rows are not stored as they are seen:
    /// pictures that are rotated or mirrored, YUV, [`PixelFormat::Rgb565`] and [`PixelFormat::Gray16`].
    #[inline]
    #[must_use]
    pub fn row(&self, y: usize) -> &'a [u8] {
        if y >= self.height || !self.is_direct() {
            return &[];
        }
        let (bytes, Plane { data, stride }) = (self.format.bytes(), self.planes[0]);
        &data[(self.y + y) * stride + self.x * bytes..][..self.width * bytes]
    }

    /// Red, green and blue of the pixel at column `x` of row `y`; `None` outside the picture.
    #[inline]
    #[must_use]
    pub fn rgb(&self, x: usize, y: usize) -> Option<[u8; 3]> {
        if x >= self.width() || y >= self.height() {
            return None;
        }
        let (x, y) = self.stored(x, y);
        let pixel = self.pixel(x, y);
        Some(self.format.offsets().map(|o| pixel[o]))
    }

    /// Writes row `y` to `out`, as packed RGB. Stops at the end of the shorter of the two.
    pub fn rgb_row(&self, y: usize, out: &mut [u8]) {
        for (x, out) in out.chunks_exact_mut(3).enumerate() {
            let Some(rgb) = self.rgb(x, y) else { return };
            out.copy_from_slice(&rgb);
        }
    }

    /// The part of the picture of `width` x `height` pixels whose top left pixel is (`x`, `y`), as it is seen.
    ///
    /// # Errors
    /// [`Error::Image`] if that part is empty or reaches outside the picture.
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Result<Self, Error> {
        let inside = |start: usize, len: usize, of: usize| len > 0 && start < of && len <= of - start;
        if !inside(x, width, self.width()) || !inside(y, height, self.height()) {
            return Err(Error::Image { what: "the crop is empty or reaches outside the picture" });
        }
        let Turn { swap, flip_x, flip_y } = self.turn;
        let ([x, y], [width, height]) =
            if swap { ([y, x], [height, width]) } else { ([x, y], [width, height]) };
        let x = if flip_x { self.width - x - width } else { x };
        let y = if flip_y { self.height - y - height } else { y };
        Ok(ImageView { x: self.x + x, y: self.y + y, width, height, ..*self })
    }

    /// The stored column and row, in the visible part, of a pixel as it is seen.
    pub(super) fn stored(&self, x: usize, y: usize) -> (usize, usize) {
        let Turn { swap, flip_x, flip_y } = self.turn;
        let (x, y) = if swap { (y, x) } else { (x, y) };
        (if flip_x { self.width - 1 - x } else { x }, if flip_y { self.height - 1 - y } else { y })
    }
}

/// Checks that both sides are between 1 and [`MAX_SIDE`].
///
/// # Errors
/// [`Error::Image`] if one of them is not.
pub fn check_size(width: usize, height: usize) -> Result<(), Error> {
    if width == 0 || height == 0 {
        return Err(Error::Image {
            what: "a picture or class map must be at least one pixel wide and one pixel high",
        });
    }
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(Error::Image {
            what: "a picture or class map may be at most 16777216 pixels wide and high",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pixel_formats_give_the_same_rgb() {
        let cases: [(PixelFormat, &[u8]); 4] = [
            (PixelFormat::Rgb8, &[1, 2, 3, 4, 5, 6]),
            (PixelFormat::Bgr8, &[3, 2, 1, 6, 5, 4]),
            (PixelFormat::Rgba8, &[1, 2, 3, 0, 4, 5, 6, 0]),
            (PixelFormat::Bgra8, &[3, 2, 1, 9, 6, 5, 4, 9]),
        ];
        for (format, data) in cases {
            let view = ImageView::packed(data, 2, 1, format).unwrap();
            assert_eq!((view.rgb(0, 0), view.rgb(1, 0)), (Some([1, 2, 3]), Some([4, 5, 6])), "{format:?}");
            let mut row = [0; 6];
            view.rgb_row(0, &mut row);
            assert_eq!(row, [1, 2, 3, 4, 5, 6]);
        }
        let dual = ImageView::packed(&[7, 8, 9, 10], 2, 1, PixelFormat::Dual8).unwrap();
        assert_eq!(dual.rgb(1, 0), Some([9, 9, 9]));
        let grey = ImageView::packed(&[7, 8], 2, 1, PixelFormat::Gray8).unwrap();
        assert_eq!(grey.rgb(1, 0), Some([8, 8, 8]));
        assert_eq!((grey.rgb(2, 0), grey.rgb(0, 1)), (None, None));
    }

    #[test]
    fn bad_sizes_and_strides_are_rejected() {
        let data = [0; 12];
        let new = |w, h, stride| ImageView::new(&data, w, h, stride, PixelFormat::Rgb8);
        assert!(new(2, 2, 6).is_ok());
        assert!(new(1, 2, 9).is_ok(), "the last row needs no padding");
        assert!(matches!(new(2, 2, 7), Err(Error::Buffer { needed: 13, found: 12, .. })));
        assert!(matches!(new(2, 2, 5), Err(Error::Image { .. })));
        assert!(matches!(new(0, 2, 6), Err(Error::Image { .. })));
        assert!(matches!(new(usize::MAX, 2, usize::MAX), Err(Error::Image { .. })));
        assert!(matches!(new(1, 3, usize::MAX / 2 + 1), Err(Error::TooLarge)));
        assert!(ImageView::packed(&[], usize::MAX, 1, PixelFormat::Rgb8).is_err());
    }

    #[test]
    fn crops_view_the_same_bytes() {
        let data: [u8; 12] = core::array::from_fn(|i| i as u8);
        let view = ImageView::packed(&data, 4, 3, PixelFormat::Gray8).unwrap();
        let part = view.crop(1, 1, 3, 2).unwrap();
        assert_eq!((part.row(0), part.row(1)), (&[5, 6, 7][..], &[9, 10, 11][..]));
        assert!(view.crop(1, 1, 4, 1).is_err() && view.crop(0, 0, 0, 1).is_err());
        assert!(view.crop(usize::MAX, 0, 2, 1).is_err());
    }
}
