"""Bad input gives an exception that names the argument, never a panic."""

import itertools
import os
import sys

import numpy as np
import pytest
from PIL import Image

import beitle
from conftest import DEMO, ROOT

GOOD = np.zeros((20, 30, 3), np.uint8)


def alias(array):
    """The same memory, of another owner."""
    return np.asarray(memoryview(array))


# Of arguments that are no string, number or path at all, the name is in a note of the exception: from Python 3.11 on.
IN_NOTES = sys.version_info >= (3, 11)


class Opaque:
    """An object that is no image."""


BAD_IMAGES = [
    (GOOD.astype(np.float32), TypeError, "image: .*uint8.*float32"),
    (GOOD.astype(bool), TypeError, "image: .*uint8.*bool"),
    (GOOD.astype(np.int8), TypeError, "image: .*uint8"),
    (GOOD.astype(object), TypeError, "image: .*uint8"),
    (np.zeros((4, 4), [("r", "u1")]), TypeError, "image: .*uint8"),
    (GOOD.transpose(2, 0, 1), ValueError, r"image: .*\(3, 20, 30\); .image.transpose"),
    (GOOD[None], ValueError, "image: .*one image at a time"),
    (GOOD[0, 0], ValueError, r"image: .*got \(3\)"),
    (np.uint8(3), ValueError, r"image: .*got \(\)"),
    (np.array(3, np.uint8), ValueError, r"image: .*got \(\)"),
    (np.zeros((20, 30, 2), np.uint8), ValueError, "image: expected an array of shape"),
    (np.zeros((20, 30, 5), np.uint8), ValueError, "image: expected an array of shape"),
    (np.zeros((20, 30, 0), np.uint8), ValueError, "image: expected an array of shape"),
    (GOOD[:0], ValueError, "image: .*at least one pixel"),
    (GOOD[:, :0], ValueError, "image: .*at least one pixel"),
    (np.broadcast_to(GOOD[:1, :1], (1 << 25, 1, 3)), ValueError, "image: .*16777216"),
    (np.broadcast_to(GOOD[:1, :1], (1 << 23, 1 << 23, 3)), MemoryError, None),
    ([[1, 2], [3, 4]], TypeError, "image: .*got list"),
    (b"JFIF", TypeError, "image: .*got bytes"),
    (None, TypeError, "image: .*got NoneType"),
    (3, TypeError, "image: .*got int"),
    (Opaque(), TypeError, "image: .*got Opaque"),
    ("", OSError, None),
    ("missing.png", FileNotFoundError, "missing.png"),
    ("nul\0.png", (OSError, ValueError), None),
    (ROOT, IsADirectoryError, None),
    (os.devnull, OSError, "not a regular file"),
    (DEMO, beitle.PictureError, "demo.beitle: not a picture"),
]


@pytest.mark.parametrize("image, kind, message", BAD_IMAGES, ids=range(len(BAD_IMAGES)))
def test_bad_images(demo, image, kind, message):
    for method in (demo.segment, demo.logits):
        with pytest.raises(kind, match=message):
            method(image)


@pytest.mark.parametrize(
    "options, kind, message",
    [
        ({"mode": "stretch"}, ValueError, 'mode: .*"stretch"'),
        ({"mode": 3}, TypeError, "mode" if IN_NOTES else "str"),
        ({"scales": [1, float("nan")], "mode": "slide"}, ValueError, "scales: "),
        ({"scales": [float("inf")], "mode": "slide"}, ValueError, "scales: "),
        ({"scales": [0.0], "mode": "slide"}, ValueError, "scales: "),
        ({"scales": [-1], "mode": "slide"}, ValueError, "scales: "),
        ({"scales": [1] * 17, "mode": "slide"}, ValueError, "scales: .*16"),
        ({"scales": [], "mode": "slide"}, ValueError, "scales: "),
        ({"scales": ["1"], "mode": "slide"}, TypeError, "scales: "),
        ({"scales": "all", "mode": "slide"}, ValueError, "scales: "),
        ({"scales": [1.0]}, ValueError, "scales: .*slide"),
        ({"size": (0, 3)}, ValueError, "size: "),
        ({"size": (-1, 3)}, ValueError, "size: "),
        ({"size": (1 << 25, 3)}, ValueError, "size: .*16777216"),
        ({"size": (1 << 90, 3)}, TypeError, "size: "),
        ({"size": (1 << 24, 1 << 24)}, MemoryError, None),
        ({"size": (1 << 24, 1 << 24), "flip": True}, MemoryError, None),
        ({"size": 3}, TypeError, "size: "),
        ({"size": (1.5, 3)}, TypeError, "size: "),
        ({"min_confidence": 1.1}, ValueError, "min_confidence: "),
        ({"min_confidence": -0.1}, ValueError, "min_confidence: "),
        ({"min_confidence": float("nan")}, ValueError, "min_confidence: "),
        ({"min_confidence": "1"}, TypeError, "min_confidence" if IN_NOTES else "number"),
        ({"labels": [1, 2]}, ValueError, "labels: expected 12 numbers"),
        ({"labels": itertools.repeat(1)}, ValueError, "labels: expected 12 numbers.*more"),
        ({"size": itertools.count(1)}, TypeError, "size: "),
        ({"labels": [65536] * 12}, ValueError, "labels: .*65536"),
        ({"labels": [-1] * 12}, ValueError, "labels: .*-1"),
        ({"labels": [0.5] * 12}, ValueError, "labels: "),
        ({"labels": {"rode": 1}}, ValueError, "labels: 'rode' is not a class"),
        ({"labels": {12: 1}}, ValueError, "labels: 12 is not a class"),
        ({"labels": {-1: 1}}, ValueError, "labels: -1 is not a class"),
        ({"labels": {"road": "1"}}, ValueError, "labels: "),
        ({"labels": "road"}, TypeError, "labels: "),
        ({"labels": 3}, TypeError, "labels: "),
        ({"out": np.zeros((30, 20), np.uint8)}, ValueError, r"out: .*\(20, 30\), got \(30, 20\)"),
        ({"out": np.zeros((20, 30, 1), np.uint8)}, ValueError, "out: .*shape"),
        ({"out": np.zeros((20, 30), np.int8)}, TypeError, "out: .*int8"),
        ({"out": np.zeros((20, 30), ">u2")}, TypeError, "out: .*>u2"),
        ({"out": np.zeros((20, 60), np.uint8)[:, ::2]}, ValueError, "out: .*C-contiguous"),
        ({"out": np.zeros((30, 20), np.uint8).T}, ValueError, "out: .*C-contiguous"),
        ({"out": np.broadcast_to(np.uint8(0), (20, 30))}, ValueError, "out: .*writeable"),
        ({"out": np.frombuffer(bytes(600), np.uint8).reshape(20, 30)}, ValueError, "out: .*writeable"),
        ({"out": np.zeros(1201, np.uint8)[1:].view(np.uint16).reshape(20, 30)}, ValueError, "out: .*aligned"),
        ({"out": bytearray(600)}, TypeError, "out: .*bytearray"),
        ({"out": GOOD.reshape(-1)[:600].reshape(20, 30)}, ValueError, "out: .*overlaps the argument image"),
        ({"out": alias(GOOD).reshape(-1)[1200:].reshape(20, 30)}, ValueError, "out: .*overlaps the argument image"),
        ({"out": alias(GOOD).reshape(-1)[600:].view(np.uint16).reshape(20, 30)}, ValueError, "out: .*overlaps the argument image"),
        ({"out": np.zeros((20, 30), np.uint8), "labels": {"road": 256}}, ValueError, "out: .*uint16"),
        ({"what": 3}, TypeError, "what"),
    ],
)
def test_bad_arguments(demo, options, kind, message):
    with pytest.raises(kind, match=message):
        demo.segment(GOOD, **options)


@pytest.mark.parametrize("options", [{"threads": 0}, {"threads": -1}, {"threads": 1025}, {"max_memory": -1}, {"isa": "sse9"}, {"isa": ""}])
def test_bad_options_of_models(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        beitle.Model(DEMO, **options)


def test_memory_is_limited():
    model = beitle.Model(DEMO, threads=1, max_memory=3 << 20)
    assert model.segment(GOOD).shape == (20, 30)
    image = np.zeros((400, 400, 3), np.uint8)
    for _ in range(2):
        # 400 * 400 * 12 scores of two bytes, with and without the arena's 2.1 MiB.
        with pytest.raises(MemoryError, match="max_memory allows 3145728"):
            model.segment(image, flip=True)
        with pytest.raises(MemoryError, match="max_memory allows 3145728"):
            model.segment(image[:250, :250], flip=True)
    assert model.segment(image).shape == (400, 400)
    with pytest.raises(MemoryError, match="working memory"):
        beitle.Model(DEMO, threads=1, max_memory=1000).logits(GOOD)


def test_results_of_other_tasks(demo, case):
    for method in (demo.classify, demo.features, demo.tokens):
        with pytest.raises(beitle.TaskError, match="segmentation"):
            method(GOOD)
    model = case("members/features").convert(precision="f32")
    assert model.classes == () and model.palette.shape == (0, 3)
    for method in (model.classify, model.segment, model.logits):
        with pytest.raises(beitle.TaskError, match="this one is for features"):
            method(GOOD)


def test_top_is_positive(case):
    model = case("members/classifier").convert(precision="f32")
    for top in (0, -1):
        with pytest.raises(ValueError, match="top: "):
            model.classify(GOOD, top=top)


@pytest.mark.parametrize("mmap", [True, False])
def test_files_that_are_no_models(tmp_path, mmap):
    data = DEMO.read_bytes()
    file = tmp_path / "model.beitle"
    for length in (0, 1, 7, 64, 4096, len(data) - 1):
        file.write_bytes(data[:length])
        with pytest.raises(beitle.ModelError, match="model.beitle: "):
            beitle.Model(file, mmap=mmap)
    for at in (0, 9, 40, 100):
        damaged = bytearray(data)
        damaged[at] ^= 0x55
        file.write_bytes(damaged)
        with pytest.raises(beitle.ModelError):
            beitle.Model(file, mmap=mmap)
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(beitle.ModelError, match="checksum"):
        beitle.Model(file, mmap=mmap).verify()
    for path, kind in ((tmp_path, IsADirectoryError), (tmp_path / "no", FileNotFoundError), (os.devnull, OSError)):
        with pytest.raises(kind):
            beitle.Model(path, mmap=mmap)
    with pytest.raises(TypeError, match="path" if IN_NOTES else "PathLike"):
        beitle.Model(3)


def test_damaged_pictures(demo, tmp_path):
    file = tmp_path / "picture.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(file)
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 3])
    with pytest.raises(beitle.PictureError, match="picture.jpg: "):
        demo.segment(file)


def test_exceptions_have_the_names_of_the_package():
    for name in ("Error", "ModelError", "PictureError", "TaskError"):
        kind = getattr(beitle, name)
        assert f"{kind.__module__}.{kind.__qualname__}" == f"beitle.{name}" and issubclass(kind, beitle.Error)
    assert isinstance(beitle.__version__, str)
