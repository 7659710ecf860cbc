//! Places buffers in the arena.
//!
//! Each buffer is alive in some of the phases of a run; two buffers may overlap when no phase has both. Buffers are placed
//! one by one, the largest first, at the lowest offset that is free of every placed buffer alive in the same phase: the greedy
//! planner of Pisarchyk and Lee 2020, "Efficient Memory Management for Deep Neural Net Inference".

use super::buffers::Buf;
use core::ops::Range;

/// The alignment of buffers in bytes.
const ALIGN: usize = 64;
/// The number of buffers.
const COUNT: usize = Buf::NAMES.len();

/// Where a buffer lies, and the phases in which it is alive.
#[derive(Clone, Copy, Debug, Default)]
struct Region {
    offset: usize,
    bytes: usize,
    phases: u8,
}

/// The sizes and places of all buffers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    regions: [Region; COUNT],
    bytes: usize,
}

impl Layout {
    pub fn new() -> Layout {
        Layout { regions: [Region::default(); COUNT], bytes: 0 }
    }

    /// Asks for a buffer of at least `bytes` bytes, alive in `phases`. Where several steps ask for the same buffer, the
    /// largest size counts, and the phases of all.
    #[inline(never)]
    pub fn need(&mut self, buf: Buf, bytes: usize, phases: u8) {
        let region = &mut self.regions[buf as usize];
        region.bytes = region.bytes.max(bytes.checked_next_multiple_of(ALIGN).unwrap_or(usize::MAX));
        region.phases |= phases;
    }

    /// Asks for a buffer of `len` f32.
    pub fn need_f32(&mut self, buf: Buf, len: usize, phases: u8) {
        self.need(buf, len * size_of::<f32>(), phases);
    }

    /// Places all buffers that have been asked for.
    pub fn place(&mut self) {
        let mut placed = [false; COUNT];
        for _ in 0..COUNT {
            let Some(next) = (0..COUNT).filter(|&i| !placed[i]).max_by_key(|&i| self.regions[i].bytes) else {
                return;
            };
            self.regions[next].offset = self.lowest_free(next, &placed);
            placed[next] = true;
            self.bytes = self.bytes.max(self.end(next));
        }
    }

    /// Places a buffer of `bytes` bytes behind all others.
    pub fn append(&mut self, buf: Buf, bytes: usize, phases: u8) {
        self.need(buf, bytes, phases);
        self.regions[buf as usize].offset = self.bytes;
        self.bytes = self.end(buf as usize);
    }

    /// The lowest offset at which buffer `next` overlaps no placed buffer that is alive in one of its phases.
    fn lowest_free(&self, next: usize, placed: &[bool; COUNT]) -> usize {
        let region = self.regions[next];
        let obstacles = || {
            (0..COUNT).filter(|&i| {
                placed[i] && self.regions[i].bytes > 0 && self.regions[i].phases & region.phases != 0
            })
        };
        let mut offset = 0usize;
        // Each pass moves behind one more obstacle; when a pass finds none, the place is free.
        while let Some(end) = obstacles()
            .filter(|&i| self.regions[i].offset < offset.saturating_add(region.bytes) && offset < self.end(i))
            .map(|i| self.end(i))
            .min()
        {
            offset = end;
        }
        offset
    }

    fn end(&self, i: usize) -> usize {
        self.regions[i].offset.saturating_add(self.regions[i].bytes)
    }

    /// Bytes of the whole arena; `usize::MAX` if it cannot be addressed.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes of the arena that a buffer takes.
    pub fn range(&self, buf: Buf) -> Range<usize> {
        self.regions[buf as usize].offset..self.end(buf as usize)
    }

    /// Every buffer that takes memory: its name, its bytes in the arena, its phases.
    pub fn buffers(&self) -> impl Iterator<Item = (&'static str, Range<usize>, u8)> {
        let regions = self.regions;
        Buf::NAMES
            .iter()
            .zip(regions)
            .filter(|(_, r)| r.bytes > 0)
            .map(|(name, r)| (*name, r.offset..r.offset + r.bytes, r.phases))
    }
}
