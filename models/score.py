#!/usr/bin/env python3
"""Scores a transformers folder in f32 on held-out scenes of 640x480, drawn by `scenes raw`.

    python3 models/score.py models/demo [COUNT]

Every picture goes through the folder's own preprocessor; logits are up-sampled to the picture's size.
"""
import subprocess
import sys

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F
from transformers import BeitForSemanticSegmentation, BeitImageProcessorPil

from train import CLASSES, HELD_OUT, SCENES

WIDTH, HEIGHT = 640, 480


def main():
    folder, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 500
    model = BeitForSemanticSegmentation.from_pretrained(folder, dtype=torch.float32).eval()
    processor = BeitImageProcessorPil.from_pretrained(folder)
    args = [SCENES, "raw", str(HELD_OUT), str(count), str(WIDTH), str(HEIGHT)]
    pipe = subprocess.Popen(args, stdout=subprocess.PIPE)
    n = WIDTH * HEIGHT
    table = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    for _ in range(count):
        data = np.frombuffer(pipe.stdout.read(4 * n), np.uint8)
        picture = Image.fromarray(data[: 3 * n].reshape(HEIGHT, WIDTH, 3))
        with torch.no_grad():
            logits = model(**processor(picture, return_tensors="pt")).logits
        said = F.interpolate(logits, (HEIGHT, WIDTH), mode="bilinear").argmax(1).numpy().ravel()
        both = data[3 * n :].astype(np.int64) * len(CLASSES) + said
        table += np.bincount(both, minlength=table.size).reshape(table.shape)
    hit = np.diag(table)
    iou = hit / np.maximum(table.sum(0) + table.sum(1) - hit, 1)
    print(f"{count} scenes from seed {HELD_OUT}: mIoU {iou.mean():.4f} pixel accuracy {hit.sum() / table.sum():.4f}")
    for name, value, share in zip(CLASSES, iou, table.sum(1) / table.sum()):
        print(f"| {name} | {value:.3f} | {100 * share:.1f}% |")


if __name__ == "__main__":
    main()
