//! Tensor names: from a checkpoint's name of a tensor to the one canonical name it has in this crate.
//!
//! Four naming schemes are in use: transformers before version 5, transformers 5, unilm (the original authors' code) and
//! mmsegmentation from 0.22 on. They share most parts, so one set of tables serves them all. Canonical names are
//! `blocks.N.<layer>.weight` for the backbone, `fpn1` and `fpn2` for the neck, and `psp.N`, `psp_bottleneck`, `lateral.N`,
//! `fpn.N`, `fpn_bottleneck` and `classifier` for the UPerNet head. A model without it has `norm`, the LayerNorm of the last
//! tokens, or `pool_norm`, that of their mean, and `classifier` if it classifies pictures.

use std::borrow::Cow;

/// Which code named a checkpoint's tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Transformers before version 5.
    Transformers4,
    /// Transformers 5, and 4.5x with its new attention names.
    Transformers5,
    /// unilm, the original authors' code.
    Unilm,
    /// The BEiT of mmsegmentation, from 0.22 on.
    Mmseg,
}

/// What an original name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NameKind {
    /// The tensor with this canonical name.
    Canonical(String),
    /// The query, key and value matrices of this block, stacked.
    FusedQkv(usize),
    /// A tensor that the engine does not need.
    Ignored,
    /// Not part of a BEiT model, although its name begins like one of its parts.
    Unknown,
    /// Beside the model: a buffer or metric of a training framework.
    Foreign,
}

/// Prefixes that wrapper modules add, in any order and number.
const PREFIXES: [&str; 6] = ["module.", "model.", "net.", "backbone.", "beit.", "data2vec_vision."];

/// Those of them that are not parts of a model.
const WRAPPERS: [&str; 3] = ["module.", "model.", "net."];

/// Parts that wrapper modules insert anywhere in a name.
const INSERTED: [&str; 3] = ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."];

/// Starts of names, without prefixes, of a model's parts: a tensor that begins so and is unknown changes the result.
const PARTS: [&str; 23] = [
    "encoder.",
    "blocks.",
    "layers.",
    "layer.",
    "embeddings.",
    "patch_embed.",
    "fpn",
    "neck.",
    "decode_head.",
    "pos_embed",
    "cls_token",
    "rel_pos_bias.",
    "relative_position_bias.",
    "shared_position_bias.",
    "classifier.",
    "head.",
    "pooler.",
    "fc_norm.",
    "norm.",
    "layernorm.",
    "ln1.",
    "ln2.",
    "adapter",
];

/// Tensors that no model needs here, by the start of the name without prefixes.
const IGNORED: [&str; 4] = ["auxiliary_head.", "mask_token", "embeddings.mask_token", "lm_head."];

/// Single tensors outside of blocks and convolution modules: original and canonical name.
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

/// Layers with a weight and a bias outside of blocks: original and canonical name.
const AFFINE: [(&str, &str); 25] = [
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
    ("classifier", "classifier"),
    ("head", "classifier"),
    ("layernorm", "norm"),
    ("norm", "norm"),
    ("ln1", "norm"),
    ("pooler.layernorm", "pool_norm"),
    ("fc_norm", "pool_norm"),
    ("ln2", "pool_norm"),
    ("fpn1.conv_transpose1", "fpn1.deconv1"),
    ("fpn1.conv_transpose2", "fpn1.deconv2"),
    ("fpn2", "fpn2.deconv"),
];

/// Original names of the batch norm `fpn1.bn`.
const FPN1_NORMS: [&str; 4] =
    ["fpn1.1", "fpn.fpn1.normalization", "neck.upsample_4x.1", "fpn1.normalization"];

/// Layers with a weight and a bias inside a block: original and canonical name.
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

/// Single tensors inside a block: original and canonical name.
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

/// Parts of names that only other models of the name have, and what these are. A folder's configuration says it better, but a `.pth`
/// file has none.
const OTHER_MODELS: [(&str, &str); 5] = [
    ("interactions.", "ViT-Adapter, which adds convolutions and injectors to BEiT"),
    ("beit3.", "BEiT-3, a model of pictures and text with three MLPs in each block"),
    (".mlp.w1.", "EVA-02, which has gated MLPs and rotary positions"),
    (".attn.rope.", "EVA-02, which has gated MLPs and rotary positions"),
    ("reassemble_stage.", "DPT, which has a head of its own over BEiT"),
];

/// What other model a tensor belongs to, if its name tells.
pub(super) fn other_model(original: &str) -> Option<&'static str> {
    OTHER_MODELS.iter().find(|(part, _)| original.contains(part)).map(|(_, what)| *what)
}

/// Classifies a tensor by its original name.
pub(super) fn classify(original: &str) -> NameKind {
    let plain = without_inserted(original);
    let name = without_prefixes(&plain);
    match classify_plain(name) {
        // A name that has only the prefixes of a wrapper may be a part of a model as well.
        NameKind::Unknown if !PARTS.iter().any(|part| name.starts_with(part)) => NameKind::Foreign,
        kind => kind,
    }
}

fn classify_plain(name: &str) -> NameKind {
    let last = name.rsplit('.').next().unwrap_or(name);
    if matches!(last, "relative_position_index" | "num_batches_tracked") {
        return NameKind::Ignored;
    }
    if IGNORED.iter().any(|start| name.starts_with(start)) {
        return NameKind::Ignored;
    }
    if let Some((number, rest)) = split_block(name) {
        return classify_in_block(number, rest);
    }
    if let Some(to) = lookup(&SINGLE, name) {
        return NameKind::Canonical(to.to_string());
    }
    let Some((layer, part)) = name.rsplit_once('.') else { return NameKind::Unknown };
    if matches!(part, "weight" | "bias")
        && let Some(to) = lookup(&AFFINE, layer)
    {
        return NameKind::Canonical(format!("{to}.{part}"));
    }
    if FPN1_NORMS.contains(&layer) && is_norm_part(part) {
        return NameKind::Canonical(format!("fpn1.bn.{part}"));
    }
    match name.strip_prefix("decode_head.").and_then(head_module) {
        Some(to) => NameKind::Canonical(to),
        None => NameKind::Unknown,
    }
}

/// The naming scheme of a checkpoint's tensors; `None` if no name is that of a transformer block's tensor.
pub(super) fn scheme<'a>(mut originals: impl Iterator<Item = &'a str>) -> Option<Scheme> {
    originals.find_map(|original| scheme_of(without_prefixes(&without_inserted(original))))
}

fn scheme_of(name: &str) -> Option<Scheme> {
    let (_, rest) = split_block(name)?;
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

fn lookup<'t>(table: &[(&str, &'t str)], from: &str) -> Option<&'t str> {
    table.iter().find(|(original, _)| *original == from).map(|(_, canonical)| *canonical)
}

fn without_inserted(name: &str) -> Cow<'_, str> {
    INSERTED.iter().fold(Cow::Borrowed(name), |name, part| match name.contains(part) {
        true => Cow::Owned(name.replace(part, "")),
        false => name,
    })
}

/// A name without what wrapper modules add, as the model itself has it.
pub(super) fn without_wrappers(original: &str) -> Cow<'_, str> {
    let plain = without_inserted(original);
    let added = plain.len() - without_starts(&plain, &WRAPPERS).len();
    match plain {
        Cow::Borrowed(name) => Cow::Borrowed(&name[added..]),
        Cow::Owned(name) => Cow::Owned(name[added..].into()),
    }
}

fn without_prefixes(name: &str) -> &str {
    without_starts(name, &PREFIXES)
}

fn without_starts<'n>(mut name: &'n str, starts: &[&str]) -> &'n str {
    while let Some(rest) = starts.iter().find_map(|start| name.strip_prefix(start)) {
        name = rest;
    }
    name
}

/// The block's number and the name inside the block.
fn split_block(name: &str) -> Option<(usize, &str)> {
    let rest = ["encoder.layer.", "encoder.layers.", "blocks.", "layers.", "layer."]
        .iter()
        .find_map(|start| name.strip_prefix(start))?;
    let (number, rest) = rest.split_once('.')?;
    Some((parse_index(number)?, rest))
}

/// A number of at most four digits, without sign or leading zeros.
fn parse_index(text: &str) -> Option<usize> {
    if text.len() > 4
        || (text.len() > 1 && text.starts_with('0'))
        || !text.bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    text.parse().ok()
}

fn classify_in_block(number: usize, rest: &str) -> NameKind {
    if rest == "attn.qkv.weight" {
        return NameKind::FusedQkv(number);
    }
    if let Some(to) = lookup(&BLOCK_SINGLE, rest) {
        return NameKind::Canonical(format!("blocks.{number}.{to}"));
    }
    if let Some((layer, part @ ("weight" | "bias"))) = rest.rsplit_once('.')
        && let Some(to) = lookup(&BLOCK_AFFINE, layer)
    {
        return NameKind::Canonical(format!("blocks.{number}.{to}.{part}"));
    }
    NameKind::Unknown
}

/// The canonical name of a tensor of the decode head's convolution modules, each a convolution and a batch norm.
fn head_module(name: &str) -> Option<String> {
    let (module, part) = split_head_module(name)?;
    match part.split_once('.')? {
        ("conv" | "convolution", "weight") => Some(format!("{module}.conv.weight")),
        ("bn" | "batch_norm" | "normalization", part) if is_norm_part(part) => {
            Some(format!("{module}.bn.{part}"))
        }
        _ => None,
    }
}

/// The module's canonical name and the name inside the module.
fn split_head_module(name: &str) -> Option<(String, &str)> {
    // Prefix of the numbered module, canonical name, and what follows the number.
    let numbered = [
        ("psp_modules.blocks.", "psp", "conv."),
        ("psp_modules.", "psp", "1."),
        ("lateral_convs.", "lateral", ""),
        ("fpn_convs.", "fpn", ""),
    ];
    for (prefix, canonical, inner) in numbered {
        if let Some(rest) = name.strip_prefix(prefix) {
            let (number, rest) = rest.split_once('.')?;
            return Some((format!("{canonical}.{}", parse_index(number)?), rest.strip_prefix(inner)?));
        }
    }
    let (module, rest) = name.split_once('.')?;
    match module {
        "bottleneck" | "psp_bottleneck" => Some(("psp_bottleneck".to_string(), rest)),
        "fpn_bottleneck" => Some(("fpn_bottleneck".to_string(), rest)),
        _ => None,
    }
}

/// The name that a checkpoint of this scheme has for a tensor of the decode head's convolution modules or of the end of a model
/// without that head; `None` for other tensors.
pub(super) fn head_module_original(scheme: Scheme, canonical: &str) -> Option<String> {
    let new = scheme == Scheme::Transformers5;
    let transformers = new || scheme == Scheme::Transformers4;
    match canonical.split_once('.') {
        Some(("norm", part)) if transformers => return Some(format!("layernorm.{part}")),
        Some(("norm", part)) => return Some(format!("norm.{part}")),
        Some(("pool_norm", part)) if transformers => return Some(format!("pooler.layernorm.{part}")),
        Some(("pool_norm", part)) => return Some(format!("fc_norm.{part}")),
        _ => {}
    }
    let (module, kind, part) = match canonical.rsplit_once(".bn.") {
        Some((module, part)) => (module, if new { "normalization" } else { "bn" }, part),
        None => (canonical.strip_suffix(".conv.weight")?, if new { "convolution" } else { "conv" }, "weight"),
    };
    let module = match module.split_once('.') {
        Some(("psp", number)) if new => format!("psp_modules.blocks.{number}.conv"),
        Some(("psp", number)) => format!("psp_modules.{number}.1"),
        Some(("lateral", number)) => format!("lateral_convs.{number}"),
        Some(("fpn", number)) => format!("fpn_convs.{number}"),
        None if module == "psp_bottleneck" && !new => "bottleneck".into(),
        None if module.ends_with("_bottleneck") => module.into(),
        _ => return None,
    };
    Some(format!("decode_head.{module}.{kind}.{part}"))
}

fn is_norm_part(part: &str) -> bool {
    matches!(part, "weight" | "bias" | "running_mean" | "running_var")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_canonical(original: &str, canonical: &str) {
        assert_eq!(classify(original), NameKind::Canonical(canonical.to_string()), "{original}");
    }

    #[test]
    fn all_schemes_map_to_the_same_canonical_names() {
        assert_canonical("beit.encoder.layer.3.attention.attention.query.bias", "blocks.3.q.bias");
        assert_canonical("beit.encoder.layer.3.attention.q_proj.bias", "blocks.3.q.bias");
        assert_canonical("beit.layers.3.attention.q_proj.bias", "blocks.3.q.bias");
        assert_canonical("backbone.blocks.3.attn.q_bias", "blocks.3.q.bias");
        assert_canonical("module.backbone.layers.13.ffn.layers.0.0.weight", "blocks.13.fc1.weight");
        assert_canonical("beit.layers.0.mlp.fc1.weight", "blocks.0.fc1.weight");
        assert_canonical("encoder.layer.0.attention.output.dense.weight", "blocks.0.proj.weight");
        assert_canonical("encoder.layer.0.output.dense.weight", "blocks.0.fc2.weight");
        assert_canonical("fpn.fpn2.bias", "fpn2.deconv.bias");
        assert_canonical("neck.upsample_4x.1.running_var", "fpn1.bn.running_var");
        assert_canonical("backbone.fpn1.3.weight", "fpn1.deconv2.weight");
        assert_canonical("decode_head.psp_modules.2.1.conv.weight", "psp.2.conv.weight");
        assert_canonical("decode_head.psp_modules.blocks.2.conv.normalization.bias", "psp.2.bn.bias");
        assert_canonical("decode_head.psp_bottleneck.convolution.weight", "psp_bottleneck.conv.weight");
        assert_canonical("decode_head.fpn_bottleneck.bn.weight", "fpn_bottleneck.bn.weight");
        assert_canonical("decode_head.conv_seg.weight", "classifier.weight");
        assert_canonical(
            "beit.shared_position_bias.relative_position_bias_table",
            "relative_position_bias_table",
        );
        assert_canonical(
            "beit.encoder.relative_position_bias.relative_position_bias_table",
            "relative_position_bias_table",
        );
        assert_eq!(classify("backbone.blocks.7.attn.qkv.weight"), NameKind::FusedQkv(7));
        assert_canonical("beit.pooler.layernorm.bias", "pool_norm.bias");
        assert_canonical("fc_norm.weight", "pool_norm.weight");
        assert_canonical("backbone.ln2.weight", "pool_norm.weight");
        assert_canonical("data2vec_vision.layernorm.weight", "norm.weight");
        assert_canonical("norm.bias", "norm.bias");
        assert_canonical("head.weight", "classifier.weight");
        assert_canonical("classifier.bias", "classifier.bias");
        assert_canonical("decode_head.fpn_convs.0.batch_norm.weight", "fpn.0.bn.weight");
    }

    #[test]
    fn training_only_tensors_are_ignored() {
        for name in [
            "auxiliary_head.convs.0.conv.weight",
            "beit.embeddings.mask_token",
            "backbone.blocks.0.attn.relative_position_index",
            "decode_head.fpn_bottleneck.bn.num_batches_tracked",
        ] {
            assert_eq!(classify(name), NameKind::Ignored, "{name}");
        }
    }

    #[test]
    fn names_of_the_head_are_inverted() {
        for canonical in
            ["psp.2.conv.weight", "psp_bottleneck.bn.bias", "lateral.0.conv.weight", "fpn.1.bn.weight"]
        {
            for scheme in [Scheme::Transformers4, Scheme::Transformers5, Scheme::Unilm, Scheme::Mmseg] {
                assert_canonical(&head_module_original(scheme, canonical).unwrap(), canonical);
            }
        }
        let name = head_module_original(Scheme::Transformers4, "fpn_bottleneck.conv.weight");
        assert_eq!(name.as_deref(), Some("decode_head.fpn_bottleneck.conv.weight"));
        assert_eq!(head_module_original(Scheme::Unilm, "blocks.0.q.weight"), None);
        let name = head_module_original(Scheme::Transformers5, "pool_norm.weight");
        assert_eq!(name.as_deref(), Some("pooler.layernorm.weight"));
    }

    #[test]
    fn wrappers_are_seen_through() {
        assert_canonical("_orig_mod.beit.encoder.layer.3.attention.attention.query.bias", "blocks.3.q.bias");
        assert_canonical("module._orig_mod.model.beit.layers.3.attention.q_proj.bias", "blocks.3.q.bias");
        assert_canonical(
            "net.backbone._fsdp_wrapped_module.blocks.3._orig_mod.attn.q_bias",
            "blocks.3.q.bias",
        );
        assert_canonical("data2vec_vision.embeddings.cls_token", "cls_token");
        assert_eq!(without_wrappers("module._orig_mod.model.beit.layernorm.bias"), "beit.layernorm.bias");
    }

    #[test]
    fn tensors_beside_the_model_are_foreign_and_those_inside_are_unknown() {
        for name in ["loss_fn.weight", "train_metric.confmat", "ema_step", "weight", ""] {
            assert_eq!(classify(name), NameKind::Foreign, "{name}");
        }
        for name in [
            "beit.encoder.layer.0.lora_A.weight",
            "decode_head.extra.weight",
            "model.blocks.0.adapter.weight",
            "norm.running_mean",
        ] {
            assert_eq!(classify(name), NameKind::Unknown, "{name}");
        }
    }

    #[test]
    fn other_names_are_unknown() {
        for name in [
            "classifier.scale",
            "blocks.0.attn.qkv.bias",
            "blocks.-1.norm1.weight",
            "blocks.00.norm1.weight",
            "blocks.99999.norm1.weight",
            "beit.encoder.layer.0.attention.attention.key.bias",
            "decode_head.bottleneck.conv.bias",
            "decode_head.psp_modules.0.0.conv.weight",
        ] {
            assert_eq!(classify(name), NameKind::Unknown, "{name}");
        }
    }
}
