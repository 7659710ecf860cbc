//! From a picture to the input of the network: bytes of the input size, resized with the filter of the model. There is no
//! normalisation here; it is folded into the weights of the patch embedding.

use super::resize::{Filter, Part, Resizer, part_scratch_bytes};
use super::rows::{ConvertYuv, reverse_pixels};
use super::view::{ImageView, check_size};
use crate::error::Error;
use crate::file::format::Recipe;
use crate::file::{Facts, Fit};

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
    /// The whole picture, stretched to the input size, or the middle of a picture of `picture` (width, height) pixels, if the model
    /// cuts it from a larger one ([`Fit`]).
    pub fn whole(f: &Facts, picture: (usize, usize)) -> Self {
        let resized = resized(f, picture);
        // Where the middle begins if both borders cannot have the same width. The paper's code is torchvision's, which rounds half to
        // even; transformers rounds down.
        let middle = |size: usize, window: usize| {
            let border = size.saturating_sub(window);
            if f.recipe == Recipe::Paper && border % 4 == 3 { border / 2 + 1 } else { border / 2 }
        };
        InputWindow {
            resized,
            left: middle(resized.0, f.width),
            top: middle(resized.1, f.height),
            mirror: false,
        }
    }

    /// The part of the resized picture under the window, before mirroring.
    fn part(&self, f: &Facts) -> Part {
        let (width, height) = (f.width.min(self.resized.0), f.height.min(self.resized.1));
        let left = if self.mirror { self.resized.0 - self.left - width } else { self.left };
        Part { left, top: self.top, width, height }
    }
}

/// The size to which a picture is resized before the middle is cut from it.
fn resized(f: &Facts, picture: (usize, usize)) -> (usize, usize) {
    match f.fit {
        Fit::Stretch(width, height) => (width, height),
        Fit::ShortSide(short_side) => {
            let short = picture.0.min(picture.1).max(1) as u64;
            // A size beyond the address space is refused like any other that is too large.
            let scaled =
                |side: usize| usize::try_from(short_side as u64 * side as u64 / short).unwrap_or(usize::MAX);
            (scaled(picture.0), scaled(picture.1))
        }
    }
}

/// The resize filter of a model.
fn filter(f: &Facts) -> Filter {
    Filter::from_code(f.resample).unwrap_or(Filter::Bilinear)
}

/// Bytes of scratch that [`run`] needs for a picture of `picture` (width, height) pixels resized to `resized`. If it is resized to
/// a size that does not depend on the picture, they suffice for smaller pictures too.
pub(crate) fn scratch_bytes(f: &Facts, picture: (usize, usize), resized: (usize, usize)) -> usize {
    part_scratch_bytes(picture, resized, (f.width.min(resized.0), f.picture_channels), filter(f))
}

/// Bytes of scratch that [`run`] needs for the whole of any picture of up to `picture` (width, height) pixels.
pub(crate) fn whole_scratch_bytes(f: &Facts, picture: (usize, usize)) -> usize {
    let largest = match f.fit {
        Fit::Stretch(width, height) => (width, height),
        // A picture that keeps its aspect ratio shrinks the most if it is a square. A smaller one needs fewer weights along both
        // axes, and no longer rows.
        Fit::ShortSide(short_side) => (short_side, short_side),
    };
    scratch_bytes(f, picture, largest)
}

/// The channels of pixels beyond the border of a picture that is smaller than the window: the mean of the normalisation, so that
/// they are zero after it. Models are trained with such borders.
fn border(f: &Facts) -> [u8; 4] {
    f.mean.map(|mean| (mean / f.rescale + 0.5) as u8)
}

/// Resizes a picture and writes the pixels under `window`, bytes `[height][width][channels]` of the input size. `convert` converts rows
/// of YUV.
///
/// # Errors
/// [`Error::Image`] if the format of the picture does not have the model's channels or the resized picture would be too large,
/// [`Error::Buffer`] if `scratch` is too small for
/// the picture.
pub(crate) fn run(
    f: &Facts,
    image: &ImageView,
    window: &InputWindow,
    convert: ConvertYuv,
    pixels: &mut [u8],
    scratch: &mut [u8],
) -> Result<(), Error> {
    let channels = f.picture_channels;
    if !image.format().fits(channels) {
        return Err(Error::Image { what: wrong_format(channels) });
    }
    check_size(window.resized.0, window.resized.1).map_err(|_| Error::Image { what: TOO_LONG })?;
    let part = window.part(f);
    let mut rows = Resizer::part(image, filter(f), window.resized, part, (channels, convert), scratch)?;
    let border = border(f);
    let fill =
        |pixels: &mut [u8]| pixels.chunks_mut(channels).for_each(|p| p.copy_from_slice(&border[..channels]));
    for row in pixels[..f.width * f.height * channels].chunks_exact_mut(f.width * channels) {
        let (inside, outside) = row.split_at_mut(part.width * channels);
        fill(outside);
        if !rows.next_row(inside)? {
            fill(inside);
        } else if window.mirror {
            reverse_pixels(inside, channels);
        }
    }
    Ok(())
}

/// What is wrong with a picture that is too long for its width, or the other way round.
const TOO_LONG: &str = "resized, the picture would be more than 16777216 pixels wide or high";

/// What is wrong with a picture in a format that does not fit.
fn wrong_format(channels: usize) -> &'static str {
    match channels {
        1 => "the model takes pictures with one channel (Gray8, Gray16)",
        2 => "the model takes pictures with two channels (Dual8)",
        4 => "the model takes pictures with four channels (Rgba8, Bgra8)",
        _ => "the model takes colour or grey pictures",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::format::Header;
    use crate::image::PixelFormat;
    use bytemuck::Zeroable;

    fn facts(fit: Fit, recipe: Recipe) -> Facts {
        let header =
            Header { width: 64, height: 48, patch: 16, rescale: 1.0, resample: 3, ..Header::zeroed() };
        Facts { fit, recipe, ..Facts::new(&header).unwrap() }
    }

    #[test]
    fn the_middle_is_cut_as_transformers_and_torchvision_cut_it() {
        let at = |fit, recipe, picture| {
            let window = InputWindow::whole(&facts(fit, recipe), picture);
            (window.resized, window.left, window.top)
        };
        assert_eq!(at(Fit::Stretch(64, 48), Recipe::Hf, (9, 5)), ((64, 48), 0, 0));
        // Borders of 3 and 5 pixels: transformers rounds the smaller half down, torchvision rounds half to even.
        assert_eq!(at(Fit::Stretch(67, 53), Recipe::Hf, (9, 5)), ((67, 53), 1, 2));
        assert_eq!(at(Fit::Stretch(67, 53), Recipe::Paper, (9, 5)), ((67, 53), 2, 2));
        assert_eq!(at(Fit::ShortSide(70), Recipe::Hf, (101, 200)), ((70, 138), 3, 45));
        assert_eq!(at(Fit::ShortSide(70), Recipe::Hf, (7, 3)), ((163, 70), 49, 11));
    }

    #[test]
    fn a_picture_that_would_be_too_long_is_refused() {
        let f = Facts { picture_channels: 1, ..facts(Fit::ShortSide(500), Recipe::Hf) };
        let row = vec![0; 40_000];
        let image = ImageView::packed(&row, row.len(), 1, PixelFormat::Gray8).unwrap();
        let window = InputWindow::whole(&f, (row.len(), 1));
        let result =
            run(&f, &image, &window, &crate::image::yuv::convert_row, &mut [0; 64 * 48], &mut [0; 100_000]);
        assert_eq!(result, Err(Error::Image { what: TOO_LONG }));
    }

    #[test]
    fn scratch_for_a_size_suffices_for_smaller_pictures_of_any_shape() {
        for resample in [0, 1, 2, 3, 16] {
            let f = Facts { resample, ..facts(Fit::ShortSide(64), Recipe::Hf) };
            for (w, h) in [(200, 150), (90, 300), (64, 64)] {
                let most = whole_scratch_bytes(&f, (w, h));
                for (w, h) in (1..=w).step_by(7).flat_map(|w| (1..=h).step_by(5).map(move |h| (w, h))) {
                    let needed = scratch_bytes(&f, (w, h), resized(&f, (w, h)));
                    assert!(needed <= most, "{resample} {w}x{h}: {needed} > {most}");
                }
            }
        }
    }
}
