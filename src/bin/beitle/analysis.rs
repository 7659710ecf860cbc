//! The analysis of a map: the area of each class, regions, contours and masks, as JSON.

use crate::console::Failure;
use crate::labels::Labels;
use crate::limits::memory;
use crate::session::{Pixels, RunError};
use beitle::output::{
    Area, Connectivity, Ranked, Region, areas, contour, regions, rle, rle_text, scratch_len,
};
use serde_json::{Value, json};

/// Arguments that choose what is computed from a map.
#[derive(clap::Args)]
pub struct AnalysisArgs {
    /// Add regions (connected pixels of a class) to the JSON: class, area, box and centroid
    #[arg(long)]
    regions: bool,
    /// Add the contour of each region to the JSON: polygons along the edges of pixels
    #[arg(long)]
    contours: bool,
    /// Add the mask of each class to the JSON, as COCO compressed RLE
    #[arg(long)]
    masks: bool,
    /// Smallest region to report, in pixels
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_area: u64,
    /// Which pixels are connected: 4 (by edges) or 8 (by edges and corners)
    #[arg(long, value_name = "4|8", default_value = "4", value_parser = connectivity)]
    connectivity: Connectivity,
    /// Report at most N regions of a picture, the largest
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max_regions: u32,
}

fn connectivity(text: &str) -> Result<Connectivity, String> {
    match text {
        "4" => Ok(Connectivity::Four),
        "8" => Ok(Connectivity::Eight),
        _ => Err("neither 4 nor 8".into()),
    }
}

/// A value of a map, and its pixels.
pub struct ClassArea {
    pub value: usize,
    pub area: Area,
}

/// The values that occur in a map and their areas, the most frequent first, but unknown pixels last.
///
/// # Errors
/// There is not enough memory.
pub fn class_areas(pixels: &Pixels, labels: &Labels) -> Result<Vec<ClassArea>, RunError> {
    let unknown = usize::from(pixels.map.unknown());
    let mut found = memory::<Area>(unknown + 1)?;
    areas(pixels.map.view(), pixels.size, &mut found)?;
    let all = found.into_iter().enumerate().map(|(value, area)| ClassArea { value, area });
    let mut all: Vec<_> = all.filter(|class| class.area.pixels > 0).collect();
    let is_unknown = |value| value == unknown && !labels.is_mask();
    all.sort_by_key(|class| (is_unknown(class.value), std::cmp::Reverse(class.area.pixels), class.value));
    Ok(all)
}

impl AnalysisArgs {
    /// Checks that the arguments fit each other; `json` tells whether there is JSON to add to.
    ///
    /// # Errors
    /// They do not.
    pub fn check(&self, json: bool, needs: &str) -> Result<(), Failure> {
        let wanted = [(self.regions, "--regions"), (self.contours, "--contours"), (self.masks, "--masks")];
        match wanted.into_iter().find(|(is_wanted, _)| *is_wanted && !json) {
            Some((_, name)) => Err(Failure::usage(format_args!("{name} needs {needs}"))),
            None => Ok(()),
        }
    }

    /// The classes of a map: number, name, pixels, share, box, centroid, and mask if wanted.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn classes(&self, pixels: &Pixels, labels: &Labels, areas: &[ClassArea]) -> Result<Value, RunError> {
        let total = (pixels.size.0 * pixels.size.1) as f64;
        let class = |class: &ClassArea| {
            let (value, count) = (class.value, class.area.pixels);
            let mut json = json!({
                "id": value, "name": labels.name(value), "pixels": count, "share": count as f64 / total,
                "box": bounding_box(&class.area), "centroid": centroid(&class.area),
            });
            if self.masks {
                json["mask"] = mask(pixels, value)?;
            }
            Ok(json)
        };
        areas.iter().map(class).collect()
    }

    /// Adds the regions of a map to `json`, if they are wanted: `region_count` and, as many as are reported, `regions`.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn add_regions(&self, json: &mut Value, pixels: &Pixels, labels: &Labels) -> Result<(), RunError> {
        if !self.regions && !self.contours {
            return Ok(());
        }
        let (found, count) = self.regions(pixels, labels)?;
        let region = |region: &Region| {
            let (value, area) = (region.class as usize, &region.area);
            let mut json = json!({
                "id": value, "name": labels.name(value), "pixels": area.pixels,
                "box": bounding_box(area), "centroid": centroid(area),
            });
            if self.contours {
                json["contour"] = json!(trace(pixels, self.connectivity, region.first)?);
            }
            Ok::<_, RunError>(json)
        };
        let regions: Result<Vec<_>, _> = found.iter().map(region).collect();
        json["region_count"] = count.into();
        json["regions"] = regions?.into();
        Ok(())
    }

    /// The regions of a map, the largest ones if there are more than allowed, and how many there are. Those of unknown pixels, and of the
    /// rest of a mask, do not count.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn regions(&self, pixels: &Pixels, labels: &Labels) -> Result<(Vec<Region>, usize), RunError> {
        let len = scratch_len(pixels.size.0);
        let mut scratch = memory::<u64>(len)?;
        let mut out = memory::<Region>((self.max_regions as usize).min(pixels.map.view().len()))?;
        let (map, size) = (pixels.map.view(), pixels.size);
        let reported = (self.min_area, Some(labels.background(pixels.map.unknown())));
        let count = regions(map, size, self.connectivity, reported, &mut scratch, &mut out)?;
        out.truncate(count);
        Ok((out, count))
    }

    /// Which pixels belong together.
    pub fn connectivity(&self) -> Connectivity {
        self.connectivity
    }
}

/// The corners of the contour that runs along the top edge of a pixel.
///
/// # Errors
/// The pixel's upper neighbour has the same class, or there is not enough memory.
pub fn trace(
    pixels: &Pixels,
    connectivity: Connectivity,
    pixel: [u32; 2],
) -> Result<Vec<[u32; 2]>, RunError> {
    let trace =
        |corners: &mut [[u32; 2]]| contour(pixels.map.view(), pixels.size, connectivity, pixel, corners);
    let mut corners = memory::<[u32; 2]>(trace(&mut [])?)?;
    trace(&mut corners)?;
    Ok(corners)
}

/// Left, top, width and height.
fn bounding_box(area: &Area) -> Value {
    json!([area.left, area.top, area.right - area.left, area.bottom - area.top])
}

/// The centroid to a hundredth of a pixel, in the coordinates of boxes and contours: (0, 0) is the top left corner of the map.
fn centroid(area: &Area) -> Value {
    let rounded = |x: f64| ((x + 0.5) * 100.0).round() / 100.0;
    area.centroid().map_or(Value::Null, |(x, y)| json!([rounded(x), rounded(y)]))
}

/// The mask of a value of a map, as COCO compressed RLE.
fn mask(pixels: &Pixels, value: usize) -> Result<Value, RunError> {
    let encode = |counts: &mut [u32]| rle(pixels.map.view(), pixels.size, value as u16, counts);
    let mut counts = memory::<u32>(encode(&mut [])?)?;
    encode(&mut counts)?;
    let mut text = memory::<u8>(rle_text(&counts, &mut []))?;
    rle_text(&counts, &mut text);
    let (width, height) = pixels.size;
    Ok(json!({"size": [height, width], "counts": String::from_utf8_lossy(&text)}))
}

/// The most likely classes at points, `[points][classes]` of `ranked`. They are classes of the model, also where the map has labels.
pub fn points_json<'m>(
    points: &[[usize; 2]],
    ranked: &[Ranked],
    class_name: impl Fn(usize) -> Option<&'m str>,
) -> Value {
    let places = ranked.len().checked_div(points.len()).unwrap_or(0).max(1);
    let point = |(point, ranked): (&[usize; 2], &[Ranked])| {
        let class = |ranked: &Ranked| {
            let class = ranked.class as usize;
            json!({"id": class, "name": class_name(class), "probability": ranked.probability})
        };
        json!({"x": point[0], "y": point[1], "classes": ranked.iter().map(class).collect::<Vec<_>>()})
    };
    points.iter().zip(ranked.chunks(places)).map(point).collect()
}
