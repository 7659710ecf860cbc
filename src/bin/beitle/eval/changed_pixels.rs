//! The most severe differences from the reference: pixels of the logits whose class has changed, ranked by the margin by
//! which the reference preferred its own class.

use crate::class_map::ClassMapBuf;
use crate::picture::Picture;
use crate::png_file;
use beitle::Model;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Number of pixels kept.
const KEPT: usize = 8;
/// Side of a crop in pixels.
const CROP: usize = 64;
/// Pixels between the parts of a crop.
const GAP: usize = 3;

/// A pixel of the logits whose class has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangedPixel {
    /// The picture.
    pub image: PathBuf,
    /// Column and row of the picture's pixel under the centre of the logits' pixel.
    pub at: (usize, usize),
    /// The reference's class.
    pub reference: usize,
    /// The model's class.
    pub model: usize,
    /// The reference's logit of its own class minus its logit of the model's class.
    pub margin: f32,
    /// The surroundings as a PNG file, if wanted: the picture, the reference's map and the model's map side by side.
    pub crop: Vec<u8>,
}

impl ChangedPixel {
    /// The pixel as JSON.
    pub fn json(&self) -> Value {
        json!({"image": self.image.to_string_lossy(), "x": self.at.0, "y": self.at.1, "reference": self.reference,
               "model": self.model, "margin": self.margin})
    }
}

/// The changed pixels with the largest margins in all pictures, the largest first.
#[derive(Default)]
pub struct ChangedPixels(Vec<ChangedPixel>);

impl ChangedPixels {
    /// The pixels.
    pub fn worst(&self) -> &[ChangedPixel] {
        &self.0
    }

    /// Adds the changed pixels of a picture of `size` pixels. The logits are `[classes][height][width]`. `crop` draws the
    /// surroundings of a pixel.
    pub fn add(
        &mut self,
        image: &Path,
        size: (usize, usize),
        [classes, height, width]: [usize; 3],
        (reference_logits, model_logits): (&[f32], &[f32]),
        crop: impl Fn((usize, usize)) -> Vec<u8>,
    ) {
        let pixels = height * width;
        let best = |logits: &[f32], i: usize| {
            (1..classes).fold(0, |b, c| if logits[c * pixels + i] > logits[b * pixels + i] { c } else { b })
        };
        for i in 0..pixels {
            let (reference, model) = (best(reference_logits, i), best(model_logits, i));
            if reference == model {
                continue;
            }
            let margin = reference_logits[reference * pixels + i] - reference_logits[model * pixels + i];
            let rank = self.0.partition_point(|p| p.margin >= margin);
            if rank < KEPT {
                let (column, row) = (2 * (i % width) + 1, 2 * (i / width) + 1);
                let at = (column * size.0 / (2 * width), row * size.1 / (2 * height));
                let image = image.to_path_buf();
                let pixel = ChangedPixel { image, at, reference, model, margin, crop: crop(at) };
                self.0.insert(rank, pixel);
                self.0.truncate(KEPT);
            }
        }
    }
}

/// The surroundings of a pixel, which has a white frame.
pub fn crop(
    picture: &Picture,
    reference: &ClassMapBuf,
    map: &ClassMapBuf,
    model: &Model<'_>,
    at: (usize, usize),
) -> Vec<u8> {
    let (width, height) = (picture.width, picture.height);
    let (w, h) = (width.min(CROP), height.min(CROP));
    let start = |at: usize, side: usize, of: usize| at.saturating_sub(side / 2).min(of - side);
    let (left, top) = (start(at.0, w, width), start(at.1, h, height));
    let colour = |map: &ClassMapBuf, i| model.colour(map.get(i).unwrap_or(0).into());
    let pixel = |part: usize, x: usize, y: usize| {
        let i = y * width + x;
        // The frame is two pixels away.
        if x.abs_diff(at.0).max(y.abs_diff(at.1)) == 2 {
            return [255; 3];
        }
        match part {
            0 => [picture.rgb[3 * i], picture.rgb[3 * i + 1], picture.rgb[3 * i + 2]],
            1 => colour(reference, i),
            _ => colour(map, i),
        }
    };
    let all = 3 * w + 2 * GAP;
    let rgb = (0..h)
        .flat_map(|y| (0..all).map(move |x| (x / (w + GAP), x % (w + GAP), y)))
        .flat_map(|(part, x, y)| if x < w { pixel(part, left + x, top + y) } else { [255; 3] });
    png_file::encode_rgb(&rgb.collect::<Vec<_>>(), (all, h)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_margin_comes_first() {
        let mut changed = ChangedPixels::default();
        // Two classes on 2x2: pixel 1 changes with a margin of 1, pixel 2 with a margin of 3, the others keep their class.
        let reference = [1.0, 1.0, 3.0, 0.0, 0.0, 0.0, 0.0, 5.0];
        let model = [1.0, 0.0, 0.0, 0.0, 0.5, 0.1, 0.1, 4.0];
        changed.add(Path::new("a"), (8, 4), [2, 2, 2], (&reference, &model), |_| Vec::new());
        let found: Vec<_> = changed.worst().iter().map(|p| (p.at, p.reference, p.model, p.margin)).collect();
        assert_eq!(found, [((2, 3), 0, 1, 3.0), ((6, 1), 0, 1, 1.0)]);
        for _ in 0..KEPT {
            changed.add(Path::new("b"), (8, 4), [2, 2, 2], (&reference, &model), |_| Vec::new());
        }
        assert_eq!(changed.worst().len(), KEPT);
        assert!(changed.worst().iter().all(|p| p.margin == 3.0));
    }
}
