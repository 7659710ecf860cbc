"""Pictures resized by Pillow and by OpenCV, byte for byte, for the image module to be compared with.

usage: python make_resize.py            writes ../data/resize/resize.safetensors

Tensors, all u8: `src.<id>` [h, w, 3] and `<filter>.<id>.<W>x<H>` [H, W, 3], where <id> is the source's `WxH` and
<filter> one of nearest, box, bilinear, hamming, bicubic, lanczos (Pillow) and opencv (cv2.resize, INTER_LINEAR).
"""
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from safetensors.numpy import save_file

FILTERS = dict(nearest=Image.NEAREST, box=Image.BOX, bilinear=Image.BILINEAR, hamming=Image.HAMMING,
               bicubic=Image.BICUBIC, lanczos=Image.LANCZOS)
# (source W, H) -> targets (W, H); 64x64 -> 32x32 is the one size that OpenCV averages instead of interpolating.
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
    """Smooth colours, hard edges that reach 0 and 255 (so that bicubic and Lanczos overshoot), and noise."""
    y, x = np.mgrid[0:h, 0:w]
    f = rng.uniform(0.02, 0.4, (3, 2))
    img = np.stack([127 + 90 * np.sin(f[c, 0] * x + f[c, 1] * y + c) for c in range(3)], -1)
    img += rng.normal(0, 20, img.shape)
    for _ in range(6):
        x0, y0 = rng.integers(0, w), rng.integers(0, h)
        img[y0:y0 + 1 + h // 4, x0:x0 + 1 + w // 4] = rng.choice([0, 255], 3)
    return np.clip(img, 0, 255).astype(np.uint8)


def opencv_linear(src, w, h):
    """What cv2.resize(INTER_LINEAR) computes on u8, as a specification: 11-bit weights, two rounding shifts."""
    sh, sw = src.shape[:2]
    if (sw, sh) == (w, h):
        return src.copy()
    s = src.astype(np.int64)
    if (sw, sh) == (2 * w, 2 * h):
        return ((s[::2, ::2] + s[1::2, ::2] + s[::2, 1::2] + s[1::2, 1::2] + 2) >> 2).astype(np.uint8)

    def taps(n, m):     # n source samples, m results: first sample and the weight of the second
        scale = np.float64(1) / (np.float64(m) / np.float64(n))
        f = ((np.arange(m) + 0.5) * scale - 0.5).astype(np.float32)
        i = np.floor(f).astype(np.int64)
        return i, (f - i.astype(np.float32)).astype(np.float32)

    def weights(f):
        return (np.rint((np.float32(1) - f) * np.float32(2048)).astype(np.int64),
                np.rint(f * np.float32(2048)).astype(np.int64))

    x, fx = taps(sw, w)
    fx = np.where((x < 0) | (x >= sw - 1), np.float32(0), fx)
    x = np.clip(x, 0, sw - 1)
    a0, a1 = (a[None, :, None] for a in weights(fx))
    row = s[:, x] * a0 + s[:, np.minimum(x + 1, sw - 1)] * a1
    y, fy = taps(sh, h)     # rows are clamped, their weights are not
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
