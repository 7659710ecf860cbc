"""Threads, signals, processes: Python goes on while a model runs, and models may be used from anywhere."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import beitle
from conftest import DEMO, in_forked_process

# A dozen windows, which take about a second.
SLOW = {"mode": "slide", "scales": [1, 1.5], "flip": True}


def test_python_runs_meanwhile(sample):
    model = beitle.Model(DEMO, threads=1)
    run = threading.Thread(target=lambda: model.segment(sample, **SLOW))
    turns, start = 0, time.perf_counter()
    run.start()
    while run.is_alive():
        time.sleep(0.001)
        turns += 1
    # With Python's lock held, the loop would have one turn.
    assert turns > 20 * (time.perf_counter() - start) and turns > 5


def test_calls_of_several_threads_do_not_mix(demo):
    random = np.random.default_rng(5)
    images = [random.integers(0, 256, (40 + 9 * i, 90 - 7 * i, 3), np.uint8) for i in range(8)]
    modes = ["whole", "slide", "native", "whole"] * 2
    want = [demo.segment(image, mode=mode) for image, mode in zip(images, modes)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image, mode: demo.segment(image, mode=mode), images * 2, modes * 2))
    for map, expected in zip(found, want * 2):
        assert (map == expected).all()


@pytest.mark.parametrize("alias", [np.asarray, memoryview, lambda array: np.frombuffer(array, np.uint8).reshape(array.shape)])
def test_memory_that_is_written_is_not_read(demo, sample, alias):
    out = np.zeros(sample.shape[:2], np.uint8)
    image = np.asarray(alias(out))

    class Image:
        """Tells that a run is about to begin."""

        def __array__(self, dtype=None, copy=None):
            started.set()
            return sample

    def run():
        try:
            demo.segment(Image(), out=out, **SLOW)
        except ValueError as e:
            # The other thread was first.
            assert str(e).startswith("out: the array is in use")

    refused = []
    for _ in range(20):
        started = threading.Event()
        thread = threading.Thread(target=run)
        thread.start()
        started.wait()
        time.sleep(0.02)
        try:
            demo.segment(image)
        except ValueError as e:
            refused.append(str(e))
        thread.join()
        if refused:
            break
    assert refused and refused[0].startswith("image: another call writes")
    # The borrow ends with the call.
    demo.segment(image)


# Another process, because a fault would end it.
CHANGES = """
import threading, time, warnings
import numpy as np, beitle

warnings.simplefilter("ignore")
model = beitle.Model({path!r}, threads=1)
image = np.random.default_rng(7).integers(0, 256, (240, 320, 4), np.uint8)
out = np.zeros((240, 320), np.uint8)
slow = dict(mode="slide", scales=[1, 1.5], flip=True)
want = model.segment(image, **slow)

def change():
    image.dtype, out.dtype = np.uint32, np.uint16
    image.shape, out.shape = (-1,), (-1,)
    changed.set()

changed = threading.Event()
timer = threading.Timer(0.05, change)
timer.start()
model.segment(image, out=out, **slow)
print("during the run" if changed.is_set() else "too late")
timer.join()
out.dtype = np.uint8
assert (out.reshape(240, 320) == want).all()
"""


def test_an_array_may_get_another_dtype_and_shape_during_a_run():
    run = subprocess.run([sys.executable, "-c", CHANGES.format(path=str(DEMO))], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "during the run\n", "")


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs signals of POSIX")
def test_signals_end_a_run(demo, sample):
    class Alarm(Exception):
        pass

    def handler(*_):
        raise Alarm

    start = time.perf_counter()
    want = demo.segment(sample)
    window = time.perf_counter() - start
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 2 * window)
        start = time.perf_counter()
        with pytest.raises(Alarm):
            demo.segment(sample, mode="slide", scales="published", flip=True)
        # It has 52 windows.
        assert time.perf_counter() - start < 26 * window + 0.2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert (demo.segment(sample) == want).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_model_runs_in_a_forked_process(demo, sample, sample_map):
    demo.segment(sample, mode="slide")
    assert in_forked_process(lambda: (demo.segment(sample) == sample_map).all())
    assert (demo.segment(sample) == sample_map).all()


def test_models_are_pickled_by_path(sample, sample_map):
    model = beitle.Model(DEMO, threads=1, mmap=False, isa="portable")
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        copy = pickle.loads(pickle.dumps(model, protocol))
        assert (copy.threads, copy.isa, copy.path) == (1, "portable", DEMO)
    assert (copy.segment(sample) == sample_map).all()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow(sample):
    model = beitle.Model(DEMO, threads=1)
    image = sample[:48, :64]

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def run(times):
        for _ in range(times):
            model.segment(image, size=(1, 1))
            with pytest.raises(ValueError):
                model.segment(image, out=image)

    run(3)
    before = resident()
    run(20)
    assert resident() - before < 4 << 20
