//! The pixels of a picture as the methods read them: a picture, and how many channels of it are wanted.

use crate::image::PixelFormat;
use crate::image::rows::ConvertYuv;
use crate::image::view::ImageView;
use core::ops::Range;

/// Pixels that are converted together where no row is kept.
const BLOCK: usize = 64;
/// The most bytes of these pixels.
pub(super) const MAX_BLOCK: usize = 4 * BLOCK;

/// A picture, of whose pixels `channels` bytes are wanted, 1 to 4. The pixel format
/// [fits](crate::image::PixelFormat::fits) them.
#[derive(Clone, Copy)]
pub(super) struct Pixels<'a, 'c> {
    pub view: &'c ImageView<'a>,
    pub channels: usize,
    /// The columns that the method reads.
    pub columns: (usize, usize),
    pub convert: ConvertYuv<'c>,
}

/// `by_channels!(pixels, f(arguments))` calls `f::<N>(offsets, arguments)`, where `offsets: [usize; N]` are the positions of the wanted
/// channels in a pixel: their number is a constant, so that loops over them are unrolled.
macro_rules! by_channels {
    ($pixels:expr, $f:ident($($argument:expr),*)) => {{
        let [a, b, c, d] = $pixels.format().channel_offsets();
        match $pixels.channels {
            1 => $f([a], $($argument),*),
            2 => $f([a, b], $($argument),*),
            4 => $f([a, b, c, d], $($argument),*),
            _ => $f([a, b, c], $($argument),*),
        }
    }};
}
pub(super) use by_channels;

impl<'a> Pixels<'a, '_> {
    /// The format of rows.
    pub fn format(&self) -> PixelFormat {
        self.view.format().row_format()
    }

    /// The columns of row `y` that are read: of the picture, or converted into `buffer`, which has room for them.
    pub fn row<'r>(&self, y: usize, buffer: &'r mut [u8]) -> &'r [u8]
    where
        'a: 'r,
    {
        let (bytes, (first, end)) = (self.format().bytes(), self.columns);
        if self.view.is_direct() {
            return &self.view.row(y)[first * bytes..end * bytes];
        }
        let row = &mut buffer[..(end - first) * bytes];
        self.view.convert_row(y, first, row, self.convert);
        row
    }

    /// Calls `then` for a few of the pixels that are read at a time: with the place of their bytes in a row, and a function that converts
    /// those of row `y`.
    pub fn each_block(&self, mut then: impl FnMut(Range<usize>, &dyn Fn(usize, &mut [u8]))) {
        let (bytes, (first, end)) = (self.format().bytes(), self.columns);
        for x in (first..end).step_by(BLOCK) {
            let count = BLOCK.min(end - x);
            let read = |y: usize, out: &mut [u8]| self.view.convert_row(y, x, out, self.convert);
            let at = x - first;
            then(at * bytes..(at + count) * bytes, &read);
        }
    }

    /// Copies the wanted channels of a row in the row format, from its pixel `left` on.
    #[inline(never)]
    pub fn copy(&self, row: &[u8], left: usize, out: &mut [u8]) {
        by_channels!(self, copy(row.chunks_exact(self.format().bytes()).skip(left), out))
    }
}

fn copy<'p, const N: usize>(offsets: [usize; N], pixels: impl Iterator<Item = &'p [u8]>, out: &mut [u8]) {
    for (out, pixel) in out.as_chunks_mut::<N>().0.iter_mut().zip(pixels) {
        *out = offsets.map(|o| pixel[o]);
    }
}
