//! What becomes of a frame: the bytes that are written for it.

use super::y4m;
use crate::class_map::ClassMapBuf;
use crate::console::Failure;
use crate::overlay::mix;
use beitle::Model;
use beitle::image::ImageView;
use clap::ValueEnum;
use std::io::Write;

/// Arguments that choose the output.
#[derive(clap::Args)]
pub struct EmitArgs {
    /// What to write for each frame
    #[arg(long, value_enum, default_value_t = Emit::Map)]
    emit: Emit,
    /// Names or numbers of the classes of --emit mask, separated by commas
    #[arg(long, value_name = "CLASS,...", value_delimiter = ',', required_if_eq("emit", "mask"))]
    only: Vec<String>,
    /// Write YUV4MPEG2 [default: of overlays]
    #[arg(long, conflicts_with = "raw")]
    y4m: bool,
    /// Write raw frames: overlays as RGB, masks and maps as grey [default: of masks and maps]
    #[arg(long)]
    raw: bool,
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
    /// The class of every pixel, a byte each; two bytes, the lower first, for models of more than 256 classes
    Map,
    /// 255 for pixels of the classes of --only, 0 for others
    Mask,
    /// The frame blended with the colours of its classes
    Overlay,
    /// A line of JSON: the number of the frame, and the pixels of each class
    Json,
}

/// Writes results.
pub struct Emitter<'m> {
    emit: Emit,
    y4m: bool,
    size: (usize, usize),
    names: Vec<&'m str>,
    palette: Vec<[u8; 3]>,
    /// Whether a class is in the mask.
    only: Vec<bool>,
}

impl<'m> Emitter<'m> {
    /// For frames of `size` (width, height) pixels.
    ///
    /// # Errors
    /// A class does not exist, or the arguments do not fit each other.
    pub fn new(args: &EmitArgs, model: &Model<'m>, size: (usize, usize)) -> Result<Self, Failure> {
        let classes = model.facts().classes;
        let names: Vec<_> = model.class_names().collect();
        let mut only = vec![false; classes];
        for text in &args.only {
            let class = names.iter().position(|name| name.eq_ignore_ascii_case(text.trim()));
            let class = class.or_else(|| text.trim().parse().ok()).filter(|class| *class < classes);
            let class = class.ok_or_else(|| {
                Failure::usage(format_args!(
                    "--only {text}: not a class of the model; `beitle info` lists them"
                ))
            })?;
            only[class] = true;
        }
        if !args.only.is_empty() && args.emit != Emit::Mask {
            return Err(Failure::usage("--only is for --emit mask"));
        }
        let y4m = args.y4m || args.emit == Emit::Overlay && !args.raw;
        if y4m && (args.emit == Emit::Json || args.emit == Emit::Map && classes > 256) {
            return Err(Failure::usage("--y4m: not for lines of JSON, and maps of more than 256 classes"));
        }
        let palette = (0..classes).map(|class| model.colour(class)).collect();
        Ok(Emitter { emit: args.emit, y4m, size, names, palette, only })
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
    pub fn frame(&self, number: u64, view: &ImageView<'_>, map: &ClassMapBuf, out: &mut Vec<u8>) {
        if self.y4m {
            out.extend_from_slice(y4m::FRAME_LINE);
        }
        match self.emit {
            Emit::Map => match map {
                ClassMapBuf::U8(map) => out.extend_from_slice(map),
                ClassMapBuf::U16(map) => out.extend(map.iter().flat_map(|class| class.to_le_bytes())),
            },
            Emit::Mask => {
                let is_in = |class: u16| self.only.get(usize::from(class)).copied().unwrap_or(false);
                out.extend(map.classes().map(|class| if is_in(class) { 255 } else { 0 }));
            }
            Emit::Overlay => self.overlay(view, map, out),
            Emit::Json => self.json(number, map, out),
        }
    }

    fn overlay(&self, view: &ImageView<'_>, map: &ClassMapBuf, out: &mut Vec<u8>) {
        let (width, height) = self.size;
        let start = out.len();
        out.resize(start + 3 * width * height, 0);
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        for (i, ((x, y), class)) in pixels.zip(map.classes()).enumerate() {
            let colour = self.palette.get(usize::from(class)).copied().unwrap_or_default();
            let rgb = mix(view.rgb(x, y).unwrap_or_default(), colour);
            if self.y4m {
                for (plane, value) in full_range_yuv(rgb).into_iter().enumerate() {
                    out[start + plane * width * height + i] = value;
                }
            } else {
                out[start + 3 * i..][..3].copy_from_slice(&rgb);
            }
        }
    }

    fn json(&self, number: u64, map: &ClassMapBuf, out: &mut Vec<u8>) {
        let mut counts = vec![0u64; self.palette.len()];
        map.view().count(&mut counts);
        let total = (self.size.0 * self.size.1) as f64;
        let classes: Vec<_> = counts
            .iter()
            .enumerate()
            .filter(|(_, pixels)| **pixels > 0)
            .map(|(class, &pixels)| {
                let name = self.names.get(class);
                serde_json::json!({"id": class, "name": name, "pixels": pixels, "share": pixels as f64 / total})
            })
            .collect();
        // Writing to memory does not fail.
        let _ = writeln!(out, "{}", serde_json::json!({"frame": number, "classes": classes}));
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
