//! From a picture to the network's input: resized as the file says, still bytes. Normalisation is in the embedding.

use super::resize::{Filter, resize, scratch_bytes as resize_scratch};
use super::view::ImageView;
use crate::error::Error;
use crate::file::Facts;

fn filter(f: &Facts) -> Filter {
    Filter::from_code(f.resample).unwrap_or(Filter::Bilinear)
}

/// Working memory for pictures of this size.
pub(crate) fn scratch_bytes(f: &Facts, picture: (usize, usize)) -> usize {
    resize_scratch(picture.0, picture.1, f.width, f.height, filter(f))
}

/// Stretches a picture to `[height][width][rgb]`.
pub(crate) fn run(f: &Facts, image: &ImageView, pixels: &mut [u8], scratch: &mut [u8]) -> Result<(), Error> {
    resize(image, filter(f), f.width, f.height, &mut pixels[..f.width * f.height * 3], scratch)
}
