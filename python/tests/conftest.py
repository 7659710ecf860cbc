"""The models and golden data of the tests: `tests/goldens/README.md` of the repository describes them."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

import beitle

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
DEMO = ROOT / "models" / "demo.beitle"
SAMPLE = ROOT / "models" / "sample.png"


def read_tensors(path):
    """The tensors of a safetensors file, those of 32-bit numbers and of bytes."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    dtypes = {"F32": np.float32, "U8": np.uint8, "U16": np.uint16}
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values = np.frombuffer(data[start + begin : start + end], dtypes[entry["dtype"]])
            tensors[name] = values.reshape(entry["shape"])
    return tensors


def in_forked_process(check):
    """Whether `check` returns a true value in a child of this process."""
    child = os.fork()
    if child == 0:
        # No test of this process may go on in the child.
        status = 1
        try:
            status = 0 if check() else 2
        finally:
            os._exit(status)
    for _ in range(600):
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status == 0
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("the child waits for threads that it does not have")


class Case:
    """A golden checkpoint."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = DATA / name
        self.facts = json.loads((self.folder / "golden.json").read_text())
        self.goldens = read_tensors(self.folder / "goldens.safetensors")
        self.picture = self.folder / "input.png"
        self._out = folder

    def convert(self, **options):
        checkpoint = self.folder / "model.pth"
        if checkpoint.exists():
            options.update(feature_blocks=self.facts["feature_blocks"], heads=self.facts["heads"])
        else:
            checkpoint = self.folder
        out = self._out / "model.beitle"
        beitle.convert(checkpoint, out, **options)
        return beitle.Model(out, threads=2)


@pytest.fixture
def case(tmp_path):
    return lambda name: Case(name, tmp_path)


@pytest.fixture(scope="session")
def demo():
    return beitle.Model(DEMO, threads=2)


@pytest.fixture(scope="session")
def sample():
    """The sample picture, uint8 [height, width, 3]. Read-only, as those of Pillow are."""
    from PIL import Image

    return np.asarray(Image.open(SAMPLE).convert("RGB"))


@pytest.fixture(scope="session")
def sample_map(demo, sample):
    return demo.segment(sample)
