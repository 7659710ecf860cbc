//! The pixels of a picture as the methods read them: a picture, and how many channels of it are wanted.

use crate::image::view::ImageView;

/// A picture, of whose pixels `channels` bytes are wanted, 1 to 4. The pixel format
/// [fits](crate::image::PixelFormat::fits) them.
#[derive(Clone, Copy)]
pub(super) struct Pixels<'a> {
    pub view: ImageView<'a>,
    pub channels: usize,
}

/// `by_channels!(pixels, f(arguments))` calls `f::<N>(offsets, arguments)`, where `offsets: [usize; N]` are the positions of the wanted
/// channels in a pixel: their number is a constant, so that loops over them are unrolled.
macro_rules! by_channels {
    ($pixels:expr, $f:ident($($argument:expr),*)) => {{
        let [a, b, c, d] = $pixels.view.format().channel_offsets();
        match $pixels.channels {
            1 => $f([a], $($argument),*),
            2 => $f([a, b], $($argument),*),
            4 => $f([a, b, c, d], $($argument),*),
            _ => $f([a, b, c], $($argument),*),
        }
    }};
}
pub(super) use by_channels;

impl Pixels<'_> {
    /// Copies the wanted channels of a row in the picture's pixel format, from column `left` on.
    #[inline(never)]
    pub fn copy(&self, row: &[u8], left: usize, out: &mut [u8]) {
        by_channels!(self, copy(row.chunks_exact(self.view.format().bytes()).skip(left), out))
    }
}

fn copy<'p, const N: usize>(offsets: [usize; N], pixels: impl Iterator<Item = &'p [u8]>, out: &mut [u8]) {
    for (out, pixel) in out.as_chunks_mut::<N>().0.iter_mut().zip(pixels) {
        *out = offsets.map(|o| pixel[o]);
    }
}
