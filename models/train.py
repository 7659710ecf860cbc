#!/usr/bin/env python3
"""Trains the demonstration model from scratch on scenes drawn by `scenes stream`.

    cargo build --release -p beitle-scenes
    python3 models/train.py --minutes 75 --work /tmp/demo

The learning rate follows the clock, so the run ends on time whatever the machine is doing; a stopped run
continues with --resume. The first part trains on 128x128 crops, the rest on whole pictures. Writes
checkpoint.pt and train.log to --work; export.py turns the checkpoint into models/demo.
"""
import argparse
import math
import os
import queue
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from torch.nn import functional as F
from transformers import BeitConfig, BeitForSemanticSegmentation
from transformers.models.beit import modeling_beit

CLASSES = ["sky", "building", "road", "pavement", "grass", "water", "tree", "fence", "pole", "sign", "car", "person"]
WEIGHTS = [0.7, 0.7, 0.6, 1.1, 1.1, 1.1, 0.8, 1.3, 1.6, 1.6, 1.0, 1.9]
SIZE = 256
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


def crop_position_bias():
    """A smaller window uses the middle of the table (transformers would stretch the whole table)."""
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


class Head:
    """The head as it trains: its finest convolutions see a window of a whole picture's 64x64 map.

    They are half of all arithmetic. Classifiers on the two deepest taps, dropped after training, see every token.
    """

    side = 36

    def __init__(self, model):
        self.head, self.at = model.decode_head, None
        self.head.forward = self.forward
        self.extra = torch.nn.ModuleList(
            torch.nn.Sequential(torch.nn.Conv2d(192, len(CLASSES) * r * r, 1), torch.nn.PixelShuffle(r)) for r in (4, 8)
        )

    def forward(self, maps):
        head, grow = self.head, dict(mode="bilinear", align_corners=False)
        self.tokens = maps[2:]
        rows = [conv(m) for conv, m in zip(head.lateral_convs, maps)] + [head.psp_forward(maps)]
        for i in (3, 2, 1):
            rows[i - 1] = rows[i - 1] + F.interpolate(rows[i], rows[i - 1].shape[2:], **grow)
        size = rows[0].shape[2:]
        outs = [self.cut(rows[0]), *(conv(r) for conv, r in zip(head.fpn_convs[1:], rows[1:])), rows[3]]
        outs = [head.fpn_convs[0](outs[0]), *(self.cut(F.interpolate(o, size, **grow)) for o in outs[1:])]
        return head.classifier(head.fpn_bottleneck(torch.cat(outs, 1).contiguous(memory_format=torch.channels_last)))

    def cut(self, x):
        if self.at is None:
            return x
        y, left = self.at
        return x[:, :, y : y + self.side, left : left + self.side].contiguous(memory_format=torch.channels_last)

    def extra_loss(self, labels, weights):
        """Of the tokens alone: every fourth pixel."""
        labels = labels[:, 2::4, 2::4]
        with torch.autocast("cpu", torch.bfloat16):
            said = [net(m) for net, m in zip(self.extra, self.tokens)]
        return sum(F.cross_entropy(x.float(), labels, weight=weights) for x in said)

    def place(self, rng, labels):
        """Moves the window and returns its labels; the rim, which sees the window's edge, does not count."""
        free, rim = SIZE // 4 - self.side, 10
        y, x = (int(v) for v in rng.integers(-6, free + 7, 2).clip(0, free))
        self.at = (y, x)
        span = 4 * self.side
        labels = labels[:, 4 * y : 4 * y + span, 4 * x : 4 * x + span].clone()
        if y > 0:
            labels[:, :rim] = 255
        if y < free:
            labels[:, -rim:] = 255
        if x > 0:
            labels[:, :, :rim] = 255
        if x < free:
            labels[:, :, -rim:] = 255
        return labels


def overlap_loss(logits, labels):
    """One minus the soft intersection over union of the classes present, over the batch (Rahman and Wang, 2016)."""
    counted = (labels != 255).unsqueeze(1)
    said = logits.softmax(1) * counted
    true = F.one_hot(labels.where(labels != 255, 0), len(CLASSES)).permute(0, 3, 1, 2) * counted
    both, either = (said * true).sum((0, 2, 3)), (said + true).sum((0, 2, 3))
    present = true.sum((0, 2, 3)) > 0
    return 1 - (both / (either - both).clamp(min=1))[present].mean()


class Threads:
    """One thread while other work wants a core: two that wait for each other are slower than one alone."""

    def __init__(self):
        self.then = self.now()

    @staticmethod
    def now():
        busy = open("/proc/stat").readline().split()[1:]
        own = os.times()
        return time.time(), sum(int(v) for i, v in enumerate(busy[:8]) if i not in (3, 4)) / 100, sum(own[:4])

    def adapt(self):
        now = self.now()
        wall, busy, own = (a - b for a, b in zip(now, self.then))
        if wall > 5:
            self.then = now
            torch.set_num_threads(1 if busy - own > 0.4 * wall else os.cpu_count())


def stream(first, count):
    """Pictures as uint8 (SIZE, SIZE, 3) and labels as uint8 (SIZE, SIZE), seed after seed."""
    pipe = subprocess.Popen([SCENES, "stream", str(first), str(count), str(SIZE)], stdout=subprocess.PIPE)
    n = SIZE * SIZE
    try:
        for _ in range(count):
            data = np.frombuffer(pipe.stdout.read(4 * n), np.uint8)
            yield data[: 3 * n].reshape(SIZE, SIZE, 3), data[3 * n :].reshape(SIZE, SIZE)
    finally:
        pipe.kill()


def prefetch(items, depth):
    box = queue.Queue(depth)
    threading.Thread(target=lambda: [box.put(i) for i in items], daemon=True).start()
    while True:
        yield box.get()


def tensor(rgb):
    return torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 127.5 - 1


def batch(source, rng, scenes, crops, crop):
    rgb, labels = [], []
    for _ in range(scenes):
        a, b = next(source)
        for _ in range(crops):
            y, x = rng.integers(0, SIZE - crop + 1, 2)
            turn = -1 if rng.random() < 0.5 else 1
            rgb.append(a[y : y + crop, x : x + crop][:, ::turn])
            labels.append(b[y : y + crop, x : x + crop][:, ::turn])
    return tensor(np.stack(rgb)), torch.from_numpy(np.stack(labels)).long()


def evaluate(model, count=64):
    model.eval()
    table = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    pairs = list(stream(HELD_OUT, count))
    for i in range(0, count, 16):
        x = tensor(np.stack([p[0] for p in pairs[i : i + 16]]))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            logits = model(pixel_values=x.contiguous(memory_format=torch.channels_last)).logits.float()
        said = F.interpolate(logits, SIZE, mode="bilinear").argmax(1).numpy()
        true = np.stack([p[1] for p in pairs[i : i + 16]])
        table += np.bincount(true.ravel().astype(np.int64) * len(CLASSES) + said.ravel(), minlength=table.size).reshape(table.shape)
    model.train()
    hit = np.diag(table)
    iou = hit / np.maximum(table.sum(0) + table.sum(1) - hit, 1)
    return iou, hit.sum() / table.sum()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--minutes", type=float, default=75)
    args.add_argument("--crops", type=float, default=0.33, help="share of the time spent on crops")
    args.add_argument("--rate", type=float, default=1e-3)
    args.add_argument("--work", type=Path, default=Path("/tmp/demo"))
    args.add_argument("--resume", action="store_true")
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    log_file = open(args.work / "train.log", "a" if args.resume else "w")

    def log(text):
        print(text, flush=True)
        print(text, file=log_file, flush=True)

    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    crop_position_bias()
    threads = Threads()
    model = BeitForSemanticSegmentation(config()).to(memory_format=torch.channels_last)
    head = Head(model)
    model.train()
    everything = [*model.parameters(), *head.extra.parameters()]
    plain = [p for p in everything if p.ndim < 2]
    decayed = [p for p in everything if p.ndim >= 2]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.rate, betas=(0.9, 0.98))
    weights = torch.tensor(WEIGHTS)
    step, seen, spent = 0, 0, 0.0
    if args.resume:
        state = torch.load(args.work / "checkpoint.pt")
        model.load_state_dict(state["model"])
        head.extra.load_state_dict(state["extra"])
        optimizer.load_state_dict(state["optimizer"])
        step, seen, spent = state["step"], state["seen"], state["spent"]
    log(f"torch {torch.__version__} transformers {transformers.__version__} numpy {np.__version__} seed {args.seed} "
        f"minutes {args.minutes} parameters {sum(p.numel() for p in model.parameters())}")
    source = prefetch(stream(seen, HELD_OUT - seen), 64)
    start = time.time() - spent
    saved = tested = time.time()
    mean = 2.5
    while True:
        progress = (time.time() - start) / (60 * args.minutes)
        if progress >= 1:
            break
        small = progress < args.crops
        scenes, crops, crop = (12, 2, 128) if small else (8, 1, SIZE)
        rate = args.rate * min(1, (step + 1) / 150) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        threads.adapt()
        for group in optimizer.param_groups:
            group["lr"] = rate
        x, y = batch(source, rng, scenes, crops, crop)
        part = y if small else head.place(rng, y)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(pixel_values=x.contiguous(memory_format=torch.channels_last)).logits
        head.at = None
        logits = F.interpolate(logits.float(), part.shape[1:], mode="bilinear")
        loss = F.cross_entropy(logits, part, weight=weights, ignore_index=255)
        whole = loss + 0.3 * head.extra_loss(y, weights)
        if progress >= 0.5:
            whole = whole + overlap_loss(logits, part)
        optimizer.zero_grad(set_to_none=True)
        whole.backward()
        torch.nn.utils.clip_grad_norm_(everything, 1.0)
        optimizer.step()
        step, seen = step + 1, seen + scenes
        mean += 0.03 * (loss.item() - mean)
        if step % 25 == 0:
            log(f"step {step} scenes {seen} minutes {(time.time() - start) / 60:.1f} rate {rate:.2e} loss {mean:.4f} threads {torch.get_num_threads()}")
        last = (time.time() - start) / (60 * args.minutes) >= 1
        if last or time.time() - tested > 600:
            iou, accuracy = evaluate(model)
            tested = time.time()
            log(f"held out: mIoU {iou.mean():.4f} accuracy {accuracy:.4f} " + " ".join(f"{c} {v:.3f}" for c, v in zip(CLASSES, iou)))
        if last or time.time() - saved > 240:
            state = {"model": model.state_dict(), "extra": head.extra.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "seen": seen, "spent": time.time() - start}
            torch.save(state, args.work / "checkpoint.tmp")
            (args.work / "checkpoint.tmp").rename(args.work / "checkpoint.pt")
            saved = time.time()


if __name__ == "__main__":
    main()
