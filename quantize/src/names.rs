//! The names checkpoints give to their tensors, and the one name each has here.
//!
//! Four schemes are in use: transformers before version 5, transformers 5, unilm (the original authors' code) and
//! mmsegmentation from 0.22 on. They share most parts, so one table serves all of them.

/// Who named the tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Transformers before version 5.
    Transformers4,
    /// Transformers 5, and 4.5x with its new attention names.
    Transformers5,
    /// The original authors' code.
    Unilm,
    /// Mmsegmentation's own BEiT, from 0.22 on.
    Mmseg,
}

/// What a tensor's original name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// The tensor with this canonical name.
    Tensor(String),
    /// Query, key and value of this block above one another.
    Fused(usize),
    /// Nothing that segmentation needs.
    Ignored,
    /// Not part of a BEiT segmentation model.
    Unknown,
}

/// Prefixes that wrappers put in front of the names, in any order and number.
const PREFIXES: [&str; 4] = ["module.", "model.", "backbone.", "beit."];

/// Tensors without any use here, by how the name begins once its prefixes are gone.
const IGNORED: [&str; 9] = [
    "auxiliary_head.",
    "mask_token",
    "embeddings.mask_token",
    "pooler.",
    "layernorm.",
    "norm.",
    "ln1.",
    "fc_norm.",
    "lm_head.",
];

/// Whole names outside of blocks and convolution modules.
const SINGLE: [(&str, &str); 11] = [
    ("cls_token", "cls_token"),
    ("embeddings.cls_token", "cls_token"),
    ("pos_embed", "position_embeddings"),
    ("embeddings.position_embeddings", "position_embeddings"),
    ("rel_pos_bias.relative_position_bias_table", "relative_position_bias_table"),
    ("relative_position_bias.relative_position_bias_table", "relative_position_bias_table"),
    ("encoder.relative_position_bias.relative_position_bias_table", "relative_position_bias_table"),
    ("shared_position_bias.relative_position_bias_table", "relative_position_bias_table"),
    ("encoder.shared_position_bias.relative_position_bias_table", "relative_position_bias_table"),
    ("layers.relative_position_bias.relative_position_bias_table", "relative_position_bias_table"),
    ("encoder.layer.relative_position_bias.relative_position_bias_table", "relative_position_bias_table"),
];

/// Names that have a weight and a bias.
const AFFINE: [(&str, &str); 17] = [
    ("patch_embed.proj", "patch"),
    ("patch_embed.projection", "patch"),
    ("embeddings.patch_embeddings.projection", "patch"),
    ("fpn1.0", "fpn1.deconv1"),
    ("fpn1.3", "fpn1.deconv2"),
    ("fpn2.0", "fpn2.deconv"),
    ("fpn.fpn1.conv_transpose1", "fpn1.deconv1"),
    ("fpn.fpn1.conv_transpose2", "fpn1.deconv2"),
    ("fpn.fpn2", "fpn2.deconv"),
    ("neck.upsample_4x.0", "fpn1.deconv1"),
    ("neck.upsample_4x.3", "fpn1.deconv2"),
    ("neck.upsample_2x.0", "fpn2.deconv"),
    ("decode_head.classifier", "classifier"),
    ("decode_head.conv_seg", "classifier"),
    ("fpn1.conv_transpose1", "fpn1.deconv1"),
    ("fpn1.conv_transpose2", "fpn1.deconv2"),
    ("fpn2", "fpn2.deconv"),
];

/// Batch norms outside of convolution modules.
const NORMS: [&str; 4] = ["fpn1.1", "fpn.fpn1.normalization", "neck.upsample_4x.1", "fpn1.normalization"];

/// Names inside a block that have a weight and a bias.
const BLOCK_AFFINE: [(&str, &str); 19] = [
    ("norm1", "norm1"),
    ("ln1", "norm1"),
    ("layernorm_before", "norm1"),
    ("norm2", "norm2"),
    ("ln2", "norm2"),
    ("layernorm_after", "norm2"),
    ("attention.attention.query", "q"),
    ("attention.q_proj", "q"),
    ("attention.attention.value", "v"),
    ("attention.v_proj", "v"),
    ("attn.proj", "proj"),
    ("attention.output.dense", "proj"),
    ("attention.o_proj", "proj"),
    ("mlp.fc1", "fc1"),
    ("ffn.layers.0.0", "fc1"),
    ("intermediate.dense", "fc1"),
    ("mlp.fc2", "fc2"),
    ("ffn.layers.1", "fc2"),
    ("output.dense", "fc2"),
];

/// Whole names inside a block.
const BLOCK_SINGLE: [(&str, &str); 12] = [
    ("attention.attention.key.weight", "k.weight"),
    ("attention.k_proj.weight", "k.weight"),
    ("attn.q_bias", "q.bias"),
    ("attn.v_bias", "v.bias"),
    ("gamma_1", "lambda1"),
    ("gamma_2", "lambda2"),
    ("lambda_1", "lambda1"),
    ("lambda_2", "lambda2"),
    ("attn.relative_position_bias_table", "relative_position_bias_table"),
    ("relative_position_bias.relative_position_bias_table", "relative_position_bias_table"),
    ("attention.relative_position_bias.relative_position_bias_table", "relative_position_bias_table"),
    (
        "attention.attention.relative_position_bias.relative_position_bias_table",
        "relative_position_bias_table",
    ),
];

/// What the tensor `original` is.
pub fn meaning(original: &str) -> Meaning {
    let name = stripped(original);
    let last = name.rsplit('.').next().unwrap_or(name);
    if matches!(last, "relative_position_index" | "num_batches_tracked") {
        return Meaning::Ignored;
    }
    if IGNORED.iter().any(|start| name.starts_with(start)) {
        return Meaning::Ignored;
    }
    if let Some((number, rest)) = in_block(name) {
        return block(number, rest);
    }
    if let Some((_, to)) = SINGLE.iter().find(|(from, _)| *from == name) {
        return Meaning::Tensor((*to).to_string());
    }
    let Some((stem, kind)) = name.rsplit_once('.') else { return Meaning::Unknown };
    if matches!(kind, "weight" | "bias")
        && let Some((_, to)) = AFFINE.iter().find(|(from, _)| *from == stem)
    {
        return Meaning::Tensor(format!("{to}.{kind}"));
    }
    if NORMS.contains(&stem) && is_norm_part(kind) {
        return Meaning::Tensor(format!("fpn1.bn.{kind}"));
    }
    match name.strip_prefix("decode_head.").and_then(head) {
        Some(to) => Meaning::Tensor(to),
        None => Meaning::Unknown,
    }
}

/// Who named these tensors; `None` if they hold no transformer block.
pub fn scheme<'a>(originals: impl Iterator<Item = &'a str>) -> Option<Scheme> {
    originals.filter_map(|original| scheme_of(stripped(original))).next()
}

fn scheme_of(name: &str) -> Option<Scheme> {
    let (_, rest) = in_block(name)?;
    if name.starts_with("blocks.") {
        return Some(Scheme::Unilm);
    }
    if rest.starts_with("attn.") {
        return Some(Scheme::Mmseg);
    }
    if rest.starts_with("attention.attention.query.") {
        return Some(Scheme::Transformers4);
    }
    if rest.starts_with("attention.q_proj.") { Some(Scheme::Transformers5) } else { None }
}

fn stripped(mut name: &str) -> &str {
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    name
}

/// The number of the block and the name inside it.
fn in_block(name: &str) -> Option<(usize, &str)> {
    let rest = ["encoder.layer.", "encoder.layers.", "blocks.", "layers.", "layer."]
        .iter()
        .find_map(|start| name.strip_prefix(start))?;
    let (number, rest) = rest.split_once('.')?;
    Some((index(number)?, rest))
}

/// A number as names hold it: digits only, and not many.
fn index(text: &str) -> Option<usize> {
    if text.len() > 4
        || (text.len() > 1 && text.starts_with('0'))
        || !text.bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    text.parse().ok()
}

fn block(number: usize, rest: &str) -> Meaning {
    if rest == "attn.qkv.weight" {
        return Meaning::Fused(number);
    }
    if let Some((_, to)) = BLOCK_SINGLE.iter().find(|(from, _)| *from == rest) {
        return Meaning::Tensor(format!("blocks.{number}.{to}"));
    }
    if let Some((stem, kind @ ("weight" | "bias"))) = rest.rsplit_once('.')
        && let Some((_, to)) = BLOCK_AFFINE.iter().find(|(from, _)| *from == stem)
    {
        return Meaning::Tensor(format!("blocks.{number}.{to}.{kind}"));
    }
    Meaning::Unknown
}

/// A convolution module of the head: its canonical name and that of its convolution or batch norm.
fn head(name: &str) -> Option<String> {
    let (module, part) = if let Some(rest) = name.strip_prefix("psp_modules.blocks.") {
        let (number, rest) = rest.split_once('.')?;
        (format!("pool.{}", index(number)?), rest.strip_prefix("conv.")?)
    } else if let Some(rest) = name.strip_prefix("psp_modules.") {
        let (number, rest) = rest.split_once('.')?;
        (format!("pool.{}", index(number)?), rest.strip_prefix("1.")?)
    } else if let Some(rest) = name.strip_prefix("lateral_convs.") {
        let (number, rest) = rest.split_once('.')?;
        (format!("lateral.{}", index(number)?), rest)
    } else if let Some(rest) = name.strip_prefix("fpn_convs.") {
        let (number, rest) = rest.split_once('.')?;
        (format!("fpn.{}", index(number)?), rest)
    } else {
        let (module, rest) = name.split_once('.')?;
        match module {
            "bottleneck" | "psp_bottleneck" => ("bottleneck".to_string(), rest),
            "fpn_bottleneck" => ("fuse".to_string(), rest),
            _ => return None,
        }
    };
    match part.split_once('.')? {
        ("conv" | "convolution", "weight") => Some(format!("{module}.conv.weight")),
        ("bn" | "normalization", kind) if is_norm_part(kind) => Some(format!("{module}.bn.{kind}")),
        _ => None,
    }
}

fn is_norm_part(kind: &str) -> bool {
    matches!(kind, "weight" | "bias" | "running_mean" | "running_var")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(original: &str, canonical: &str) {
        assert_eq!(meaning(original), Meaning::Tensor(canonical.to_string()), "{original}");
    }

    #[test]
    fn every_scheme_has_the_same_canonical_names() {
        is("beit.encoder.layer.3.attention.attention.query.bias", "blocks.3.q.bias");
        is("beit.encoder.layer.3.attention.q_proj.bias", "blocks.3.q.bias");
        is("beit.layers.3.attention.q_proj.bias", "blocks.3.q.bias");
        is("backbone.blocks.3.attn.q_bias", "blocks.3.q.bias");
        is("module.backbone.layers.13.ffn.layers.0.0.weight", "blocks.13.fc1.weight");
        is("beit.layers.0.mlp.fc1.weight", "blocks.0.fc1.weight");
        is("encoder.layer.0.attention.output.dense.weight", "blocks.0.proj.weight");
        is("encoder.layer.0.output.dense.weight", "blocks.0.fc2.weight");
        is("fpn.fpn2.bias", "fpn2.deconv.bias");
        is("neck.upsample_4x.1.running_var", "fpn1.bn.running_var");
        is("backbone.fpn1.3.weight", "fpn1.deconv2.weight");
        is("decode_head.psp_modules.2.1.conv.weight", "pool.2.conv.weight");
        is("decode_head.psp_modules.blocks.2.conv.normalization.bias", "pool.2.bn.bias");
        is("decode_head.psp_bottleneck.convolution.weight", "bottleneck.conv.weight");
        is("decode_head.fpn_bottleneck.bn.weight", "fuse.bn.weight");
        is("decode_head.conv_seg.weight", "classifier.weight");
        is("beit.shared_position_bias.relative_position_bias_table", "relative_position_bias_table");
        is(
            "beit.encoder.relative_position_bias.relative_position_bias_table",
            "relative_position_bias_table",
        );
        assert_eq!(meaning("backbone.blocks.7.attn.qkv.weight"), Meaning::Fused(7));
    }

    #[test]
    fn training_leftovers_are_ignored() {
        for name in [
            "auxiliary_head.convs.0.conv.weight",
            "beit.layernorm.weight",
            "beit.pooler.layernorm.bias",
            "beit.embeddings.mask_token",
            "backbone.norm.weight",
            "backbone.blocks.0.attn.relative_position_index",
            "decode_head.fpn_bottleneck.bn.num_batches_tracked",
        ] {
            assert_eq!(meaning(name), Meaning::Ignored, "{name}");
        }
    }

    #[test]
    fn anything_else_is_unknown() {
        for name in [
            "",
            ".",
            "weight",
            "classifier.weight",
            "blocks.0.attn.qkv.bias",
            "blocks.-1.norm1.weight",
            "blocks.00.norm1.weight",
            "blocks.99999.norm1.weight",
            "beit.encoder.layer.0.attention.attention.key.bias",
            "decode_head.bottleneck.conv.bias",
            "decode_head.psp_modules.0.0.conv.weight",
        ] {
            assert_eq!(meaning(name), Meaning::Unknown, "{name}");
        }
    }
}
