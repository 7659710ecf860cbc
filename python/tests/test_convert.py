"""Conversion: options, progress, exceptions, interruption."""

import errno
import http.server
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

import beitle
from conftest import DATA, in_forked_process

RELATIVE = DATA / "relative"


def test_a_conversion_reports_what_it_does(tmp_path):
    calls = []
    out = tmp_path / "model.beitle"
    report = beitle.convert(str(RELATIVE), out, progress=lambda *now: calls.append(now))
    assert isinstance(report, beitle.Report) and report.file_bytes == out.stat().st_size
    assert report.text and all(isinstance(note, str) for note in report.notes + report.ignored)
    phases = [phase for phase, _, _ in calls]
    assert phases[0] == "converting tensors to half precision" and phases[-1] == "converting tensors"
    assert "running pictures for calibration" in phases
    assert calls[-1][1] == calls[-1][2] > 10
    model = beitle.Model(out)
    model.verify()
    assert (model.precision, model.recipe) == ("int8", "hf")
    assert [file.name for file in tmp_path.iterdir()] == ["model.beitle"]


def test_options_reach_the_converter(tmp_path):
    out = tmp_path / "model.beitle"
    names = tmp_path / "names.txt"
    names.write_text("".join(f"{i} 0 0 thing {i}\n" for i in range(13)))
    beitle.convert(RELATIVE, out, precision="int4", rounding="nearest", size=(64, 96), names=names)
    model = beitle.Model(out)
    assert (model.precision, model.input_size, model.classes[2]) == ("int4", (64, 96), "thing 2")
    assert model.palette[5].tolist() == [5, 0, 0]
    beitle.convert(RELATIVE, out, precision="auto", agreement=0.5, calibration=RELATIVE, conv="direct", sqnr_floor=20)
    assert beitle.Model(out).precision == "int8"
    beitle.convert(RELATIVE, out, precision="f16", recipe="paper", feature_blocks=(1, 2, 3, 4), heads=2)
    model = beitle.Model(out)
    assert (model.precision, model.recipe, model.mode) == ("f16", "paper", "slide")


@pytest.mark.parametrize(
    "options, kind, message",
    [
        ({"precision": "int2"}, ValueError, 'precision: .*"int2"'),
        ({"conv": "fft"}, ValueError, "conv: "),
        ({"rounding": "up"}, ValueError, "rounding: "),
        ({"rounding": "nearest", "calibration": "."}, ValueError, "calibration: "),
        ({"agreement": 0.9}, ValueError, "agreement: "),
        ({"agreement": float("nan"), "precision": "auto"}, ValueError, "agreement: "),
        ({"sqnr_floor": float("inf")}, ValueError, "sqnr_floor: "),
        ({"sqnr_floor": 30, "precision": "f32"}, ValueError, "sqnr_floor: "),
        ({"recipe": "keras"}, ValueError, "recipe: "),
        ({"size": (10, 10)}, beitle.ModelError, "size"),
        ({"size": 64}, TypeError, "size: "),
        ({"names": 3}, TypeError, "names: "),
        ({"names": "missing.txt"}, FileNotFoundError, "missing.txt"),
        ({"heads": 0}, ValueError, "heads: "),
        ({"heads": 7}, beitle.ModelError, "head"),
        ({"feature_blocks": (1, 2, 3)}, TypeError, "feature_blocks: "),
        ({"feature_blocks": (1, 2, 3, -4)}, TypeError, "feature_blocks: "),
        ({"feature_blocks": (1, 2, 3, 99)}, beitle.ModelError, "block"),
        ({"calibration": "missing"}, FileNotFoundError, "missing"),
        ({"progress": 3}, TypeError, "progress: "),
    ],
)
def test_bad_options(tmp_path, options, kind, message):
    out = tmp_path / "model.beitle"
    with pytest.raises(kind, match=message):
        beitle.convert(RELATIVE, out, **options)
    assert not list(tmp_path.iterdir())


def test_bad_sources(tmp_path, monkeypatch):
    out = tmp_path / "model.beitle"
    wrong = tmp_path / "wrong.pth"
    wrong.write_bytes(b"no checkpoint")
    with pytest.raises(beitle.ModelError, match="wrong.pth"):
        beitle.convert(wrong, out)
    with pytest.raises(FileNotFoundError):
        beitle.convert(tmp_path / "missing.pth", out)
    with pytest.raises(TypeError, match="source: "):
        beitle.convert(3, out)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    with pytest.raises(OSError, match="someone/something"):
        beitle.convert("someone/something", out)
    assert not out.exists()


def test_outputs_that_cannot_be_written(tmp_path):
    protected = tmp_path / "protected"
    protected.write_text("as before")
    protected.chmod(0o444)
    outputs = [
        (tmp_path, IsADirectoryError, errno.EISDIR),
        (protected, PermissionError, errno.EACCES),
        (tmp_path / "no folder" / "model.beitle", FileNotFoundError, errno.ENOENT),
        (protected / "model.beitle", NotADirectoryError, errno.ENOTDIR),
        (Path("/dev/full"), OSError, errno.ENOSPC),
    ]
    for out, kind, number in outputs:
        if out.name == "full" and not out.exists():
            continue
        with pytest.raises(kind) as raised:
            beitle.convert(RELATIVE, out, precision="f32")
        assert (raised.value.errno, Path(raised.value.filename)) == (number, out)
    assert protected.read_text() == "as before" and [file.name for file in tmp_path.iterdir()] == ["protected"]


@pytest.fixture
def downloads(tmp_path, monkeypatch):
    """The folder where downloads lie. Servers are asked directly."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


def test_a_download_that_fails_is_an_error_of_the_operating_system(tmp_path, downloads):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            with pytest.raises(OSError, match="model.pth: cannot be downloaded: .*404"):
                beitle.convert(f"http://127.0.0.1:{server.server_port}/model.pth", tmp_path / "model.beitle")
        finally:
            server.shutdown()


def test_a_download_is_converted(tmp_path, downloads):
    checkpoint = (RELATIVE / "model.safetensors").read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(checkpoint)))
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            self.wfile.write(checkpoint)

        def log_message(self, *_):
            pass

    phases = set()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/model.safetensors"
            with pytest.raises(beitle.ModelError):
                beitle.convert(url, tmp_path / "model.beitle", progress=lambda phase, done, total: phases.add(phase))
        finally:
            server.shutdown()
    assert phases == {"downloading"}
    assert [file.read_bytes() for file in downloads.rglob("model.safetensors")] == [checkpoint]


def test_an_interrupt_ends_a_download_from_a_silent_server(tmp_path, downloads):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/model.pth"
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        start = time.perf_counter()
        with pytest.raises(KeyboardInterrupt):
            beitle.convert(url, tmp_path / "model.beitle")
        assert time.perf_counter() - start < 5
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_conversion_runs_in_a_forked_process(tmp_path):
    def convert(name):
        out = tmp_path / name
        beitle.convert(RELATIVE, out)
        return out.read_bytes()

    want = convert("parent")
    assert in_forked_process(lambda: convert("child") == want)


def test_the_checkpoint_is_not_overwritten(tmp_path):
    with pytest.raises(beitle.ModelError):
        beitle.convert(RELATIVE, RELATIVE / "model.safetensors")


@pytest.mark.parametrize("phase", ["half precision", "calibration", "converting tensors"])
def test_an_exception_of_progress_ends_the_conversion(tmp_path, phase, capfd):
    out = tmp_path / "model.beitle"
    out.write_text("as before")

    def progress(now, done, total):
        if phase in now and done == min(2, total):
            raise LookupError(now)

    with pytest.raises(LookupError, match=phase):
        beitle.convert(RELATIVE, out, progress=progress)
    assert out.read_text() == "as before" and len(list(tmp_path.iterdir())) == 1
    assert capfd.readouterr().err == ""


def test_an_interrupt_ends_the_conversion(tmp_path):
    def progress(now, done, total):
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)
            # Another thread may take the signal, and late; Python's handler ends the sleep.
            time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        beitle.convert(RELATIVE, tmp_path / "model.beitle", progress=progress)
    assert not list(tmp_path.iterdir())
