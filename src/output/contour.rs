//! The contour of a region, as a polygon along the edges of its pixels.

use super::area::check_map;
use super::class_map::ClassMap;
use super::regions::Connectivity;
use crate::error::Error;

/// Traces the contour that runs along the top edge of a pixel: for the first pixel of a region, its outer contour; for a pixel below a
/// hole of the region, that of the hole. Writes the corners of the polygon to `corners`, as many as fit, and returns their number.
///
/// A corner is a (column, row) in the grid of the pixels' corners: (0, 0) is the top left corner of the map, (width, height) the bottom
/// right one. The polygon goes along the edges of pixels with the region on its right, that is clockwise around a region and
/// counter-clockwise around a hole (y grows downwards), from the top edge of the pixel on. If the left end of that edge is a corner of the
/// polygon, it comes last, as it does for the first pixel of a region. The last corner is followed by the first. Where pixels touch
/// diagonally, the polygon may pass a corner twice.
///
/// # Errors
/// [`Error::Image`] if the size is invalid, [`Error::Buffer`] if the map has fewer than width · height pixels, [`Error::Output`] if the
/// pixel is outside the map or the pixel above it has the same class, so that its top edge lies on no contour.
pub fn contour(
    map: ClassMap,
    size: (usize, usize),
    connectivity: Connectivity,
    pixel: [u32; 2],
    corners: &mut [[u32; 2]],
) -> Result<usize, Error> {
    check_map(map, size)?;
    let class_at = |x: i64, y: i64| {
        let inside = (0..size.0 as i64).contains(&x) && (0..size.1 as i64).contains(&y);
        if inside { map.get(y as usize * size.0 + x as usize) } else { None }
    };
    let start = pixel.map(i64::from);
    let class = class_at(start[0], start[1]);
    if class.is_none() || class_at(start[0], start[1] - 1) == class {
        return Err(Error::Output {
            what: "a contour starts at a pixel of the map whose upper neighbour has another class",
        });
    }
    let is_region = |x, y| class_at(x, y) == class;
    let mut count = 0;
    let (mut at, mut step) = (start, EAST);
    loop {
        at = [at[0] + step[0], at[1] + step[1]];
        // The pixels ahead on both sides: the region is on the right.
        let [left, right] = ahead(at, step).map(|[x, y]| is_region(x, y));
        let turned = match connectivity {
            Connectivity::Four if !right => turn_right(step),
            Connectivity::Four if left => turn_left(step),
            Connectivity::Eight if left => turn_left(step),
            Connectivity::Eight if !right => turn_right(step),
            _ => step,
        };
        if turned != step {
            if let Some(corner) = corners.get_mut(count) {
                *corner = at.map(|side| side as u32);
            }
            count += 1;
        }
        step = turned;
        if (at, step) == (start, EAST) {
            return Ok(count);
        }
    }
}

/// A step to the right in the map; y grows downwards.
const EAST: [i64; 2] = [1, 0];

fn turn_right([x, y]: [i64; 2]) -> [i64; 2] {
    [-y, x]
}

fn turn_left([x, y]: [i64; 2]) -> [i64; 2] {
    [y, -x]
}

/// The pixels to the left and to the right of the edge that continues from a corner in the direction of `step`.
fn ahead([x, y]: [i64; 2], step: [i64; 2]) -> [[i64; 2]; 2] {
    match step {
        [1, _] => [[x, y - 1], [x, y]],
        [-1, _] => [[x - 1, y], [x - 1, y - 1]],
        [_, 1] => [[x, y], [x - 1, y]],
        _ => [[x - 1, y - 1], [x, y - 1]],
    }
}
