//! Regions of a class map: connected pixels of the same class.
//!
//! The map is read once, from top to bottom. Only the runs of pixels of two rows are in memory, so that the scratch grows with the width
//! of the map and not with its height: a union-find structure joins the runs of a row that are connected through the rows above, and a
//! region that the row below does not continue is finished.

use super::area::{Area, check_map, for_each_run};
use super::class_map::ClassMap;
use crate::error::Error;
use bytemuck::{Pod, Zeroable};
use core::cmp::Reverse;

/// Which pixels are connectivity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connectivity {
    /// 4-connectivity: pixels that share an edge.
    Four,
    /// 8-connectivity: pixels that share an edge or a corner.
    Eight,
}

/// A region: connected pixels of the same class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Region {
    /// Number of pixels, bounding box and centroid.
    pub area: Area,
    /// Column and row of its first pixel: the leftmost in its top row.
    pub first: [u32; 2],
    /// The class or label: the value of its pixels in the map.
    pub class: u32,
    /// Which pixels are connectivity: 4 or 8.
    pub connectivity: u32,
}

/// A run of pixels in a row, and the region that it belongs to so far.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Run {
    /// The region, if this run is its root; else the area has no pixels.
    region: Region,
    start: u32,
    end: u32,
    /// Index of another run of the region in the same row, never a greater one; of a root, its own.
    parent: u32,
    /// One more than the index of the run in the row below to which the region has moved; 0: none.
    below: u32,
}

/// u64 in a run.
const RUN_LEN: usize = size_of::<Run>() / size_of::<u64>();

/// The length of the scratch memory that [`regions`] needs for maps of up to this width: 144 bytes for each column.
#[must_use]
pub const fn scratch_len(width: usize) -> usize {
    width.saturating_mul(2 * RUN_LEN)
}

/// Writes the regions of at least `min_pixels` pixels to `out`, in the order of their first pixels, and returns how many there are. Regions
/// of the class `background` are left out. If `out` is too short for all, it receives the largest; of equally large ones those that
/// come first.
///
/// # Errors
/// [`Error::Image`] if the size is invalid; [`Error::Buffer`] if the map has fewer than width · height pixels, or `scratch` is
/// shorter than [`scratch_len`].
pub fn regions(
    map: ClassMap,
    size: (usize, usize),
    connectivity: Connectivity,
    (min_pixels, background): (u64, Option<u16>),
    scratch: &mut [u64],
    out: &mut [Region],
) -> Result<usize, Error> {
    check_map(map, size)?;
    let (needed, found) = (scratch_len(size.0), scratch.len());
    let Some(scratch) = scratch.get_mut(..needed) else {
        return Err(Error::Buffer { what: "scratch for regions (numbers)", needed, found });
    };
    let (above, row) = bytemuck::cast_slice_mut::<u64, Run>(scratch).split_at_mut(size.0);
    let (mut above, mut row) = (Row { runs: above, len: 0 }, Row { runs: row, len: 0 });
    let mut largest = Largest { out, filled: 0, count: 0, min_pixels, background };
    for y in 0..size.1 {
        row.read(map, size.0, y, connectivity);
        row.join(&mut above, connectivity);
        above.finish(&mut largest);
        core::mem::swap(&mut above, &mut row);
    }
    above.finish(&mut largest);
    let filled = largest.filled;
    largest.out[..filled].sort_unstable_by_key(|region| (region.first[1], region.first[0]));
    Ok(largest.count)
}

/// The runs of a row.
struct Row<'a> {
    runs: &'a mut [Run],
    len: usize,
}

impl Row<'_> {
    /// Reads a row of the map. Each run is a region for now.
    fn read(&mut self, map: ClassMap, width: usize, y: usize, connectivity: Connectivity) {
        self.len = 0;
        let connectivity = if connectivity == Connectivity::Four { 4 } else { 8 };
        for_each_run(map, width, y, |columns, class| {
            let (start, end) = (columns.start, columns.end);
            let first = [start, y as u32];
            let area = Area::of_run(columns, y as u32);
            let region = Region { area, first, class: class.into(), connectivity };
            self.runs[self.len] = Run { region, start, end, parent: self.len as u32, below: 0 };
            self.len += 1;
        });
    }

    /// Joins the runs of this row with the regions that they continue in the row above. The regions' areas move to this row.
    fn join(&mut self, above: &mut Row, connectivity: Connectivity) {
        // 1 if runs that touch only at a corner are connected.
        let reach = if connectivity == Connectivity::Eight { 1 } else { 0 };
        let mut first = 0;
        for i in 0..self.len {
            let Run { start, end, region: Region { class, .. }, .. } = self.runs[i];
            while first < above.len && above.runs[first].end + reach <= start {
                first += 1;
            }
            for j in first..above.len {
                if above.runs[j].start >= end + reach {
                    break;
                }
                if above.runs[j].region.class == class {
                    self.connect(i, above, j);
                }
            }
        }
    }

    /// Run `i` of this row is connected with run `j` of the row above.
    fn connect(&mut self, i: usize, above: &mut Row, j: usize) {
        let root = above.root(j);
        let (i, old) = (self.root(i), &mut above.runs[root]);
        if old.below == 0 {
            old.below = i as u32 + 1;
            self.runs[i].region.add(old.region);
        } else {
            let other = self.root(old.below as usize - 1);
            self.unite(i, other);
        }
    }

    /// Joins two regions of this row, given by their roots.
    fn unite(&mut self, a: usize, b: usize) {
        if a == b {
            return;
        }
        let (low, high) = (a.min(b), a.max(b));
        let joined = self.runs[high].region;
        self.runs[high].region.area = Area::default();
        self.runs[high].parent = low as u32;
        self.runs[low].region.add(joined);
    }

    /// The root of the region of run `i`, with path halving.
    fn root(&mut self, mut i: usize) -> usize {
        while self.runs[i].parent as usize != i {
            let parent = self.runs[i].parent as usize;
            self.runs[i].parent = self.runs[parent].parent;
            i = parent;
        }
        i
    }

    /// Hands over the regions that the row below does not continue, and forgets all runs.
    fn finish(&mut self, largest: &mut Largest) {
        for run in &self.runs[..self.len] {
            if run.region.area.pixels > 0 && run.below == 0 {
                largest.add(run.region);
            }
        }
        self.len = 0;
    }
}

impl Region {
    /// Adds the pixels of another region of the same class.
    fn add(&mut self, other: Region) {
        if (other.first[1], other.first[0]) < (self.first[1], self.first[0]) {
            self.first = other.first;
        }
        self.area.add(other.area);
    }
}

/// The largest regions so far, as many as there is room for, and the number of all. Of regions of the same size those stay whose
/// first pixels come first.
struct Largest<'a> {
    /// Once it is full, a binary heap whose first element is the smallest.
    out: &'a mut [Region],
    filled: usize,
    count: usize,
    min_pixels: u64,
    background: Option<u16>,
}

/// The order in which regions give way to others, the smallest first.
fn rank(region: &Region) -> (u64, Reverse<(u32, u32)>) {
    (region.area.pixels, Reverse((region.first[1], region.first[0])))
}

impl Largest<'_> {
    fn add(&mut self, region: Region) {
        if region.area.pixels < self.min_pixels || self.background.is_some_and(|b| region.class == b.into()) {
            return;
        }
        self.count += 1;
        if let Some(place) = self.out.get_mut(self.filled) {
            *place = region;
            self.filled += 1;
            if self.filled == self.out.len() {
                (0..self.filled / 2).rev().for_each(|i| self.sift_down(i));
            }
        } else if self.out.first().is_some_and(|smallest| rank(smallest) < rank(&region)) {
            self.out[0] = region;
            self.sift_down(0);
        }
    }

    /// Moves element `i` of the heap down until it is not larger than its children.
    fn sift_down(&mut self, mut i: usize) {
        loop {
            let children = (2 * i + 1)..(2 * i + 3).min(self.filled);
            let Some(child) = children.min_by_key(|&child| rank(&self.out[child])) else { return };
            if rank(&self.out[i]) <= rank(&self.out[child]) {
                return;
            }
            self.out.swap(i, child);
            i = child;
        }
    }
}
