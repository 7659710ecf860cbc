//! From a picture to the input of the network: RGB bytes of the input size, resized with the filter of the model. There is no
//! normalisation here; it is folded into the weights of the patch embedding.

use super::resize::{Filter, Part, Resizer, part_scratch_bytes};
use super::view::ImageView;
use crate::error::Error;
use crate::file::Facts;

/// The part of a resized picture that the network sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputWindow {
    /// Width and height to which the picture is resized.
    pub resized: (usize, usize),
    /// The first column and row. The window may reach beyond the right and the lower border only if it begins at 0.
    pub left: usize,
    pub top: usize,
    /// Whether the resized picture is mirrored left to right before the window is cut from it.
    pub mirror: bool,
}

impl InputWindow {
    /// The whole picture, stretched to the input size.
    pub fn whole(f: &Facts) -> Self {
        InputWindow { resized: (f.width, f.height), left: 0, top: 0, mirror: false }
    }

    /// The part of the resized picture under the window, before mirroring.
    fn part(&self, f: &Facts) -> Part {
        let (width, height) = (f.width.min(self.resized.0), f.height.min(self.resized.1));
        let left = if self.mirror { self.resized.0 - self.left - width } else { self.left };
        Part { left, top: self.top, width, height }
    }
}

/// The resize filter of a model.
fn filter(f: &Facts) -> Filter {
    Filter::from_code(f.resample).unwrap_or(Filter::Bilinear)
}

/// Bytes of scratch that [`run`] needs for a picture of `picture` (width, height) pixels resized to `resized`. If it is resized to
/// the input size, they suffice for smaller pictures too.
pub(crate) fn scratch_bytes(f: &Facts, picture: (usize, usize), resized: (usize, usize)) -> usize {
    part_scratch_bytes(picture, resized, f.width.min(resized.0), filter(f))
}

/// The colour of pixels beyond the border of a picture that is smaller than the window: the mean of the normalisation, so that
/// they are zero after it. Models are trained with such borders.
fn border(f: &Facts) -> [u8; 3] {
    f.mean.map(|mean| (mean / f.rescale + 0.5) as u8)
}

/// Resizes a picture and writes the pixels under `window`, `[height][width][rgb]` bytes of the input size.
///
/// # Errors
/// [`Error::Buffer`] if `scratch` is too small for the picture.
pub(crate) fn run(
    f: &Facts,
    image: &ImageView,
    window: &InputWindow,
    pixels: &mut [u8],
    scratch: &mut [u8],
) -> Result<(), Error> {
    let part = window.part(f);
    let mut rows = Resizer::part(image, filter(f), window.resized, part, scratch)?;
    let border = border(f);
    for row in pixels[..f.width * f.height * 3].chunks_exact_mut(f.width * 3) {
        let (inside, outside) = row.split_at_mut(part.width * 3);
        outside.as_chunks_mut().0.fill(border);
        if !rows.next_row(inside)? {
            inside.as_chunks_mut().0.fill(border);
        } else if window.mirror {
            inside.as_chunks_mut::<3>().0.reverse();
        }
    }
    Ok(())
}
