//! The pictures with the lowest agreement, as small views for the HTML page: the picture, the reference's map, the
//! model's map, and the pixels that differ.

use crate::class_map::ClassMapBuf;
use crate::picture::Picture;
use crate::png_file;
use beitle::Model;
use std::path::{Path, PathBuf};

/// Number of pictures kept.
const KEPT: usize = 12;
/// Longer side of a view in pixels.
const SIDE: usize = 320;
/// Colour of pixels that differ.
const DIFFERENCE: [u8; 3] = [200, 0, 40];

/// A picture and its views.
pub struct WorstPicture {
    /// The picture.
    pub image: PathBuf,
    /// Share of its pixels whose class is the reference's.
    pub agreement: f64,
    /// Picture, reference, model, difference, as PNG files.
    pub views: [Vec<u8>; 4],
}

/// The pictures with the lowest agreement, the lowest first.
#[derive(Default)]
pub struct WorstPictures(Vec<WorstPicture>);

impl WorstPictures {
    /// The pictures.
    pub fn pictures(&self) -> &[WorstPicture] {
        &self.0
    }

    /// Adds a picture if its agreement is among the lowest so far; only then are its views drawn.
    pub fn add(&mut self, image: &Path, agreement: f64, views: impl FnOnce() -> [Vec<u8>; 4]) {
        let rank = self.0.partition_point(|p| p.agreement <= agreement);
        if rank < KEPT {
            self.0.insert(rank, WorstPicture { image: image.to_path_buf(), agreement, views: views() });
            self.0.truncate(KEPT);
        }
    }
}

/// Draws the views of a picture.
pub fn views(
    picture: &Picture,
    reference: &ClassMapBuf,
    map: &ClassMapBuf,
    model: &Model<'_>,
) -> [Vec<u8>; 4] {
    let colour = |map: &ClassMapBuf, i| model.colour(map.get(i).unwrap_or(0).into());
    let rgb = |i: usize| [picture.rgb[3 * i], picture.rgb[3 * i + 1], picture.rgb[3 * i + 2]];
    let differs = |i: usize| reference.get(i) != map.get(i);
    let faint = |i: usize| rgb(i).map(|v| 170 + v / 6);
    let view = |pixel: &dyn Fn(usize) -> [u8; 3]| thumbnail(picture.width, picture.height, pixel);
    [
        view(&rgb),
        view(&|i| colour(reference, i)),
        view(&|i| colour(map, i)),
        view(&|i| if differs(i) { DIFFERENCE } else { faint(i) }),
    ]
}

/// A PNG file of at most [`SIDE`] pixels on each side. Larger pictures are subsampled without filtering, which would mix
/// classes.
fn thumbnail(width: usize, height: usize, pixel: &dyn Fn(usize) -> [u8; 3]) -> Vec<u8> {
    let step = width.max(height).div_ceil(SIDE).max(1);
    let (w, h) = (width.div_ceil(step), height.div_ceil(step));
    let at = |x: usize, y: usize| (y * step).min(height - 1) * width + (x * step).min(width - 1);
    let rgb: Vec<u8> = (0..h).flat_map(|y| (0..w).flat_map(move |x| pixel(at(x, y)))).collect();
    png_file::encode_rgb(&rgb, (w, h)).unwrap_or_default()
}
