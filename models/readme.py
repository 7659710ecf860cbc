#!/usr/bin/env python3
"""Draws models/readme.png: the sample picture, its class map and the overlay side by side, with a legend below.

    cargo build --release
    python3 models/readme.py

Needs numpy and Pillow 10.1 or newer. The image is drawn at twice the width at which the README shows it.
"""
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = "models/sample.png"
PANEL = (540, 405)
GAP = 20
COLUMNS = 6
ROW = 46
SWATCH = 30
MARGIN = 24
BACKGROUND, BRIGHT, DIM = (24, 25, 28), (236, 236, 232), (165, 167, 173)


def segment(folder):
    """The class map and the overlay without its legend, as the program draws them, and the classes by frequency."""
    out = Path(folder) / "map.png"
    command = ["target/release/beitle", "segment", SAMPLE, "-m", "models/demo.beitle", "--overlay", "--json", "-o", out]
    result = json.loads(subprocess.check_output(command, cwd=ROOT))
    class_map, overlay = Image.open(out), Image.open(result["overlay"]).convert("RGB")
    left = (overlay.width - result["width"]) // 2
    overlay = overlay.crop((left, 0, left + result["width"], result["height"]))
    return class_map, overlay, result["classes"]


def legend(draw, top, classes, palette):
    """Swatch, name and share of each class, row by row."""
    font = ImageFont.load_default(27)
    column = (draw.im.size[0] - 2 * MARGIN) // COLUMNS
    for i, c in enumerate(classes):
        x, y = MARGIN + i % COLUMNS * column, top + i // COLUMNS * ROW
        middle = y + SWATCH // 2
        colour = tuple(palette[3 * c["id"] : 3 * c["id"] + 3])
        draw.rounded_rectangle((x, y, x + SWATCH, y + SWATCH), 6, fill=colour, outline=DIM, width=2)
        x += SWATCH + 14
        draw.text((x, middle), c["name"], BRIGHT, font, anchor="lm")
        share = f"{100 * c['share']:.1f}%"
        draw.text((x + draw.textlength(c["name"] + " ", font) + 4, middle), share, DIM, font, anchor="lm")


def reduce_colours(image):
    """The image in 256 colours. Similar colours form a group that weighs the square root of its pixels, so that small
    things keep their colours beside sky and road."""
    pixels = np.asarray(image).reshape(-1, 3)
    _, group, count = np.unique(pixels >> 3, axis=0, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(group.ravel(), channel) / count for channel in pixels.T], 1).round().astype(np.uint8)
    sample = Image.fromarray(np.repeat(means, np.sqrt(count).astype(int), axis=0)[None])
    palette = sample.quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=5)
    return image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def main():
    with tempfile.TemporaryDirectory() as folder:
        class_map, overlay, classes = segment(folder)
    palette = class_map.getpalette()
    rows = -(-len(classes) // COLUMNS)
    width = 3 * PANEL[0] + 2 * GAP
    image = Image.new("RGB", (width, PANEL[1] + MARGIN + rows * ROW + MARGIN // 2), BACKGROUND)
    for i, panel in enumerate([Image.open(ROOT / SAMPLE), class_map, overlay]):
        image.paste(panel.convert("RGB").resize(PANEL, Image.Resampling.LANCZOS), (i * (PANEL[0] + GAP), 0))
    legend(ImageDraw.Draw(image), PANEL[1] + MARGIN, classes, palette)
    reduce_colours(image).save(ROOT / "models/readme.png", optimize=True)


if __name__ == "__main__":
    main()
