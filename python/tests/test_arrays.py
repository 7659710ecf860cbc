"""Arrays in and out: what is copied, and that every form of an image gives the same map."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

import beitle
from conftest import SAMPLE


def test_every_form_of_an_image_gives_the_same_map(demo, sample, sample_map):
    height, width, _ = sample.shape
    padded = np.zeros((height, width + 5, 3), np.uint8)
    padded[:, 2:-3] = sample
    rgba = np.dstack([sample, np.full((height, width), 7, np.uint8)])
    forms = {
        "view of a wider array": padded[:, 2:-3],
        "every second row": np.repeat(sample, 2, axis=0)[::2],
        "Fortran order": np.asfortranarray(sample),
        "transposed": np.ascontiguousarray(sample.transpose(2, 0, 1)).transpose(1, 2, 0),
        "negative rows": np.ascontiguousarray(sample[::-1])[::-1],
        "negative columns": np.ascontiguousarray(sample[:, ::-1])[:, ::-1],
        "negative channels": np.ascontiguousarray(sample[..., ::-1])[..., ::-1],
        "part of the channels": rgba[..., :3],
        "four channels": rgba,
        "path": SAMPLE,
        "text": str(SAMPLE),
        "Pillow": Image.open(SAMPLE),
        "Pillow, RGBA": Image.fromarray(rgba),
        "subclass": np.ma.masked_array(sample),
    }
    for name, image in forms.items():
        assert (demo.segment(image) == sample_map).all(), name
    bgr = np.ascontiguousarray(sample[..., ::-1])
    assert (demo.segment(bgr, bgr=True) == sample_map).all()
    assert (demo.segment(np.dstack([bgr, rgba[..., 3]]), bgr=True) == sample_map).all()
    assert (demo.logits(bgr, bgr=True) == demo.logits(sample)).all()
    assert (demo.segment(bgr) != sample_map).any()


def test_grey_images_are_shown_as_grey(demo, sample):
    grey = np.asarray(Image.fromarray(sample).convert("L"))
    want = demo.segment(np.dstack([grey] * 3))
    for image in (grey, grey[..., None], Image.fromarray(grey), np.dstack([grey] * 2)[..., 0]):
        assert (demo.segment(image) == want).all()


def test_palette_images_of_pillow_are_converted(demo, sample):
    image = Image.fromarray(sample).quantize(16)
    assert image.mode == "P"
    assert (demo.segment(image) == demo.segment(image.convert("RGB"))).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 50, 3), (50, 1, 3), (1, 1), (2, 3, 4)])
def test_narrow_images_run(demo, shape):
    image = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    map = demo.segment(image)
    assert map.shape == shape[:2]
    assert (map == demo.segment(np.asfortranarray(image))).all()
    assert (map == demo.segment(np.broadcast_to(image, shape))).all()


def test_broadcast_images_are_copied(demo):
    row = np.random.default_rng(2).integers(0, 256, (1, 60, 3), np.uint8)
    for image in (np.broadcast_to(row, (40, 60, 3)), np.broadcast_to(row[:, :1], (40, 60, 3))):
        assert 0 in image.strides
        assert (demo.segment(image) == demo.segment(np.array(image))).all()


def peak_of_numpy(run):
    """The most bytes of arrays that exist during a call besides those before it."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_rows_with_gaps_are_not_copied_and_the_engine_writes_the_result(demo):
    wide = np.random.default_rng(3).integers(0, 256, (600, 900, 3), np.uint8)
    view = wide[::2, 10:-10]
    assert not view.flags.c_contiguous
    out = np.zeros(view.shape[:2], np.uint8)
    small = 50_000
    assert peak_of_numpy(lambda: demo.segment(view, out=out)) < small
    # The copy that is made otherwise, and a new result, would be seen.
    assert peak_of_numpy(lambda: demo.segment(wide[:, ::2], out=np.zeros((600, 450), np.uint8))) > 600 * 450 * 3
    assert out.size < peak_of_numpy(lambda: demo.segment(view)) < out.size + small
    assert (out == demo.segment(np.ascontiguousarray(view))).all()


def test_out_is_written_and_returned(demo, sample, sample_map):
    for dtype in (np.uint8, np.uint16):
        out = np.full(sample_map.shape, 99, dtype)
        assert demo.segment(sample, out=out) is out
        assert (out == sample_map).all()
    memory = np.full((3, *sample_map.shape), 99, np.uint8)
    out = memory[1]
    map, confidence = demo.segment(sample, out=out, confidence=True)
    assert map is out and (memory[1] == sample_map).all() and (memory[[0, 2]] == 99).all()
    assert confidence.dtype == np.uint8 and confidence.shape == map.shape


def test_maps_of_another_size(demo, sample):
    map = demo.segment(sample, size=(64, 80))
    assert map.shape == (64, 80)
    # At the size of the logits, the class of a pixel is that of the largest logit.
    logits = demo.logits(sample)
    assert (demo.segment(sample, size=logits.shape[1:]) == logits.argmax(0)).all()
    assert (demo.segment(sample, size=np.array(logits.shape[1:])) == logits.argmax(0)).all()


def test_confidences_are_probabilities(demo, sample):
    logits = demo.logits(sample).astype(float)
    probabilities = np.exp(logits - logits.max(0))
    want = 255 * probabilities.max(0) / probabilities.sum(0)
    map, confidence = demo.segment(sample, size=logits.shape[1:], confidence=True)
    assert np.abs(confidence - want).max() <= 0.51
    doubtful = demo.segment(sample, size=logits.shape[1:], min_confidence=0.9)
    unknown = confidence < np.ceil(0.9 * 255)
    assert 0 < unknown.sum() < unknown.size
    assert (doubtful == np.where(unknown, 255, map)).all()
    assert (demo.segment(sample, size=logits.shape[1:], min_confidence=0) == map).all()


def test_labels_replace_classes(demo, sample, sample_map):
    road, car = demo.classes.index("road"), demo.classes.index("car")
    mask = np.isin(sample_map, [road, car])
    for labels in ({"road": 1, "car": 1}, {road: 1, "Car": 1}):
        assert (demo.segment(sample, labels=labels) == mask).all()
    table = np.arange(12)[::-1] * 20
    for labels in (table, table.tolist(), iter(table)):
        map = demo.segment(sample, labels=labels)
        assert map.dtype == np.uint8 and (map == table[sample_map]).all()
    wide = demo.segment(sample, labels={"road": 1000, "car": 65535})
    assert wide.dtype == np.uint16
    assert (wide == np.select([sample_map == road, sample_map == car], [1000, 65535], 0)).all()
    narrow = demo.segment(sample, labels={"car": 65535})
    assert narrow.dtype == np.uint8 and (narrow == np.where(sample_map == car, 255, 0)).all()
    assert demo.segment(sample, labels={"road": 255}).dtype == np.uint8
    assert demo.segment(sample, labels={"road": 255}, min_confidence=0.5).dtype == np.uint16


def test_flipped_views_are_averaged(demo, sample):
    both = demo.segment(sample, flip=True)
    mirrored = demo.segment(np.ascontiguousarray(sample[:, ::-1]), flip=True)[:, ::-1]
    assert (both == mirrored).mean() > 0.999


def test_models_of_other_channels_take_arrays_of_as_many(case):
    infrared = case("members/infrared")
    model = infrared.convert(precision="f32")
    assert model.input_channels == 4
    rgba = np.asarray(Image.open(infrared.picture))
    assert (model.logits(rgba) == model.logits(infrared.picture)).all()
    assert (model.logits(Image.open(infrared.picture)) == model.logits(infrared.picture)).all()
    for image in (rgba[..., :3], Image.open(infrared.picture).convert("RGB")):
        with pytest.raises(ValueError, match="image: .*4"):
            model.logits(image)


def test_grey_models_take_grey_arrays(case):
    grey = case("members/grey")
    model = grey.convert(precision="f32")
    image = np.asarray(Image.open(grey.picture).convert("L"))
    assert model.input_channels == 1
    want = model.logits(grey.picture)
    assert (model.logits(image) == want).all() and (model.logits(image[..., None]) == want).all()
    assert (model.logits(Image.open(grey.picture)) == want).all()
    with pytest.raises(ValueError, match=r"\(height, width\)"):
        model.logits(np.dstack([image] * 3))


def test_objects_with_an_array_interface_are_images(demo, sample, sample_map):
    class Frame:
        __array_interface__ = sample.__array_interface__

    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return sample

    for image in (Frame(), Tensor()):
        assert (demo.segment(image) == sample_map).all()
    assert issubclass(beitle.ModelError, ValueError) and issubclass(beitle.ModelError, beitle.Error)
