//! The second half of a block: x += λ2 ∘ W2 · GELU(W1 · LN(x)), for a block of tokens at a time.

use super::{Call, Context};
use crate::activations::{RowsMut, typed};
use crate::error::Error;
use crate::format::{Role, padded};
use crate::kernels::epilogue::Activation;
use crate::kernels::gemm::Segment;
use crate::observe::Stage;
use crate::plan::{Buf, MLP_TOKENS};

/// Runs it on [`Buf::Stream`].
pub(crate) fn run(cx: &mut Context, arena: &mut [u8], block: usize) -> Result<(), Error> {
    let f = cx.facts;
    let (c, hidden_pitch) = (cx.pitch(), padded(f.hidden));
    let bufs = [Buf::Stream, Buf::MlpIn, Buf::Hidden, Buf::HiddenRows, Buf::NormScratch];
    let [stream, normed, hidden, hidden_rows, scratch] = cx.buffers(arena, bufs)?;
    let scratch: &mut [f32] = bytemuck::cast_slice_mut(scratch);
    let (fc1, fc2) = (cx.linear(Role::Fc1, block)?, cx.linear(Role::Fc2, block)?);
    for x in typed::<f32>(stream, f.tokens() * c).chunks_mut(MLP_TOKENS * c) {
        let tokens = x.len() / c;
        let mut rows = RowsMut::new(normed, tokens, f.channels, fc1.is_int8());
        rows.store_normed(cx.par, cx.isa, x, f.channels, f.eps, scratch);
        cx.done(Stage::Norm)?;
        let hidden = typed::<f32>(hidden, tokens * hidden_pitch);
        let call = Call::new(&fc1, rows.rows()).activation(Activation::Gelu);
        cx.product(call, &[Segment::line(0, 0)], tokens, hidden);
        let mut rows = RowsMut::new(hidden_rows, tokens, f.hidden, fc2.is_int8());
        rows.store(cx.par, cx.isa, 0, hidden, f.hidden);
        cx.done(Stage::Fc1)?;
        cx.product(Call::new(&fc2, rows.rows()).add(), &[Segment::line(0, 0)], tokens, x);
        cx.done(Stage::Fc2)?;
    }
    Ok(())
}
