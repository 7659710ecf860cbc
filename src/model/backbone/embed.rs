//! The patch embedding: pixels in, the residual stream out. The bytes of each patch, minus 128, are multiplied by one matrix;
//! absolute position embeddings are added if the model has them; the class token becomes the last token.

use crate::arena::{Buf, phase};
use crate::error::Error;
use crate::file::format::Role;
use crate::file::{Facts, Model};
use crate::model::context::{Context, Planner};
use crate::observe::Stage;
use crate::ops::gemm::{Gemm, Segments};
use crate::ops::rows::{RowsMut, RowsShape, typed};
use crate::parallel::chunks::{chunks, chunks2};

/// The patches as rows for the embedding, one row per patch.
fn patch_rows(model: &Model) -> Result<RowsShape, Error> {
    Ok(RowsShape::of(model.facts().patches(), model.linear_shape(Role::Embed, 0)?))
}

pub(crate) fn buffers(p: &mut Planner) -> Result<(), Error> {
    p.layout.need(Buf::Patches, patch_rows(p.model)?.bytes(), phase::EMBED);
    p.layout.need_f32(Buf::Stream, p.facts.tokens() * p.pitch(), phase::BACKBONE | phase::COARSE);
    Ok(())
}

/// From [`Buf::Pixels`] to [`Buf::Stream`].
pub(crate) fn run(cx: &mut Context, arena: &mut [u8]) -> Result<(), Error> {
    let f = cx.facts;
    let (c, patches) = (cx.pitch(), f.patches());
    let [pixels, rows, stream] = cx.buffers(arena, [Buf::Pixels, Buf::Patches, Buf::Stream])?;
    let mut rows = patch_rows(cx.model)?.over(rows);
    store_patches(cx, pixels, &mut rows);
    let weights = cx.linear(Role::Embed, 0)?;
    let x = typed::<f32>(stream, f.tokens() * c);
    cx.gemm(Gemm::new(&weights, rows.rows()), Segments::rows(0, 0), patches, &mut x[..patches * c]);
    if f.absolute {
        let positions = cx.model.plain(Role::Positions, 0)?;
        for (x, p) in x.chunks_mut(c).zip(positions.chunks(f.channels)) {
            x.iter_mut().zip(p).for_each(|(x, p)| *x += p);
        }
    }
    let class = &mut x[patches * c..];
    class.fill(0.0);
    class[..f.channels].copy_from_slice(cx.model.plain(Role::ClassToken, 0)?);
    cx.done(Stage::Embed)
}

/// Copies the pixels of each patch into its row. Bytes are not quantised again: q is the pixel itself, so with scale 1 and offset
/// 0 the value is q − 128.
fn store_patches(cx: &Context, pixels: &[u8], rows: &mut RowsMut) {
    let f = &cx.facts;
    match rows {
        RowsMut::Bytes { data, pitch, params } => {
            let sign_flip = cx.isa.sign_flip();
            chunks2(cx.workers, (data, *pitch), (params, 1), |patch, row, param| {
                for (from, row) in
                    patch_pixels(f, pixels, patch).zip(row.chunks_mut(f.picture_channels * f.patch))
                {
                    row.iter_mut().zip(from).for_each(|(q, p)| *q = p ^ sign_flip);
                }
                param[0] = [1.0, 0.0];
            });
        }
        RowsMut::F32 { data, pitch } => {
            chunks(cx.workers, data, *pitch, |patch, row| {
                row.fill(0.0);
                for (from, row) in
                    patch_pixels(f, pixels, patch).zip(row.chunks_mut(f.picture_channels * f.patch))
                {
                    row.iter_mut().zip(from).for_each(|(x, &p)| *x = f32::from(p) - 128.0);
                }
            });
        }
    }
}

/// The bytes of patch number `patch` in the order of the weights: row by row, all channels of each pixel.
fn patch_pixels<'a>(f: &Facts, pixels: &'a [u8], patch: usize) -> impl Iterator<Item = &'a [u8]> {
    let (side, width, channels) = (f.patch, f.width, f.picture_channels);
    let (x, y) = (patch % f.grid_width * side, patch / f.grid_width * side);
    (0..side).map(move |row| &pixels[((y + row) * width + x) * channels..][..side * channels])
}
