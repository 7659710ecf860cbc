//! The fine half of the head in bands of rows: the features and the coarse maps in, rows of logits out. No map at full resolution
//! ever exists as a whole.
//!
//! Band r corresponds to row r of the patch grid and computes rows 4r to 4r + 3 of the logits:
//!
//! ```text
//! feature 1 -> lateral 1 (+ lateral 2 up) -> fpn 1 -> nine products --.
//! feature 0 -> deconvolution -> lateral 0 (+ lateral 1 up) -> fpn 0 --+-> fpn bottleneck -> classifier -> logits
//!                                   level 2, level 3 -> products -----'
//! ```
//!
//! A 3x3 convolution reads one row ahead (its halo), and so does an interpolation. Each stage therefore runs a little ahead of
//! the next one, and ring buffers keep the rows in between ([`rings`](super::rings)). Rows count from 0, and all ranges below
//! include their last row. Chunk r is computed from row r of the patch grid: rows 2r and 2r + 1 of lateral 1, rows 4r to 4r + 3
//! of lateral 0. Band r needs:
//!
//! - fpn 0 up to row 4r + 4, for rows 4r to 4r + 3 of the bottleneck. It is computed in pairs of rows (Winograd tiles of 2x2),
//!   so up to row 4r + 5.
//! - lateral 0 up to row 4r + 6, for fpn 0: chunk r + 1.
//! - lateral 1 up to row 2r + 4, for lateral 0: chunk r + 2.
//! - the products of level 1 up to row 2r + 2, which need the same rows of fpn 1. It is computed in pairs up to row 2r + 3 and
//!   reads lateral 1 up to row 2r + 4.
//!
//! Winograd tiles of 4x4 would compute fpn 0 up to row 4r + 7. They are shifted up by three rows instead: the first strip begins
//! three rows above the map, and each band computes rows 4r + 1 to 4r + 4. The tiles of fpn 1 are shifted in the same way, and
//! only every second band computes a strip of it: an even band r computes rows 2r + 1 to 2r + 4, which read lateral 1 up to row
//! 2r + 5, the end of chunk r + 2.

use super::bands::Bands;
use super::sink::LogitsSink;
use crate::error::Error;
use crate::model::context::Context;
use crate::observe::Stage;

/// From the features and the coarse maps to rows of logits.
pub(super) fn run(cx: &mut Context, arena: &mut [u8], sink: &mut dyn LogitsSink) -> Result<(), Error> {
    let mut bands = Bands::new(cx, arena)?;
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
        sink.rows(cx, 4 * r + 4, &mut bands.sink);
        cx.done(Stage::Map)?;
    }
    Ok(())
}
