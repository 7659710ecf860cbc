//! Pixels to tokens: every patch's bytes, minus 128, times one matrix; positions; the class token behind them.

use super::{Call, Context};
use crate::activations::{RowsMut, typed};
use crate::error::Error;
use crate::format::Role;
use crate::kernels::gemm::Segment;
use crate::kernels::split::{chunks, chunks2};
use crate::observe::{Stage, TensorName};
use crate::plan::Buf;
use crate::weights::Facts;

/// Runs the embedding: [`Buf::Pixels`] to [`Buf::Stream`], `[tokens][channels]`.
pub(crate) fn run(cx: &mut Context, arena: &mut [u8]) -> Result<(), Error> {
    let f = cx.facts;
    let (c, patches) = (cx.pitch(), f.patches());
    let [pixels, patch_rows, stream] = cx.buffers(arena, [Buf::Pixels, Buf::Patches, Buf::Stream])?;
    let weights = cx.linear(Role::Embed, 0)?;
    let mut rows = RowsMut::new(patch_rows, patches, weights.k, weights.is_int8());
    match &mut rows {
        RowsMut::Bytes { data, pitch, params } => {
            let flip = cx.isa.flip();
            chunks2(cx.par, (data, *pitch), (params, 1), |patch, row, param| {
                for (line, row) in patch_lines(&f, pixels, patch).zip(row.chunks_mut(3 * f.patch)) {
                    row.iter_mut().zip(line).for_each(|(q, p)| *q = p ^ flip);
                }
                param[0] = [1.0, 0.0];
            });
        }
        RowsMut::F32 { data, pitch } => {
            chunks(cx.par, data, *pitch, |patch, row| {
                row.fill(0.0);
                for (line, row) in patch_lines(&f, pixels, patch).zip(row.chunks_mut(3 * f.patch)) {
                    row.iter_mut().zip(line).for_each(|(x, &p)| *x = f32::from(p) - 128.0);
                }
            });
        }
    }
    let x = typed::<f32>(stream, f.tokens() * c);
    cx.product(Call::new(&weights, rows.rows()), &[Segment::line(0, 0)], patches, &mut x[..patches * c]);
    if f.absolute {
        let positions = cx.model.plain(Role::Positions, 0)?;
        for (x, p) in x.chunks_mut(c).zip(positions.chunks(f.channels)) {
            x.iter_mut().zip(p).for_each(|(x, p)| *x += p);
        }
    }
    let class = &mut x[patches * c..];
    class.fill(0.0);
    class[..f.channels].copy_from_slice(cx.model.plain(Role::ClassToken, 0)?);
    cx.show(TensorName::Stream(0), x);
    cx.done(Stage::Embed)
}

/// The bytes of a patch in the weights' order: line by line, R G B of each pixel.
fn patch_lines<'a>(f: &Facts, pixels: &'a [u8], patch: usize) -> impl Iterator<Item = &'a [u8]> {
    let (side, width) = (f.patch, f.width);
    let (x, y) = (patch % f.grid_width * side, patch / f.grid_width * side);
    (0..side).map(move |line| &pixels[((y + line) * width + x) * 3..][..side * 3])
}
