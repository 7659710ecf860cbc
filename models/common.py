"""Shared by training, export and scoring: the classes, the model's configuration, the scenes and the scores."""
import os
import subprocess
from pathlib import Path

import numpy as np
from transformers import BeitConfig

CLASSES = ["sky", "building", "road", "pavement", "grass", "water", "tree", "fence", "pole", "sign", "car", "person"]
# Side of the model's input in pixels.
SIZE = 256
# The first seed that is never trained on.
HELD_OUT = 1_000_000
SCENES = os.environ.get("SCENES", Path(__file__).resolve().parent.parent / "target/release/scenes")


def config():
    return BeitConfig(
        hidden_size=192, num_hidden_layers=11, num_attention_heads=3, intermediate_size=768, image_size=SIZE,
        patch_size=16, use_relative_position_bias=True, use_shared_relative_position_bias=False,
        use_absolute_position_embeddings=False, use_mask_token=False, use_mean_pooling=True,
        layer_scale_init_value=0.1, drop_path_rate=0.0, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        out_indices=[3, 6, 9, 11], pool_scales=[1, 2, 3, 6], use_auxiliary_head=False, layer_norm_eps=1e-12,
        id2label=dict(enumerate(CLASSES)), label2id={c: i for i, c in enumerate(CLASSES)},
        semantic_loss_ignore_index=255, vocab_size=1,
    )


def scenes(verb, first, count, width, height):
    """Scenes from the command `scenes VERB`: uint8 RGB (height, width, 3) and uint8 labels (height, width), seed after seed."""
    size = [width] if verb == "stream" else [width, height]
    command = [SCENES, verb, *map(str, [first, count, *size])]
    pipe = subprocess.Popen(command, stdout=subprocess.PIPE)
    n = width * height
    try:
        for _ in range(count):
            data = np.frombuffer(pipe.stdout.read(4 * n), np.uint8)
            yield data[: 3 * n].reshape(height, width, 3), data[3 * n :].reshape(height, width)
    finally:
        pipe.kill()


class Confusion:
    """A confusion matrix: pixels by true class (rows) and predicted class (columns)."""

    def __init__(self):
        self.table = np.zeros((len(CLASSES), len(CLASSES)), np.int64)

    def add(self, true, predicted):
        pairs = true.ravel().astype(np.int64) * len(CLASSES) + predicted.ravel()
        self.table += np.bincount(pairs, minlength=self.table.size).reshape(self.table.shape)

    def scores(self):
        """Intersection over union of each class, and the share of pixels that are right."""
        hits = np.diag(self.table)
        union = self.table.sum(0) + self.table.sum(1) - hits
        return hits / np.maximum(union, 1), hits.sum() / self.table.sum()

    def shares(self):
        """The share of pixels of each class."""
        return self.table.sum(1) / self.table.sum()
