#!/usr/bin/env python3
"""Makes a random seeded checkpoint of a published architecture, and a picture: what RESULTS.md measures.

    python3 benches/random_model.py small|base|large FOLDER [--seed 7]

FOLDER gets the checkpoint as transformers writes it and picture.png, 1024x768. Needs torch, transformers and Pillow.

Freshly initialised weights would be too easy: with zero biases and tiny residual branches, quantisation loses almost nothing. The
weights here have spreads like those of trained models, BatchNorm's statistics are those of a second picture, perturbed, and the
classifier is scaled so that classes compete.
"""
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from transformers import BeitConfig, BeitForSemanticSegmentation

ARCHITECTURES = {
    "small": dict(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, intermediate_size=1536, image_size=512,
                  out_indices=[3, 5, 7, 11], layer_scale_init_value=0.1),
    "base": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, image_size=640,
                 out_indices=[3, 5, 7, 11], layer_scale_init_value=0.1),
    "large": dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096, image_size=640,
                  out_indices=[7, 11, 15, 23], layer_scale_init_value=1e-5),
}


def config(name):
    return BeitConfig(patch_size=16, use_relative_position_bias=True, use_absolute_position_embeddings=False,
                      use_shared_relative_position_bias=False, use_mean_pooling=True, pool_scales=[1, 2, 3, 6],
                      use_auxiliary_head=True, auxiliary_channels=256, auxiliary_num_convs=1, auxiliary_concat_input=False,
                      num_labels=150, **ARCHITECTURES[name])


@torch.no_grad()
def fill(model, seed):
    """Draws all weights."""
    generator = torch.Generator().manual_seed(seed)
    normal = lambda t, std: torch.randn(t.shape, generator=generator) * std
    for name, m in model.named_modules():
        if isinstance(m, torch.nn.Linear):
            std = float(np.clip(1.1 / m.in_features**0.5, 0.02, 0.05))
            if m.in_features < 400:
                std = 1.1 / m.in_features**0.5
            if name.endswith(("q_proj", "k_proj", "query", "key")):
                std *= 1.6  # sharper attention than a uniform average
            m.weight.copy_(normal(m.weight, std))
            if m.bias is not None:
                m.bias.copy_(normal(m.bias, 0.1))
        elif isinstance(m, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            fan_in = m.weight[0].numel() if isinstance(m, torch.nn.Conv2d) else m.weight.shape[0]
            m.weight.copy_(normal(m.weight, 1.2 / fan_in**0.5))
            if m.bias is not None:
                m.bias.copy_(normal(m.bias, 0.1))
        elif isinstance(m, torch.nn.LayerNorm):
            m.weight.copy_(torch.exp(normal(m.weight, 0.3)))
            m.bias.copy_(normal(m.bias, 0.1))
        elif isinstance(m, torch.nn.BatchNorm2d):
            m.weight.copy_(torch.exp(normal(m.weight, 0.25)))
            m.bias.copy_(normal(m.bias, 0.2))
            m.running_mean.copy_(normal(m.running_mean, 0.1))
            m.running_var.copy_(torch.exp(normal(m.running_var, 0.3)))
    for name, p in model.named_parameters():
        if "relative_position_bias_table" in name:
            p.copy_(normal(p, 0.5))
        elif name.endswith(("lambda_1", "lambda_2")):
            p.copy_(torch.rand(p.shape, generator=generator) * 0.9 + 0.1)
        elif name.endswith("cls_token"):
            p.copy_(normal(p, 0.5))


@torch.no_grad()
def settle(model, x, seed):
    """Runs the model on `x` and takes BatchNorm's statistics, perturbed, and the classifier's scale and centre from it."""
    generator = torch.Generator().manual_seed(seed + 1)

    def batch_norm(m, inputs):
        v = inputs[0].double()
        var, mean = torch.var_mean(v, dim=(0, 2, 3), unbiased=False)
        # Over a data set the variance includes the differences between pictures. Without this floor the pooled maps of a random
        # network, whose means are far above their spatial spread, would be amplified, and their quantisation noise with them.
        var = torch.maximum(var, torch.full_like(var, 0.5 * float((v**2).mean())))
        std = var.sqrt()
        m.running_mean.copy_((mean + 0.3 * std * torch.randn(std.shape, generator=generator)).float())
        m.running_var.copy_((var * torch.exp(0.3 * torch.randn(std.shape, generator=generator))).float())

    def classifier(m, _, out):
        scale = 1.5 / float(out.double().std(dim=(2, 3)).mean())
        m.weight.mul_(scale)
        centre = -(out - m.bias.view(1, -1, 1, 1)).mean(dim=(0, 2, 3)) * scale
        m.bias.copy_(centre + 0.7 * torch.randn(m.bias.shape, generator=generator))

    hooks = []
    for name, m in model.named_modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            hooks.append(m.register_forward_pre_hook(batch_norm))
        elif name.endswith("classifier"):
            hooks.append(m.register_forward_hook(classifier))
    model(x)
    for hook in hooks:
        hook.remove()


def picture(seed, w=1024, h=768):
    """A picture with structure at all scales: coloured noise, a gradient, shapes, grain."""
    rng = np.random.default_rng(seed)
    noise = np.zeros((h, w, 3), np.float32)
    amplitude = 1.0
    for side in (2, 4, 8, 16, 32, 64, 128, 256):
        small = rng.random((max(2, h * side // w), side, 3)).astype(np.float32)
        small = small - small.mean()
        channels = [np.asarray(Image.fromarray(small[..., c]).resize((w, h), Image.BICUBIC)) for c in range(3)]
        up = np.stack(channels, -1)
        noise += amplitude * (0.6 * up.mean(-1, keepdims=True) + 0.4 * up)
        amplitude *= 0.55
    noise = (noise - noise.min()) / (noise.max() - noise.min())
    sky = np.linspace(1, 0, h)[:, None, None] * np.array([0.25, 0.45, 0.8], np.float32)
    image = Image.fromarray((np.clip(0.7 * noise + 0.4 * sky, 0, 1) * 255).astype(np.uint8))
    draw = ImageDraw.Draw(image, "RGBA")
    for _ in range(28):
        x, y = rng.integers(0, w), rng.integers(0, h)
        a, b = rng.integers(20, w // 4), rng.integers(20, h // 3)
        colour = tuple(int(v) for v in rng.integers(0, 255, 3)) + (int(rng.integers(120, 255)),)
        kind = rng.integers(0, 3)
        if kind == 0:
            draw.rectangle([x, y, x + a, y + b], fill=colour)
        elif kind == 1:
            draw.ellipse([x, y, x + a, y + b], fill=colour)
        else:
            draw.polygon([(x, y), (x + a, y + b // 2), (x + a // 3, y + b)], fill=colour)
    image = image.filter(ImageFilter.GaussianBlur(0.7))
    grain = np.asarray(image).astype(np.float32) + rng.normal(0, 4, (h, w, 1))
    return Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8))


def preprocess(image, size):
    """Bilinear to size x size, then (x / 255 - 0.5) / 0.5."""
    x = np.asarray(image.convert("RGB").resize((size, size), Image.BILINEAR)).astype(np.float32) / 255.0
    return torch.from_numpy(np.ascontiguousarray(((x - 0.5) / 0.5).transpose(2, 0, 1)[None]))


def main():
    args = argparse.ArgumentParser()
    args.add_argument("architecture", choices=ARCHITECTURES)
    args.add_argument("folder", type=Path)
    args.add_argument("--seed", type=int, default=7)
    args = args.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    size = ARCHITECTURES[args.architecture]["image_size"]
    model = BeitForSemanticSegmentation(config(args.architecture)).eval()
    fill(model, args.seed)
    settle(model, preprocess(picture(args.seed + 500), size), args.seed)
    model.save_pretrained(args.folder)
    preprocessor = dict(crop_size=size, do_center_crop=False, do_normalize=True, do_resize=True,
                        feature_extractor_type="BeitFeatureExtractor", image_mean=[0.5] * 3, image_std=[0.5] * 3, resample=2,
                        size=size)
    (args.folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2))
    picture(args.seed).save(args.folder / "picture.png")


if __name__ == "__main__":
    main()
