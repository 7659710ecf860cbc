#!/usr/bin/env python3
"""Scores a transformers folder in f32 on held-out scenes of 640x480, drawn by `scenes raw`.

    python3 models/score.py models/demo [COUNT]

Every picture goes through the folder's own preprocessor. Logits are interpolated to the picture's size before the
argmax. Prints mean IoU, pixel accuracy and a table of the classes.
"""
import sys

import torch
from PIL import Image
from torch.nn import functional as F
from transformers import BeitForSemanticSegmentation, BeitImageProcessorPil

from common import CLASSES, HELD_OUT, Confusion, scenes

WIDTH, HEIGHT = 640, 480


def main():
    folder, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 500
    model = BeitForSemanticSegmentation.from_pretrained(folder, dtype=torch.float32).eval()
    processor = BeitImageProcessorPil.from_pretrained(folder)
    confusion = Confusion()
    for rgb, labels in scenes("raw", HELD_OUT, count, WIDTH, HEIGHT):
        with torch.no_grad():
            logits = model(**processor(Image.fromarray(rgb), return_tensors="pt")).logits
        confusion.add(labels, F.interpolate(logits, (HEIGHT, WIDTH), mode="bilinear").argmax(1).numpy())
    iou, accuracy = confusion.scores()
    print(f"{count} scenes from seed {HELD_OUT}: mIoU {iou.mean():.4f} pixel accuracy {accuracy:.4f}")
    for name, value, share in zip(CLASSES, iou, confusion.shares()):
        print(f"| {name} | {value:.3f} | {100 * share:.1f}% |")


if __name__ == "__main__":
    main()
