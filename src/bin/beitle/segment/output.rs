//! What `beitle segment` writes and prints for a picture.

use super::args::Args;
use crate::analysis::{ClassArea, class_areas, points_json};
use crate::console::{Failure, Stdout, write_stdout};
use crate::inputs::PictureFiles;
use crate::labels::Labels;
use crate::naming::is_standard;
use crate::overlay::{self, LegendEntry};
use crate::picture::Picture;
use crate::session::{Pixels, RunError};
use crate::{geojson, npy, png_file};
use beitle::Model;
use serde_json::{Value, json};
use std::path::Path;

/// The results of one picture.
pub struct Segmented {
    pub picture: Picture,
    pub pixels: Pixels,
    pub logits: Option<Vec<f32>>,
    /// What running it took.
    pub seconds: f64,
}

/// A picture whose files have been written, and what is printed about it.
pub struct Written {
    size: (usize, usize),
    seconds: f64,
    areas: Vec<ClassArea>,
    pixels: Pixels,
    /// The classes and regions as JSON, if it is printed.
    json: Value,
}

/// Writes the files of a picture.
///
/// # Errors
/// A file cannot be encoded or written, or there is not enough memory.
pub fn write(
    result: Segmented,
    labels: &Labels,
    files: &PictureFiles,
    args: &Args,
    logits_shape: [usize; 3],
) -> Result<Written, Failure> {
    let Segmented { picture, pixels, logits, seconds } = result;
    let failed = |e: RunError| Failure::file(&files.image, e);
    let encoded = |png: Result<Vec<u8>, String>| png.map_err(|e| Failure::file(&files.image, e));
    let (areas, palette) = (class_areas(&pixels, labels).map_err(failed)?, labels.palette());
    let png = match labels.is_mask() {
        true => png_file::encode_mask(&pixels.map, pixels.size),
        false => png_file::encode_map(&pixels.map, pixels.size, &palette),
    };
    write_file(&files.map, &encoded(png)?)?;
    if let (Some(path), Some(logits)) = (&files.logits, &logits) {
        write_file(path, &npy::encode(&logits_shape, logits))?;
    }
    if args.confidence {
        write_file(&files.confidence, &encoded(png_file::encode_grey(&pixels.confidence, pixels.size))?)?;
    }
    if args.geojson {
        let collection = geojson::encode(&args.analysis, &pixels, labels).map_err(failed)?;
        write_file(&files.geojson, collection.to_string().as_bytes())?;
    }
    let size = (picture.width, picture.height);
    if args.overlay {
        let scaled;
        let map = match size == pixels.size {
            true => &pixels.map,
            false => {
                scaled = pixels.map.scaled(pixels.size, size).ok_or(RunError::Memory(size.0 * size.1));
                scaled.as_ref().map_err(|e| Failure::file(&files.image, e))?
            }
        };
        let entries = if args.no_legend { Vec::new() } else { legend(labels, &areas, &pixels) };
        let canvas = overlay::draw(&picture, map, &palette, args.overlay_args.blend(), &entries);
        write_file(
            &files.overlay,
            &encoded(png_file::encode_rgb(&canvas.rgb, (canvas.width, canvas.height)))?,
        )?;
    }
    let json = match args.json {
        false => Value::Null,
        true => {
            let mut json =
                json!({"classes": args.analysis.classes(&pixels, labels, &areas).map_err(failed)?});
            args.analysis.add_regions(&mut json, &pixels, labels).map_err(failed)?;
            json
        }
    };
    Ok(Written { size, seconds, areas, pixels, json })
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if is_standard(path) {
        return write_stdout(bytes);
    }
    beitle_files::write(path, bytes).map_err(|e| Failure::file(path, format_args!("cannot be written: {e}")))
}

/// The entries of the overlay's legend.
fn legend<'a>(labels: &'a Labels, areas: &[ClassArea], pixels: &Pixels) -> Vec<LegendEntry<'a>> {
    let total = (pixels.size.0 * pixels.size.1) as f64;
    let entry = |class: &ClassArea| LegendEntry {
        name: labels.name(class.value),
        colour: labels.colour(class.value),
        share: class.area.pixels as f64 / total,
    };
    areas.iter().map(entry).collect()
}

/// Prints the classes of a picture.
///
/// # Errors
/// Standard output cannot be written.
pub fn print_table(
    out: &mut Stdout,
    labels: &Labels,
    files: &PictureFiles,
    result: &Written,
) -> Result<(), Failure> {
    let ((width, height), seconds) = (result.size, result.seconds);
    let (image, map) = (files.image.display(), files.map.display());
    out.line(format_args!("{image}: {width}x{height}, {seconds:.2} s, written to {map}"))?;
    let total = (result.pixels.size.0 * result.pixels.size.1) as f64;
    for class in &result.areas {
        let share = class.area.pixels as f64 * 100.0 / total;
        let (value, name) = (class.value, labels.name(class.value));
        out.line(format_args!("  {share:6.2} %  {value:3}  {name}"))?;
    }
    Ok(())
}

/// The results of a picture as JSON.
pub fn json(model: &Model<'_>, files: &PictureFiles, result: Written, args: &Args) -> Value {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let Written { size, seconds, pixels, json: analysis, .. } = result;
    let mut value = json!({
        "image": text(&files.image),
        "width": size.0,
        "height": size.1,
        "seconds": seconds,
        "map": text(&files.map),
        "map_width": pixels.size.0,
        "map_height": pixels.size.1,
        "overlay": args.overlay.then(|| text(&files.overlay)),
        "logits": files.logits.as_deref().map(text),
    });
    if args.confidence {
        value["confidence"] = text(&files.confidence).into();
    }
    if args.geojson {
        value["geojson"] = text(&files.geojson).into();
    }
    if let (Value::Object(value), Value::Object(analysis)) = (&mut value, analysis) {
        value.extend(analysis);
    }
    if !args.point.is_empty() {
        value["points"] = points_json(&args.point, &pixels.ranked, |class| model.class_name(class));
    }
    value
}
