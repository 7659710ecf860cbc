//! Attention of a block: q, k and v of all heads in, the output of each head in the place of its q.

use crate::arena::{Buf, phase};
use crate::error::Error;
use crate::file::format::Role;
use crate::model::context::{Context, Planner};
use crate::observe::Stage;
use crate::ops::attention::{AttentionShape, Head, PackedHead, packed_bytes};
use crate::ops::rows::typed;
use crate::parallel::chunks::{Shared, chunks2_with};

pub(crate) fn buffers(p: &mut Planner, block: usize) -> Result<(), Error> {
    let (heads, shape) = (p.facts.heads, AttentionShape::of(&p.facts));
    let int8 = p.linear_shape(Role::Qkv, block)?.int8;
    p.layout.need_f32(Buf::Qkv, heads * shape.qkv_len(), phase::ATTENTION | phase::TOKENS);
    p.layout.need(Buf::PackedQkv, heads * packed_bytes(&shape, int8), phase::ATTENTION);
    p.need_f32_per_worker(Buf::AttentionScratch, shape.scratch(), phase::ATTENTION);
    Ok(())
}

/// Attention of all heads, in two steps: packing each head, then all queries.
pub(crate) fn run(cx: &mut Context, arena: &mut [u8], block: usize) -> Result<(), Error> {
    let f = cx.facts;
    let (isa, shape) = (cx.isa, AttentionShape::of(&f));
    let [qkv, packed, scratch] = cx.buffers(arena, [Buf::Qkv, Buf::PackedQkv, Buf::AttentionScratch])?;
    let (qkv_len, count) = (shape.qkv_len(), cx.workers.count());
    let qkv = typed::<f32>(qkv, f.heads * qkv_len);
    let scratch = typed::<f32>(scratch, count * shape.scratch());
    let int8 = cx.linear(Role::Qkv, block)?.is_int8();
    let head_bytes = packed_bytes(&shape, int8);
    let packed = &mut packed[..f.heads * head_bytes];
    let table = cx.model.relative_bias(block)?;
    let entries = table.map_or(0, |t| t.len() / f.heads);
    let bias = |head: usize| table.map(|t| &t[head * entries..][..entries]);

    chunks2_with(
        cx.workers,
        (&mut *packed, head_bytes),
        (&mut *qkv, qkv_len),
        scratch,
        |head, packed, qkv, scratch| {
            Head { isa, shape, qkv, bias: bias(head) }.pack(int8, packed, scratch);
        },
    );
    let (packed, out, scratch) = (&*packed, Shared::new(qkv), Shared::new(scratch));
    let tasks = PackedHead::tasks(&shape);
    cx.workers.run(f.heads * tasks, &|task, worker| {
        let head = task / tasks;
        let packed = &packed[head * head_bytes..][..head_bytes];
        let out = out.part(head * qkv_len, qkv_len);
        // SAFETY: `Workers::run` never runs two calls with the same worker id at a time, and the scratch of different workers is
        // disjoint. It runs every task of a head once; heads are disjoint.
        unsafe {
            let scratch = scratch.worker_slice(worker, count);
            PackedHead { isa, shape, bias: bias(head), packed, int8 }.run(task % tasks, scratch, &out);
        }
    });
    // q · kᵀ and the product of the probabilities with v.
    let [heads, tokens, head_dim] = [f.heads, f.tokens(), f.head_dim()].map(|n| n as u64);
    cx.macs += 2 * heads * tokens * tokens * head_dim;
    cx.done(Stage::Attend)
}
