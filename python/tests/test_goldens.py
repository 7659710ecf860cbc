"""Against the recorded outputs of transformers, and the recorded bits of the engine."""

import re
import zlib

import numpy as np
import pytest

import beitle
from conftest import DATA, DEMO, ROOT, read_tensors

TOLERANCE = 1e-4  # of f32, in standard deviations, as in tests/parity.rs
CASES = """relative shared both absolute nopos noscale head24 odd7 pools two many last sharded bf16 oldbin unilm mmseg""".split()
MEMBERS = """classifier classtoken data2vec data2vec_map features masked masked_token grey infrared oblong upernet wide""".split()


def error(got, want):
    assert got.shape == want.shape and got.dtype == np.float32
    return np.abs(got.astype(float) - want).max() / want.astype(float).std()


def interpolated(logits, size):
    """Logits [classes, rows, columns] at each pixel of a picture, as `post_process_semantic_segmentation` interpolates them."""
    for axis, to in ((1, size[0]), (2, size[1])):
        of = logits.shape[axis]
        at = np.maximum(of / to * (np.arange(to) + 0.5) - 0.5, 0)
        low = np.minimum(at.astype(int), of - 1)
        weight = (at - low).reshape([-1 if i == axis else 1 for i in range(3)])
        high = np.minimum(low + 1, of - 1)
        logits = logits.take(low, axis) * (1 - weight) + logits.take(high, axis) * weight
    return logits


@pytest.mark.parametrize("name", CASES)
def test_logits_and_maps_are_those_of_transformers(case, name):
    case = case(name)
    model = case.convert(precision="f32")
    assert (model.task, model.precision) == ("segmentation", "f32")
    assert model.input_size == (case.facts["size"],) * 2
    assert len(model.classes) == case.facts["classes"] and model.palette.shape == (case.facts["classes"], 3)
    want = case.goldens["logits"]
    assert error(model.logits(case.picture), want) < TOLERANCE
    map = model.segment(case.picture, mode="whole")
    golden = case.goldens["map"]
    assert map.shape == golden.shape and map.dtype == (np.uint16 if case.facts["classes"] > 256 else np.uint8)
    # The maps may differ where two logits differ by no more than the tolerance.
    at = np.nonzero(map != golden)
    logits = interpolated(want.astype(float), map.shape)[:, at[0], at[1]]
    pixels = np.arange(len(at[0]))
    gap = np.abs(logits[map[at], pixels] - logits[golden[at], pixels])
    assert (gap < TOLERANCE * want.std()).all()


@pytest.mark.parametrize("name", MEMBERS)
def test_other_members_are_those_of_transformers(case, name):
    case = case(f"members/{name}")
    model = case.convert(precision="f32")
    compared = 0
    for tensor in ("logits", "features", "tokens"):
        if tensor in case.goldens:
            assert error(getattr(model, tensor)(case.picture), case.goldens[tensor]) < TOLERANCE, tensor
            compared += 1
        else:
            with pytest.raises(beitle.TaskError, match=tensor):
                getattr(model, tensor)(case.picture)
    assert compared > 0


@pytest.mark.parametrize("name", MEMBERS)
def test_results_have_the_recorded_bits(case, name):
    case = case(f"members/{name}")
    recorded = (DATA / "members" / "bits.txt").read_text()
    model = case.convert(precision="int8", conv="direct")
    found = []
    for tensor in ("logits", "features", "tokens"):
        has = tensor in case.goldens
        found.append(f"{zlib.crc32(getattr(model, tensor)(case.picture)) if has else 0:08x}")
    assert f"{name} int8 {' '.join(found)}\n" in recorded


def test_the_demonstration_model_gives_the_recorded_map(demo):
    from hashlib import sha256

    recorded = re.search(r"^map=([0-9a-f]{64})$", (ROOT / ".ci" / "capi").read_text(), re.MULTILINE)[1]
    map = demo.segment(ROOT / "models" / "sample.ppm")
    assert sha256(b"P5\n%d %d\n255\n" % map.shape[::-1] + map.tobytes()).hexdigest() == recorded


def test_views_are_those_of_the_published_protocol(case):
    model = case("unilm").convert(precision="f32")
    assert model.mode == "slide" and model.recipe == "paper"
    tensors = read_tensors(DATA / "views" / "views.safetensors")
    names = [name[: -len(".picture")] for name in tensors if name.endswith(".picture")]
    assert len(names) >= 16
    for name in names:
        mode = next((mode for mode in ("native", "whole") if name.startswith(mode)), "default")
        scales = "published" if name.startswith("published") else [1, 1.4] if name.startswith("two scales") else None
        picture, want, close = (tensors[f"{name}.{what}"] for what in ("picture", "map", "close"))
        map = model.segment(picture, mode=mode, flip=name.endswith("flip"), scales=scales)
        assert ((map == want) | (close == 1)).all(), name


def test_predictions_are_the_softmax_of_the_logits(case):
    case = case("members/classifier")
    model = case.convert(precision="f32")
    logits = model.logits(case.picture).astype(float)
    probabilities = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    order = np.argsort(-logits, kind="stable")
    found = model.classify(case.picture, top=3)
    assert [p.id for p in found] == order[:3].tolist()
    assert np.allclose([p.probability for p in found], probabilities[order[:3]], rtol=1e-9)
    number, name, _ = found[0]
    assert isinstance(found[0], beitle.Prediction) and name == model.classes[number]
    every = model.classify(case.picture, top=10**6)
    assert len(every) == len(model.classes) and abs(sum(p.probability for p in every) - 1) < 1e-9
    # The middle of the picture is cut out, as the preprocessor says, whatever it comes from.
    from PIL import Image

    assert model.classify(Image.open(case.picture)) == model.classify(case.picture)


def test_facts_are_those_of_the_file(demo):
    assert (demo.task, demo.mode, demo.precision, demo.recipe) == ("segmentation", "whole", "int8", "hf")
    assert (demo.input_size, demo.input_channels, demo.patch_size, demo.hidden_size) == ((256, 256), 3, 16, 192)
    assert demo.classes[:3] == ("sky", "building", "road") and len(demo.classes) == 12
    assert demo.palette.dtype == np.uint8 and demo.palette.shape == (12, 3) and demo.palette.max() > 0
    assert len(demo.source_sha256) == 64 and demo.source and demo.converter.startswith("beitle-quantize ")
    assert '"precision"' in demo.report and demo.threads == 2 and demo.isa and demo.path == DEMO
    assert repr(demo) == f"Model({str(DEMO)!r}, task='segmentation', classes=12, input_size=(256, 256), precision='int8')"
    demo.verify()


def test_results_do_not_depend_on_how_a_model_is_opened(sample, sample_map):
    for options in ({"threads": 1}, {"threads": 3}, {"mmap": False}, {"isa": "portable"}):
        assert (beitle.Model(str(DEMO), **options).segment(sample) == sample_map).all(), options
