#!/usr/bin/env python3
"""Counts the instructions of one frame on an emulated Cortex-A76: beitle beside ONNX Runtime's aarch64 build.

    python3 benches/arm/instructions.py --work /tmp/counts --sysroot SYSROOT --python64 TREE [--base CHECKPOINT]

Needs qemu-aarch64 7.2 (its plugins), a C compiler, target/aarch64-unknown-linux-gnu/release/beitle, this machine's
beitle-quantize, and for ONNX Runtime an unpacked arm64 Python (TREE, with usr/bin/python3.11 and its libraries).
SYSROOT holds the loader and C library (/usr/aarch64-linux-gnu with Debian's cross compiler). Python packages are installed with
pip; ONNX Runtime's aarch64 wheels are unpacked under --work.

One thread, the demonstration model. The cost of starting is subtracted: for beitle (picture file to map file) a run of three
frames less a run of one, halved; for ONNX Runtime (tensor to logits) a run of two less a run of one. The table replaces
`arm frame` in RESULTS.md.

With --base, a checkpoint of the base architecture at 640x640, the script counts one transformer block too and replaces
`arm block`. For beitle that is a run up to the attention of the second block less a run up to that of the first
(target/aarch64-unknown-linux-gnu/release/blocks, from blocks.rs); for ONNX Runtime the graph of a block alone, two runs
less one. And it counts a whole frame of base as a Cortex-A76 and a Cortex-A72, with the share of the int8 tiles, and replaces
`arm base`. That takes minutes, because the tiles' multiplications, which the emulator is slowest at, are replaced by additions in a
copy of the program: how many instructions run does not depend on the data.
"""
import argparse
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import tables
from tables import PROGRAMS, ROOT, TARGET

ARM_PROGRAMS = TARGET / "aarch64-unknown-linux-gnu/release"
# The newest ONNX Runtime that qemu 7.2 runs.
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


def counts(args, cpu, functions, *command):
    """Instructions of a program on a processor: all, and those of the functions whose name contains `functions`."""
    log = args.work / "count.log"
    plugin = f"{args.work / 'count.so'},in={functions}"
    subprocess.run(["qemu-aarch64", "-cpu", cpu, "-d", "plugin", "-D", log, "-plugin", plugin, *command],
                   check=True, stdout=subprocess.DEVNULL)
    return [int(re.search(rf"{word} (\d+)", log.read_text())[1]) for word in ["instructions", "inside"]]


def count(args, *command):
    """Instructions of a program on a Cortex-A76."""
    return counts(args, "cortex-a76", "", *command)[0]


# Multiplications of the int8 tiles (mask, value): sdot by vector and by element, smull and smlal (and their second halves), sadalp.
MULTIPLICATIONS = [(0xFFE0FC00, 0x4E809400), (0xFFC0F400, 0x4F80E000), (0xBFE0FC00, 0x0E20C000), (0xBFE0FC00, 0x0E208000),
                   (0xBFFFFC00, 0x0E606800)]


def with_additions(program, to):
    """Copies a program with additions of vectors in place of the tiles' multiplications: its results are wrong, its counts are not."""
    sections = subprocess.run(["readelf", "-SW", program], check=True, capture_output=True, text=True).stdout
    offset, size = (int(x, 16) for x in re.search(r" \.text +PROGBITS +\w+ (\w+) (\w+)", sections).groups())
    code = bytearray(program.read_bytes())
    for at in range(offset, offset + size, 4):
        word = int.from_bytes(code[at:at + 4], "little")
        if any(word & mask == value for mask, value in MULTIPLICATIONS):
            registers = word & 0x1F03FF  # Rm, Rn and Rd; for sadalp, which has no Rm, that is register 0
            code[at:at + 4] = (0x4EA08400 | registers).to_bytes(4, "little")
    to.write_bytes(code)
    to.chmod(0o755)
    return to


def frame(run, frames=3):
    """Instructions of one frame, where `run` counts those of a process that takes several."""
    return (run(frames) - run(1)) / (frames - 1)


def wheels(work):
    """Unpacks ONNX Runtime for aarch64 and what it needs."""
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
    """ONNX Runtime int8: static per channel, calibrated on the one picture (matrix products and convolutions), and dynamic."""
    import numpy as np
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    quant_pre_process(work / "model.onnx", work / "pre.onnx", skip_optimization=True, skip_symbolic_shape=True)

    name = onnx.load(work / "model.onnx", load_external_data=False).graph.input[0].name

    class Reader(CalibrationDataReader):
        left = []

        def get_next(self):
            return self.left.pop() if self.left else None

    for kind, activation in [("static u8s8", QuantType.QUInt8), ("static s8s8", QuantType.QInt8)]:
        Reader.left = [{name: np.load(work / "input.npy")}]
        quantize_static(work / "pre.onnx", work / f"{kind}.onnx", Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=activation, weight_type=QuantType.QInt8,
                        op_types_to_quantize=["MatMul", "Conv", "ConvTranspose"])
    quantize_dynamic(work / "pre.onnx", work / "dynamic.onnx", per_channel=True, weight_type=QuantType.QInt8,
                     op_types_to_quantize=["MatMul"])


def export_block(checkpoint, picture, work):
    """Writes the graph of a checkpoint's fifth block, its position bias a constant, and the block's input."""
    import numpy as np
    import peers
    import torch
    from transformers import BeitForSemanticSegmentation
    model = BeitForSemanticSegmentation.from_pretrained(checkpoint, attn_implementation="eager").float().eval()
    size = model.config.image_size
    bias = model.beit.layers[4].relative_position_bias
    index = bias.generate_relative_position_index(bias.window_size)
    with torch.no_grad():
        x = model(torch.from_numpy(peers.pixels(picture, size)), output_hidden_states=True).hidden_states[4]
        bias = bias.relative_position_bias_table.detach().t().contiguous()[:, index].unsqueeze(0)

    class Bias(torch.nn.Module):
        def forward(self, *_, **__):
            return bias

    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = model.beit.layers[4]
            self.layer.relative_position_bias = Bias()

        def forward(self, x):
            out = self.layer(x, resolution=(size, size))
            return out[0] if isinstance(out, tuple) else out

    np.save(work / "input.npy", x.numpy())
    with torch.no_grad():
        torch.onnx.export(Block().eval(), (x,), work / "model.onnx", input_names=["x"], output_names=["y"], opset_version=17,
                          dynamo=False)


def convert(checkpoint, file, *options):
    subprocess.run([PROGRAMS / "beitle-quantize", checkpoint, "-o", file, *options], check=True,
                   stdout=subprocess.DEVNULL)


def ours(args, file, frames):
    """Instructions of a process that segments `frames` pictures."""
    pictures = []
    for i in range(frames):
        pictures.append(args.work / f"{i}.ppm")
        pictures[-1].write_bytes((ROOT / "models/sample.ppm").read_bytes())
    return count(args, "-L", args.sysroot, ARM_PROGRAMS / "beitle", "segment", *pictures, "-m", file,
                 "-o", f"{args.work}/maps/", "--threads", "1", "--verify=never")


def theirs(args, site, work):
    """Yields instructions of a frame for each kind of ONNX Runtime model."""
    quantise(work)
    (work / "run.py").write_text(RUN)
    python = args.python64 / "usr/bin/python3.11"
    for name in ["static u8s8", "static s8s8", "dynamic", "model"]:
        n = frame(lambda frames: count(args, "-L", args.python64, "-E", "PYTHONHASHSEED=0", "-E", f"PYTHONPATH={site}", "-E",
                                       "OPENBLAS_NUM_THREADS=1", python, work / "run.py", work / f"{name}.onnx",
                                       work / "input.npy", str(frames)), 2)
        yield f"ONNX Runtime {'f32' if name == 'model' else 'int8, ' + name}", n


def table(name, found):
    best = min(n for engine, n in found if engine.startswith("ONNX Runtime int8"))
    rows = [[engine, f"{n / 1e6:.0f}", f"{n / best:.2f}"] for engine, n in found]
    columns = ["engine", "million instructions", "of ONNX Runtime's best int8"]
    tables.write(name, tables.table(columns, rows), f"Emulated Cortex-A76; {WHEELS[0].replace('==', ' ')}.")


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--work", type=Path, required=True)
    args.add_argument("--sysroot", type=Path, required=True)
    args.add_argument("--python64", type=Path, required=True)
    args.add_argument("--base", type=Path)
    args = args.parse_args()
    (args.work / "maps").mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", HERE / "count.c", "-o", args.work / "count.so"], check=True)
    import peers
    peers.install(without=["openvino", "nncf", "ncnn", "pnnx"])
    site = wheels(args.work)
    found = []
    for conv in ["winograd4", "winograd2", "direct"]:
        file = args.work / f"{conv}.beitle"
        convert(ROOT / "models/demo", file, "--conv", conv)
        found.append((f"beitle int8, `--conv {conv}`", frame(lambda n: ours(args, file, n))))
    file = args.work / "f32.beitle"
    convert(ROOT / "models/demo", file, "--precision", "f32")
    found.append(("beitle f32", frame(lambda n: ours(args, file, n))))
    if not (args.work / "model.onnx").exists():
        peers.export(ROOT / "models/demo", ROOT / "models/sample.png", args.work)
    table("arm frame", found + list(theirs(args, site, args.work)))
    if args.base is None:
        return
    work = args.work / "block"
    work.mkdir(exist_ok=True)
    found = []
    for precision in ["int8", "f32"]:
        file = work / f"{precision}.beitle"
        convert(args.base, file, "--precision", precision, "--rounding", "nearest")
        program = ARM_PROGRAMS / "blocks"
        first, second = (count(args, "-L", args.sysroot, program, file, str(blocks)) for blocks in [1, 2])
        found.append((f"beitle {precision}", second - first))
    if not (work / "model.onnx").exists():
        export_block(args.base, ROOT / "models/sample.png", work)
    table("arm block", found + list(theirs(args, site, work)))
    program = with_additions(ARM_PROGRAMS / "blocks", args.work / "additions")
    rows = []
    for conv in ["winograd4", "direct"]:
        file = work / f"{conv}.beitle"
        convert(args.base, file, "--conv", conv, "--rounding", "nearest")
        for core, cpu, tiles in [("A76", "cortex-a76", "simd3arm7dotprod"), ("A72 (plain NEON)", "cortex-a72", "simd3arm7tile_i8")]:
            total, inside = counts(args, cpu, tiles, "-L", args.sysroot, program, file)
            rows.append([f"{core}, `--conv {conv}`", f"{total / 1e6:.0f}", f"{inside / 1e6:.0f}", f"{inside / total:.2f}"])
    columns = ["core and convolutions", "million instructions", "of them int8 tiles", "share"]
    tables.write("arm base", tables.table(columns, rows), "Emulated processors; one frame, with the start of the process.")


if __name__ == "__main__":
    main()
