"""Writes tiny random checkpoints in every supported layout, and the reference result of every stage of the model.

usage: python make_goldens.py [case ...]        writes ../data/<case>/

Two implementations must agree before a case is written: BeitForSemanticSegmentation of transformers in f32, which
must also load the written files, and `forward` below in f64, whose results are stored. transformers cannot run a model
by the recipe "paper" (that of the original authors). For these cases `forward` alone is the reference, after it has
agreed with transformers on the same weights by the recipe "hf".
"""
import json
import re
import shutil
import sys
from collections import OrderedDict
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFilter
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file
from transformers import BeitConfig, BeitForSemanticSegmentation
from transformers.models.beit.image_processing_pil_beit import BeitImageProcessorPil

DATA = Path(__file__).resolve().parent.parent / "data"
HALF, IMAGENET = ([0.5] * 3, [0.5] * 3), ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
RELATIVE, SHARED = dict(use_relative_position_bias=True), dict(use_shared_relative_position_bias=True)
ABSOLUTE, NOWHERE = dict(use_absolute_position_embeddings=True), dict()

# `config` updates COMMON and goes to BeitConfig; `names` and `store` select the layout of the checkpoint.
COMMON = dict(hidden_size=32, num_hidden_layers=5, num_attention_heads=2, intermediate_size=64, image_size=96,
              patch_size=16, out_indices=[2, 3, 4, 5], auxiliary_channels=16, layer_scale_init_value=0.1)
TINY = dict(hidden_size=16, intermediate_size=48)
DEEP = dict(num_hidden_layers=12, out_indices=[3, 5, 7, 11])
CASES = {
    "relative": dict(config=RELATIVE, note="a relative bias for each layer"),
    "shared": dict(config=dict(SHARED, **TINY), names="transformers-4", store="bin", resample=3, picture=(97, 131),
                   note="one bias table for all layers; pytorch_model.bin with index buffers"),
    "absolute": dict(config=dict(ABSOLUTE, **TINY, num_attention_heads=1, use_mean_pooling=False, use_mask_token=True),
                     names="transformers-4", picture=(64, 48),
                     note="absolute position embeddings; an unused final norm and mask token"),
    "nopos": dict(config=dict(NOWHERE, **TINY), names="transformers-4", spelling="segmentation_indices",
                  note="no position information"),
    "noscale": dict(config=dict(RELATIVE, layer_scale_init_value=0.0, **TINY), note="no layer scale"),
    "both": dict(config=dict(RELATIVE, **SHARED, **ABSOLUTE, **TINY),
                 note="absolute positions, a shared and a per-layer relative bias, all added up"),
    "head24": dict(config=dict(RELATIVE, hidden_size=48, intermediate_size=96), picture=(75, 80),
                   dtype=torch.float16, note="heads of 24 channels; f16"),
    "odd7": dict(config=dict(RELATIVE, image_size=112, **TINY), names="transformers-4", picture=(101, 67), resample=3,
                 note="7 x 7 patches: the max-pool drops a row and a column"),
    "pools": dict(config=dict(RELATIVE, pool_scales=[1, 2, 4], layer_norm_eps=1e-5, use_auxiliary_head=False, **TINY),
                  norm=IMAGENET, note="other pool scales, epsilon, mean and standard deviation; no auxiliary head"),
    "two": dict(config=dict(RELATIVE, **TINY), classes=2, names="transformers-4", resample=1,
                note="two classes, the default, which the config leaves out"),
    "many": dict(config=dict(RELATIVE, image_size=64, **TINY), classes=300, picture=(50, 70),
                 note="more classes than a byte holds; 4 x 4 patches"),
    "last": dict(config=dict(RELATIVE, num_hidden_layers=4, out_indices=[1, 2, 3, 4], **TINY), picture=(33, 200),
                 note="feature 0 is the embedding, before any block"),
    "sharded": dict(config=RELATIVE, names="transformers-4", dtype=torch.float16, store="shards",
                    note="f16 in three shards"),
    "bf16": dict(config=RELATIVE, dtype=torch.bfloat16, note="bf16"),
    "oldbin": dict(config=dict(RELATIVE, **DEEP, **TINY), names="transformers-4", store="bin", resample=3,
                   spelling="semantic_out_indices", spare=True,
                   note="an old folder: default values left out, size as a number"),
    "unilm": dict(config=dict(RELATIVE, layer_norm_eps=1e-6, **DEEP, **TINY), names="unilm", recipe="paper",
                  norm=IMAGENET, picture=(131, 97), note="a .pth of the original authors"),
    "mmseg": dict(config=dict(RELATIVE, layer_norm_eps=1e-6, **DEEP, **TINY), names="mmseg", recipe="paper",
                  norm=IMAGENET, picture=(90, 140), note="a .pth of mmsegmentation 0.22 or later"),
}


# ---- images and weights --------------------------------------------------------------------------------------------

def random_image(seed, w, h):
    """Noise whose amplitude falls with frequency, a few translucent shapes, and grain."""
    rng = np.random.default_rng(seed)
    acc = np.zeros((h, w, 3))
    for k in range(1, 6):
        g = rng.random((2 ** k, 2 ** k, 3)).astype(np.float32)
        acc += 0.6 ** k * np.stack([np.asarray(Image.fromarray(g[..., c]).resize((w, h), Image.BICUBIC))
                                    for c in range(3)], -1)
    img = Image.fromarray((255 * (acc - acc.min()) / (acc.max() - acc.min())).astype(np.uint8))
    draw = ImageDraw.Draw(img, "RGBA")
    for k in range(9):
        x, y, a, b = rng.integers(0, w), rng.integers(0, h), rng.integers(6, w // 2), rng.integers(6, h // 2)
        colour = tuple(int(v) for v in rng.integers(0, 256, 3)) + (int(rng.integers(120, 256)),)
        (draw.rectangle, draw.ellipse)[k % 2]([x, y, x + a, y + b], fill=colour)
    grainy = np.asarray(img.filter(ImageFilter.GaussianBlur(0.5))) + rng.normal(0, 3, (h, w, 1))
    return np.clip(grainy, 0, 255).astype(np.uint8)


def resize(img, w, h, how):
    if how == "opencv":
        return cv2.resize(img, (w, h), interpolation=cv2.INTER_LINEAR)
    return np.asarray(Image.fromarray(img).resize((w, h), how))


def normalise(pixels, mean, std):
    x = (pixels.astype(np.float64) / 255 - np.array(mean)) / np.array(std)
    return torch.from_numpy(x.transpose(2, 0, 1)[None].copy())


@torch.no_grad()
def fill(model, g):
    """Sets random weights with which every part of the model influences the logits."""
    n = lambda t, s: torch.randn(t.shape, generator=g) * s
    for name, m in model.named_modules():
        if isinstance(m, torch.nn.Linear):
            gain = 1.8 if name.endswith(("q_proj", "k_proj")) else 1.1
            m.weight.copy_(n(m.weight, gain / m.in_features ** 0.5))
        elif isinstance(m, torch.nn.Conv2d):
            m.weight.copy_(n(m.weight, 1.2 / m.weight[0].numel() ** 0.5))
        elif isinstance(m, torch.nn.ConvTranspose2d):
            m.weight.copy_(n(m.weight, 1.2 / m.weight.shape[0] ** 0.5))
        elif isinstance(m, (torch.nn.LayerNorm, torch.nn.BatchNorm2d)):
            m.weight.copy_(torch.exp(n(m.weight, 0.3)))
        if getattr(m, "bias", None) is not None:
            m.bias.copy_(n(m.bias, 0.15))
    for name, p in model.named_parameters():
        if name.endswith(("bias_table", "_token", "position_embeddings")):
            p.copy_(n(p, 0.5))
        elif "lambda_" in name:
            p.copy_(0.1 + 0.9 * torch.rand(p.shape, generator=g))


@torch.no_grad()
def settle(model, x, g):
    """Sets the batch-norm statistics from the images `x`, perturbed, and scales the classifier: logits then have a
    standard deviation of 1.5, and many classes occur in the class map."""
    def batch_norm(m, inputs):
        var, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), unbiased=False)
        var = torch.maximum(var, 0.5 * (inputs[0] ** 2).mean())
        m.running_mean.copy_(mean + 0.3 * var.sqrt() * torch.randn(var.shape, generator=g))
        m.running_var.copy_(var * torch.exp(0.3 * torch.randn(var.shape, generator=g)))
        m.num_batches_tracked.fill_(1000)

    def classifier(m, inputs, out):
        scale = 1.5 / out.std(dim=(2, 3)).mean()
        m.weight.mul_(scale)
        m.bias.copy_((m.bias - out.mean(dim=(0, 2, 3))) * scale + 0.4 * torch.randn(m.bias.shape, generator=g))

    hooks = [m.register_forward_pre_hook(batch_norm) for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    hooks += [m.register_forward_hook(classifier) for k, m in model.named_modules() if k.endswith("classifier")]
    model(x)
    for h in hooks:
        h.remove()


# ---- the reference -------------------------------------------------------------------------------------------------

def relative_index(n):
    """Index into the relative-position table for each pair of tokens, class token first."""
    y, x = (t.flatten() for t in torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij"))
    w = 2 * n - 1
    index = torch.empty(n * n + 1, n * n + 1, dtype=torch.int64)
    index[1:, 1:] = (y[:, None] - y[None] + n - 1) * w + (x[:, None] - x[None] + n - 1)
    index[0, :], index[:, 0], index[0, 0] = w * w, w * w + 1, w * w + 2
    return index


@torch.no_grad()
def forward(sd, x, *, heads, feature_blocks, eps):
    """Runs a state dict (names of transformers 5) in f64. Returns every stage, without the batch dimension."""
    sd = {k: v.double() for k, v in sd.items() if v.is_floating_point()}
    out, n = {}, x.shape[-1] // 16
    c = sd["beit.embeddings.cls_token"].shape[-1]
    up = lambda t, size: F.interpolate(t, size=size, mode="bilinear", align_corners=False)

    def linear(t, name):
        return F.linear(t, sd[name + ".weight"], sd.get(name + ".bias"))

    def layer_norm(t, name):
        return F.layer_norm(t, (c,), sd[name + ".weight"], sd[name + ".bias"], eps)

    def batch_norm(t, name):
        parts = (sd[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(t, *parts, eps=1e-5)

    def conv(t, name):
        w = sd[name + ".convolution.weight"]
        return F.relu(batch_norm(F.conv2d(t, w, padding=w.shape[-1] // 2), name + ".normalization"))

    def deconv(t, name):
        return F.conv_transpose2d(t, sd[name + ".weight"], sd[name + ".bias"], stride=2)

    def bias(name):
        table = sd.get(name + ".relative_position_bias_table")
        return 0 if table is None else table[relative_index(n)].permute(2, 0, 1)

    patches = "beit.embeddings.patch_embeddings.projection"
    t = F.conv2d(x, sd[patches + ".weight"], sd[patches + ".bias"], stride=16).flatten(2).transpose(1, 2)
    t = torch.cat([sd["beit.embeddings.cls_token"], t], 1) + sd.get("beit.embeddings.position_embeddings", 0)
    out["embed"] = t
    shared, stream = bias("beit.shared_position_bias"), [t]
    for k in range(max(feature_blocks)):
        p = f"beit.layers.{k}"
        a = layer_norm(t, p + ".layernorm_before")
        q, key, v = (linear(a, f"{p}.attention.{s}_proj").view(-1, heads, c // heads).transpose(0, 1) for s in "qkv")
        a = q @ key.transpose(1, 2) * (c // heads) ** -0.5 + shared + bias(p + ".relative_position_bias")
        a = (a.softmax(-1) @ v).transpose(0, 1).reshape(1, -1, c)
        t = t + sd.get(p + ".lambda_1", 1) * linear(a, p + ".attention.o_proj")
        if k == 0:
            out["mid.1"] = t
        a = F.gelu(linear(layer_norm(t, p + ".layernorm_after"), p + ".mlp.fc1"))
        t = t + sd.get(p + ".lambda_2", 1) * linear(a, p + ".mlp.fc2")
        out[f"block.{k + 1}"] = t
        stream.append(t)

    f = [stream[k][:, 1:].transpose(1, 2).reshape(1, c, n, n) for k in feature_blocks]
    out.update({f"feature.{i}": v for i, v in enumerate(f)})
    f[0] = F.gelu(batch_norm(deconv(f[0], "fpn.fpn1.conv_transpose1"), "fpn.fpn1.normalization"))
    f[0] = deconv(f[0], "fpn.fpn1.conv_transpose2")
    f[1] = deconv(f[1], "fpn.fpn2")
    f[3] = F.max_pool2d(f[3], 2)
    out.update({f"pyramid.{i}": v for i, v in enumerate(f)})
    head = "decode_head."
    psp, k = [f[3]], 0
    while (name := f"{head}psp_modules.blocks.{k}.conv") + ".convolution.weight" in sd:
        psp.append(up(conv(F.adaptive_avg_pool2d(f[3], POOLS[k]), name), f[3].shape[2:]))
        k += 1
    lateral = [conv(f[i], f"{head}lateral_convs.{i}") for i in range(3)]
    lateral.append(conv(torch.cat(psp, 1), head + "psp_bottleneck"))
    out.update({f"lateral.{i}": lateral[i] for i in range(3)}, psp=lateral[3])
    for i in (2, 1, 0):
        lateral[i] = lateral[i] + up(lateral[i + 1], lateral[i].shape[2:])
    fpn = [conv(lateral[i], f"{head}fpn_convs.{i}") for i in range(3)] + [lateral[3]]
    out.update({f"fpn.{i}": v for i, v in enumerate(fpn)})
    fused = conv(torch.cat([up(v, fpn[0].shape[2:]) for v in fpn], 1), head + "fpn_bottleneck")
    out["logits"] = F.conv2d(fused, sd[head + "classifier.weight"], sd[head + "classifier.bias"])
    return {k: v[0] for k, v in out.items()}


POOLS = [1, 2, 3, 6]    # set for each case: the only parameter of the architecture that no tensor shape determines


def to_map(logits, h, w):
    best = F.interpolate(logits[None], size=(h, w), mode="bilinear", align_corners=False)[0].argmax(0).numpy()
    return best.astype(np.uint8 if len(logits) <= 256 else np.uint16)


# ---- checkpoints ---------------------------------------------------------------------------------------------------

def rename(sd, rules):
    def one(k):
        for a, b in rules:
            k = re.sub(a, b, k)
        return k
    return OrderedDict((one(k), v) for k, v in sd.items())


COMMON_OLD = [
    (r"^fpn\.fpn1\.conv_transpose1", "fpn1.0"), (r"^fpn\.fpn1\.normalization", "fpn1.1"),
    (r"^fpn\.fpn1\.conv_transpose2", "fpn1.3"), (r"^fpn\.fpn2", "fpn2.0"),
    (r"psp_modules\.blocks\.(\d+)\.conv\.", r"psp_modules.\1.1."), ("psp_bottleneck", "bottleneck"),
    (r"\.convolution\.", ".conv."), (r"\.normalization\.", ".bn."),
]


def transformers4(sd, n, buffers):
    sd = rename(sd, COMMON_OLD + [
        (r"layers\.(\d+)\.relative_position_bias", r"layers.\1.attention.attention.relative_position_bias"),
        (r"^beit\.layers", "beit.encoder.layer"), ("shared_position_bias", "encoder.relative_position_bias"),
        (r"attention\.q_proj", "attention.attention.query"), (r"attention\.k_proj", "attention.attention.key"),
        (r"attention\.v_proj", "attention.attention.value"), (r"attention\.o_proj", "attention.output.dense"),
        (r"mlp\.fc1", "intermediate.dense"), (r"mlp\.fc2", "output.dense")])
    for k in [k for k in sd if k.endswith("_bias_table") and buffers]:
        sd[k.replace("bias_table", "index")] = relative_index(n)
    return sd


def unilm(sd, n, buffers):
    sd = rename(sd, [(r"^beit\.embeddings\.", "backbone."), (r"patch_embeddings\.projection", "patch_embed.proj")]
                + COMMON_OLD + [
        (r"^fpn(\d)", r"backbone.fpn\1"), (r"^beit\.layers", "backbone.blocks"), ("layernorm_before", "norm1"),
        ("layernorm_after", "norm2"), (r"\.lambda_", ".gamma_"), (r"attention\.o_proj", "attn.proj"),
        (r"\.relative_position_bias\.", ".attn."), (r"\.classifier\.", ".conv_seg.")])
    for k in [k for k in sd if k.endswith("attention.q_proj.weight")]:
        p = k.removesuffix("attention.q_proj.weight")
        q, key, v, q_bias, v_bias = (sd.pop(f"{p}attention.{s}") for s in
                                     ("q_proj.weight", "k_proj.weight", "v_proj.weight", "q_proj.bias", "v_proj.bias"))
        sd[p + "attn.qkv.weight"] = torch.cat([q, key, v])
        # Two tensors that share a storage, the second at an offset: files may contain such tensors.
        sd[p + "attn.q_bias"], sd[p + "attn.v_bias"] = torch.cat([q_bias, v_bias]).split(len(q_bias))
        sd[p + "attn.relative_position_index"] = relative_index(n)
    return sd


def mmseg(sd, n, buffers):
    return rename(unilm(sd, n, buffers), [
        (r"^backbone\.blocks", "backbone.layers"), (r"\.norm([12])\.", r".ln\1."), (r"mlp\.fc1", "ffn.layers.0.0"),
        (r"mlp\.fc2", "ffn.layers.1"), (r"patch_embed\.proj\b", "patch_embed.projection"),
        (r"^backbone\.fpn1", "neck.upsample_4x"), (r"^backbone\.fpn2", "neck.upsample_2x")])


def save_config(folder, config, case, size, mean, std):
    d = {k: v for k, v in config.to_diff_dict().items() if k not in ("out_features", "stage_names")}
    if case.get("spare"):
        default = json.loads(json.dumps(BeitConfig().to_dict()))
        d = {k: v for k, v in json.loads(json.dumps(d)).items() if k == "model_type" or default.get(k) != v}
    d["architectures"] = ["BeitForSemanticSegmentation"]
    d["out_indices"] = config.out_indices
    old = case.get("names") == "transformers-4"
    if old:
        d["transformers_version"] = "4.30.2"
        d["torch_dtype"] = str(case.get("dtype", torch.float32)).removeprefix("torch.")
        d.pop("dtype", None)
    if "spelling" in case:
        d[case["spelling"]] = d.pop("out_indices")
    processor = dict(do_resize=True, size=dict(height=size, width=size), resample=case.get("resample", 2),
                     do_rescale=True, rescale_factor=1 / 255, do_normalize=True, image_mean=mean, image_std=std,
                     do_center_crop=False, crop_size=dict(height=size, width=size), do_reduce_labels=False,
                     image_processor_type="BeitImageProcessor")
    if "spelling" in case:
        processor = dict(crop_size=size, do_center_crop=False, do_normalize=True, do_resize=True, size=size,
                         feature_extractor_type="BeitFeatureExtractor", image_mean=mean, image_std=std,
                         reduce_labels=False, resample=case.get("resample", 2))
    for name, v in (("config", d), ("preprocessor_config", processor)):
        (folder / f"{name}.json").write_text(json.dumps(v, indent=1, sort_keys=True) + "\n")


def save_weights(folder, sd, store):
    sd = OrderedDict((k, v.contiguous()) for k, v in sd.items()) if store != "pth" else sd
    if store == "safetensors":
        save_file(sd, folder / "model.safetensors", metadata={"format": "pt"})
    elif store == "bin":
        torch.save(sd, folder / "pytorch_model.bin")
    elif store == "shards":
        names, weight_map = list(sd), {}
        for i in range(3):
            file = f"model-{i + 1:05}-of-00003.safetensors"
            part = {k: sd[k] for k in names[i * len(names) // 3:(i + 1) * len(names) // 3]}
            save_file(part, folder / file, metadata={"format": "pt"})
            weight_map.update(dict.fromkeys(part, file))
        total = sum(v.numel() * v.element_size() for v in sd.values())
        index = dict(metadata=dict(total_size=total), weight_map=weight_map)
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    else:   # as a training run saves it: with metadata, an optimizer, attributes on the dictionary, a Parameter
        sd["backbone.cls_token"] = torch.nn.Parameter(sd["backbone.cls_token"])
        sd._metadata = OrderedDict([("", dict(version=1)), ("backbone", dict(version=2))])
        optimizer = dict(state={0: dict(step=160000, exp_avg=torch.zeros(3))},
                         param_groups=[dict(lr=3e-5, betas=(0.9, 0.999), params=[0])])
        torch.save(dict(meta=dict(epoch=63, iter=160000, mmcv_version="1.3.0", CLASSES=("wall", "building"), hook=None),
                        state_dict=sd, optimizer=optimizer), folder / "model.pth")


# ---- one case ------------------------------------------------------------------------------------------------------

def make(name):
    case = CASES[name]
    seed = 100 + list(CASES).index(name)
    g = torch.Generator().manual_seed(seed)
    names, recipe = case.get("names", "transformers-5"), case.get("recipe", "hf")
    dtype = case.get("dtype", torch.float32)
    mean, std = case.get("norm", HALF)
    classes = case.get("classes", 13)
    labels = {} if classes == 2 else dict(id2label={i: f"class {i}" for i in range(classes)},
                                          label2id={f"class {i}": i for i in range(classes)})
    options = {**COMMON, **case["config"]}
    config = BeitConfig(**options, **labels)
    size, heads, eps = config.image_size, config.num_attention_heads, config.layer_norm_eps
    n = size // 16
    POOLS[:] = config.pool_scales
    hf_blocks = [k - 1 for k in config.out_indices]
    paper_blocks = [k + 1 for k in config.out_indices]
    feature_blocks = hf_blocks if recipe == "hf" else paper_blocks

    model = BeitForSemanticSegmentation(config).eval()
    fill(model, g)
    others = [normalise(random_image(seed + 500 + i, size, size), mean, std) for i in range(8)]
    settle(model, torch.cat(others).float(), g)
    with torch.no_grad():
        for t in model.state_dict().values():
            if t.is_floating_point():
                t.copy_(t.to(dtype))
    sd = OrderedDict((k, v.clone()) for k, v in model.state_dict().items())

    w, h = case.get("picture", (83, 61))
    img = random_image(seed, w, h)
    how = case.get("resample", 2) if recipe == "hf" else "opencv"
    pixels = resize(img, size, size, how)
    x = normalise(pixels, mean, std)

    # transformers: the features that its neck reads, and its logits
    seen = []
    hook = model.fpn.register_forward_pre_hook(lambda m, a: seen.extend(a[0]))
    with torch.no_grad():
        reference = model(x.float(), output_hidden_states=True)
    hook.remove()
    for i, k in enumerate(hf_blocks):
        assert torch.equal(seen[i][0].flatten(1).T, reference.hidden_states[k][0, 1:]), f"feature {i}"
    ours = forward(sd, x, heads=heads, feature_blocks=hf_blocks, eps=eps)
    for k in range(max(hf_blocks) + 1):
        stage = ours["embed" if k == 0 else f"block.{k}"]
        assert (reference.hidden_states[k][0] - stage).abs().max() < 2e-4, f"hidden state {k}"
    error = float((reference.logits[0] - ours["logits"]).abs().max())
    assert error < 2e-4, error
    if recipe == "paper":
        ours = forward(sd, x, heads=heads, feature_blocks=feature_blocks, eps=eps)

    # the files
    folder = DATA / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    Image.fromarray(img).save(folder / "input.png", optimize=True)
    stored = OrderedDict((k, v.to(dtype) if v.is_floating_point() else v) for k, v in sd.items())
    convert = {"transformers-5": lambda d, n, buffers: d, "transformers-4": transformers4,
               "unilm": unilm, "mmseg": mmseg}[names]
    store = case.get("store", "safetensors") if recipe == "hf" else "pth"
    save_weights(folder, convert(stored, n, buffers=store != "safetensors"), store)
    if recipe == "hf":
        save_config(folder, config, case, size, mean, std)
        theirs = BeitImageProcessorPil.from_pretrained(folder)(Image.fromarray(img), return_tensors="pt").pixel_values
        assert (theirs - x).abs().max() < 1e-6, "transformers' preprocessing"
        if case.get("spelling") != "semantic_out_indices":      # transformers 5 does not read this spelling
            again = BeitForSemanticSegmentation.from_pretrained(folder, dtype=torch.float32).eval()
            with torch.no_grad():
                difference = (again(x.float()).logits - reference.logits).abs().max()
            assert again.config.out_indices == config.out_indices and difference < 1e-4, "differs after loading"

    channels = [0, 1, 2, 3, config.hidden_size - 1]
    best = to_map(ours["logits"], h, w)
    out = {}
    for k, v in ours.items():
        v = v[channels] if k.split(".")[0] in ("pyramid", "lateral", "psp", "fpn") else v
        out[k] = np.ascontiguousarray(v.float().numpy())
    out.update(pixels=np.ascontiguousarray(pixels), map=best)
    save_numpy({k: np.ascontiguousarray(v) for k, v in out.items()}, folder / "goldens.safetensors")
    position = [k for k, on in (("relative", config.use_relative_position_bias),
                                ("shared", config.use_shared_relative_position_bias),
                                ("absolute", config.use_absolute_position_embeddings)) if on]
    golden = dict(
        note=case["note"], names=names, store=store, dtype=str(dtype).removeprefix("torch."), recipe=recipe,
        size=size, grid=n, hidden=config.hidden_size, layers=config.num_hidden_layers, heads=heads,
        intermediate=config.intermediate_size, classes=classes, pools=list(config.pool_scales), position=position,
        layer_scale=config.layer_scale_init_value > 0, out_indices=config.out_indices,
        feature_blocks=feature_blocks, eps=eps, mean=mean, std=std,
        resample={0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}.get(how, how),
        channels=channels, picture=[w, h], transformers_error=float(f"{error:.1e}"))
    lines = ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in golden.items())
    (folder / "golden.json").write_text("{\n" + lines + "\n}\n")
    kb = sum(f.stat().st_size for f in folder.iterdir()) // 1000
    print(f"{name:9} {kb:5} kB  feature blocks {feature_blocks}  classes in the map {len(np.unique(best))}"
          f"  deviation of the logits {float(ours['logits'].std()):.2f}  error against transformers {error:.1e}")


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    for case in sys.argv[1:] or CASES:
        make(case)
