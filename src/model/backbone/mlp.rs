//! The second half of a transformer block: x += λ2 ∘ W2 · f(W1 · LayerNorm(x)) on the residual stream, where f is GELU in almost
//! all models. Tokens go through in
//! chunks, so that the hidden layer never exists for all of them.

use crate::arena::{Buf, phase};
use crate::error::Error;
use crate::file::format::{MlpActivation, Role, padded};
use crate::file::{Facts, Model};
use crate::model::context::{Context, Planner};
use crate::observe::Stage;
use crate::ops::gemm::{Gemm, Segment};
use crate::ops::rows::{RowsShape, typed};
use crate::simd::kernels::epilogue::Activation;

/// Tokens in a chunk.
pub(crate) const MLP_TOKENS: usize = 256;

/// The shapes of the buffers for a chunk of tokens.
struct Shapes {
    input: RowsShape,
    /// Values in the hidden layer.
    hidden: usize,
    hidden_rows: RowsShape,
}

#[inline(never)]
fn shapes(model: &Model, block: usize, tokens: usize) -> Result<Shapes, Error> {
    let (fc1, fc2) = (model.linear_shape(Role::Fc1, block)?, model.linear_shape(Role::Fc2, block)?);
    Ok(Shapes {
        input: RowsShape::of(tokens, fc1),
        hidden: tokens * padded(fc1.n),
        hidden_rows: RowsShape::of(tokens, fc2),
    })
}

/// The activation function of the hidden layer.
fn activation(f: &Facts) -> Activation {
    match f.activation {
        MlpActivation::Gelu => Activation::Gelu,
        MlpActivation::GeluTanh => Activation::GeluTanh,
        MlpActivation::Relu => Activation::Relu,
    }
}

pub(crate) fn buffers(p: &mut Planner, block: usize) -> Result<(), Error> {
    let s = shapes(p.model, block, MLP_TOKENS.min(p.facts.tokens()))?;
    p.layout.need(Buf::MlpInput, s.input.bytes(), phase::MLP);
    p.layout.need_f32(Buf::Hidden, s.hidden, phase::MLP);
    p.layout.need(Buf::HiddenRows, s.hidden_rows.bytes(), phase::MLP);
    p.need_f32_per_worker(Buf::NormScratch, p.pitch(), phase::MLP);
    Ok(())
}

/// Adds the MLP to [`Buf::Stream`].
pub(crate) fn run(cx: &mut Context, arena: &mut [u8], block: usize) -> Result<(), Error> {
    let f = cx.facts;
    let c = cx.pitch();
    let bufs = [Buf::Stream, Buf::MlpInput, Buf::Hidden, Buf::HiddenRows, Buf::NormScratch];
    let [stream, input, hidden, hidden_rows, norm_scratch] = cx.buffers(arena, bufs)?;
    let norm_scratch: &mut [f32] = bytemuck::cast_slice_mut(norm_scratch);
    let (fc1, fc2) = (cx.linear(Role::Fc1, block)?, cx.linear(Role::Fc2, block)?);
    for x in typed::<f32>(stream, f.tokens() * c).chunks_mut(MLP_TOKENS * c) {
        let tokens = x.len() / c;
        let s = shapes(cx.model, block, tokens)?;
        let mut rows = s.input.over(input);
        rows.store_normed(cx.workers, cx.isa, x, f.channels, f.eps, norm_scratch);
        cx.done(Stage::Norm)?;
        let hidden = typed::<f32>(hidden, s.hidden);
        let gemm = Gemm::new(&fc1, rows.rows()).activation(activation(&f));
        cx.gemm(gemm, &[Segment::rows(0, 0)], tokens, hidden);
        let mut rows = s.hidden_rows.over(hidden_rows);
        rows.store(cx.workers, cx.isa, 0, hidden, f.hidden);
        cx.done(Stage::Fc1)?;
        cx.gemm(Gemm::new(&fc2, rows.rows()).accumulate(), &[Segment::rows(0, 0)], tokens, x);
        cx.done(Stage::Fc2)?;
    }
    Ok(())
}
