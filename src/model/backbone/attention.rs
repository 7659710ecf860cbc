//! The first half of a block: x += λ1 ∘ Wo · attention(LN(x)), head by head.

use super::{Call, Context};
use crate::activations::{RowsMut, typed};
use crate::error::Error;
use crate::format::Role;
use crate::kernels::attention::Head;
use crate::kernels::gemm::Segment;
use crate::observe::Stage;
use crate::plan::{Buf, dims};

/// Runs it on [`Buf::Stream`].
pub(crate) fn run(cx: &mut Context, arena: &mut [u8], block: usize) -> Result<(), Error> {
    let f = cx.facts;
    let (tokens, c, dims) = (f.tokens(), cx.pitch(), dims(&f));
    let bufs =
        [Buf::Stream, Buf::Normed, Buf::Qkv, Buf::Packed, Buf::AttendScratch, Buf::Mixed, Buf::NormScratch];
    let [stream, normed, qkv, packed, scratch, mixed, norm_scratch] = cx.buffers(arena, bufs)?;
    let x = typed::<f32>(stream, tokens * c);
    let mixed = typed::<f32>(mixed, tokens * c);
    let qkv = typed::<f32>(qkv, tokens * dims.qkv());
    let scratch: &mut [f32] = bytemuck::cast_slice_mut(scratch);
    let scratch = &mut scratch[..cx.par.workers() * dims.scratch()];
    let weights = cx.linear(Role::Qkv, block)?;

    let mut rows = RowsMut::new(normed, tokens, f.channels, weights.is_int8());
    rows.store_normed(cx.par, cx.isa, x, f.channels, f.eps, bytemuck::cast_slice_mut(norm_scratch));
    cx.done(Stage::Norm)?;

    mixed.fill(0.0);
    let table = cx.model.bias(block)?;
    let entries = table.map_or(0, |t| t.len() / f.heads);
    for head in 0..f.heads {
        cx.product(Call::new(&weights, rows.rows()).tap(head), &[Segment::line(0, 0)], tokens, qkv);
        cx.done(Stage::Qkv)?;
        let bias = table.map(|t| &t[head * entries..][..entries]);
        Head { isa: cx.isa, par: cx.par, dims, qkv, bias }.run(
            weights.is_int8(),
            packed,
            scratch,
            &mut mixed[head * f.head_dim()..],
        );
        cx.macs += (2 * tokens * tokens * f.head_dim()) as u64;
        cx.done(Stage::Attend)?;
    }

    let weights = cx.linear(Role::Proj, block)?;
    let mut rows = RowsMut::new(normed, tokens, f.channels, weights.is_int8());
    cx.store(&mut rows, 0, mixed);
    cx.product(Call::new(&weights, rows.rows()).add(), &[Segment::line(0, 0)], tokens, x);
    cx.done(Stage::Proj)
}
