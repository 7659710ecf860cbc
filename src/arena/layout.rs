//! Places buffers in the arena: sizes and lifetimes in, offsets out.
//!
//! Each buffer is alive in some phases of a run. Two buffers may overlap if they share no phase. Buffers are placed one by one,
//! the largest first, each at the lowest offset where it overlaps no placed buffer that shares a phase with it. This is the
//! greedy-by-size planner of Pisarchyk and Lee 2020, "Efficient Memory Management for Deep Neural Net Inference".

use super::buffers::Buf;
use core::ops::Range;

/// The alignment of buffers in bytes.
const ALIGN: usize = 64;
/// The number of buffers.
const COUNT: usize = Buf::NAMES.len();

/// Offset and size of a buffer in bytes, and the phases in which it is alive (bits of [`phase`](super::buffers::phase)).
#[derive(Clone, Copy, Debug, Default)]
struct Region {
    offset: usize,
    bytes: usize,
    phases: u8,
}

/// The regions of all buffers. A buffer that no step has asked for is empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    regions: [Region; COUNT],
    bytes: usize,
}

impl Layout {
    /// A layout without buffers.
    pub fn new() -> Layout {
        Layout { regions: [Region::default(); COUNT], bytes: 0 }
    }

    /// Requires `buf` to have at least `bytes` bytes and to be alive in `phases`. If several steps require the same buffer, it
    /// gets the largest size and all phases.
    #[inline(never)]
    pub fn need(&mut self, buf: Buf, bytes: usize, phases: u8) {
        let region = &mut self.regions[buf as usize];
        region.bytes = region.bytes.max(bytes.checked_next_multiple_of(ALIGN).unwrap_or(usize::MAX));
        region.phases |= phases;
    }

    /// As [`need`](Layout::need), for `len` f32.
    pub fn need_f32(&mut self, buf: Buf, len: usize, phases: u8) {
        self.need(buf, len * size_of::<f32>(), phases);
    }

    /// Gives every buffer its offset. All sizes must be known.
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

    /// Adds a buffer of `bytes` bytes after all others. Call it after [`place`](Layout::place).
    pub fn append(&mut self, buf: Buf, bytes: usize, phases: u8) {
        self.need(buf, bytes, phases);
        self.regions[buf as usize].offset = self.bytes;
        self.bytes = self.end(buf as usize);
    }

    /// The lowest offset at which buffer `next` overlaps no placed buffer that shares a phase with it.
    fn lowest_free(&self, next: usize, placed: &[bool; COUNT]) -> usize {
        let region = self.regions[next];
        let obstacles = || {
            (0..COUNT).filter(|&i| {
                placed[i] && self.regions[i].bytes > 0 && self.regions[i].phases & region.phases != 0
            })
        };
        let mut offset = 0usize;
        // Each pass moves past one more overlapping obstacle, until there is none.
        while let Some(end) = obstacles()
            .filter(|&i| self.regions[i].offset < offset.saturating_add(region.bytes) && offset < self.end(i))
            .map(|i| self.end(i))
            .min()
        {
            offset = end;
        }
        offset
    }

    /// The end of buffer number `i` in the arena.
    fn end(&self, i: usize) -> usize {
        self.regions[i].offset.saturating_add(self.regions[i].bytes)
    }

    /// The size of the whole arena in bytes; `usize::MAX` if it cannot be addressed.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The byte range of a buffer in the arena.
    pub fn range(&self, buf: Buf) -> Range<usize> {
        self.regions[buf as usize].offset..self.end(buf as usize)
    }

    /// Every buffer that is not empty: its name, its byte range in the arena, and its phases.
    pub fn buffers(&self) -> impl Iterator<Item = (&'static str, Range<usize>, u8)> {
        let regions = self.regions;
        Buf::NAMES
            .iter()
            .zip(regions)
            .filter(|(_, r)| r.bytes > 0)
            .map(|(name, r)| (*name, r.offset..r.offset + r.bytes, r.phases))
    }
}
