//! The regions of a map as GeoJSON (RFC 7946): a polygon with holes for each. Coordinates are pixels of the map, not degrees.

use crate::answers::AnswerArgs;
use crate::labels::Labels;
use crate::session::{Pixels, RunError};
use beitle::output::{Neighbours, Region};
use beitle_pictures::zeroed;
use serde_json::{Value, json};

/// A collection of the regions that `args` choose. A polygon's first ring is the outer contour, its others are holes; the outer
/// one is counter-clockwise as the RFC has it, with x and y growing like longitude and latitude.
///
/// # Errors
/// There is not enough memory.
pub fn encode(args: &AnswerArgs, pixels: &Pixels, labels: &Labels) -> Result<Value, RunError> {
    let (regions, _) = args.regions(pixels)?;
    let mut rings: Vec<Vec<Vec<[u32; 2]>>> = vec![Vec::new(); regions.len()];
    let region_at = flood(args.neighbours(), pixels, &regions)?;
    // Whether a contour with this pixel's top edge has been traced.
    let len = region_at.len();
    let mut is_traced: Vec<u8> = zeroed(len).map_err(|_| RunError::Memory(len))?;
    let (width, map) = (pixels.size.0, pixels.map.view());
    // From the top: the first top edge of a region lies on its outer contour.
    for at in 0..len {
        let region = region_at[at] as usize;
        let is_edge = at < width || map.get(at - width) != map.get(at);
        if region == 0 || !is_edge || is_traced[at] != 0 {
            continue;
        }
        let corners = args.contour(pixels, [at % width, at / width].map(|side| side as u32))?;
        let next = corners.iter().skip(1).chain(&corners[..1]);
        for (&[x, y], &[next, _]) in corners.iter().zip(next) {
            // Rightwards along the top edges of the region.
            for x in x..next.max(x) {
                is_traced[y as usize * width + x as usize] = 1;
            }
        }
        rings[region - 1].push(corners);
    }
    let features: Vec<_> = regions
        .iter()
        .zip(rings)
        .map(|(region, rings)| {
            let number = region.class as usize;
            let closed: Vec<_> = rings.into_iter().map(close).collect();
            json!({
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": closed},
                "properties": {"id": number, "name": labels.name(number), "pixels": region.area.pixels},
            })
        })
        .collect();
    Ok(json!({"type": "FeatureCollection", "features": features}))
}

/// A ring ends where it begins.
fn close(mut ring: Vec<[u32; 2]>) -> Vec<[u32; 2]> {
    ring.extend(ring.first().copied());
    ring
}

/// One more than the index of the region of each pixel; 0: none of these.
fn flood(neighbours: Neighbours, pixels: &Pixels, regions: &[Region]) -> Result<Vec<u32>, RunError> {
    let ((width, height), map) = (pixels.size, pixels.map.view());
    let mut region_at: Vec<u32> = zeroed(map.len()).map_err(|_| RunError::Memory(4 * map.len()))?;
    let mut open = Vec::new();
    for (i, region) in regions.iter().enumerate() {
        let start = region.first.map(|side| side as usize);
        region_at[start[1] * width + start[0]] = i as u32 + 1;
        open.push(start);
        while let Some([x, y]) = open.pop() {
            let class = map.get(y * width + x);
            for next_y in y.saturating_sub(1)..(y + 2).min(height) {
                for next_x in x.saturating_sub(1)..(x + 2).min(width) {
                    let at = next_y * width + next_x;
                    let is_neighbour = neighbours == Neighbours::Eight || next_x == x || next_y == y;
                    if is_neighbour && region_at[at] == 0 && map.get(at) == class {
                        region_at[at] = i as u32 + 1;
                        open.push([next_x, next_y]);
                    }
                }
            }
        }
    }
    Ok(region_at)
}
