#!/usr/bin/env python3
"""Trains the demonstration model from scratch on scenes drawn by `scenes stream`.

    cargo build --release -p beitle-scenes
    python3 models/train.py --minutes 75 --work /tmp/demo

The learning rate depends on the elapsed time, so the run ends on time however busy the machine is. --resume continues a stopped
run. The first part trains on 128x128 crops, the rest on whole pictures. Writes checkpoint.pt and train.log to --work;
export.py turns the checkpoint into models/demo.
"""
import argparse
import math
import os
import queue
import threading
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from torch.nn import functional as F
from transformers import BeitForSemanticSegmentation
from transformers.models.beit import modeling_beit

from common import CLASSES, HELD_OUT, SIZE, Confusion, config, scenes

# Weights of the classes in the loss.
WEIGHTS = [0.7, 0.7, 0.6, 1.1, 1.1, 1.1, 0.8, 1.3, 1.6, 1.6, 1.0, 1.9]
# The label of pixels that the loss ignores.
IGNORED = 255
# Seconds between checkpoints and between evaluations.
SAVE_EVERY, EVALUATE_EVERY = 240, 600


def crop_position_bias():
    """Makes a smaller input use the middle of the position-bias table. Transformers would interpolate the table."""
    cls = modeling_beit.BeitRelativePositionBias
    whole = cls.forward

    def forward(self, window_size, interpolate_pos_encoding=False, dim_size=None):
        full, n = self.window_size[0], window_size[0]
        if n == full:
            return whole(self, window_size, interpolate_pos_encoding, dim_size)
        table = self.relative_position_bias_table
        square = table[:-3].view(2 * full - 1, 2 * full - 1, -1)
        middle = square[full - n : full + n - 1, full - n : full + n - 1].reshape((2 * n - 1) ** 2, -1)
        index = self.generate_relative_position_index((n, n)).view(-1)
        bias = torch.cat([middle, table[-3:]])[index].view(n * n + 1, n * n + 1, -1)
        return bias.permute(2, 0, 1).contiguous().unsqueeze(0)

    cls.forward = forward


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last)


class Head:
    """The decode head during training.

    The convolutions at 64x64 are half of all arithmetic, so in training they run on a random window of the map only. Two auxiliary
    classifiers read the two deepest features, for every token; they are dropped after training.
    """

    # Side of the window.
    side = 36

    def __init__(self, model):
        self.head, self.window = model.decode_head, None
        self.head.forward = self.forward
        self.auxiliary = torch.nn.ModuleList(
            torch.nn.Sequential(torch.nn.Conv2d(192, len(CLASSES) * r * r, 1), torch.nn.PixelShuffle(r)) for r in (4, 8)
        )

    def forward(self, features):
        head, upsampling = self.head, dict(mode="bilinear", align_corners=False)
        self.deep = features[2:]
        laterals = [conv(x) for conv, x in zip(head.lateral_convs, features)] + [head.psp_forward(features)]
        for i in (3, 2, 1):
            laterals[i - 1] = laterals[i - 1] + F.interpolate(laterals[i], laterals[i - 1].shape[2:], **upsampling)
        size = laterals[0].shape[2:]
        coarse = [*(conv(x) for conv, x in zip(head.fpn_convs[1:], laterals[1:])), laterals[3]]
        levels = [head.fpn_convs[0](self.cut(laterals[0]))]
        levels += [self.cut(F.interpolate(x, size, **upsampling)) for x in coarse]
        return head.classifier(head.fpn_bottleneck(channels_last(torch.cat(levels, 1))))

    def cut(self, x):
        """The window of a map, or the whole map if there is no window."""
        if self.window is None:
            return x
        y, left = self.window
        return channels_last(x[:, :, y : y + self.side, left : left + self.side])

    def auxiliary_loss(self, labels, weights):
        """The loss of the auxiliary classifiers, at every fourth pixel."""
        labels = labels[:, 2::4, 2::4]
        with torch.autocast("cpu", torch.bfloat16):
            logits = [net(x) for net, x in zip(self.auxiliary, self.deep)]
        return sum(F.cross_entropy(x.float(), labels, weight=weights) for x in logits)

    def move_window(self, rng, labels):
        """Moves the window to a random place and returns its labels.

        Pixels near an inner edge of the window are ignored, since the convolutions lack their neighbours.
        """
        free, margin = SIZE // 4 - self.side, 10
        y, x = (int(v) for v in rng.integers(-6, free + 7, 2).clip(0, free))
        self.window = (y, x)
        span = 4 * self.side
        labels = labels[:, 4 * y : 4 * y + span, 4 * x : 4 * x + span].clone()
        if y > 0:
            labels[:, :margin] = IGNORED
        if y < free:
            labels[:, -margin:] = IGNORED
        if x > 0:
            labels[:, :, :margin] = IGNORED
        if x < free:
            labels[:, :, -margin:] = IGNORED
        return labels


def overlap_loss(logits, labels):
    """One minus the soft intersection over union of the classes in the batch (Rahman and Wang 2016)."""
    counted = (labels != IGNORED).unsqueeze(1)
    predicted = logits.softmax(1) * counted
    true = F.one_hot(labels.where(labels != IGNORED, 0), len(CLASSES)).permute(0, 3, 1, 2) * counted
    intersection, total = (predicted * true).sum((0, 2, 3)), (predicted + true).sum((0, 2, 3))
    present = true.sum((0, 2, 3)) > 0
    return 1 - (intersection / (total - intersection).clamp(min=1))[present].mean()


class ThreadCount:
    """Adapts the number of threads: one while other processes keep a core busy, otherwise one per core.

    Two threads of which one has to wait for a core are slower than one thread.
    """

    def __init__(self):
        self.last = self.read()

    @staticmethod
    def read():
        """Wall time, processor time of the whole machine, processor time of this process, in seconds."""
        machine = open("/proc/stat").readline().split()[1:]
        own = os.times()
        return time.time(), sum(int(v) for i, v in enumerate(machine[:8]) if i not in (3, 4)) / 100, sum(own[:4])

    def adapt(self):
        now = self.read()
        wall, machine, own = (a - b for a, b in zip(now, self.last))
        if wall > 5:
            self.last = now
            torch.set_num_threads(1 if machine - own > 0.4 * wall else os.cpu_count())


def prefetch(items, depth):
    """The same items, produced ahead of time by a thread."""
    box = queue.Queue(depth)
    threading.Thread(target=lambda: [box.put(i) for i in items], daemon=True).start()
    while True:
        yield box.get()


def tensor(rgb):
    return torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 127.5 - 1


def batch(source, rng, count, crops, side):
    """Random crops, half of them mirrored, `crops` from each of `count` scenes."""
    rgb, labels = [], []
    for _ in range(count):
        a, b = next(source)
        for _ in range(crops):
            y, x = rng.integers(0, SIZE - side + 1, 2)
            direction = -1 if rng.random() < 0.5 else 1
            rgb.append(a[y : y + side, x : x + side][:, ::direction])
            labels.append(b[y : y + side, x : x + side][:, ::direction])
    return tensor(np.stack(rgb)), torch.from_numpy(np.stack(labels)).long()


def evaluate(model, count=64):
    """IoU of each class and pixel accuracy on held-out scenes."""
    model.eval()
    confusion = Confusion()
    pairs = list(scenes("stream", HELD_OUT, count, SIZE, SIZE))
    for i in range(0, count, 16):
        rgb, labels = (np.stack(x) for x in zip(*pairs[i : i + 16]))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            logits = model(pixel_values=channels_last(tensor(rgb))).logits.float()
        confusion.add(labels, F.interpolate(logits, SIZE, mode="bilinear").argmax(1).numpy())
    model.train()
    return confusion.scores()


class Training:
    """The state of a run: model, optimiser, and how many steps, scenes and seconds it has taken."""

    def __init__(self, args):
        self.args = args
        args.work.mkdir(parents=True, exist_ok=True)
        self.log_file = open(args.work / "train.log", "a" if args.resume else "w")
        torch.manual_seed(args.seed)
        self.rng = np.random.default_rng(args.seed)
        crop_position_bias()
        self.threads = ThreadCount()
        self.model = BeitForSemanticSegmentation(config()).to(memory_format=torch.channels_last)
        self.head = Head(self.model)
        self.model.train()
        self.parameters = [*self.model.parameters(), *self.head.auxiliary.parameters()]
        self.optimizer = self.make_optimizer()
        self.weights = torch.tensor(WEIGHTS)
        self.step, self.seen, self.mean_loss = 0, 0, 2.5
        spent = self.load() if args.resume else 0.0
        self.log(f"torch {torch.__version__} transformers {transformers.__version__} numpy {np.__version__} seed {args.seed} "
                 f"minutes {args.minutes} parameters {sum(p.numel() for p in self.model.parameters())}")
        self.source = prefetch(scenes("stream", self.seen, HELD_OUT - self.seen, SIZE, SIZE), 64)
        self.start = time.time() - spent
        self.saved = self.evaluated = time.time()

    def log(self, text):
        print(text, flush=True)
        print(text, file=self.log_file, flush=True)

    def make_optimizer(self):
        """AdamW; vectors (biases, norms, layer scales) are not decayed."""
        vectors = [p for p in self.parameters if p.ndim < 2]
        matrices = [p for p in self.parameters if p.ndim >= 2]
        groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=self.args.rate, betas=(0.9, 0.98))

    def load(self):
        """Loads the checkpoint and returns the seconds spent before it."""
        state = torch.load(self.args.work / "checkpoint.pt")
        self.model.load_state_dict(state["model"])
        self.head.auxiliary.load_state_dict(state["extra"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seen = state["step"], state["seen"]
        return state["spent"]

    def save(self):
        state = {"model": self.model.state_dict(), "extra": self.head.auxiliary.state_dict(),
                 "optimizer": self.optimizer.state_dict(), "step": self.step, "seen": self.seen,
                 "spent": time.time() - self.start}
        torch.save(state, self.args.work / "checkpoint.tmp")
        (self.args.work / "checkpoint.tmp").rename(self.args.work / "checkpoint.pt")
        self.saved = time.time()

    def progress(self):
        """The share of the time that has passed."""
        return (time.time() - self.start) / (60 * self.args.minutes)

    def learning_rate(self, progress):
        """A warm-up of 150 steps, then a cosine over the whole time down to 2%."""
        return self.args.rate * min(1, (self.step + 1) / 150) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))

    def loss(self, x, y, on_crops, progress):
        """The head's cross-entropy, which is logged, and the whole loss."""
        target = y if on_crops else self.head.move_window(self.rng, y)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.model(pixel_values=channels_last(x)).logits
        self.head.window = None
        logits = F.interpolate(logits.float(), target.shape[1:], mode="bilinear")
        loss = F.cross_entropy(logits, target, weight=self.weights, ignore_index=IGNORED)
        whole = loss + 0.3 * self.head.auxiliary_loss(y, self.weights)
        if progress >= 0.5:
            whole = whole + overlap_loss(logits, target)
        return loss, whole

    def take_step(self, progress):
        on_crops = progress < self.args.crops
        count, crops, side = (12, 2, 128) if on_crops else (8, 1, SIZE)
        rate = self.learning_rate(progress)
        self.threads.adapt()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        x, y = batch(self.source, self.rng, count, crops, side)
        loss, whole = self.loss(x, y, on_crops, progress)
        self.optimizer.zero_grad(set_to_none=True)
        whole.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step, self.seen = self.step + 1, self.seen + count
        self.mean_loss += 0.03 * (loss.item() - self.mean_loss)
        if self.step % 25 == 0:
            self.log(f"step {self.step} scenes {self.seen} minutes {(time.time() - self.start) / 60:.1f} rate {rate:.2e} "
                     f"loss {self.mean_loss:.4f} threads {torch.get_num_threads()}")

    def evaluate(self):
        iou, accuracy = evaluate(self.model)
        self.evaluated = time.time()
        self.log(f"held out: mIoU {iou.mean():.4f} accuracy {accuracy:.4f} " + " ".join(f"{c} {v:.3f}" for c, v in zip(CLASSES, iou)))

    def run(self):
        while (progress := self.progress()) < 1:
            self.take_step(progress)
            last = self.progress() >= 1
            if last or time.time() - self.evaluated > EVALUATE_EVERY:
                self.evaluate()
            if last or time.time() - self.saved > SAVE_EVERY:
                self.save()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--minutes", type=float, default=75)
    args.add_argument("--crops", type=float, default=0.33, help="share of the time spent on crops")
    args.add_argument("--rate", type=float, default=1e-3, help="peak learning rate")
    args.add_argument("--work", type=Path, default=Path("/tmp/demo"), help="folder for checkpoint.pt and train.log")
    args.add_argument("--resume", action="store_true", help="continue from the checkpoint in --work")
    args.add_argument("--seed", type=int, default=1)
    Training(args.parse_args()).run()


if __name__ == "__main__":
    main()
