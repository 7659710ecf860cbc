//! The windows of a view, in the order in which they run, and how many logits must be kept from one to the next.
//!
//! A pixel is decided by the last of the windows that it reads; the logits of the others must be kept until then. They are kept in
//! tiles ([`TILE`]), each from its own window until the last window that reads it.
//!
//! The order keeps the number of tiles small. Windows run in lines along the axis that has fewer of them (the *inner* axis; the
//! *outer* axis is the other one). Most lines overlap the next one by a part of a window, so that only a border of each window
//! is kept. The last line was moved back inside the picture and may overlap the line before it almost completely; these two
//! run together, one pair of windows after another.
//!
//! Where even the borders of a whole line would be too many tiles, the view is divided along the inner axis into [`Strip`]s. A
//! strip runs again the windows of the strip before it that its pixels read. Strips change the time and the memory of a run, not
//! its result.

use super::axis::Axis;
use core::ops::Range;

/// Width and height of a tile of kept logits.
pub(crate) const TILE: [usize; 2] = [16, 4];

/// The most windows of the inner axis that decide pixels in one strip.
const MAX_STRIP: usize = 64;

/// The windows of a view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    /// The horizontal and the vertical axis.
    pub axes: [Axis; 2],
    /// The index of the inner axis.
    inner: usize,
}

/// The part of a grid between two positions on the inner axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strip {
    /// The first window on the inner axis that runs.
    pub first: usize,
    /// The first window on the inner axis that decides pixels.
    pub first_deciding: usize,
    /// The last window on the inner axis.
    pub last: usize,
}

impl Strip {
    /// The number of windows on the inner axis that run.
    fn width(&self) -> usize {
        self.last + 1 - self.first
    }
}

impl Grid {
    pub fn new(axes: [Axis; 2]) -> Self {
        Grid { axes, inner: usize::from(axes[1].windows() < axes[0].windows()) }
    }

    fn inner(&self) -> &Axis {
        &self.axes[self.inner]
    }

    fn outer(&self) -> &Axis {
        &self.axes[1 - self.inner]
    }

    /// The number of a window, (column, row), in the order of its strip.
    pub fn step(&self, strip: Strip, window: [usize; 2]) -> usize {
        let (i, line) = (window[self.inner] - strip.first, window[1 - self.inner]);
        let (width, lines) = (strip.width(), self.outer().windows());
        match line.checked_sub(lines.saturating_sub(2)) {
            Some(in_pair) if lines > 1 => (lines - 2) * width + 2 * i + in_pair,
            _ => line * width + i,
        }
    }

    /// The window with number `step` in the order of a strip.
    pub fn window(&self, strip: Strip, step: usize) -> [usize; 2] {
        let (width, lines) = (strip.width(), self.outer().windows());
        let (i, line) = match step.checked_sub(lines.saturating_sub(2) * width) {
            Some(step) if lines > 1 => (step / 2, lines - 2 + step % 2),
            _ => (step % width, step / width),
        };
        let mut window = [line; 2];
        window[self.inner] = strip.first + i;
        window
    }

    /// The number of windows that run in a strip.
    pub fn steps(&self, strip: Strip) -> usize {
        (strip.width()) * self.outer().windows()
    }

    /// Whether a window decides pixels, or only runs because later windows of its strip read its logits.
    pub fn decides(&self, strip: Strip, window: [usize; 2]) -> bool {
        window[self.inner] >= strip.first_deciding
    }

    /// The slot of a window in the index of kept tiles, and the number of slots: windows that are needed at the same time have
    /// different slots.
    pub fn slot(&self, strip: Strip, window: [usize; 2]) -> usize {
        window[1 - self.inner] % 3 * strip.width() + window[self.inner] - strip.first
    }

    pub fn slots(&self, strip: Strip) -> usize {
        3 * strip.width()
    }

    /// Columns and rows of the tiles of a window.
    pub fn tiles(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.axes[axis].cells.div_ceil(TILE[axis]))
    }

    /// The last window that reads tile number `tile` of a window, along one axis.
    fn last_reader(&self, axis: usize, strip: Strip, window: usize, tile: usize) -> usize {
        let last = self.axes[axis].last_reader(window, (tile + 1) * TILE[axis]);
        if axis == self.inner { last.min(strip.last) } else { last }
    }

    /// The last step that reads a tile, (column, row), of a window; `None` if no later window reads it.
    pub fn kept_until(&self, strip: Strip, window: [usize; 2], tile: [usize; 2]) -> Option<usize> {
        let last = [0, 1].map(|axis| self.last_reader(axis, strip, window[axis], tile[axis]));
        (last != window).then(|| self.step(strip, last))
    }

    /// How many windows of the inner axis should decide pixels in each strip, so that about `tiles` tiles are kept at most; at
    /// least 1.
    pub fn strip_width(&self, tiles: usize) -> usize {
        let (mut fits, mut end) = (1, self.inner().windows().min(MAX_STRIP) + 1);
        if self.most_tiles(end - 1) <= tiles {
            return end - 1;
        }
        while end - fits > 1 {
            let width = fits.midpoint(end);
            if self.most_tiles(width) <= tiles {
                fits = width;
            } else {
                end = width;
            }
        }
        fits
    }

    /// The number of strips of this width.
    fn strip_count(&self, width: usize) -> usize {
        self.inner().windows().div_ceil(width)
    }

    /// Strip number `i` of those of this width.
    fn strip(&self, width: usize, i: usize) -> Strip {
        let (inner, first_deciding) = (self.inner(), i * width);
        let last = (first_deciding + width).min(inner.windows()) - 1;
        // The first pixel of a window is interpolated with the one before it.
        let first = inner.first_over(inner.start(first_deciding).saturating_sub(1));
        Strip { first: if i == 0 { 0 } else { first }, first_deciding, last }
    }

    /// The strips of the view, in which `width` windows of the inner axis decide pixels, or fewer in the last one.
    pub fn strips(&self, width: usize) -> impl Iterator<Item = Strip> + use<> {
        let grid = *self;
        (0..grid.strip_count(width)).map(move |i| grid.strip(width, i))
    }

    /// The largest number of tiles that are kept at the same time in strips of this width.
    pub fn most_tiles(&self, width: usize) -> usize {
        let count = self.strip_count(width);
        // All strips in the middle are alike.
        let most =
            |range: Range<usize>| range.map(|i| self.most_tiles_in(self.strip(width, i))).max().unwrap_or(0);
        most(0..count.min(2)).max(most(count.saturating_sub(2)..count))
    }

    /// The largest number of tiles that are kept at the same time in a strip.
    fn most_tiles_in(&self, strip: Strip) -> usize {
        let lines = self.outer().windows();
        // Lines in the middle are alike: only the last ones differ.
        let mut most = 0;
        for now in lines.saturating_sub(6) * strip.width()..self.steps(strip) {
            let line = self.window(strip, now)[1 - self.inner];
            let mut kept = 0;
            // Windows of earlier lines are no longer read.
            for other in line.saturating_sub(2)..(line + 2).min(lines) {
                for i in strip.first..=strip.last {
                    let mut window = [other; 2];
                    window[self.inner] = i;
                    if self.step(strip, window) <= now {
                        kept += self.tiles_kept_at(strip, window, now);
                    }
                }
            }
            most = most.max(kept);
        }
        most
    }

    /// The tiles of a window that are kept at step `now`.
    fn tiles_kept_at(&self, strip: Strip, window: [usize; 2], now: usize) -> usize {
        let counts = [0, 1].map(|axis| {
            let mut counts = [0; 3];
            for tile in 0..self.tiles()[axis] {
                counts[self.last_reader(axis, strip, window[axis], tile) - window[axis]] += 1;
            }
            counts
        });
        let mut kept = 0;
        for i in 0..9 {
            let later = [i % 3, i / 3];
            let tiles = counts[0][later[0]] * counts[1][later[1]];
            let last = [window[0] + later[0], window[1] + later[1]];
            if tiles > 0 && last != window && self.step(strip, last) >= now {
                kept += tiles;
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(size: (usize, usize), window: usize, stride: usize) -> Grid {
        let axis = |len| Axis { len, window, stride, cells: window / 4, stretched: false };
        Grid::new([axis(size.0), axis(size.1)])
    }

    /// Pictures, and windows with the usual and with the smallest stride.
    fn grids() -> impl Iterator<Item = ((usize, usize), Grid)> {
        let usual = [(854, 640), (640, 1067), (1494, 1120), (1067, 1067), (3000, 700)]
            .map(|size| (size, grid(size, 640, 426)));
        let small = [(48, 85), (85, 48), (128, 160), (97, 200)].map(|size| (size, grid(size, 32, 17)));
        usual.into_iter().chain(small)
    }

    #[test]
    fn every_pixel_is_decided_once_by_the_last_window_that_it_reads() {
        for (size, grid) in grids() {
            for width in [64, 2, 1] {
                let mut decided = vec![0; grid.axes[0].windows() * grid.axes[1].windows()];
                for strip in grid.strips(width) {
                    for step in 0..grid.steps(strip) {
                        let window = grid.window(strip, step);
                        assert_eq!(grid.step(strip, window), step);
                        if grid.decides(strip, window) {
                            decided[window[1] * grid.axes[0].windows() + window[0]] += 1;
                            check_needed(&grid, size, strip, window, step);
                        }
                    }
                }
                assert!(decided.iter().all(|&n| n == 1), "{size:?} {width}: {decided:?}");
            }
        }
    }

    /// Everything that a window's pixels read has been computed before, in the same strip, and is kept until now.
    fn check_needed(grid: &Grid, size: (usize, usize), strip: Strip, window: [usize; 2], step: usize) {
        let ranges =
            [(0, size.0), (1, size.1)].map(|(axis, size)| grid.axes[axis].decided(window[axis], size));
        for corner in 0..4 {
            let at = [0, 1].map(|axis| {
                let range = &ranges[axis];
                if corner >> axis & 1 == 0 { range.start } else { range.end - 1 }
            });
            let needed = [grid.axes[0].needed(at[0], size.0), grid.axes[1].needed(at[1], size.1)];
            for other in needed[0].clone().flat_map(|x| needed[1].clone().map(move |y| [x, y])) {
                assert!(other[grid.inner] >= strip.first && grid.step(strip, other) <= step);
                let sources = [0, 1].map(|axis| {
                    let size = [size.0, size.1][axis];
                    grid.axes[axis].source(other[axis], at[axis], size).first as usize / TILE[axis]
                });
                let until = grid.kept_until(strip, other, sources);
                assert!(other == window || until.is_some_and(|until| until >= step), "{other:?} {window:?}");
            }
        }
    }

    #[test]
    fn kept_tiles_are_counted_as_a_run_keeps_them() {
        let large = [(900, 7000), (5000, 6100)].map(|size| (size, grid(size, 640, 426)));
        for (size, grid) in grids().chain(large) {
            let width = grid.strip_width(1000);
            let mut most = 0;
            for strip in grid.strips(width) {
                let mut kept = Vec::new();
                for step in 0..grid.steps(strip) {
                    let window = grid.window(strip, step);
                    let [columns, rows] = grid.tiles();
                    for tile in (0..rows).flat_map(|y| (0..columns).map(move |x| [x, y])) {
                        kept.extend(grid.kept_until(strip, window, tile));
                    }
                    most = most.max(kept.len());
                    kept.retain(|&until| until > step);
                }
                assert!(kept.is_empty());
            }
            assert_eq!(most, grid.most_tiles(width), "{size:?}");
            assert!(most <= 1000 || width == 1);
        }
    }

    #[test]
    fn the_largest_pictures_are_planned_at_once() {
        let grid = grid((1 << 24, 1 << 24), 640, 426);
        let width = grid.strip_width(1800);
        assert!(grid.most_tiles(width) <= 1800 && width > 5);
    }

    #[test]
    fn a_single_line_of_windows_keeps_about_one_window_at_most() {
        let [columns, rows] = grid((640, 640), 640, 426).tiles();
        for long in 641..2561 {
            for size in [(long, 640), (640, long)] {
                let grid = grid(size, 640, 426);
                assert_eq!(grid.strip_width(0), 1);
                assert!(grid.most_tiles(1) <= columns * rows * 3 / 2, "{size:?}");
            }
        }
    }
}
