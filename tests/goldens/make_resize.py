"""Writes images resized by Pillow and by OpenCV, with which `tests/resize.rs` compares the engine's resizing.

usage: python make_resize.py            writes ../data/resize/resize.safetensors

All tensors are u8: the source images `src.<W>x<H>` [H, W, 3], and `<filter>.<W>x<H>.<w>x<h>` [h, w, 3], the source
resized to `w` x `h`. Filters: nearest, box, bilinear, hamming, bicubic, lanczos (Pillow), opencv (cv2.resize with
INTER_LINEAR).
"""
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from safetensors.numpy import save_file

FILTERS = dict(nearest=Image.NEAREST, box=Image.BOX, bilinear=Image.BILINEAR, hamming=Image.HAMMING,
               bicubic=Image.BICUBIC, lanczos=Image.LANCZOS)
# Source (W, H) -> targets (W, H). Where both sides are halved exactly, OpenCV averages instead of interpolating.
SIZES = {
    (131, 97): [(64, 64), (131, 40), (60, 97)],
    (37, 53): [(96, 96), (38, 52)],
    (17, 201): [(33, 40)],
    (64, 64): [(64, 64), (32, 32), (21, 16)],
    (1, 1): [(16, 16)],
    (640, 3): [(80, 80)],
    (3, 500): [(48, 48)],
    (2, 2): [(7, 5)],
}


def noisy(w, h, rng):
    """Smooth colours, noise, and sharp edges at 0 and 255, where bicubic and Lanczos filters overshoot."""
    y, x = np.mgrid[0:h, 0:w]
    f = rng.uniform(0.02, 0.4, (3, 2))
    img = np.stack([127 + 90 * np.sin(f[c, 0] * x + f[c, 1] * y + c) for c in range(3)], -1)
    img += rng.normal(0, 20, img.shape)
    for _ in range(6):
        x0, y0 = rng.integers(0, w), rng.integers(0, h)
        img[y0:y0 + 1 + h // 4, x0:x0 + 1 + w // 4] = rng.choice([0, 255], 3)
    return np.clip(img, 0, 255).astype(np.uint8)


def opencv_linear(src, w, h):
    """The arithmetic of cv2.resize(INTER_LINEAR) on u8: 11-bit weights, two rounding shifts."""
    sh, sw = src.shape[:2]
    if (sw, sh) == (w, h):
        return src.copy()
    s = src.astype(np.int64)
    if (sw, sh) == (2 * w, 2 * h):
        return ((s[::2, ::2] + s[1::2, ::2] + s[::2, 1::2] + s[1::2, 1::2] + 2) >> 2).astype(np.uint8)

    def positions(n, m):    # from n samples to m: for each output the first sample, and the weight of the second
        scale = np.float64(1) / (np.float64(m) / np.float64(n))
        f = ((np.arange(m) + 0.5) * scale - 0.5).astype(np.float32)
        i = np.floor(f).astype(np.int64)
        return i, (f - i.astype(np.float32)).astype(np.float32)

    def weights(f):
        return (np.rint((np.float32(1) - f) * np.float32(2048)).astype(np.int64),
                np.rint(f * np.float32(2048)).astype(np.int64))

    x, fx = positions(sw, w)
    fx = np.where((x < 0) | (x >= sw - 1), np.float32(0), fx)
    x = np.clip(x, 0, sw - 1)
    a0, a1 = (a[None, :, None] for a in weights(fx))
    row = s[:, x] * a0 + s[:, np.minimum(x + 1, sw - 1)] * a1
    y, fy = positions(sh, h)    # row indices are clamped, weights are not
    b0, b1 = (b[:, None, None] for b in weights(fy))
    r0, r1 = row[np.clip(y, 0, sh - 1)] >> 4, row[np.clip(y + 1, 0, sh - 1)] >> 4
    return np.clip((((b0 * r0) >> 16) + ((b1 * r1) >> 16) + 2) >> 2, 0, 255).astype(np.uint8)


def main():
    rng = np.random.default_rng(20)
    out = {}
    for (w, h), targets in SIZES.items():
        src = noisy(w, h, rng)
        out[f"src.{w}x{h}"] = src
        for tw, th in targets:
            name = f"{w}x{h}.{tw}x{th}"
            for f, code in FILTERS.items():
                out[f"{f}.{name}"] = np.asarray(Image.fromarray(src).resize((tw, th), code)).copy()
            cv = cv2.resize(src, (tw, th), interpolation=cv2.INTER_LINEAR)
            assert np.array_equal(cv, opencv_linear(src, tw, th)), name
            out[f"opencv.{name}"] = cv
    path = Path(__file__).resolve().parent.parent / "data" / "resize" / "resize.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, path)
    print(len(out), "tensors,", path.stat().st_size, "bytes")


main()
