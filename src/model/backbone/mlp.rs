//! The second half of a transformer block: x += λ2 ∘ W2 · f(W1 · LayerNorm(x)) on some tokens of the residual stream, where f is
//! GELU in almost all models.

use super::scratch::Scratch;
use crate::error::Error;
use crate::file::format::{MlpActivation, Role};
use crate::file::{Facts, Linear};
use crate::model::context::Context;
use crate::observe::Stage;
use crate::ops::gemm::{Gemm, Segments};
use crate::ops::rows::{RowsShape, typed};
use crate::simd::kernels::epilogue::Activation;
use crate::simd::lanes::LANES;

/// The layers of the MLP of a block.
pub(super) struct Mlp<'a> {
    pub fc1: Linear<'a>,
    pub fc2: Linear<'a>,
}

/// The activation function of the hidden layer.
fn activation(f: &Facts) -> Activation {
    match f.activation {
        MlpActivation::Gelu => Activation::Gelu,
        MlpActivation::GeluTanh => Activation::GeluTanh,
        MlpActivation::Relu => Activation::Relu,
    }
}

impl<'a> Mlp<'a> {
    pub fn of(cx: &Context<'a>, block: usize) -> Result<Self, Error> {
        Ok(Mlp { fc1: cx.linear(Role::Fc1, block)?, fc2: cx.linear(Role::Fc2, block)? })
    }

    /// Adds the MLP to `tokens` tokens of the stream.
    pub fn run(&self, cx: &mut Context, x: &mut [f32], tokens: usize, s: &mut Scratch) -> Result<(), Error> {
        let f = cx.facts;
        let mut rows = RowsShape::of(tokens, self.fc1.shape()).over(s.rows);
        cx.store_normed(&mut rows, x, tokens, s.token);
        cx.done(Stage::Norm)?;
        let hidden = typed::<f32>(s.hidden, tokens * self.fc1.panel_count() * LANES);
        let gemm = Gemm::new(&self.fc1, rows.rows()).activation(activation(&f));
        cx.gemm(gemm, Segments::rows(0, 0), tokens, hidden);
        let mut rows = RowsShape::of(tokens, self.fc2.shape()).over(s.hidden_rows);
        rows.store(cx.workers, cx.isa, 0, hidden, f.hidden);
        cx.done(Stage::Fc1)?;
        cx.gemm(Gemm::new(&self.fc2, rows.rows()).accumulate(), Segments::rows(0, 0), tokens, x);
        cx.done(Stage::Fc2)
    }
}
