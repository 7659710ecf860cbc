//! From a picture to the input of the network: RGB bytes of the input size, resized with the filter of the model. There is no
//! normalisation here; it is folded into the weights of the patch embedding.

use super::resize::{Filter, resize, scratch_bytes as resize_scratch};
use super::view::ImageView;
use crate::error::Error;
use crate::file::Facts;

/// The resize filter of a model.
fn filter(f: &Facts) -> Filter {
    Filter::from_code(f.resample).unwrap_or(Filter::Bilinear)
}

/// Bytes of scratch that [`run`] needs for pictures of up to `picture` (width, height) pixels.
pub(crate) fn scratch_bytes(f: &Facts, picture: (usize, usize)) -> usize {
    resize_scratch(picture.0, picture.1, f.width, f.height, filter(f))
}

/// Stretches a picture to the input size, `[height][width][rgb]` bytes.
///
/// # Errors
/// [`Error::Buffer`] if `scratch` is too small for the picture.
pub(crate) fn run(f: &Facts, image: &ImageView, pixels: &mut [u8], scratch: &mut [u8]) -> Result<(), Error> {
    resize(image, filter(f), f.width, f.height, &mut pixels[..f.width * f.height * 3], scratch)
}
