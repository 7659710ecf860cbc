//! The first half of a transformer block: x += λ1 ∘ Wo · attention(LayerNorm(x)) on the residual stream. Heads run one after the
//! other, so that q, k and v exist for one head at a time.

use crate::arena::{Buf, phase};
use crate::error::Error;
use crate::file::Model;
use crate::file::format::Role;
use crate::model::context::{Context, Planner};
use crate::observe::Stage;
use crate::ops::attention::{AttentionShape, Head};
use crate::ops::gemm::{Gemm, Segment};
use crate::ops::rows::{RowsShape, typed};

/// The tokens as rows: for q, k and v, and for the output projection.
fn token_rows(model: &Model, block: usize) -> Result<[RowsShape; 2], Error> {
    let tokens = model.facts().tokens();
    let (qkv, proj) = (model.linear_shape(Role::Qkv, block)?, model.linear_shape(Role::Proj, block)?);
    Ok([RowsShape::of(tokens, qkv), RowsShape::of(tokens, proj)])
}

pub(crate) fn buffers(p: &mut Planner, block: usize) -> Result<(), Error> {
    let (tokens, c, shape) = (p.facts.tokens(), p.pitch(), AttentionShape::of(&p.facts));
    for rows in token_rows(p.model, block)? {
        p.layout.need(Buf::Normed, rows.bytes(), phase::ATTENTION);
    }
    let int8 = p.linear_shape(Role::Qkv, block)?.int8;
    p.layout.need_f32(Buf::Qkv, tokens * shape.qkv(), phase::ATTENTION);
    p.layout.need(Buf::PackedQkv, shape.packed_bytes(int8), phase::ATTENTION);
    p.layout.need_f32(Buf::AttentionOutput, tokens * c, phase::ATTENTION);
    p.need_f32_per_worker(Buf::AttentionScratch, shape.scratch(), phase::ATTENTION);
    p.need_f32_per_worker(Buf::NormScratch, c, phase::ATTENTION);
    Ok(())
}

/// Adds attention to [`Buf::Stream`].
pub(crate) fn run(cx: &mut Context, arena: &mut [u8], block: usize) -> Result<(), Error> {
    let f = cx.facts;
    let (tokens, c, shape) = (f.tokens(), cx.pitch(), AttentionShape::of(&f));
    let [stream, normed, qkv, packed, scratch, output, norm_scratch] = cx.buffers(
        arena,
        [
            Buf::Stream,
            Buf::Normed,
            Buf::Qkv,
            Buf::PackedQkv,
            Buf::AttentionScratch,
            Buf::AttentionOutput,
            Buf::NormScratch,
        ],
    )?;
    let x = typed::<f32>(stream, tokens * c);
    let output = typed::<f32>(output, tokens * c);
    let qkv = typed::<f32>(qkv, tokens * shape.qkv());
    let scratch = typed::<f32>(scratch, cx.workers.count() * shape.scratch());
    let [qkv_rows, proj_rows] = token_rows(cx.model, block)?;

    let weights = cx.linear(Role::Qkv, block)?;
    let mut rows = qkv_rows.over(normed);
    rows.store_normed(cx.workers, cx.isa, x, f.channels, f.eps, bytemuck::cast_slice_mut(norm_scratch));
    cx.done(Stage::Norm)?;

    output.fill(0.0);
    let bias_table = cx.model.relative_bias(block)?;
    let entries = bias_table.map_or(0, |t| t.len() / f.heads);
    for head in 0..f.heads {
        cx.gemm(Gemm::new(&weights, rows.rows()).matrix(head), &[Segment::rows(0, 0)], tokens, qkv);
        cx.done(Stage::Qkv)?;
        let bias = bias_table.map(|t| &t[head * entries..][..entries]);
        let columns = &mut output[head * f.head_dim()..];
        Head { isa: cx.isa, workers: cx.workers, shape, qkv, bias }.run(
            weights.is_int8(),
            packed,
            scratch,
            columns,
        );
        // q · kᵀ and the product of the probabilities with v.
        cx.macs += (2 * tokens * tokens * f.head_dim()) as u64;
        cx.done(Stage::Attend)?;
    }

    let weights = cx.linear(Role::Proj, block)?;
    let mut rows = proj_rows.over(normed);
    cx.store(&mut rows, 0, output);
    cx.gemm(Gemm::new(&weights, rows.rows()).accumulate(), &[Segment::rows(0, 0)], tokens, x);
    cx.done(Stage::Proj)
}
