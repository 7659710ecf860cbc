//! The end of a model without neck and head: the residual stream after the last block in; the normalised tokens, the features of the
//! picture and the logits of its classes out.
//!
//! The features are either the class token, or the mean of the patches after a LayerNorm ([`Pooling`]). Source: transformers,
//! `BeitModel` (`last_hidden_state`, `pooler_output`) and `BeitForImageClassification`.

use super::context::{Context, Planner};
use crate::arena::{Buf, phase};
use crate::error::Error;
use crate::file::format::{Pooling, Role, Task, padded};
use crate::file::{Facts, Model};
use crate::observe::Stage;
use crate::ops::gemm::{Gemm, Segments};
use crate::ops::rows::{RowsShape, typed};
use crate::output::Output;

/// The features of the picture as a row for the classifier.
fn features_row(model: &Model) -> Result<RowsShape, Error> {
    Ok(RowsShape::of(1, model.linear_shape(Role::Classifier, 0)?))
}

pub(super) fn buffers(p: &mut Planner) -> Result<(), Error> {
    let c = p.pitch();
    for buf in [Buf::PictureFeatures, Buf::PooledToken] {
        p.layout.need_f32(buf, c, phase::COARSE);
    }
    if p.facts.task == Task::Classification {
        p.layout.need(Buf::PictureFeaturesRow, features_row(p.model)?.bytes(), phase::COARSE);
        p.layout.need_f32(Buf::PictureLogits, padded(p.facts.classes), phase::COARSE);
    }
    Ok(())
}

/// From [`Buf::Stream`] to what `output` asks for.
pub(super) fn run(cx: &mut Context, arena: &mut [u8], output: &mut Output) -> Result<(), Error> {
    let f = cx.facts;
    let c = cx.pitch();
    let [stream, features, token] =
        cx.buffers(arena, [Buf::Stream, Buf::PictureFeatures, Buf::PooledToken])?;
    let x = &*typed::<f32>(stream, f.tokens() * c);
    let [features, token] = [features, token].map(|buf| typed::<f32>(buf, c));

    if let Some(out) = &mut output.tokens {
        // The class token is the last one here and the first one in transformers.
        let (patches, class) = x.split_at(f.patches() * c);
        for (x, out) in class.chunks(c).chain(patches.chunks(c)).zip(out.chunks_mut(f.channels)) {
            normalise_token(cx, x, features)?;
            out.copy_from_slice(&features[..f.channels]);
        }
    }
    match f.pooling {
        Pooling::ClassToken => normalise_token(cx, &x[f.patches() * c..], features)?,
        Pooling::Mean => {
            mean(&f, x, token);
            layer_norm(cx, Role::PoolNorm, token, features)?;
        }
    }
    if let Some(out) = &mut output.features {
        out[..f.channels].copy_from_slice(&features[..f.channels]);
    }
    cx.done(Stage::Features)?;
    if let Some(out) = &mut output.logits {
        classify(cx, arena, out)?;
    }
    Ok(())
}

/// The mean of the patches.
fn mean(f: &Facts, x: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for patch in x.chunks(out.len()).take(f.patches()) {
        out.iter_mut().zip(patch).for_each(|(sum, x)| *sum += x);
    }
    let count = f.patches() as f32;
    out.iter_mut().for_each(|x| *x /= count);
}

/// A token after the final LayerNorm, if the model has one for tokens.
fn normalise_token(cx: &Context, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
    if cx.facts.token_norm {
        return layer_norm(cx, Role::TokenNorm, x, out);
    }
    out.copy_from_slice(x);
    Ok(())
}

/// LayerNorm with the gain and bias of a tensor.
fn layer_norm(cx: &Context, role: Role, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
    let f = &cx.facts;
    let (gain, bias) = cx.model.plain(role, 0)?.split_at(f.channels);
    cx.isa.layer_norm(x, f.channels, f.eps, out);
    for ((y, gain), bias) in out.iter_mut().zip(gain).zip(bias) {
        *y = *y * gain + bias;
    }
    Ok(())
}

/// The logits of [`Buf::PictureFeatures`].
fn classify(cx: &mut Context, arena: &mut [u8], out: &mut [f32]) -> Result<(), Error> {
    let bufs = [Buf::PictureFeatures, Buf::PictureFeaturesRow, Buf::PictureLogits];
    let [features, row, logits] = cx.buffers(arena, bufs)?;
    let weights = cx.linear(Role::Classifier, 0)?;
    let mut row = features_row(cx.model)?.over(row);
    cx.store(&mut row, 0, typed(features, cx.pitch()));
    let (classes, logits) = (cx.facts.classes, typed::<f32>(logits, padded(cx.facts.classes)));
    cx.gemm(Gemm::new(&weights, row.rows()), Segments::rows(0, 0), 1, logits);
    out[..classes].copy_from_slice(&logits[..classes]);
    cx.done(Stage::Classify)
}
