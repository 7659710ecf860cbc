//! Where the pixels of a class are: their number, bounding box and centroid.

use super::class_map::ClassMap;
use crate::error::Error;
use crate::image::check_size;
use bytemuck::{Pod, Zeroable};
use core::ops::Range;

/// Some pixels of a class map: their number, their bounding box, and the sums of their coordinates. Columns and rows count from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Area {
    /// Number of pixels. If it is 0, so are all other fields.
    pub pixels: u64,
    /// Sum of the columns of all pixels.
    pub sum_x: u64,
    /// Sum of the rows of all pixels.
    pub sum_y: u64,
    /// First column of the bounding box.
    pub left: u32,
    /// First row of the bounding box.
    pub top: u32,
    /// Column behind the bounding box.
    pub right: u32,
    /// Row below the bounding box.
    pub bottom: u32,
}

impl Area {
    /// The area of the pixels of a row in some columns, of which there is at least one.
    pub(super) fn of_run(columns: Range<u32>, row: u32) -> Self {
        let pixels = u64::from(columns.end - columns.start);
        Area {
            pixels,
            sum_x: pixels * u64::from(columns.start + columns.end - 1) / 2,
            sum_y: pixels * u64::from(row),
            left: columns.start,
            top: row,
            right: columns.end,
            bottom: row + 1,
        }
    }

    /// Adds the pixels of another area, none of which this one has.
    pub(super) fn add(&mut self, other: Area) {
        if self.pixels == 0 || other.pixels == 0 {
            return if self.pixels == 0 {
                *self = other
            };
        }
        *self = Area {
            pixels: self.pixels + other.pixels,
            sum_x: self.sum_x.saturating_add(other.sum_x),
            sum_y: self.sum_y.saturating_add(other.sum_y),
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        };
    }

    /// The mean column and row of the pixels; `None` if there are none. (0, 0) is the middle of the first pixel.
    #[must_use]
    pub fn centroid(&self) -> Option<(f64, f64)> {
        let mean = |sum| sum as f64 / self.pixels as f64;
        (self.pixels > 0).then(|| (mean(self.sum_x), mean(self.sum_y)))
    }
}

/// Writes the area of each class to `areas`, which has an element for every class (or label). Returns how many pixels have
/// other values, such as that of unknown pixels.
///
/// # Errors
/// [`Error::Image`] if the size is invalid, [`Error::Buffer`] if the map has fewer than width · height pixels.
pub fn areas(map: ClassMap, size: (usize, usize), areas: &mut [Area]) -> Result<u64, Error> {
    check_map(map, size)?;
    areas.fill(Area::default());
    let mut outside = Area::default();
    for y in 0..size.1 {
        for_each_run(map, size.0, y, |columns, class| {
            areas.get_mut(usize::from(class)).unwrap_or(&mut outside).add(Area::of_run(columns, y as u32));
        });
    }
    Ok(outside.pixels)
}

/// Checks that a class map has this size.
pub(super) fn check_map(map: ClassMap, (width, height): (usize, usize)) -> Result<(), Error> {
    check_size(width, height)?;
    match width.checked_mul(height) {
        Some(pixels) if pixels <= map.len() => Ok(()),
        needed => Err(Error::Buffer {
            what: "the class map (pixels)",
            needed: needed.unwrap_or(usize::MAX),
            found: map.len(),
        }),
    }
}

/// Calls `each(columns, class)` for each run of pixels of the same class in a row of a map that is `width` pixels wide.
pub(super) fn for_each_run(map: ClassMap, width: usize, row: usize, each: impl FnMut(Range<u32>, u16)) {
    let pixels = row * width..(row + 1) * width;
    match map {
        ClassMap::U8(map) => runs(&map[pixels], each),
        ClassMap::U16(map) => runs(&map[pixels], each),
    }
}

fn runs<T: Copy + PartialEq + Into<u16>>(row: &[T], mut each: impl FnMut(Range<u32>, u16)) {
    let mut start = 0;
    for run in row.chunk_by(|a, b| a == b) {
        let end = start + run.len() as u32;
        each(start..end, run[0].into());
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_have_boxes_and_centroids() {
        let map = [0, 0, 2, 2, 0, 2, 9, 2];
        let mut found = [Area::default(); 3];
        assert_eq!(areas(ClassMap::U8(&map), (4, 2), &mut found), Ok(1));
        assert_eq!((found[0].pixels, found[0].left, found[0].right, found[0].bottom), (3, 0, 2, 2));
        assert_eq!(found[1], Area::default());
        assert_eq!((found[2].pixels, found[2].left, found[2].top, found[2].right), (4, 1, 0, 4));
        assert_eq!(found[2].centroid(), Some((2.25, 0.5)));
        assert_eq!(found[1].centroid(), None);
        assert!(areas(ClassMap::U8(&map), (3, 3), &mut found).is_err());
        assert!(areas(ClassMap::U8(&map), (0, 3), &mut found).is_err());
        assert!(areas(ClassMap::U8(&map), (usize::MAX, usize::MAX), &mut found).is_err());
    }
}
