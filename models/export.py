#!/usr/bin/env python3
"""Converts a checkpoint of train.py to a transformers folder with f16 weights.

    python3 models/export.py /tmp/demo/checkpoint.pt models/demo
"""
import json
import sys
from pathlib import Path

import torch
from transformers import BeitForSemanticSegmentation

from common import config

PREPROCESSOR = {
    "image_processor_type": "BeitImageProcessor",
    "do_resize": True,
    "size": {"height": 256, "width": 256},
    "resample": 2,
    "do_center_crop": False,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "do_reduce_labels": False,
}


def main():
    checkpoint, folder = map(Path, sys.argv[1:3])
    model = BeitForSemanticSegmentation(config())
    model.load_state_dict(torch.load(checkpoint, map_location="cpu")["model"])
    model.half().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2) + "\n")


if __name__ == "__main__":
    main()
