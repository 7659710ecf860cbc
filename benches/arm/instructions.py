#!/usr/bin/env python3
"""Counts the instructions of one frame on a Cortex-A76 under emulation: beitle beside ONNX Runtime's aarch64 build.

    python3 benches/arm/instructions.py --work /tmp/counts --sysroot SYSROOT --python64 TREE

Needs: qemu-aarch64 7.2 (its plugins), a C compiler, target/aarch64-unknown-linux-gnu/release/beitle, this machine's
beitle-quantize, and for ONNX Runtime an unpacked arm64 Python (TREE, with usr/bin/python3.11 and its libraries).
SYSROOT holds the loader and C library (/usr/aarch64-linux-gnu with Debian's cross compiler). Python packages are installed with
pip, ONNX Runtime's aarch64 wheels unpacked under --work.

One thread, the demonstration model. What starting costs is taken off: a run of three frames less a run of one, halved. Ours
is picture file to map file; ONNX Runtime's is tensor to logits.
"""
import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))
# The newest that qemu 7.2 runs.
WHEELS = ["onnxruntime==1.24.1", "numpy", "protobuf", "flatbuffers", "packaging"]
RUN = """
import sys, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
x = numpy.load(sys.argv[2])
for _ in range(int(sys.argv[3])):
    session.run(None, {session.get_inputs()[0].name: x})
"""


def count(args, *command):
    """Instructions of a program on a Cortex-A76."""
    log = args.work / "count.log"
    subprocess.run(["qemu-aarch64", "-cpu", "cortex-a76", "-d", "plugin", "-D", log, "-plugin", args.work / "count.so", *command],
                   check=True, stdout=subprocess.DEVNULL)
    return int(re.search(r"instructions (\d+)", log.read_text())[1])


def frame(run):
    return (run(3) - run(1)) / 2


def wheels(work):
    site = work / "site"
    if site.exists():
        return site
    platforms = [x for p in ("manylinux_2_28", "manylinux_2_27", "manylinux2014") for x in ("--platform", f"{p}_aarch64")]
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", *platforms,
                    "--python-version", "3.11", "-d", work / "wheels", *WHEELS], check=True)
    for wheel in (work / "wheels").glob("*.whl"):
        subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, site], check=True)
    return site


def quantise(work):
    """ONNX Runtime's static int8, per channel, over the one picture; its convolutions and products."""
    import numpy as np
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    quant_pre_process(work / "model.onnx", work / "pre.onnx", skip_optimization=True, skip_symbolic_shape=True)

    class Reader(CalibrationDataReader):
        left = [{"pixel_values": np.load(work / "input.npy")}]

        def get_next(self):
            return self.left.pop() if self.left else None

    for name, activation in [("static u8s8", QuantType.QUInt8), ("static s8s8", QuantType.QInt8)]:
        Reader.left = [{"pixel_values": np.load(work / "input.npy")}]
        quantize_static(work / "pre.onnx", work / f"{name}.onnx", Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=activation, weight_type=QuantType.QInt8,
                        op_types_to_quantize=["MatMul", "Conv", "ConvTranspose"])
    quantize_dynamic(work / "pre.onnx", work / "dynamic.onnx", per_channel=True, weight_type=QuantType.QInt8,
                     op_types_to_quantize=["MatMul"])


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--work", type=Path, required=True)
    args.add_argument("--sysroot", type=Path, required=True)
    args.add_argument("--python64", type=Path, required=True)
    args = args.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", HERE / "count.c", "-o", args.work / "count.so"], check=True)
    found = []
    beitle = ROOT / "target/aarch64-unknown-linux-gnu/release/beitle"
    picture = ROOT / "models/sample.ppm"
    for name, options in [("int8", ["--conv", "direct"]), ("int8, Winograd", []), ("f32", ["--precision", "f32"])]:
        file = args.work / f"{name}.beitle"
        subprocess.run([ROOT / "target/release/beitle-quantize", ROOT / "models/demo", "-o", file, *options], check=True,
                       stdout=subprocess.DEVNULL)

        def ours(frames):
            pictures = []
            for i in range(frames):
                pictures.append(args.work / f"{i}.ppm")
                pictures[-1].write_bytes(picture.read_bytes())
            return count(args, "-L", args.sysroot, beitle, "segment", *pictures, "-m", file, "-o", args.work / "maps/",
                         "--threads", "1")

        found.append((f"beitle {name}", frame(ours)))

    import peers
    peers.install()
    if not (args.work / "model.onnx").exists():
        peers.export(ROOT / "models/demo", ROOT / "models/sample.png", args.work)
    quantise(args.work)
    site = wheels(args.work)
    (args.work / "run.py").write_text(RUN)
    python = args.python64 / "usr/bin/python3.11"
    for name in ["static u8s8", "static s8s8", "dynamic", "model"]:
        def theirs(frames):
            return count(args, "-L", args.python64, "-E", "PYTHONHASHSEED=0", "-E", f"PYTHONPATH={site}", "-E",
                         "OPENBLAS_NUM_THREADS=1", python, args.work / "run.py", args.work / f"{name}.onnx",
                         args.work / "input.npy", str(frames))

        found.append((f"ONNX Runtime {'f32' if name == 'model' else 'int8, ' + name}", frame(theirs)))
    best = min(n for name, n in found if name.startswith("ONNX Runtime int8"))
    print("| engine | million instructions | of ONNX Runtime's best int8 |\n| --- | ---: | ---: |")
    for name, n in found:
        print(f"| {name} | {n / 1e6:.0f} | {n / best:.2f} |")


if __name__ == "__main__":
    main()
