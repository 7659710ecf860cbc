//! Resizing a picture row by row, byte for byte as Pillow and OpenCV do it.
//!
//! A [`Resizer`] takes an [`ImageView`] in any pixel format and writes packed RGB rows from top to bottom; for a model whose input
//! has other channels, rows of these. It keeps no copy of the picture: of YUV and other formats that have to be converted, and of
//! turned pictures, one or two rows at a time. All memory comes from the caller; [`scratch_bytes`] says how much. Each method has a
//! file: `pillow` for Pillow's filters, with the weights of `axis`, `nearest` for its nearest pixel, and `opencv`.

mod axis;
mod filter;
mod nearest;
mod opencv;
mod part;
mod pillow;
mod pixels;

use crate::error::Error;
use crate::image::rows::ConvertYuv;
use crate::image::view::{ImageView, check_size};
use crate::image::yuv;
use core::ops::Range;
pub use filter::Filter;
use nearest::Nearest;
use opencv::OpenCv;
pub(crate) use part::Part;
use pillow::Pillow;
use pixels::Pixels;

/// Bytes of a pixel of packed RGB.
const RGB: usize = 3;

/// Bytes of scratch memory for resizing a picture of this size or of any smaller one, in any pixel format.
/// `usize::MAX` if that many bytes cannot be addressed, 0 for a size that [`Resizer::new`] refuses.
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
    // Such sizes are refused later; the arithmetic below is for the others.
    if check_size(src.0, src.1).and(check_size(dst.0, dst.1)).is_err() {
        return 0;
    }
    let columns = most_columns(src.0, dst.0, width);
    let words = match filter {
        Filter::Nearest => Nearest::words(width),
        Filter::LinearCv => OpenCv::words(width, channels),
        _ => Pillow::words(src, dst, (width, columns), channels, filter),
    };
    let words = words.and_then(|n| n.checked_add(row_words(columns, filter)));
    // Three more bytes, so that the scratch memory may start at any address.
    words.and_then(|n| n.checked_mul(4)?.checked_add(3)).unwrap_or(usize::MAX)
}

/// Words for the rows of a picture that are converted at a time, of which `columns` columns are read: four bytes for a pixel.
fn row_words(columns: usize, filter: Filter) -> usize {
    if filter == Filter::LinearCv { 2 * columns } else { columns }
}

/// How many pixels of the picture the longest filter reaches to each side of an output pixel, and two more.
fn reach(scale: f64) -> f64 {
    3.0 * scale.max(1.0) + 2.0
}

/// The source columns that a part of the result depends on, or a few more.
fn columns(src: usize, dst: usize, part: Part) -> Range<usize> {
    let scale = src as f64 / dst as f64;
    let left = part.left as f64 * scale - reach(scale);
    let right = (part.left + part.width) as f64 * scale + reach(scale);
    left.max(0.0) as usize..(right as usize).saturating_add(1).min(src)
}

/// The most [`columns`] of a part of this width.
fn most_columns(src: usize, dst: usize, width: usize) -> usize {
    let scale = src as f64 / dst as f64;
    src.min(((width as f64 * scale + 2.0 * reach(scale)) as usize).saturating_add(3))
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
    /// The columns of the picture that the part depends on.
    columns: Range<usize>,
    convert: ConvertYuv<'s>,
    /// Rows of the picture that have been converted.
    converted: &'s mut [u8],
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
            (RGB, &yuv::convert_row),
            scratch,
        )
    }

    /// A resizer that writes only a part of the picture resized to `dst`, `channels` bytes for each pixel. The part lies inside.
    /// `convert` converts rows of YUV. Every pixel is the same as that of the whole result. The pixel format [has](super::PixelFormat::fits) these channels.
    ///
    /// # Errors
    /// As [`Resizer::new`], with the scratch of [`part_scratch_bytes`].
    pub(crate) fn part(
        view: &ImageView<'a>,
        filter: Filter,
        dst: (usize, usize),
        part: Part,
        (channels, convert): (usize, ConvertYuv<'s>),
        scratch: &'s mut [u8],
    ) -> Result<Self, Error> {
        check_size(dst.0, dst.1)?;
        let src = (view.width(), view.height());
        let (needed, found) = (part_scratch_bytes(src, dst, (part.width, channels), filter), scratch.len());
        if found < needed {
            return Err(Error::Buffer { what: "scratch memory for resizing", needed, found });
        }
        let (_, words, _) = bytemuck::pod_align_to_mut::<u8, i32>(scratch);
        let columns = columns(src.0, dst.0, part);
        let (converted, words) = words.split_at_mut(row_words(columns.len(), filter));
        let method = if src == dst {
            Method::Copy
        } else {
            match filter {
                Filter::Nearest => Method::Nearest(Nearest::new(src, dst, part, columns.start, words)),
                Filter::LinearCv => {
                    Method::OpenCv(OpenCv::new(src, dst, (part, columns.start), channels, words))
                }
                _ => Method::Pillow(Pillow::new(src, dst, (part, &columns), channels, filter, words)),
            }
        };
        let converted = bytemuck::cast_slice_mut(converted);
        Ok(Resizer { view: *view, part, columns, convert, converted, channels, done: 0, method })
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
        let (view, channels, convert) = (&self.view, self.channels, self.convert);
        let pixels = Pixels { view, channels, columns: (self.columns.start, self.columns.end), convert };
        match &mut self.method {
            Method::Copy => pixels.copy(pixels.row(y, self.converted), left - self.columns.start, out),
            Method::Nearest(m) => m.row(pixels, self.converted, out),
            Method::Pillow(m) => m.row(pixels, self.converted, y, out),
            Method::OpenCv(m) => m.row(pixels, self.converted, y, out),
        }
        self.done += 1;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::PixelFormat;

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
        let mut rows =
            Resizer::part(&view, filter, dst, part, (channels, &yuv::convert_row), &mut scratch).unwrap();
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

    #[test]
    fn parts_of_converted_pictures_are_those_of_the_whole() {
        let data: std::vec::Vec<u8> = (0..61 * 40 * 3 / 2 + 60).map(|i| (i * i / 7 + 13 * i) as u8).collect();
        let view = ImageView::packed(&data, 61, 40, PixelFormat::Nv12).unwrap();
        for view in [view, view.rotated(1), view.mirrored().crop(3, 2, 50, 30).unwrap()] {
            let src = (view.width(), view.height());
            for filter in [0, 1, 2, 3, 4, 5, 16].map(|code| Filter::from_code(code).unwrap()) {
                // Smaller, larger, halved, the same size, and with the vertical pass first.
                for dst in [(20, 18), (130, 90), (src.0 / 2, src.1 / 2), src, (src.0 - 4, 10)] {
                    let whole =
                        part_of(&view, filter, dst, Part { left: 0, top: 0, width: dst.0, height: dst.1 });
                    for left in [0, dst.0 / 3, dst.0 - 5] {
                        let part = Part { left, top: 3, width: 5, height: 6 };
                        let rows = whole.chunks(3 * dst.0).skip(3).take(6);
                        let want: std::vec::Vec<u8> =
                            rows.flat_map(|row| &row[3 * left..3 * (left + 5)]).copied().collect();
                        assert_eq!(
                            part_of(&view, filter, dst, part),
                            want,
                            "{view:?} {filter:?} {dst:?} {left}"
                        );
                    }
                }
            }
        }
    }

    fn part_of(view: &ImageView, filter: Filter, dst: (usize, usize), part: Part) -> Vec<u8> {
        let src = (view.width(), view.height());
        let mut scratch = std::vec![0xEE; part_scratch_bytes(src, dst, (part.width, RGB), filter)];
        let mut rows =
            Resizer::part(view, filter, dst, part, (RGB, &yuv::convert_row), &mut scratch).unwrap();
        let mut out = std::vec![0; part.width * part.height * RGB];
        out.chunks_mut(part.width * RGB).for_each(|row| assert!(rows.next_row(row).unwrap()));
        out
    }
}
