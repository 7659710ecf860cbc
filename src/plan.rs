//! The arena: how many bytes a model needs, and where everything lies in them.
//!
//! A run has seven phases. Each buffer is alive in some of them; two buffers may lie on top of each other when no phase has
//! both. Buffers are placed one by one, the largest first, at the lowest offset where they fit (the greedy planner of
//! Pisarchyk and Lee 2020, "Efficient Memory Management for Deep Neural Net Inference").

use crate::activations::rows_bytes;
use crate::error::Error;
use crate::format::{Kind, LANES, Role, padded, winograd_taps};
use crate::kernels::attention::Dims;
use crate::kernels::{interpolate, winograd};
use crate::model::conv::lines_bytes;
use crate::model::products::products_bytes;
use crate::model::top::fpn2_lines;
use crate::weights::{Facts, Model};
use core::ops::Range;

/// Tokens that go through the MLP at a time: its hidden layer exists for so many only.
pub(crate) const MLP_TOKENS: usize = 256;

/// Lines in each of the head's rings, see `model::head`.
pub(crate) mod ring {
    pub const LATERAL1: usize = 6;
    /// At first a line and a strip of four.
    pub const FPN1: usize = 5;
    pub const PRODUCT1: usize = 4;
    pub const PRODUCT2: usize = 3;
    pub const PRODUCT3: usize = 3;
    pub const LATERAL0: usize = 8;
    pub const FPN0: usize = 7;
    /// Lines of the full-resolution f32 buffer.
    pub const LINES: usize = 4;
    pub const LOGITS: usize = 8;
}

/// Phases of a run, as bits.
pub(crate) mod phase {
    pub const RESIZE: u8 = 1;
    pub const EMBED: u8 = 2;
    pub const ATTEND: u8 = 4;
    pub const MLP: u8 = 8;
    pub const TOP: u8 = 16;
    pub const LEVEL2: u8 = 32;
    pub const BANDS: u8 = 64;
    pub const BLOCKS: u8 = EMBED | ATTEND | MLP;
    pub const HEAD: u8 = TOP | LEVEL2 | BANDS;
}

macro_rules! buffers {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// A buffer of the arena.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Buf { $($(#[$doc])* $name,)* }
        const NAMES: &[&str] = &[$($text,)*];
        const BUFS: usize = NAMES.len();
    };
}

buffers! {
    /// The resized picture, RGB.
    Pixels = "resized picture";
    /// Working memory of the resize.
    ResizeScratch = "resize scratch";
    /// The picture as patch rows.
    Patches = "patch rows";
    /// The residual stream, f32.
    Stream = "residual stream";
    /// Normalised tokens, or attention's result, as rows for the next layer.
    Normed = "normalised tokens";
    /// q, k, v of one head, f32.
    Qkv = "q, k, v of a head";
    /// The same, packed for multiplication.
    Packed = "packed q, k, v";
    /// Logits, probabilities and biases of a tile of queries, for each worker.
    AttendScratch = "attention scratch";
    /// What attention gives, f32.
    Mixed = "attention result";
    /// A row for each worker.
    NormScratch = "norm scratch";
    /// A block of normalised tokens.
    MlpIn = "MLP input";
    /// Its hidden layer, f32.
    Hidden = "MLP hidden";
    /// The same as rows.
    HiddenRows = "MLP hidden rows";
    /// Tap 0 as rows.
    Tap0 = "tap 0";
    /// Tap 1 as rows.
    Tap1 = "tap 1";
    /// Tap 2 as rows.
    Tap2 = "tap 2";
    /// Level 3, f32.
    Map3 = "level 3 map";
    /// Level 3 as rows with blank borders.
    Map3Rows = "level 3 rows";
    /// Pooled positions, f32, before and after their 1x1 convolution.
    PoolIn = "pooled";
    /// The same as rows.
    PoolRows = "pooled rows";
    /// After the 1x1 convolution.
    PoolOut = "pool branch";
    /// A branch multiplied by nine taps.
    PoolTaps = "pool products";
    /// The pooling module's result, f32, and as rows.
    Top = "top map";
    /// As rows.
    TopRows = "top rows";
    /// Lateral 2 with the top added, f32.
    Lateral2 = "lateral 2";
    /// The same as rows with blank borders.
    Lateral2Rows = "lateral 2 rows";
    /// Level 2 after its convolution, f32.
    Fpn2 = "level 2 map";
    /// The same as rows.
    Fpn2Rows = "level 2 rows";
    /// Interpolated columns, for each worker.
    UpsampleScratch = "up-sampling scratch";
    /// Ring of lateral 1's lines, f32.
    Lateral1 = "lateral 1 lines";
    /// The same as rows.
    Lateral1Rows = "lateral 1 rows";
    /// Level 1 after its convolution, as rows.
    Fpn1Rows = "level 1 rows";
    /// Ring of level 1's products with nine taps.
    Product1 = "level 1 products";
    /// Ring of level 2's.
    Product2 = "level 2 products";
    /// Ring of level 3's.
    Product3 = "level 3 products";
    /// Rows that the next product reads and nobody after it: two lines of tap 0 after its first deconvolution, Winograd's
    /// transformed pixels, lines after the bottleneck.
    PassingRows = "passing rows";
    /// Lines at full resolution, f32: whatever is being made.
    Lines = "full-resolution lines";
    /// Ring of lateral 0's lines as rows.
    Lateral0Rows = "lateral 0 rows";
    /// Ring of level 0's lines after their convolution, as rows.
    Fpn0Rows = "level 0 rows";
    /// Transformed pixels of one tile, f32, or sums of products, for each worker.
    WinogradScratch = "Winograd scratch";
    /// Ring of logits' lines.
    Logits = "logits lines";
    /// A line of logits for each worker.
    MapScratch = "map scratch";
    /// Weights of four bits as bytes, for each worker: behind all others, since every product uses it beside them.
    Unpacked = "unpacked weights";
}

/// Where a buffer lies and when it is alive.
#[derive(Clone, Copy, Debug, Default)]
struct Region {
    offset: usize,
    bytes: usize,
    phases: u8,
}

/// A layout of the arena for a model, a number of workers and pictures up to a size.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    regions: [Region; BUFS],
    bytes: usize,
    workers: usize,
    picture: (usize, usize),
}

/// Whether no buffer's size overflows, which 32-bit processors could see: bounds of the largest that all workers share (its
/// rows are tokens, a few lines of the finest map, a block of the MLP or pooled positions) and of what each has of its own.
fn check_sizes(f: &Facts, workers: usize, picture: (usize, usize)) -> Result<(), Error> {
    let wide = |n: usize| n.next_multiple_of(LANES) as u64 + 64;
    let pooled = f.pool_scales.iter().max().map_or(0, |s| s * s);
    let rows = (f.tokens() + f.level(0).0 + MLP_TOKENS + pooled) as u64 + 2;
    let numbers = [f.channels, f.hidden, f.classes, 3 * f.patch * f.patch, 3 * f.head_padded()];
    let shared = numbers.map(wide).into_iter().fold(0, u64::max).checked_mul(160 * rows);
    let own = 768 * rows + (1 << 17) + 128 * wide(f.channels) + 4 * f.level(0).0 as u64 * wide(f.classes);
    let own = own.checked_mul(workers as u64);
    let resize = crate::preprocess::scratch_bytes(f, picture) as u64;
    for bytes in [shared, own, Some(resize)] {
        if bytes.is_none_or(|bytes| bytes >= isize::MAX as u64) {
            return Err(Error::TooLarge);
        }
    }
    Ok(())
}

impl Plan {
    /// Lays out the arena for pictures of up to `picture` (width, height) pixels.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where the sizes overflow.
    pub fn new(model: &Model, workers: usize, picture: (usize, usize)) -> Result<Plan, Error> {
        let workers = workers.max(1);
        check_sizes(model.facts(), workers, picture)?;
        let mut plan = Plan { regions: [Region::default(); BUFS], bytes: 0, workers, picture };
        plan.sizes(model)?;
        plan.place();
        plan.unpack(model)?;
        if plan.bytes > isize::MAX as usize {
            return Err(Error::TooLarge);
        }
        Ok(plan)
    }

    /// Bytes the arena must have.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Workers it was made for.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// The largest picture (width, height) it was made for.
    pub fn picture(&self) -> (usize, usize) {
        self.picture
    }

    /// Every buffer: name, place in the arena, and the phases it is alive in (bit 0 resize, 1 embedding, 2 attention,
    /// 3 MLP, 4 top of the pyramid, 5 its level 2, 6 bands).
    pub fn buffers(&self) -> impl Iterator<Item = (&'static str, Range<usize>, u8)> {
        let regions = self.regions;
        NAMES
            .iter()
            .zip(regions)
            .filter(|(_, r)| r.bytes > 0)
            .map(|(n, r)| (*n, r.offset..r.offset + r.bytes, r.phases))
    }

    pub(crate) fn range(&self, buf: Buf) -> Range<usize> {
        let r = &self.regions[buf as usize];
        r.offset..r.offset + r.bytes
    }

    /// Where products unpack weights of four bits: the arena's end, from its last whole line on.
    pub(crate) fn unpacked(&self) -> Range<usize> {
        self.range(Buf::Unpacked)
    }

    /// Makes room for that.
    fn unpack(&mut self, model: &Model) -> Result<(), Error> {
        let mut most = 0;
        for entry in model.file().table().iter().filter(|e| e.kind == Kind::Int4 as u8) {
            let role = Role::from_code(entry.role).unwrap_or(Role::Report);
            most = most.max(model.linear(role, entry.layer.into())?.unpacked_bytes());
        }
        let most = self.workers.checked_mul(most).ok_or(Error::TooLarge)?;
        self.set(Buf::Unpacked, most, phase::BLOCKS | phase::HEAD);
        let region = &mut self.regions[Buf::Unpacked as usize];
        region.offset = self.bytes;
        self.bytes = self.bytes.saturating_add(region.bytes);
        Ok(())
    }

    fn set(&mut self, buf: Buf, bytes: usize, phases: u8) {
        self.regions[buf as usize] = Region { offset: 0, bytes: bytes.next_multiple_of(64), phases };
    }

    fn sizes(&mut self, model: &Model) -> Result<(), Error> {
        use phase::*;
        let f = *model.facts();
        let int8 = |role, layer| model.linear(role, layer).map(|l| l.is_int8());
        // A buffer that several layers read takes the form that needs more.
        let rows_of = |rows, k, layers: &[Role]| -> Result<usize, Error> {
            let mut most = 0;
            for &role in layers {
                for layer in 0..if role >= Role::Embed && role < Role::Up0a { f.blocks } else { 1 } {
                    most = most.max(rows_bytes(rows, k, int8(role, layer)?));
                }
            }
            Ok(most)
        };
        let (c, w) = (padded(f.channels), self.workers);
        let (tokens, patches) = (f.tokens(), f.patches());
        self.set(Buf::Pixels, f.width * f.height * 3, RESIZE | EMBED);
        let scratch = crate::preprocess::scratch_bytes(&f, self.picture);
        self.set(Buf::ResizeScratch, scratch, RESIZE);
        let patch = 3 * f.patch * f.patch;
        self.set(Buf::Patches, rows_bytes(patches, patch, int8(Role::Embed, 0)?), EMBED);
        self.set(Buf::Stream, tokens * c * 4, BLOCKS | TOP);

        let dims = dims(&f);
        self.set(Buf::NormScratch, w * c * 4, ATTEND | MLP);
        if f.blocks > 0 {
            self.set(Buf::Normed, rows_of(tokens, f.channels, &[Role::Qkv, Role::Proj])?, ATTEND);
            self.set(Buf::Qkv, tokens * dims.qkv() * 4, ATTEND);
            let mut packed = 0;
            for layer in 0..f.blocks {
                packed = packed.max(dims.packed_bytes(int8(Role::Qkv, layer)?));
            }
            self.set(Buf::Packed, packed, ATTEND);
            self.set(Buf::AttendScratch, w * dims.scratch() * 4, ATTEND);
            self.set(Buf::Mixed, tokens * c * 4, ATTEND);
            let block = MLP_TOKENS.min(tokens);
            self.set(Buf::MlpIn, rows_of(block, f.channels, &[Role::Fc1])?, MLP);
            self.set(Buf::Hidden, block * padded(f.hidden) * 4, MLP);
            self.set(Buf::HiddenRows, rows_of(block, f.hidden, &[Role::Fc2])?, MLP);
        }
        self.set(Buf::Tap0, rows_of(patches, f.channels, &[Role::Up0a])?, BLOCKS | HEAD);
        self.set(Buf::Tap1, rows_of(patches, f.channels, &[Role::Up1])?, BLOCKS | HEAD);
        self.set(Buf::Tap2, rows_of(patches, f.channels, &[Role::Lateral2])?, BLOCKS | TOP);

        let [(w0, _), (w1, _), (w2, h2), (w3, h3)] = core::array::from_fn(|i| f.level(i));
        let map = |lines: usize, width: usize| lines * width * c * 4;
        let rows = |lines: usize, width: usize, role, layer| {
            Ok::<_, Error>(rows_bytes(lines * width, f.channels, int8(role, layer)?))
        };
        let pooled = f.pool_scales[..f.pools].iter().max().map_or(0, |s| s * s);
        let mut branches = 0;
        for i in 0..f.pools {
            branches = branches.max(rows(1, pooled, Role::Pool, i)?).max(rows(1, pooled, Role::TopPool, i)?);
        }
        self.set(Buf::Map3, map(h3, w3), TOP);
        self.set(Buf::Map3Rows, rows(h3, w3 + 2, Role::Top, 0)?, TOP);
        self.set(Buf::PoolIn, map(1, pooled), TOP);
        self.set(Buf::PoolRows, branches, TOP);
        self.set(Buf::PoolOut, map(1, pooled), TOP);
        self.set(Buf::PoolTaps, 9 * map(1, pooled), TOP);
        self.set(Buf::Top, map(h3, w3), TOP);
        self.set(Buf::TopRows, rows(h3, w3, Role::Fuse, 3)?, HEAD);
        self.set(Buf::Lateral2, map(h2, w2), HEAD);
        self.set(Buf::Fpn2, map(fpn2_lines(h2), w2), LEVEL2);
        self.set(Buf::Fpn2Rows, rows(h2, w2, Role::Fuse, 2)?, LEVEL2 | BANDS);
        let together = pooled.max(w1 + w2 + w3);
        self.set(Buf::UpsampleScratch, w * interpolate::scratch(together, c, w0) * 4, TOP | BANDS);

        self.set(Buf::Lateral1, map(ring::LATERAL1, w1), BANDS);
        self.set(Buf::Fpn1Rows, rows(ring::FPN1, w1, Role::Fuse, 1)?, BANDS);
        for (buf, pixels, level) in [
            (Buf::Product1, ring::PRODUCT1 * w1, 1),
            (Buf::Product2, ring::PRODUCT2 * w2, 2),
            (Buf::Product3, ring::PRODUCT3 * w3, 3),
        ] {
            self.set(buf, products_bytes(&model.linear(Role::Fuse, level)?, pixels, c), BANDS);
        }
        let mut passing = rows(2, w1, Role::Up0b, 0)?.max(rows(4, w0, Role::Classify, 0)?);
        self.set(Buf::Lines, map(ring::LINES, w0), BANDS);
        // What the 3x3 convolutions read: lines in memory, the most that are made at once.
        let mut winograd_scratch = 0;
        for (buf, lines, together, width, role, level) in [
            (Buf::Lateral2Rows, h2, fpn2_lines(h2), w2, Role::Fpn, 2),
            (Buf::Lateral1Rows, ring::LATERAL1, ring::LINES, w1, Role::Fpn, 1),
            (Buf::Lateral0Rows, ring::LATERAL0, ring::LINES, w0, Role::Fpn, 0),
            (Buf::Fpn0Rows, ring::FPN0, ring::LINES, w0, Role::Fuse, 0),
        ] {
            let weights = model.linear(role, level)?;
            let phase = if level == 2 { LEVEL2 } else { BANDS };
            self.set(buf, lines_bytes(&weights, lines, width, f.channels), phase);
            if let Some(tile) = weights.winograd_tile() {
                let tiles = width / tile * winograd::strips(width / tile, together / tile);
                passing = passing.max(rows_bytes(tiles * winograd_taps(tile), f.channels, true));
                winograd_scratch = winograd_scratch.max(w * winograd::scratch(tile, c) * 4);
            }
        }
        self.set(Buf::WinogradScratch, winograd_scratch, LEVEL2 | BANDS);
        self.set(Buf::PassingRows, passing, LEVEL2 | BANDS);
        let line = w0 * padded(f.classes) * 4;
        self.set(Buf::Logits, ring::LOGITS * line, BANDS);
        self.set(Buf::MapScratch, w * line, BANDS);
        Ok(())
    }

    /// Largest first, each at the lowest offset free of every placed buffer that shares a phase with it.
    fn place(&mut self) {
        let mut placed = [false; BUFS];
        for _ in 0..BUFS {
            let Some(next) = (0..BUFS).filter(|&i| !placed[i]).max_by_key(|&i| self.regions[i].bytes) else {
                return;
            };
            let region = self.regions[next];
            let mut offset = 0usize;
            // Each pass moves behind one more obstacle; when a pass finds none, the place is free.
            while let Some(end) = (0..BUFS)
                .filter(|&i| {
                    placed[i] && self.regions[i].phases & region.phases != 0 && self.regions[i].bytes > 0
                })
                .map(|i| {
                    (self.regions[i].offset, self.regions[i].offset.saturating_add(self.regions[i].bytes))
                })
                .filter(|&(start, end)| start < offset.saturating_add(region.bytes) && offset < end)
                .map(|(_, end)| end)
                .min()
            {
                offset = end;
            }
            self.regions[next].offset = offset;
            placed[next] = true;
            self.bytes = self.bytes.max(offset.saturating_add(region.bytes));
        }
    }
}

/// Attention's sizes.
pub(crate) fn dims(f: &Facts) -> Dims {
    Dims {
        grid_width: f.grid_width,
        grid_height: f.grid_height,
        head: f.head_dim(),
        head_padded: f.head_padded(),
        out_pitch: padded(f.channels),
    }
}
