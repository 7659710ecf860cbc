//! What becomes of a frame: the bytes that are written for it.

use super::y4m;
use crate::analysis::{AnalysisArgs, class_areas};
use crate::class_map::ClassMapBuf;
use crate::console::Failure;
use crate::labels::{LabelArgs, Labels};
use crate::overlay::{Blend, OverlayArgs};
use crate::session::{Pixels, RunError, WantedPixels};
use beitle::Model;
use beitle::image::ImageView;
use clap::ValueEnum;
use serde_json::{Value, json};
use std::io::Write;

/// Arguments that choose the output.
#[derive(clap::Args)]
pub struct EmitArgs {
    /// What to write for each frame
    #[arg(long, value_enum, default_value_t = Emit::Map)]
    emit: Emit,
    /// Write YUV4MPEG2 [default: of overlays]
    #[arg(long, conflicts_with = "raw")]
    y4m: bool,
    /// Write raw frames: overlays as RGB, the others as grey [default: of all but overlays]
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    overlay: OverlayArgs,
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    analysis: AnalysisArgs,
}

impl EmitArgs {
    /// Whether the output is no text.
    pub fn is_binary(&self) -> bool {
        self.emit != Emit::Json
    }
}

/// What is written for each frame.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// The class (or label) of every pixel, a byte each; two bytes, the lower first, for more than 256 classes
    Map,
    /// 255 for pixels of the classes of --only, 0 for others
    Mask,
    /// The probability of each pixel's class, a byte each, 255 for 1
    Confidence,
    /// The frame blended with the colours of its classes
    Overlay,
    /// A line of JSON: the number of the frame, and the pixels, box and centroid of each class
    Json,
}

/// Writes results.
pub struct Emitter<'a> {
    emit: Emit,
    y4m: bool,
    size: (usize, usize),
    labels: Labels,
    palette: Vec<[u8; 3]>,
    blend: Blend,
    analysis: &'a AnalysisArgs,
}

impl<'a> Emitter<'a> {
    /// For frames of `size` (width, height) pixels.
    ///
    /// # Errors
    /// A class does not exist, or the arguments do not fit each other.
    pub fn new(args: &'a EmitArgs, model: &Model<'_>, size: (usize, usize)) -> Result<Self, Failure> {
        let labels = args.labels.labels(model)?;
        if args.emit == Emit::Mask && !labels.is_mask() {
            return Err(Failure::usage("--emit mask needs --only, the classes of the mask"));
        }
        args.analysis.check(args.emit == Emit::Json, "--emit json")?;
        let y4m = args.y4m || args.emit == Emit::Overlay && !args.raw;
        if y4m && (args.emit == Emit::Json || args.emit == Emit::Map && labels.values() > 256) {
            return Err(Failure::usage("--y4m: not for lines of JSON, and maps of more than 256 classes"));
        }
        let (palette, blend) = (labels.palette(), args.overlay.blend());
        Ok(Emitter { emit: args.emit, y4m, size, labels, palette, blend, analysis: &args.analysis })
    }

    /// What is wanted of a frame.
    pub fn wanted(&self) -> WantedPixels<'_> {
        WantedPixels {
            labels: Some(&self.labels),
            confidence: self.emit == Emit::Confidence,
            ..WantedPixels::default()
        }
    }

    /// What comes before the first frame.
    pub fn start(&self, rate: (u32, u32)) -> Vec<u8> {
        let colours = if self.emit == Emit::Overlay { "444" } else { "mono" };
        match self.y4m {
            true => y4m::first_line(self.size, rate, &format!("{colours} XCOLORRANGE=FULL")),
            false => Vec::new(),
        }
    }

    /// Appends what is written for frame `number` to `out`.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn frame(
        &self,
        number: u64,
        view: &ImageView<'_>,
        pixels: &Pixels,
        out: &mut Vec<u8>,
    ) -> Result<(), RunError> {
        if self.y4m {
            out.extend_from_slice(y4m::FRAME_LINE);
        }
        match self.emit {
            Emit::Map | Emit::Mask => match &pixels.map {
                ClassMapBuf::U8(map) => out.extend_from_slice(map),
                ClassMapBuf::U16(map) => out.extend(map.iter().flat_map(|class| class.to_le_bytes())),
            },
            Emit::Confidence => out.extend_from_slice(&pixels.confidence),
            Emit::Overlay => self.overlay(view, &pixels.map, out),
            Emit::Json => {
                // Writing to memory does not fail.
                let _ = writeln!(out, "{}", self.json(number, pixels)?);
            }
        }
        Ok(())
    }

    fn overlay(&self, view: &ImageView<'_>, map: &ClassMapBuf, out: &mut Vec<u8>) {
        let (width, height) = self.size;
        let start = out.len();
        out.resize(start + 3 * width * height, 0);
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        for (i, ((x, y), class)) in pixels.zip(map.classes()).enumerate() {
            let colour = self.palette.get(usize::from(class)).copied().unwrap_or_default();
            let rgb = self.blend.mix(view.rgb(x, y).unwrap_or_default(), colour);
            if self.y4m {
                for (plane, value) in full_range_yuv(rgb).into_iter().enumerate() {
                    out[start + plane * width * height + i] = value;
                }
            } else {
                out[start + 3 * i..][..3].copy_from_slice(&rgb);
            }
        }
    }

    fn json(&self, number: u64, pixels: &Pixels) -> Result<Value, RunError> {
        let areas = class_areas(pixels, &self.labels)?;
        let classes = self.analysis.classes(pixels, &self.labels, &areas)?;
        let mut value = json!({"frame": number, "classes": classes});
        self.analysis.add_regions(&mut value, pixels, &self.labels)?;
        Ok(value)
    }
}

/// Y, U and V of BT.601 in full range, rounded (JFIF 1.02).
fn full_range_yuv(rgb: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = rgb.map(i32::from);
    let sum = |kr: i32, kg: i32, kb: i32, offset: i32| {
        let sum = kr * r + kg * g + kb * b + (offset << 16) + 0x8000;
        (sum >> 16).clamp(0, 255) as u8
    };
    [sum(19595, 38470, 7471, 0), sum(-11058, -21710, 32768, 128), sum(32768, -27439, -5329, 128)]
}

#[cfg(test)]
mod tests {
    use super::full_range_yuv;
    use beitle::image::{ImageView, PixelFormat, YuvMatrix, YuvRange};

    #[test]
    fn colours_survive_the_way_there_and_back() {
        assert_eq!(full_range_yuv([255, 255, 255]), [255, 128, 128]);
        assert_eq!(full_range_yuv([0, 0, 0]), [0, 128, 128]);
        for r in (0..=255u8).step_by(15) {
            for g in (0..=255u8).step_by(17) {
                for b in (0..=255u8).step_by(51) {
                    let [y, u, v] = full_range_yuv([r, g, b]);
                    let data = [y, u, y, v];
                    let view = ImageView::packed(&data, 2, 1, PixelFormat::Yuyv).unwrap();
                    let back = view.with_colours(YuvMatrix::Bt601, YuvRange::Full).rgb(0, 0).unwrap();
                    let error = back.into_iter().zip([r, g, b]).map(|(a, b)| a.abs_diff(b)).max().unwrap();
                    assert!(error <= 2, "{:?}: {back:?}", [r, g, b]);
                }
            }
        }
    }
}
