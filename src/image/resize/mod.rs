//! Resizing a picture row by row, byte for byte as Pillow and OpenCV do it.
//!
//! A [`Resizer`] takes an [`ImageView`] in any pixel format and writes packed RGB rows from top to bottom; for a model whose input
//! has other channels, rows of these. It keeps no copy of the picture. All memory comes from the caller; [`scratch_bytes`] says how much. Each method has a file:
//! `pillow` for Pillow's filters, with the weights of `axis`, `nearest` for its nearest pixel, and `opencv`.

mod axis;
mod filter;
mod nearest;
mod opencv;
mod part;
mod pillow;
mod pixels;

use crate::error::Error;
use crate::image::view::{ImageView, check_size};
pub use filter::Filter;
use nearest::Nearest;
use opencv::OpenCv;
pub(crate) use part::Part;
use pillow::Pillow;
use pixels::Pixels;

/// Bytes of a pixel of packed RGB.
const RGB: usize = 3;

/// Bytes of scratch memory for resizing a picture of this size or of any smaller one, in any pixel format.
/// `usize::MAX` if that many bytes cannot be addressed.
///
/// A photograph of 12 megapixels (4000x3000) resized to 640x640 with the bicubic filter needs about 110 KB.
#[must_use]
pub fn scratch_bytes(src_w: usize, src_h: usize, dst_w: usize, dst_h: usize, filter: Filter) -> usize {
    part_scratch_bytes((src_w, src_h), (dst_w, dst_h), (dst_w, RGB), filter)
}

/// [`scratch_bytes`] for a part of the result that is `width` pixels wide and has `channels` bytes for each pixel.
pub(crate) fn part_scratch_bytes(
    src: (usize, usize),
    dst: (usize, usize),
    (width, channels): (usize, usize),
    filter: Filter,
) -> usize {
    let words = match filter {
        _ if check_size(src.0, src.1).and(check_size(dst.0, dst.1)).is_err() => Some(0),
        Filter::Nearest => Nearest::words(width),
        Filter::LinearCv => OpenCv::words(width, channels),
        _ => Pillow::words(src, dst, width, channels, filter),
    };
    // Three more bytes, so that the scratch memory may start at any address.
    words.and_then(|n| n.checked_mul(4)?.checked_add(3)).unwrap_or(usize::MAX)
}

/// Resizes a whole picture into the first `dst_w * dst_h * 3` bytes of `dst`, as packed RGB.
///
/// # Errors
/// As [`Resizer::new`], and [`Error::Buffer`] if `dst` is too short.
#[inline(never)]
pub fn resize(
    view: &ImageView<'_>,
    filter: Filter,
    dst_w: usize,
    dst_h: usize,
    dst: &mut [u8],
    scratch: &mut [u8],
) -> Result<(), Error> {
    let mut rows = Resizer::new(view, filter, dst_w, dst_h, scratch)?;
    let needed = dst_w.checked_mul(3).and_then(|n| n.checked_mul(dst_h)).ok_or(Error::TooLarge)?;
    if dst.len() < needed {
        return Err(Error::Buffer { what: "the resized picture", needed, found: dst.len() });
    }
    for row in dst[..needed].chunks_exact_mut(dst_w * 3) {
        rows.next_row(row)?;
    }
    Ok(())
}

/// Resizes a picture, one output row at a time.
pub struct Resizer<'a, 's> {
    view: ImageView<'a>,
    part: Part,
    /// Bytes of an output pixel, 1 to 4.
    channels: usize,
    /// Output rows written so far.
    done: usize,
    method: Method<'s>,
}

enum Method<'s> {
    Copy,
    Nearest(Nearest<'s>),
    Pillow(Pillow<'s>),
    OpenCv(OpenCv<'s>),
}

impl<'a, 's> Resizer<'a, 's> {
    /// A resizer from `view` to `dst_w` x `dst_h` pixels. The contents of `scratch` do not matter.
    ///
    /// # Errors
    /// [`Error::Image`] if an output side is 0 or longer than [`MAX_SIDE`](crate::image::MAX_SIDE),
    /// [`Error::Buffer`] if `scratch` is shorter than [`scratch_bytes`].
    pub fn new(
        view: &ImageView<'a>,
        filter: Filter,
        dst_w: usize,
        dst_h: usize,
        scratch: &'s mut [u8],
    ) -> Result<Self, Error> {
        Self::part(
            view,
            filter,
            (dst_w, dst_h),
            Part { left: 0, top: 0, width: dst_w, height: dst_h },
            RGB,
            scratch,
        )
    }

    /// A resizer that writes only a part of the picture resized to `dst`, `channels` bytes for each pixel. The part lies inside.
    /// Every pixel is the same as that of the whole result. The pixel format [has](super::PixelFormat::fits) these channels.
    ///
    /// # Errors
    /// As [`Resizer::new`], with the scratch of [`part_scratch_bytes`].
    pub(crate) fn part(
        view: &ImageView<'a>,
        filter: Filter,
        dst: (usize, usize),
        part: Part,
        channels: usize,
        scratch: &'s mut [u8],
    ) -> Result<Self, Error> {
        check_size(dst.0, dst.1)?;
        let src = (view.width(), view.height());
        let (needed, found) = (part_scratch_bytes(src, dst, (part.width, channels), filter), scratch.len());
        if found < needed {
            return Err(Error::Buffer { what: "scratch memory for resizing", needed, found });
        }
        let (_, words, _) = bytemuck::pod_align_to_mut::<u8, i32>(scratch);
        let method = if src == dst {
            Method::Copy
        } else {
            match filter {
                Filter::Nearest => Method::Nearest(Nearest::new(src, dst, part, words)),
                Filter::LinearCv => Method::OpenCv(OpenCv::new(src, dst, part, channels, words)),
                _ => Method::Pillow(Pillow::new(src, dst, part, channels, filter, words)),
            }
        };
        Ok(Resizer { view: *view, part, channels, done: 0, method })
    }

    /// Writes the next output row, as packed RGB, into the first `dst_w * 3` bytes of `out`. Returns false if all rows have been
    /// written.
    ///
    /// # Errors
    /// [`Error::Buffer`] if `out` is too short.
    pub fn next_row(&mut self, out: &mut [u8]) -> Result<bool, Error> {
        if self.done == self.part.height {
            return Ok(false);
        }
        let (needed, found) = (self.part.width * self.channels, out.len());
        let out = out.get_mut(..needed).ok_or(Error::Buffer { what: "a resized row", needed, found })?;
        let (y, left) = (self.part.top + self.done, self.part.left);
        let pixels = Pixels { view: self.view, channels: self.channels };
        match &mut self.method {
            Method::Copy => pixels.copy(self.view.row(y), left, out),
            Method::Nearest(m) => m.row(pixels, out),
            Method::Pillow(m) => m.row(pixels, y, out),
            Method::OpenCv(m) => m.row(pixels, y, out),
        }
        self.done += 1;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::view::PixelFormat;

    /// A part of a picture resized with `channels` channels.
    fn resized(
        data: &[u8],
        format: PixelFormat,
        channels: usize,
        filter: Filter,
        dst: (usize, usize),
    ) -> Vec<u8> {
        let view = ImageView::packed(data, 23, 17, format).unwrap();
        let part = Part { left: 2, top: 1, width: dst.0 - 3, height: dst.1 - 2 };
        let mut scratch = std::vec![0xEE; part_scratch_bytes((23, 17), dst, (part.width, channels), filter)];
        let mut rows = Resizer::part(&view, filter, dst, part, channels, &mut scratch).unwrap();
        let mut out = std::vec![0; part.width * part.height * channels];
        out.chunks_mut(part.width * channels).for_each(|row| assert!(rows.next_row(row).unwrap()));
        out
    }

    #[test]
    fn every_channel_is_resized_like_a_grey_picture() {
        for format in [PixelFormat::Gray8, PixelFormat::Dual8, PixelFormat::Rgba8, PixelFormat::Bgra8] {
            let n = format.bytes();
            let data: std::vec::Vec<u8> = (0..23 * 17 * n).map(|i| (i * i / 5 + 31 * i) as u8).collect();
            for code in [0, 1, 2, 3, 4, 5, 16] {
                let filter = Filter::from_code(code).unwrap();
                // Smaller, larger, halved along an axis, and the same size.
                for dst in [(9, 8), (40, 33), (23, 8), (23, 17)] {
                    let all = resized(&data, format, n, filter, dst);
                    for channel in 0..n {
                        let offset = format.channel_offsets()[channel];
                        let plane: std::vec::Vec<u8> = data.iter().skip(offset).step_by(n).copied().collect();
                        let want = resized(&plane, PixelFormat::Gray8, 1, filter, dst);
                        let got: std::vec::Vec<u8> = all.iter().skip(channel).step_by(n).copied().collect();
                        assert_eq!(got, want, "{format:?} {filter:?} {dst:?} channel {channel}");
                    }
                }
            }
        }
    }
}
