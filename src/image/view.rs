//! Pictures in the caller's memory: borrowed bytes, a size, a stride and a pixel format.
//!
//! Sizes are checked once, when an [`ImageView`] is made; reading rows and pixels cannot fail afterwards. A crop is a
//! view of the same bytes. Conversion to RGB happens row by row, so no copy of the picture is ever needed.

use crate::error::Error;

/// The longest side a picture may have, in pixels.
pub const MAX_SIDE: usize = 1 << 24;

/// The order of the bytes in a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PixelFormat {
    /// Red, green, blue.
    Rgb8,
    /// Blue, green, red (OpenCV's order).
    Bgr8,
    /// Red, green, blue, and a fourth byte, which only models for pictures of four channels read.
    Rgba8,
    /// Blue, green, red, and a fourth byte, which only models for pictures of four channels read.
    Bgra8,
    /// One byte, used for red, green and blue alike.
    Gray8,
    /// Two bytes, for models whose input has two channels; shown as grey, by the first.
    Dual8,
}

impl PixelFormat {
    /// Bytes per pixel.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            PixelFormat::Gray8 => 1,
            PixelFormat::Dual8 => 2,
            PixelFormat::Rgb8 | PixelFormat::Bgr8 => 3,
            PixelFormat::Rgba8 | PixelFormat::Bgra8 => 4,
        }
    }

    /// The positions of red, green and blue in a pixel.
    #[must_use]
    pub const fn offsets(self) -> [usize; 3] {
        match self {
            PixelFormat::Gray8 | PixelFormat::Dual8 => [0, 0, 0],
            PixelFormat::Rgb8 | PixelFormat::Rgba8 => [0, 1, 2],
            PixelFormat::Bgr8 | PixelFormat::Bgra8 => [2, 1, 0],
        }
    }

    /// The format of packed pictures with `channels` channels: grey, two bytes, RGB or RGBA.
    #[must_use]
    pub const fn of_channels(channels: usize) -> Self {
        match channels {
            1 => PixelFormat::Gray8,
            2 => PixelFormat::Dual8,
            4 => PixelFormat::Rgba8,
            _ => PixelFormat::Rgb8,
        }
    }

    /// Whether pictures in this format can be given to a model whose input has `channels` channels: grey for 1, two bytes for 2,
    /// four for 4, everything but two bytes for 3.
    #[must_use]
    pub const fn fits(self, channels: usize) -> bool {
        match channels {
            3 => !matches!(self, PixelFormat::Dual8),
            _ => self.bytes() == channels,
        }
    }

    /// The positions of all channels in a pixel, as many as it has.
    pub(crate) const fn channel_offsets(self) -> [usize; 4] {
        let [red, green, blue] = self.offsets();
        if matches!(self, PixelFormat::Dual8) { [0, 1, 0, 0] } else { [red, green, blue, 3] }
    }
}

/// A borrowed picture: `height` rows of `width` pixels, `stride` bytes from the start of one row to the next.
#[derive(Clone, Copy)]
pub struct ImageView<'a> {
    data: &'a [u8],
    width: usize,
    height: usize,
    stride: usize,
    format: PixelFormat,
}

impl core::fmt::Debug for ImageView<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ImageView({}x{} {:?}, stride {})", self.width, self.height, self.format, self.stride)
    }
}

impl<'a> ImageView<'a> {
    /// A picture whose first row starts at `data[0]`. The last row needs no padding up to the stride; bytes after its
    /// last pixel are ignored.
    ///
    /// # Errors
    /// [`Error::Image`] if a side is 0 or longer than [`MAX_SIDE`], or the stride is shorter than a row;
    /// [`Error::Buffer`] if `data` is too short; [`Error::TooLarge`] if the picture's size in bytes overflows.
    pub fn new(
        data: &'a [u8],
        width: usize,
        height: usize,
        stride: usize,
        format: PixelFormat,
    ) -> Result<Self, Error> {
        check_size(width, height)?;
        let row = width * format.bytes();
        if stride < row {
            return Err(Error::Image { what: "the picture's stride is shorter than one row of its pixels" });
        }
        let needed = (height - 1).checked_mul(stride).and_then(|n| n.checked_add(row));
        let needed = needed.ok_or(Error::TooLarge)?;
        if data.len() < needed {
            return Err(Error::Buffer { what: "the picture's bytes", needed, found: data.len() });
        }
        Ok(ImageView { data, width, height, stride, format })
    }

    /// A picture without padding between its rows.
    ///
    /// # Errors
    /// As [`ImageView::new`].
    pub fn packed(data: &'a [u8], width: usize, height: usize, format: PixelFormat) -> Result<Self, Error> {
        check_size(width, height)?;
        Self::new(data, width, height, width * format.bytes(), format)
    }

    /// Width in pixels.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Bytes from the start of one row to the next.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// The pixel format.
    #[must_use]
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// Row `y`, `width * format.bytes()` bytes. Empty if the picture has no such row.
    #[inline]
    #[must_use]
    pub fn row(&self, y: usize) -> &'a [u8] {
        if y >= self.height {
            return &[];
        }
        &self.data[y * self.stride..][..self.width * self.format.bytes()]
    }

    /// Red, green and blue of the pixel at column `x` of row `y`; `None` outside the picture.
    #[inline]
    #[must_use]
    pub fn rgb(&self, x: usize, y: usize) -> Option<[u8; 3]> {
        let pixel = self.row(y).chunks_exact(self.format.bytes()).nth(x)?;
        Some(self.format.offsets().map(|o| pixel[o]))
    }

    /// Writes row `y` to `out`, as packed RGB. Stops at the end of the shorter of the two.
    pub fn rgb_row(&self, y: usize, out: &mut [u8]) {
        let [r, g, b] = self.format.offsets();
        let pixels = self.row(y).chunks_exact(self.format.bytes());
        for (out, pixel) in out.chunks_exact_mut(3).zip(pixels) {
            out.copy_from_slice(&[pixel[r], pixel[g], pixel[b]]);
        }
    }

    /// The part of the picture of `width` x `height` pixels whose top left pixel is (`x`, `y`).
    ///
    /// # Errors
    /// [`Error::Image`] if that part is empty or reaches outside the picture.
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Result<Self, Error> {
        let inside = |start: usize, len: usize, of: usize| len > 0 && start < of && len <= of - start;
        if !inside(x, width, self.width) || !inside(y, height, self.height) {
            return Err(Error::Image { what: "the crop is empty or reaches outside the picture" });
        }
        let data = &self.data[y * self.stride + x * self.format.bytes()..];
        Ok(ImageView { data, width, height, ..*self })
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
        assert_eq!(
            (dual.rgb(1, 0), PixelFormat::Dual8.channel_offsets()[..2].to_vec()),
            (Some([9, 9, 9]), vec![0, 1])
        );
        let fits = |format: PixelFormat| [1, 2, 3, 4].map(|channels| format.fits(channels));
        assert_eq!(fits(PixelFormat::Dual8), [false, true, false, false]);
        assert_eq!(fits(PixelFormat::Gray8), [true, false, true, false]);
        assert_eq!(fits(PixelFormat::Bgra8), [false, false, true, true]);
        assert_eq!(PixelFormat::Bgra8.channel_offsets(), [2, 1, 0, 3]);
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
