//! The fine levels and the fusion, in bands: nothing at full resolution is ever whole.
//!
//! Band r computes rows 4r .. 4r + 4 of the logits, from one more row of patches of everything below:
//!
//! ```text
//! feature 1 -> lateral 1 (+ lateral 2 up) -> fpn 1 -> nine products --.
//! feature 0 -> deconvolution -> lateral 0 (+ lateral 1 up) -> fpn 0 --+-> fpn bottleneck -> classifier -> map
//!                                   level 2, level 3 -> products -----'
//! ```
//!
//! A 3x3 convolution reads one row ahead (its halo), and so does an interpolation; each stage therefore runs a little further
//! than the next one, and ring buffers keep the rows in between ([`rings`](super::rings)). Counting rows from 0, band r goes
//! as follows. The bottleneck's rows 4r .. 4r + 3 read fpn 0 up to row 4r + 4. Fpn 0 is computed in pairs of rows (Winograd
//! tiles of 2x2), so up to 4r + 5, which reads lateral 0 up to 4r + 6 (chunk r + 1), which reads lateral 1 up to 2r + 4 (chunk
//! r + 2). The products of level 1 are read up to row 2r + 2 of fpn 1, which is computed in pairs up to 2r + 3 and reads
//! lateral 1 up to 2r + 4.
//!
//! Winograd tiles of 4x4 would compute fpn 0 up to 4r + 7. They are shifted up by three rows instead, so that each band's tiles
//! are rows 4r + 1 .. 4r + 4. The same holds for fpn 1 in every second band: in an even band r its tiles are rows
//! 2r + 1 .. 2r + 4, which read lateral 1 up to 2r + 5, the end of chunk r + 2.

use super::bands::Bands;
use super::map::MapRows;
use crate::error::Error;
use crate::model::context::Context;
use crate::observe::Stage;
use crate::output::Output;

/// From the features and the coarse maps to the picture's classes.
pub(super) fn run(cx: &mut Context, arena: &mut [u8], output: &mut Output) -> Result<(), Error> {
    let mut bands = Bands::new(cx, arena)?;
    let mut map = MapRows::new(&cx.facts, output);
    let last = cx.facts.grid_height - 1;
    for r in 0..=last {
        while bands.done.lateral1_chunks <= (r + 2).min(last) {
            bands.lateral1(cx)?;
        }
        while bands.done.lateral0_chunks <= (r + 1).min(last) {
            bands.lateral0(cx)?;
        }
        bands.fpn0(cx, r)?;
        bands.products(cx, 4 * r + 4)?;
        bands.bottleneck(cx, r)?;
        map.copy_logits(4 * r..4 * r + 4, bands.logits, output);
        map.rows(cx.isa, cx.par, 4 * r + 4, bands.logits, bands.map_scratch, output);
        cx.done(Stage::Map)?;
    }
    Ok(())
}
