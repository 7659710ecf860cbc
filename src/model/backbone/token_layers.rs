//! Everything between the attention of one block and that of the next: the layers that treat each token by itself.
//!
//! In: the residual stream, and the output of attention. Out: the residual stream after the block, the features that are taken
//! there, and q, k and v of the next block.
//!
//! All of this is one step. A task takes a chunk of tokens through all layers, so that no thread waits for another between them,
//! and a chunk is short enough for its activations to stay in a core's second-level cache. Every task reads all weights of the
//! block; as all threads read the same ones at about the same time, that costs little.

use super::features::Features;
use super::mlp::Mlp;
use super::scratch::Scratch;
use crate::arena::{Buf, phase};
use crate::error::Error;
use crate::file::Linear;
use crate::file::format::{ALIGN, Role, padded};
use crate::model::context::{Context, Planner};
use crate::observe::{Stage, TensorName};
use crate::ops::attention::AttentionShape;
use crate::ops::gemm::{Gemm, Segments};
use crate::ops::rows::{RowsShape, typed};
use crate::parallel::chunks::{Shared, chunk_range};
use core::ops::Range;

/// The most tokens in a chunk.
pub(crate) const MAX_TOKENS: usize = 64;
/// The fewest tokens in a chunk, if there are enough: each task reads all weights.
const MIN_TOKENS: usize = 16;
/// The number of chunks for each worker to aim for, so that all workers end at about the same time.
const CHUNKS_PER_WORKER: usize = 8;

pub(crate) fn buffers(p: &mut Planner) -> Result<(), Error> {
    let per_worker =
        |p: &mut Planner, buf, bytes: usize| p.layout.need(buf, p.workers * bytes, phase::TOKENS);
    p.need_f32_per_worker(Buf::Token, p.pitch(), phase::TOKENS);
    for block in 0..p.facts.blocks {
        for role in [Role::Qkv, Role::Proj, Role::Fc1] {
            let rows = RowsShape::of(MAX_TOKENS, p.linear_shape(role, block)?);
            per_worker(p, Buf::TokenRows, rows.bytes());
        }
        let hidden = MAX_TOKENS * padded(p.linear_shape(Role::Fc1, block)?.n);
        per_worker(p, Buf::Hidden, hidden * size_of::<f32>());
        let rows = RowsShape::of(MAX_TOKENS, p.linear_shape(Role::Fc2, block)?);
        per_worker(p, Buf::HiddenRows, rows.bytes());
    }
    Ok(())
}

/// The layers of one step.
struct TokenLayers<'a> {
    /// Output projection and MLP of the block whose attention has run.
    block: Option<(Linear<'a>, Mlp<'a>)>,
    /// q, k and v of the next block.
    qkv: Option<Linear<'a>>,
    shape: AttentionShape,
}

/// The buffers of all tokens.
struct Tokens<'a> {
    /// The residual stream, `[tokens][C]`.
    stream: Shared<'a, f32>,
    /// `[head][tokens][q, k, v]`
    qkv: Shared<'a, f32>,
    features: Features<'a>,
}

/// Runs the layers after the attention of the first `blocks` blocks, down to q, k and v of the next one.
pub(crate) fn run(cx: &mut Context, arena: &mut [u8], blocks: usize) -> Result<(), Error> {
    let f = cx.facts;
    let (tokens, c, count) = (f.tokens(), cx.pitch(), cx.workers.count());
    let layers = TokenLayers::of(cx, blocks)?;
    let bufs = [
        Buf::Stream,
        Buf::Qkv,
        Buf::TokenRows,
        Buf::Hidden,
        Buf::HiddenRows,
        Buf::Token,
        Buf::Feature0,
        Buf::Feature1,
        Buf::Feature2,
    ];
    let [stream, qkv, rows, hidden, hidden_rows, token, features @ ..] = cx.buffers(arena, bufs)?;
    let mut features = features;
    let stream = typed::<f32>(stream, tokens * c);
    {
        let all = Tokens {
            stream: Shared::new(stream),
            qkv: Shared::new(bytemuck::cast_slice_mut(qkv)),
            features: Features::new(cx.model, blocks, &mut features)?,
        };
        if cx.runs_layer_by_layer() {
            // The workers share each layer, and the scratch of all of them serves one chunk.
            let mut s = Scratch { rows, hidden, hidden_rows, token: bytemuck::cast_slice_mut(token) };
            for first in (0..tokens).step_by(MAX_TOKENS * count) {
                let chunk = first..(first + MAX_TOKENS * count).min(tokens);
                // SAFETY: one chunk after another.
                unsafe { layers.run(cx, chunk, &all, &mut s)? };
            }
        } else {
            let [rows, hidden, hidden_rows] = [rows, hidden, hidden_rows].map(Shared::new);
            let token = Shared::new(typed::<f32>(token, count * c));
            let unit = cx.isa.shape_i8().rows;
            let (units, chunks) = chunk_counts(tokens, unit, count);
            cx.run_serial_tasks(chunks, &|cx, chunk, worker| {
                let units = chunk_range(units, chunks, chunk);
                // SAFETY: `run_serial_tasks` never runs two calls with the same worker id at a time, and the scratch of
                // different workers is disjoint. Chunks are disjoint.
                unsafe {
                    let mut s = Scratch {
                        rows: aligned_worker_slice(&rows, worker, count),
                        hidden: aligned_worker_slice(&hidden, worker, count),
                        hidden_rows: aligned_worker_slice(&hidden_rows, worker, count),
                        token: token.worker_slice(worker, count),
                    };
                    layers.run(cx, units.start * unit..(units.end * unit).min(tokens), &all, &mut s)
                }
            })?;
            cx.macs += layers.macs(tokens);
            cx.done(Stage::Tokens)?;
        }
    }
    cx.show(TensorName::Stream(blocks), stream);
    Ok(())
}

/// As [`Shared::worker_slice`], aligned as the arena is.
///
/// # Safety
/// As long as the result lives, nothing else accesses these bytes.
#[allow(clippy::mut_from_ref)]
unsafe fn aligned_worker_slice<'s>(scratch: &'s Shared<u8>, worker: usize, count: usize) -> &'s mut [u8] {
    let len = scratch.len() / count / ALIGN * ALIGN;
    // SAFETY: the caller guarantees exclusive access.
    unsafe { scratch.slice(worker * len, len) }
}

/// Divides tokens into chunks. Returns the number of units of `unit` tokens, and the number of chunks.
fn chunk_counts(tokens: usize, unit: usize, workers: usize) -> (usize, usize) {
    let units = tokens.div_ceil(unit);
    let fewest = units.div_ceil(MAX_TOKENS / unit);
    let most = units.div_ceil(MIN_TOKENS.div_ceil(unit));
    let chunks = (CHUNKS_PER_WORKER * workers).clamp(fewest, most.max(fewest));
    (units, chunks.next_multiple_of(workers).min(units))
}

impl<'a> TokenLayers<'a> {
    fn of(cx: &Context<'a>, blocks: usize) -> Result<Self, Error> {
        let block = match blocks.checked_sub(1) {
            Some(block) => Some((cx.linear(Role::Proj, block)?, Mlp::of(cx, block)?)),
            None => None,
        };
        let qkv = if blocks < cx.facts.blocks { Some(cx.linear(Role::Qkv, blocks)?) } else { None };
        Ok(TokenLayers { block, qkv, shape: AttentionShape::of(&cx.facts) })
    }

    /// Multiply-accumulates for `tokens` tokens.
    fn macs(&self, tokens: usize) -> u64 {
        let of = |w: &Linear| w.macs(tokens * w.matrices);
        let block = self.block.as_ref().map_or(0, |(proj, mlp)| of(proj) + of(&mlp.fc1) + of(&mlp.fc2));
        block + self.qkv.as_ref().map_or(0, of)
    }

    /// Takes the tokens `chunk` through all layers.
    ///
    /// # Safety
    /// Nothing else accesses the tokens of the chunk in the buffers of `all`.
    unsafe fn run(
        &self,
        cx: &mut Context,
        chunk: Range<usize>,
        all: &Tokens,
        s: &mut Scratch,
    ) -> Result<(), Error> {
        let (c, tokens) = (cx.pitch(), chunk.len());
        // SAFETY: by this function's precondition.
        let x = unsafe { all.stream.slice(chunk.start * c, tokens * c) };
        if let Some((proj, mlp)) = &self.block {
            // SAFETY: by this function's precondition.
            unsafe { self.project(cx, proj, chunk.clone(), &all.qkv, x, s)? };
            mlp.run(cx, x, tokens, s)?;
        }
        // SAFETY: by this function's precondition.
        unsafe { all.features.store(cx, chunk.clone(), x)? };
        match &self.qkv {
            // SAFETY: by this function's precondition.
            Some(weights) => unsafe { self.qkv(cx, weights, chunk, x, &all.qkv, s) },
            None => Ok(()),
        }
    }

    /// Adds λ1 ∘ Wo · (output of attention) to the tokens `chunk` of the stream, which are `x`.
    ///
    /// # Safety
    /// Nothing else accesses these tokens of `qkv`.
    unsafe fn project(
        &self,
        cx: &mut Context,
        weights: &Linear,
        chunk: Range<usize>,
        qkv: &Shared<f32>,
        x: &mut [f32],
        s: &mut Scratch,
    ) -> Result<(), Error> {
        let (f, tokens) = (cx.facts, chunk.len());
        let (head_dim, shape) = (f.head_dim(), &self.shape);
        let mut rows = RowsShape::of(tokens, weights.shape()).over(s.rows);
        rows.store_from(cx.workers, cx.isa, (tokens, f.channels), s.token, |i, out| {
            for (head, out) in out[..f.channels].chunks_mut(head_dim).enumerate() {
                let at = head * shape.qkv_len() + (chunk.start + i) * shape.qkv();
                // SAFETY: by this function's precondition, and each token is read by one task.
                out.copy_from_slice(unsafe { qkv.slice(at, head_dim) });
            }
            out[f.channels..].fill(0.0);
        });
        cx.gemm(Gemm::new(weights, rows.rows()).accumulate(), Segments::rows(0, 0), tokens, x);
        cx.done(Stage::Proj)
    }

    /// q, k and v of the tokens `chunk`, from the stream `x`.
    ///
    /// # Safety
    /// Nothing else accesses these tokens of `qkv`.
    unsafe fn qkv(
        &self,
        cx: &mut Context,
        weights: &Linear,
        chunk: Range<usize>,
        x: &[f32],
        qkv: &Shared<f32>,
        s: &mut Scratch,
    ) -> Result<(), Error> {
        let (heads, tokens, shape) = (cx.facts.heads, chunk.len(), &self.shape);
        let mut rows = RowsShape::of(tokens, weights.shape()).over(s.rows);
        cx.store_normed(&mut rows, x, tokens, s.token);
        cx.done(Stage::Norm)?;
        for head in 0..heads {
            let at = head * shape.qkv_len() + chunk.start * shape.qkv();
            // SAFETY: by this function's precondition.
            let out = unsafe { qkv.slice(at, tokens * shape.qkv()) };
            let gemm = Gemm::new(weights, rows.rows()).matrix(head);
            cx.gemm(gemm, Segments::rows(0, 0), tokens, out);
        }
        cx.done(Stage::Qkv)
    }
}
