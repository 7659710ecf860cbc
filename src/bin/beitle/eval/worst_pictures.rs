//! The pictures with the lowest agreement, as small views for the HTML page: the picture, its labels, the reference's map, the
//! model's map, and the pixels that differ from the reference's map, or from the labels if there is no reference.

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
/// Colour of pixels whose label is ignored.
const IGNORED: [u8; 3] = [0; 3];

/// A picture and its views.
pub struct WorstPicture {
    /// The picture.
    pub image: PathBuf,
    /// Share of its pixels whose class is the reference's, or the label's.
    pub agreement: f64,
    /// Names of the views, and PNG files.
    pub views: Vec<View>,
}

/// The name of a view of a picture, and a PNG file.
pub type View = (&'static str, Vec<u8>);

/// The pictures with the lowest agreement, the lowest first.
#[derive(Default)]
pub struct WorstPictures(Vec<WorstPicture>);

impl WorstPictures {
    /// The pictures.
    pub fn pictures(&self) -> &[WorstPicture] {
        &self.0
    }

    /// Adds a picture if its agreement is among the lowest so far; only then are its views drawn.
    pub fn add(&mut self, image: &Path, agreement: f64, views: impl FnOnce() -> Vec<View>) {
        let rank = self.0.partition_point(|p| p.agreement <= agreement);
        if rank < KEPT {
            self.0.insert(rank, WorstPicture { image: image.to_path_buf(), agreement, views: views() });
            self.0.truncate(KEPT);
        }
    }
}

/// What is known of a picture's pixels.
pub struct Maps<'a> {
    /// The class of each pixel's label, `None` where it is ignored.
    pub labels: Option<&'a [Option<u16>]>,
    pub reference: Option<&'a ClassMapBuf>,
    pub map: &'a ClassMapBuf,
}

impl Maps<'_> {
    /// Draws the views of a picture.
    pub fn views(&self, picture: &Picture, model: &Model<'_>) -> Vec<View> {
        let colour = |class: Option<u16>| class.map_or(IGNORED, |class| model.colour(class.into()));
        let rgb = |i: usize| [picture.rgb[3 * i], picture.rgb[3 * i + 1], picture.rgb[3 * i + 2]];
        let faint = |i: usize| rgb(i).map(|v| 170 + v / 6);
        let differs = |i: usize| match (self.reference, self.labels) {
            (Some(reference), _) => reference.get(i) != self.map.get(i),
            (None, Some(labels)) => labels[i].is_some() && labels[i] != self.map.get(i),
            (None, None) => false,
        };
        let view = |pixel: &dyn Fn(usize) -> [u8; 3]| thumbnail(picture.width, picture.height, pixel);
        let labels = self.labels.map(|labels| ("labels", view(&|i| colour(labels[i]))));
        let reference = self.reference.map(|map| ("reference", view(&|i| colour(map.get(i)))));
        [
            Some(("picture", view(&rgb))),
            labels,
            reference,
            Some(("model", view(&|i| colour(self.map.get(i))))),
            Some(("difference", view(&|i| if differs(i) { DIFFERENCE } else { faint(i) }))),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
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
