//! Pixel formats: how the bytes of a picture are arranged.

/// The arrangement of the bytes of a picture.
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
    /// A little-endian number of 16 bits: five of red (the highest), six of green, five of blue.
    Rgb565,
    /// A little-endian number of 16 bits, of which a range becomes 0 to 255, for thermal cameras
    /// ([`ImageView::with_range16`](super::ImageView::with_range16)).
    Gray16,
    /// Y, U, Y, V for two pixels in four bytes (4:2:2; also called YUY2).
    Yuyv,
    /// U, Y, V, Y for two pixels in four bytes (4:2:2).
    Uyvy,
    /// Two planes: Y, then U and V in turn, for two by two pixels (4:2:0).
    Nv12,
    /// Two planes: Y, then V and U in turn, for two by two pixels (4:2:0).
    Nv21,
    /// Three planes: Y, U, V; U and V for two by two pixels (4:2:0; also called YUV420 and YU12).
    I420,
}

impl PixelFormat {
    /// Bytes per pixel in the first plane.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            PixelFormat::Gray8 | PixelFormat::Nv12 | PixelFormat::Nv21 | PixelFormat::I420 => 1,
            PixelFormat::Dual8
            | PixelFormat::Rgb565
            | PixelFormat::Gray16
            | PixelFormat::Yuyv
            | PixelFormat::Uyvy => 2,
            PixelFormat::Rgb8 | PixelFormat::Bgr8 => 3,
            PixelFormat::Rgba8 | PixelFormat::Bgra8 => 4,
        }
    }

    /// The number of planes.
    #[must_use]
    pub const fn planes(self) -> usize {
        match self {
            PixelFormat::I420 => 3,
            PixelFormat::Nv12 | PixelFormat::Nv21 => 2,
            _ => 1,
        }
    }

    /// The bytes of a row of `width` pixels in plane `plane`, and the number of rows of the plane for `height` rows.
    #[must_use]
    pub const fn plane_size(self, plane: usize, width: usize, height: usize) -> (usize, usize) {
        match (self, plane) {
            (PixelFormat::Yuyv | PixelFormat::Uyvy, _) => (width.div_ceil(2) * 4, height),
            (_, 0) => (width * self.bytes(), height),
            (PixelFormat::I420, _) => (width.div_ceil(2), height.div_ceil(2)),
            (_, _) => (width.div_ceil(2) * 2, height.div_ceil(2)),
        }
    }

    /// Whether pixels have brightness and colour difference instead of red, green and blue.
    #[must_use]
    pub const fn is_yuv(self) -> bool {
        matches!(
            self,
            PixelFormat::Yuyv | PixelFormat::Uyvy | PixelFormat::Nv12 | PixelFormat::Nv21 | PixelFormat::I420
        )
    }

    /// The format of the rows that are resized: this one, or the one to which pictures of this format are converted row by row.
    pub(crate) const fn row_format(self) -> PixelFormat {
        match self {
            PixelFormat::Gray16 => PixelFormat::Gray8,
            PixelFormat::Rgb565 => PixelFormat::Rgba8,
            _ if self.is_yuv() => PixelFormat::Rgba8,
            _ => self,
        }
    }

    /// The positions of red, green and blue in a pixel, after the conversion of formats that have other channels.
    #[must_use]
    pub const fn offsets(self) -> [usize; 3] {
        match self.row_format() {
            PixelFormat::Gray8 | PixelFormat::Dual8 => [0, 0, 0],
            PixelFormat::Bgr8 | PixelFormat::Bgra8 => [2, 1, 0],
            _ => [0, 1, 2],
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
    /// four bytes for 4, everything but two bytes for 3.
    #[must_use]
    pub const fn fits(self, channels: usize) -> bool {
        match channels {
            3 => !matches!(self, PixelFormat::Dual8),
            // Converted pictures have no fourth channel.
            4 => matches!(self, PixelFormat::Rgba8 | PixelFormat::Bgra8),
            _ => self.row_format().bytes() == channels,
        }
    }

    /// The positions of all channels in a pixel, as many as it has.
    pub(crate) const fn channel_offsets(self) -> [usize; 4] {
        let [red, green, blue] = self.offsets();
        if matches!(self, PixelFormat::Dual8) { [0, 1, 0, 0] } else { [red, green, blue, 3] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_fit_models_with_their_channels() {
        let fits = |format: PixelFormat| [1, 2, 3, 4].map(|channels| format.fits(channels));
        assert_eq!(fits(PixelFormat::Dual8), [false, true, false, false]);
        assert_eq!(fits(PixelFormat::Gray8), [true, false, true, false]);
        assert_eq!(fits(PixelFormat::Gray16), [true, false, true, false]);
        assert_eq!(fits(PixelFormat::Bgra8), [false, false, true, true]);
        assert_eq!(fits(PixelFormat::Nv12), [false, false, true, false]);
        assert_eq!(fits(PixelFormat::Rgb565), [false, false, true, false]);
        assert_eq!(PixelFormat::Bgra8.channel_offsets(), [2, 1, 0, 3]);
        assert_eq!(PixelFormat::Dual8.channel_offsets()[..2], [0, 1]);
        assert!([1, 2, 3, 4].iter().all(|&n| PixelFormat::of_channels(n).fits(n)));
    }

    #[test]
    fn planes_cover_odd_sizes() {
        assert_eq!([0, 1, 2].map(|p| PixelFormat::I420.plane_size(p, 5, 3)), [(5, 3), (3, 2), (3, 2)]);
        assert_eq!([0, 1].map(|p| PixelFormat::Nv12.plane_size(p, 5, 3)), [(5, 3), (6, 2)]);
        assert_eq!(PixelFormat::Yuyv.plane_size(0, 5, 3), (12, 3));
        assert_eq!(PixelFormat::Rgb565.plane_size(0, 5, 3), (10, 3));
    }
}
