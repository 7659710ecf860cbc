"""Writes class maps of a tiny model by the test protocol of BEiT's authors: windows, mirrored views, scales.

usage: python make_views.py        reads ../data/unilm/model.pth, writes ../data/views/views.safetensors

A straightforward implementation in f64, written from the sources of mmcv (`imrescale`), unilm (`SETR_Resize`) and mmsegmentation
(`slide_inference`, `aug_test`). Every window's logits are interpolated to the window, added up and divided by how many windows cover
a pixel; their mean is interpolated to the size of the picture.
"""
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from transformers import BeitConfig, BeitForSemanticSegmentation

from make_goldens import CASES, COMMON, DATA, forward, normalise, random_image, rename, resize, unilm

PUBLISHED = [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
# name: (width, height of the picture, mode, ratios, flip)
VIEWS = {
    "wide": (150, 60, "slide", [], False),
    "tall": (60, 170, "slide", [], False),
    "three windows over a pixel": (161, 96, "slide", [], False),
    "many windows": (300, 80, "slide", [], False),
    "smaller than the window": (40, 30, "slide", [], False),
    "exactly the window": (96, 96, "slide", [], False),
    "longer than four windows": (500, 60, "slide", [], False),
    "larger than the window": (330, 170, "slide", [], False),
    "flip": (150, 60, "slide", [], True),
    "published scales": (90, 140, "slide", PUBLISHED, False),
    "published scales, flip": (131, 97, "slide", PUBLISHED, True),
    "two scales, wide": (230, 50, "slide", [1.0, 1.4], False),
    "native": (230, 170, "native", [], False),
    "native, smaller than the window": (50, 40, "native", [], False),
    "native, flip": (100, 170, "native", [], True),
    "whole, flip": (131, 97, "whole", [], True),
}


def up(t, h, w):
    return F.interpolate(t[None], size=(h, w), mode="bilinear", align_corners=False)[0]


def resized_size(w, h, size, mode, ratio):
    """Width and height of the resized picture, as Python and mmcv compute them."""
    if mode == "native":
        return w, h
    if ratio is None:
        long, short = 4 * size, size
    else:
        short = max(size, int(size * ratio))
        long = short * max(w, h) / min(w, h)
    f = min(long / max(w, h), short / min(w, h))
    return int(w * f + 0.5), int(h * f + 0.5)


def slide(model, img, size, mean, std):
    """The mean of the windows' logits, at the size of `img`."""
    h, w = img.shape[:2]
    # Beyond the border the colour is the mean, zero after normalisation, rounded to bytes.
    border = np.floor(np.array(mean) * 255 + 0.5).astype(np.uint8)
    padded = np.tile(border, (max(h, size), max(w, size), 1))
    padded[:h, :w] = img
    stride = 2 * size // 3
    total, count = 0, torch.zeros(padded.shape[:2], dtype=torch.float64)
    for y in range(max(h - size + stride - 1, 0) // stride + 1):
        for x in range(max(w - size + stride - 1, 0) // stride + 1):
            y0, x0 = max(min(y * stride, h - size), 0), max(min(x * stride, w - size), 0)
            logits = up(model(normalise(padded[y0:y0 + size, x0:x0 + size], mean, std)), size, size)
            total = total + F.pad(logits, (x0, padded.shape[1] - size - x0, y0, padded.shape[0] - size - y0))
            count[y0:y0 + size, x0:x0 + size] += 1
    return (total / count)[:, :h, :w]


def view(model, img, size, mean, std, mode, ratio, mirror):
    """The logits of one view, at the size of the picture."""
    h, w = img.shape[:2]
    if mode == "whole":
        stretched = resize(img, size, size, "opencv")
        logits = model(normalise(stretched[:, ::-1] if mirror else stretched, mean, std))
    else:
        seen = resize(img, *resized_size(w, h, size, mode, ratio), "opencv") if mode == "slide" else img
        logits = slide(model, seen[:, ::-1] if mirror else seen, size, mean, std)
    logits = up(logits, h, w)
    return logits.flip(2) if mirror else logits


def load(folder, golden):
    """The weights of a .pth file under the names of transformers 5."""
    case = CASES[golden["names"]]
    config = BeitConfig(**{**COMMON, **case["config"]}, id2label={i: str(i) for i in range(golden["classes"])})
    names = {}
    for name, tensor in BeitForSemanticSegmentation(config).state_dict().items():
        if not any(part in name for part in ("q_proj", "k_proj", "v_proj")):
            names[next(iter(unilm({name: tensor}, golden["grid"], False)))] = name
    stored = torch.load(folder / "model.pth", weights_only=False)["state_dict"]
    sd = {names[k]: v for k, v in stored.items() if k in names}
    for k in range(golden["layers"]):
        attention, old = f"beit.layers.{k}.attention.", f"backbone.blocks.{k}.attn."
        for part, weight in zip("qkv", stored[old + "qkv.weight"].chunk(3)):
            sd[f"{attention}{part}_proj.weight"] = weight
        sd[attention + "q_proj.bias"], sd[attention + "v_proj.bias"] = stored[old + "q_bias"], stored[old + "v_bias"]
    return sd


if __name__ == "__main__":
    folder = DATA / "unilm"
    golden = json.loads((folder / "golden.json").read_text())
    size, mean, std = golden["size"], golden["mean"], golden["std"]
    how = {k: golden[k] for k in ("heads", "feature_blocks", "eps")}
    sd = load(folder, golden)
    model = lambda x: forward(sd, x, **how)["logits"]
    out = {}
    for seed, (name, (w, h, mode, ratios, flip)) in enumerate(VIEWS.items()):
        img = random_image(9000 + seed, w, h)
        scores = [view(model, img, size, mean, std, mode, ratio, mirror)
                  for ratio in ratios or [None] for mirror in ([False, True] if flip else [False])]
        scores = scores[0] if len(scores) == 1 else sum(s.softmax(0) for s in scores) / len(scores)
        best = scores.sort(0, descending=True).values
        close = best[0] - best[1] < 1e-4 * (best[0] - best[-1])
        out[name + ".picture"] = img
        out[name + ".map"] = scores.argmax(0).numpy().astype(np.uint8)
        out[name + ".close"] = close.numpy().astype(np.uint8)
        print(f"{name:32} {w}x{h}: {len(np.unique(out[name + '.map']))} classes, {int(close.sum())} close pixels")
    (DATA / "views").mkdir(exist_ok=True)
    save_file(out, DATA / "views" / "views.safetensors")
