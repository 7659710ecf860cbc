//! What programs want to know of a map: the area of each class, regions, contours and masks, as JSON.

use crate::class_map::ClassMapBuf;
use crate::console::Failure;
use crate::labels::Labels;
use crate::session::{Pixels, RunError};
use beitle::output::{
    Area, ClassMap, Neighbours, Ranked, Region, areas, contour, regions, rle, rle_text, scratch_len,
};
use beitle_pictures::zeroed;
use serde_json::{Value, json};

/// Arguments that choose what is computed from a map.
#[derive(clap::Args)]
pub struct AnswerArgs {
    /// Add regions (connected pixels of a class) to the JSON: class, area, box and centroid
    #[arg(long)]
    regions: bool,
    /// Add the contour of each region to the JSON: polygons along the edges of pixels
    #[arg(long)]
    contours: bool,
    /// Add the mask of each class to the JSON, as a compressed mask of COCO's annotations
    #[arg(long)]
    masks: bool,
    /// Least pixels of a region
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_area: u64,
    /// Pixels that belong together: 4, those with a common edge, or 8, also those with a common corner
    #[arg(long, value_name = "4|8", default_value = "4", value_parser = neighbours)]
    neighbours: Neighbours,
    /// Most regions of a picture; of more, the largest
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max_regions: u32,
}

fn neighbours(text: &str) -> Result<Neighbours, String> {
    match text {
        "4" => Ok(Neighbours::Four),
        "8" => Ok(Neighbours::Eight),
        _ => Err("neither 4 nor 8".into()),
    }
}

/// A label or unknown, and its pixels in a map.
pub struct ClassArea {
    /// The number in the map.
    pub number: usize,
    pub area: Area,
}

/// The numbers that occur in a map and their areas, the most frequent first, and last the unknown pixels if there are any, of
/// which only the number of pixels is known.
///
/// # Errors
/// There is not enough memory.
pub fn class_areas(pixels: &Pixels, labels: &Labels) -> Result<Vec<ClassArea>, RunError> {
    let mut found = vec![Area::default(); labels.len()];
    let unknown = areas(pixels.map.view(), pixels.size, &mut found)?;
    let all = found.into_iter().enumerate().map(|(number, area)| ClassArea { number, area });
    let mut all: Vec<_> = all.filter(|class| class.area.pixels > 0).collect();
    all.sort_by_key(|class| (std::cmp::Reverse(class.area.pixels), class.number));
    if unknown > 0 {
        let area = Area { pixels: unknown, ..Area::default() };
        all.push(ClassArea { number: unknown_number(&pixels.map), area });
    }
    Ok(all)
}

/// The number of unknown pixels in a map of this type.
fn unknown_number(map: &ClassMapBuf) -> usize {
    match map {
        ClassMapBuf::U8(_) => u8::MAX.into(),
        ClassMapBuf::U16(_) => ClassMap::UNKNOWN.into(),
    }
}

impl AnswerArgs {
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
            let (number, count) = (class.number, class.area.pixels);
            let name = labels.name(number);
            let mut value =
                json!({"id": number, "name": name, "pixels": count, "share": count as f64 / total});
            // Of unknown pixels the number is known, not the place.
            if number < labels.len() {
                value["box"] = bounding_box(&class.area);
                value["centroid"] = centroid(&class.area);
                if self.masks {
                    value["mask"] = mask(pixels, number)?;
                }
            }
            Ok(value)
        };
        areas.iter().map(class).collect()
    }

    /// The regions of a map as JSON, if they are wanted.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn regions_json(&self, pixels: &Pixels, labels: &Labels) -> Result<Option<Value>, RunError> {
        if !self.regions && !self.contours {
            return Ok(None);
        }
        let (found, count) = self.regions(pixels)?;
        let region = |region: &Region| {
            let number = region.class as usize;
            let area = &region.area;
            let mut value = json!({
                "id": number, "name": labels.name(number), "pixels": area.pixels,
                "box": bounding_box(area), "centroid": centroid(area),
            });
            if self.contours {
                value["contour"] = json!(self.contour(pixels, region.first)?);
            }
            Ok::<_, RunError>(value)
        };
        let regions: Result<Vec<_>, _> = found.iter().map(region).collect();
        Ok(Some(json!({"count": count, "largest": regions?})))
    }

    /// The regions of a map, the largest ones if there are more than allowed, and how many there are.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn regions(&self, pixels: &Pixels) -> Result<(Vec<Region>, usize), RunError> {
        let len = scratch_len(pixels.size.0);
        let mut scratch = memory::<u64>(len)?;
        let mut out = memory::<Region>((self.max_regions as usize).min(pixels.map.view().len()))?;
        let (map, size, least) = (pixels.map.view(), pixels.size, self.min_area);
        let count = regions(map, size, self.neighbours, least, &mut scratch, &mut out)?;
        out.truncate(count);
        Ok((out, count))
    }

    /// The corners of the contour on which the top edge of a pixel lies.
    ///
    /// # Errors
    /// The pixel's upper neighbour has the same class, or there is not enough memory.
    pub fn contour(&self, pixels: &Pixels, pixel: [u32; 2]) -> Result<Vec<[u32; 2]>, RunError> {
        let trace = |corners: &mut [[u32; 2]]| {
            contour(pixels.map.view(), pixels.size, self.neighbours, pixel, corners)
        };
        let mut corners = memory::<[u32; 2]>(trace(&mut [])?)?;
        trace(&mut corners)?;
        Ok(corners)
    }

    /// Which pixels belong together.
    pub fn neighbours(&self) -> Neighbours {
        self.neighbours
    }
}

/// Zeroed memory for `len` values.
fn memory<T: Clone + Default>(len: usize) -> Result<Vec<T>, RunError> {
    zeroed(len).map_err(|_| RunError::Memory(len.saturating_mul(size_of::<T>())))
}

/// Left, top, width and height.
fn bounding_box(area: &Area) -> Value {
    json!([area.left, area.top, area.right - area.left, area.bottom - area.top])
}

/// Column and row of the centroid, to a hundredth of a pixel.
fn centroid(area: &Area) -> Value {
    let rounded = |x: f64| (x * 100.0).round() / 100.0;
    area.centroid().map_or(Value::Null, |(x, y)| json!([rounded(x), rounded(y)]))
}

/// The mask of a number of a map, as in COCO's annotations.
fn mask(pixels: &Pixels, number: usize) -> Result<Value, RunError> {
    let encode = |counts: &mut [u32]| rle(pixels.map.view(), pixels.size, number as u16, counts);
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
