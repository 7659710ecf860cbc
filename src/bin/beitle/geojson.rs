//! The regions of a map as GeoJSON (RFC 7946): polygons with holes. Coordinates are pixels of the map, not degrees.

use crate::analysis::{AnalysisArgs, trace};
use crate::labels::Labels;
use crate::limits::memory;
use crate::session::{Pixels, RunError};
use beitle::output::{Connectivity, Region};
use serde_json::{Value, json};
use std::collections::HashMap;

type Ring = Vec<[u32; 2]>;

/// A collection of the regions that `args` choose. A polygon's first ring is the outer contour, its others are holes; outer ones are
/// counter-clockwise as the RFC has it, with x and y growing like longitude and latitude. With 8-connectivity a region can consist of
/// several polygons that touch at corners.
///
/// # Errors
/// There is not enough memory.
pub fn encode(args: &AnalysisArgs, pixels: &Pixels, labels: &Labels) -> Result<Value, RunError> {
    let (regions, _) = args.regions(pixels, labels)?;
    let mut rings: Vec<Vec<Ring>> = vec![Vec::new(); regions.len()];
    let region_at = flood(args.connectivity(), pixels, &regions)?;
    // Whether a contour with this pixel's top edge has been traced.
    let len = region_at.len();
    let mut is_traced: Vec<u8> = memory(len)?;
    let (width, map) = (pixels.size.0, pixels.map.view());
    for at in 0..len {
        let region = region_at[at] as usize;
        let is_edge = at < width || map.get(at - width) != map.get(at);
        if region == 0 || !is_edge || is_traced[at] != 0 {
            continue;
        }
        // The interior of a polygon must be connected: parts that touch at a corner only are several polygons.
        let corners = trace(pixels, Connectivity::Four, [at % width, at / width].map(|side| side as u32))?;
        let next = corners.iter().skip(1).chain(&corners[..1]);
        for (&[x, y], &[next, _]) in corners.iter().zip(next) {
            // Rightwards along the top edges of the region.
            for x in x..next.max(x) {
                is_traced[y as usize * width + x as usize] = 1;
            }
        }
        rings[region - 1].extend(simple_rings(&corners));
    }
    let features: Vec<_> = regions
        .iter()
        .zip(rings)
        .map(|(region, rings)| {
            let value = region.class as usize;
            json!({
                "type": "Feature",
                "geometry": geometry(rings),
                "properties": {"id": value, "name": labels.name(value), "pixels": region.area.pixels},
            })
        })
        .collect();
    Ok(json!({"type": "FeatureCollection", "features": features}))
}

/// A polygon, or several if there are several outer rings.
fn geometry(rings: Vec<Ring>) -> Value {
    let (outer, holes): (Vec<_>, Vec<_>) = rings.into_iter().partition(|ring| twice_area(ring) > 0);
    let mut polygons: Vec<Vec<Ring>> = outer.into_iter().map(|ring| vec![ring]).collect();
    for hole in holes {
        let of = match polygons.len() {
            1 => Some(0),
            // A polygon may lie in a hole of another one.
            _ => (0..polygons.len())
                .filter(|i| is_around(&polygons[*i][0], &hole))
                .min_by_key(|i| twice_area(&polygons[*i][0])),
        };
        if let Some(of) = of {
            polygons[of].push(hole);
        }
    }
    let mut closed: Vec<Vec<Ring>> =
        polygons.into_iter().map(|polygon| polygon.into_iter().map(close).collect()).collect();
    match closed.len() {
        1 => json!({"type": "Polygon", "coordinates": closed.remove(0)}),
        _ => json!({"type": "MultiPolygon", "coordinates": closed}),
    }
}

/// Splits a contour where it passes a corner twice.
fn simple_rings(contour: &[[u32; 2]]) -> Vec<Ring> {
    let (mut rings, mut open) = (Vec::new(), Ring::new());
    let mut place = HashMap::new();
    for &corner in contour {
        if let Some(start) = place.get(&corner).copied() {
            let ring: Ring = open.drain(start..).collect();
            ring.iter().for_each(|corner| {
                place.remove(corner);
            });
            rings.push(ring);
        }
        place.insert(corner, open.len());
        open.push(corner);
    }
    rings.push(open);
    rings
}

/// Twice the area of a ring, positive if it is an outer one.
fn twice_area(ring: &Ring) -> i64 {
    let next = ring.iter().cycle().skip(1);
    let term = |(a, b): (&[u32; 2], &[u32; 2])| {
        i64::from(a[0]) * i64::from(b[1]) - i64::from(b[0]) * i64::from(a[1])
    };
    ring.iter().zip(next).map(term).sum()
}

/// Whether an outer ring encloses the region's pixels beside a hole.
fn is_around(outer: &Ring, hole: &Ring) -> bool {
    // The pixel below an edge that goes rightwards belongs to the region.
    let mut edges = hole.iter().zip(hole.iter().cycle().skip(1));
    let Some((&[x, y], _)) = edges.find(|(a, b)| a[1] == b[1] && a[0] < b[0]) else { return false };
    // A ray to the left from its middle crosses the ring an odd number of times.
    let vertical = outer.iter().zip(outer.iter().cycle().skip(1)).filter(|(a, b)| a[0] == b[0]);
    let crossed = vertical.filter(|(a, b)| a[0] <= x && (a[1].min(b[1])..a[1].max(b[1])).contains(&y));
    crossed.count() % 2 == 1
}

/// A ring ends where it begins.
fn close(mut ring: Ring) -> Ring {
    ring.extend(ring.first().copied());
    ring
}

/// One more than the index of the region of each pixel; 0: none of these.
fn flood(connectivity: Connectivity, pixels: &Pixels, regions: &[Region]) -> Result<Vec<u32>, RunError> {
    let ((width, height), map) = (pixels.size, pixels.map.view());
    let mut region_at: Vec<u32> = memory(map.len())?;
    let mut open: Vec<[u32; 2]> = Vec::new();
    for (i, region) in regions.iter().enumerate() {
        region_at[region.first[1] as usize * width + region.first[0] as usize] = i as u32 + 1;
        open.push(region.first);
        while let Some(pixel) = open.pop() {
            open.try_reserve(8).map_err(|_| RunError::Memory(open.len().saturating_mul(16)))?;
            let [x, y] = pixel.map(|side| side as usize);
            let class = map.get(y * width + x);
            for next_y in y.saturating_sub(1)..(y + 2).min(height) {
                for next_x in x.saturating_sub(1)..(x + 2).min(width) {
                    let at = next_y * width + next_x;
                    let is_connected = connectivity == Connectivity::Eight || next_x == x || next_y == y;
                    if is_connected && region_at[at] == 0 && map.get(at) == class {
                        region_at[at] = i as u32 + 1;
                        open.push([next_x as u32, next_y as u32]);
                    }
                }
            }
        }
    }
    Ok(region_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class_map::ClassMapBuf;
    use crate::labels::LabelArgs;
    use beitle::Model;
    use beitle::memory::FileBytes;

    /// The geometry of class 1 in a map, with 8-connectivity.
    fn geometry_of(rows: &[&str]) -> Value {
        #[derive(clap::Parser)]
        struct Arguments {
            #[command(flatten)]
            analysis: AnalysisArgs,
            #[command(flatten)]
            labels: LabelArgs,
        }
        let arguments = <Arguments as clap::Parser>::parse_from(["", "--connectivity", "8"]);
        let map: Vec<u8> = rows.concat().bytes().map(|pixel| u8::from(pixel == b'#')).collect();
        let size = (rows[0].len(), rows.len());
        let pixels = Pixels { size, map: ClassMapBuf::U8(map), confidence: Vec::new(), ranked: Vec::new() };
        let file = FileBytes::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/demo.beitle")).unwrap();
        let labels = arguments.labels.labels(&Model::new(file.bytes()).unwrap()).unwrap();
        let mut found = encode(&arguments.analysis, &pixels, &labels).unwrap();
        let features = found["features"].as_array_mut().unwrap();
        features.iter_mut().find(|feature| feature["properties"]["id"] == 1).unwrap()["geometry"].take()
    }

    #[test]
    fn parts_that_touch_at_corners_are_polygons_of_their_own() {
        // As one polygon the hole would touch the outer ring twice, and the interior would not be connected.
        let geometry = geometry_of(&[".##", ".##", "#.#", "##."]);
        assert_eq!(geometry["coordinates"].as_array().map(Vec::len), Some(2), "{geometry}");
        // The inner part touches the outer one at a corner, lies in its hole, and has a hole itself.
        let geometry =
            geometry_of(&["#######", "##....#", "#.###.#", "#.#.#.#", "#.###.#", "#.....#", "#######"]);
        let rings = |polygon: usize| geometry["coordinates"][polygon].as_array().map(Vec::len);
        assert_eq!((rings(0), rings(1)), (Some(2), Some(2)), "{geometry}");
    }

    #[test]
    fn contours_that_touch_themselves_are_split() {
        // Two pixels that touch at a corner.
        let rings = simple_rings(&[[1, 0], [1, 1], [2, 1], [2, 2], [1, 2], [1, 1], [0, 1], [0, 0]]);
        assert_eq!(rings.iter().map(twice_area).collect::<Vec<_>>(), [2, 2]);
        let geometry = geometry(rings);
        assert_eq!(geometry["type"], "MultiPolygon");
        assert_eq!(geometry["coordinates"][1][0].as_array().map(Vec::len), Some(5));
    }
}
