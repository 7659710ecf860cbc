"""Writes tiny random checkpoints of every member of the family, and what transformers computes from them.

usage: python make_members.py [case ...]        writes ../data/members/<case>/

The reference is transformers itself, in f64. A case is written only if transformers loads the written folder and gives the
same results.
"""
import json
import shutil
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.numpy import save_file as save_numpy
from transformers import (BeitConfig, BeitForImageClassification, BeitForMaskedImageModeling, BeitForSemanticSegmentation,
                          BeitModel, Data2VecVisionConfig, Data2VecVisionForImageClassification,
                          Data2VecVisionForSemanticSegmentation, UperNetConfig, UperNetForSemanticSegmentation)
from transformers.models.beit.image_processing_pil_beit import BeitImageProcessorPil

from make_goldens import fill, random_image, save_weights, settle, transformers4

DATA = Path(__file__).resolve().parent.parent / "data" / "members"
RELATIVE = dict(use_relative_position_bias=True)
COMMON = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48, image_size=64, patch_size=16,
              layer_scale_init_value=0.1)
SEGMENTS = dict(COMMON, hidden_size=16, num_hidden_layers=4, out_indices=[1, 2, 3, 4], use_auxiliary_head=False)

# `config` goes to the configuration of the class; `processor` updates the preprocessor's.
CASES = {
    "classifier": dict(model=BeitForImageClassification, config=dict(COMMON, **RELATIVE), picture=(83, 61),
                       processor=dict(size=dict(height=72, width=72), do_center_crop=True,
                                      crop_size=dict(height=64, width=64)),
                       note="mean of the patches; the middle 64x64 of 72x72 pixels"),
    "classtoken": dict(model=BeitForImageClassification, names="transformers-4", picture=(50, 90),
                       config=dict(COMMON, use_mean_pooling=False, use_absolute_position_embeddings=True),
                       processor=dict(size=dict(shortest_edge=71), do_center_crop=True,
                                      crop_size=dict(height=64, width=64), resample=3),
                       note="class token; short side to 71 pixels, of which the middle is taken"),
    "data2vec": dict(model=Data2VecVisionForImageClassification, kind=Data2VecVisionConfig, picture=(64, 40),
                     config=dict(COMMON, hidden_act="gelu_new", use_shared_relative_position_bias=True),
                     note="Data2Vec-Vision; GELU by tanh; one table of relative positions"),
    "data2vec_map": dict(model=Data2VecVisionForSemanticSegmentation, kind=Data2VecVisionConfig, picture=(60, 44),
                         config=dict(SEGMENTS, **RELATIVE), seed=399, note="Data2Vec-Vision for segmentation"),
    "features": dict(model=BeitModel, config=dict(COMMON, image_size=[64, 96], hidden_act="relu", **RELATIVE),
                     processor=dict(size=dict(height=64, width=96)), picture=(70, 70),
                     note="no head; 6 x 4 patches; ReLU"),
    "masked": dict(model=BeitForMaskedImageModeling, picture=(40, 60),
                   config=dict(COMMON, use_mask_token=True, vocab_size=20, use_absolute_position_embeddings=True),
                   note="pre-trained on masked images, as DiT"),
    "masked_token": dict(model=BeitForMaskedImageModeling, picture=(40, 60),
                         config=dict(COMMON, use_mask_token=True, vocab_size=20, use_mean_pooling=False),
                         note="the same with a final norm of its own and the class token"),
    "grey": dict(model=BeitForSemanticSegmentation, config=dict(SEGMENTS, num_channels=1, hidden_act="gelu_pytorch_tanh"),
                 picture=(45, 70), norm=([0.4], [0.3]), note="one channel, no positions"),
    "infrared": dict(model=BeitForSemanticSegmentation, config=dict(SEGMENTS, num_channels=4, **RELATIVE), picture=(45, 70),
                     norm=([0.5, 0.4, 0.3, 0.6], [0.25, 0.3, 0.35, 0.4]), note="RGB and a fourth channel"),
    "oblong": dict(model=BeitForSemanticSegmentation, config=dict(SEGMENTS, image_size=[96, 64], **RELATIVE),
                   processor=dict(size=dict(height=96, width=64)), picture=(61, 50), note="4 x 6 patches"),
    "wide": dict(model=BeitModel, config=dict(COMMON, image_size=[64, 256], use_absolute_position_embeddings=True),
                 processor=dict(size=dict(height=64, width=256)), picture=(90, 40), seed=401,
                 note="16 x 4 patches, whose position embeddings transformers takes for those of 8 x 8"),
    "upernet": dict(model=UperNetForSemanticSegmentation, picture=(70, 50),
                    config=dict(SEGMENTS, out_indices=[0, 1, 2, 3], add_fpn=True, **RELATIVE),
                    head=dict(hidden_size=24, pool_scales=[1, 2, 4], use_auxiliary_head=False),
                    note="UperNet over a BEiT backbone: a head of its own width, features by stages"),
}


def configuration(case, labels):
    kind = case.get("kind", BeitConfig)
    if "head" not in case:
        return kind(**case["config"], **labels)
    return UperNetConfig(backbone_config=kind(**case["config"]), **case["head"], **labels)


def resized(picture, processor, channels):
    """The bytes `[height][width][channels]` that the network sees, channel by channel by Pillow."""
    size, (w, h) = processor["size"], picture.shape[1::-1]
    if "shortest_edge" in size:
        short = size["shortest_edge"]
        to = (short, int(short * h / w)) if w <= h else (int(short * w / h), short)
    else:
        to = (size["width"], size["height"])
    planes = [np.asarray(Image.fromarray(picture[..., c]).resize(to, processor["resample"])) for c in range(channels)]
    pixels = np.stack(planes, -1)
    if processor["do_center_crop"]:
        w, h = processor["crop_size"]["width"], processor["crop_size"]["height"]
        left, top = (to[0] - w) // 2, (to[1] - h) // 2
        pixels = pixels[top:top + h, left:left + w]
    return np.ascontiguousarray(pixels)


def results(model, x):
    """What the engine gives, from transformers."""
    if isinstance(model, (BeitForSemanticSegmentation, Data2VecVisionForSemanticSegmentation)):
        return dict(logits=model(x).logits[0])
    if isinstance(model, UperNetForSemanticSegmentation):
        return dict(logits=model.decode_head(model.backbone(x).feature_maps)[0])
    if isinstance(model, BeitModel):
        out = model(x)
        return dict(features=out.pooler_output[0], tokens=out.last_hidden_state[0])
    if isinstance(model, BeitForMaskedImageModeling):
        # Without the head: the norm before it, and what BeitModel makes of the same checkpoint.
        stream = model.beit(x).last_hidden_state
        mean = model.config.use_mean_pooling
        pooled = F.layer_norm(stream[:, 1:].mean(1), stream.shape[-1:], eps=model.config.layer_norm_eps)
        return dict(features=(pooled if mean else stream[:, 0])[0], tokens=(model.layernorm(stream) if mean else stream)[0])
    base = model.beit if hasattr(model, "beit") else model.data2vec_vision
    out = base(x)
    return dict(logits=model(x).logits[0], features=out.pooler_output[0], tokens=out.last_hidden_state[0])


@torch.no_grad()
def make(name):
    case = CASES[name]
    # A case with a seed of its own does not change those of the others.
    seed = case.get("seed") or 300 + [k for k in CASES if "seed" not in CASES[k]].index(name)
    g = torch.Generator().manual_seed(seed)
    names = [f"kind {i}" for i in range(7)]
    labels = dict(id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)})
    if case["model"] in (BeitModel, BeitForMaskedImageModeling):
        labels = {}
    config = configuration(case, labels)
    own = getattr(config, "backbone_config", config)
    channels = own.num_channels
    mean, std = case.get("norm", ([0.5] * 3, [0.5] * 3))
    side = own.image_size if isinstance(own.image_size, int) else 64
    processor = dict(do_resize=True, size=dict(height=side, width=side), resample=2, do_rescale=True, rescale_factor=1 / 255,
                     do_normalize=True, image_mean=mean, image_std=std, do_center_crop=False,
                     crop_size=dict(height=side, width=side), do_reduce_labels=False,
                     image_processor_type="BeitImageProcessor")
    processor.update(case.get("processor", {}))

    model = case["model"](config).eval()
    fill(model, g)

    def normalised(pixels):
        x = (pixels.astype(np.float64) / 255 - np.array(mean)) / np.array(std)
        return torch.from_numpy(x.transpose(2, 0, 1)[None].copy())

    def picture(seed, w, h):
        colours = random_image(seed, w, h)
        extra = random_image(seed + 1000, w, h)[..., :1]
        return dict({1: colours[..., :1], 3: colours, 4: np.concatenate([colours, extra], -1)})[channels]

    w, h = case["picture"]
    if "logits" in results(model, torch.zeros(1, channels, *resized(picture(0, w, h), processor, channels).shape[:2])):
        others = [normalised(resized(picture(seed + 500 + i, w, h), processor, channels)).float() for i in range(8)]
        if hasattr(model, "decode_head"):
            settle(model, torch.cat(others), g)
        else:
            out = model(torch.cat(others)).logits
            model.classifier.bias.copy_(model.classifier.bias - out.mean(0) + 0.2 * torch.randn(out.shape[1], generator=g))
    image = picture(seed, w, h)
    pixels = resized(image, processor, channels)
    x = normalised(pixels)
    sd = OrderedDict((k, v.clone()) for k, v in model.state_dict().items())
    found = {k: v.float().numpy() for k, v in results(model.double(), x).items()}
    model.float()

    folder = DATA / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    Image.fromarray(image[..., 0] if channels == 1 else image, mode).save(folder / "input.png", optimize=True)
    n = 4
    stored = transformers4(sd, n, False) if case.get("names") == "transformers-4" else sd
    save_weights(folder, stored, "safetensors")
    config.architectures = [case["model"].__name__]
    config.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=1, sort_keys=True) + "\n")
    # transformers 5 mistakes the head's `layernorm` for the backbone's when it loads such a model.
    again = model if name == "masked_token" else case["model"].from_pretrained(folder).eval()
    for k, v in results(again.double(), x).items():
        assert (v.float() - torch.from_numpy(found[k])).abs().max() < 1e-5, k
    if channels == 3:
        theirs = BeitImageProcessorPil.from_pretrained(folder)(Image.fromarray(image), return_tensors="pt").pixel_values
        assert theirs.shape == x.shape and (theirs - x).abs().max() < 1e-6, "transformers' preprocessing"
    out = dict(pixels=pixels, **found)
    save_numpy({k: np.ascontiguousarray(v) for k, v in out.items()}, folder / "goldens.safetensors")
    task = "segmentation" if hasattr(model, "decode_head") else "classification" if "logits" in found else "features"
    (folder / "golden.json").write_text(json.dumps(dict(note=case["note"], task=task), indent=1) + "\n")
    kb = sum(f.stat().st_size for f in folder.iterdir()) // 1000
    print(f"{name:12} {kb:4} kB  " + "  ".join(f"{k} {list(v.shape)} std {v.std():.2f}" for k, v in found.items()))


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    for case in sys.argv[1:] or CASES:
        make(case)
