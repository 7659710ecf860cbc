#!/usr/bin/env python3
"""Runs beitle and other engines side by side on one checkpoint and one picture, and writes the table into RESULTS.md.

    cargo build --release --workspace
    python3 benches/peers.py CHECKPOINT PICTURE --work /tmp/peers [--threads 1,2] [--runs 5] [--isa avx2] [--table large]
        [--only "beitle int8,openvino int8"]

CHECKPOINT is a transformers folder. Missing Python packages are installed with pip (torch, transformers, onnx, onnxruntime,
openvino, nncf, ncnn, pnnx). The engines take turns, run after run, each in a process of its own that waits while another one
works, so that a busy machine is busy for all of them. Peers get the picture as a finished tensor and return logits; beitle's time
is from picture to class map.

--isa avx2 keeps all engines from using AVX-512: oneDNN has an environment variable for it. ONNX Runtime and ncnn have no such
switch, so they take part only where the processor lacks AVX-512.

The table replaces `peers`, or `peers [large] [avx2]` with --table and --isa.
"""
import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import tables
from tables import PROGRAMS

NEEDS = {"torch": "torch", "transformers": "transformers", "PIL": "pillow", "onnx": "onnx", "onnxscript": "onnxscript",
         "onnxruntime": "onnxruntime", "openvino": "openvino", "nncf": "nncf", "ncnn": "ncnn", "pnnx": "pnnx"}
# Precision and converter options of our weight files.
OURS = [("int8", []), ("int8", ["--conv", "winograd2"]), ("int8", ["--conv", "direct"]), ("f32", [])]
PEERS = {None: ["openvino int8", "openvino bf16", "onnxruntime f32"], "avx2": ["openvino int8", "openvino f32"]}
if "avx512" not in Path("/proc/cpuinfo").read_text():
    PEERS["avx2"] += ["onnxruntime f32", "ncnn f32"]


def install(without=()):
    missing = [package for module, package in NEEDS.items() if module not in without and importlib.util.find_spec(module) is None]
    if missing:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", *missing], check=True)


def pixels(picture, size):
    import numpy as np
    from PIL import Image
    image = Image.open(picture).convert("RGB").resize((size, size), Image.BILINEAR)
    return np.ascontiguousarray(((np.asarray(image, np.float32) / 255 - 0.5) / 0.5).transpose(2, 0, 1)[None])


def export(checkpoint, picture, work):
    """Writes a static ONNX graph that ends in the logits. Position biases and pooling are constants, BatchNorm is folded."""
    import numpy as np
    import onnx
    import torch
    from torch.nn.functional import adaptive_avg_pool2d, interpolate
    from torch.nn.utils.fusion import fuse_conv_bn_eval
    from transformers import BeitForSemanticSegmentation
    from transformers.models.beit import modeling_beit

    model = BeitForSemanticSegmentation.from_pretrained(checkpoint, attn_implementation="eager").float().eval()
    model.auxiliary_head = None
    x = pixels(picture, model.config.image_size)
    with torch.no_grad():
        np.save(work / "reference.npy", model(torch.from_numpy(x)).logits.numpy())
    np.save(work / "input.npy", x)

    class Bias(torch.nn.Module):
        def __init__(self, source):
            super().__init__()
            self.index = source.generate_relative_position_index(source.window_size).clone()
            self.register_buffer("table", source.relative_position_bias_table.detach().t().contiguous())

        def forward(self, *_, **__):
            return self.table[:, self.index].unsqueeze(0)

    class Pools(torch.nn.Module):
        def __init__(self, module, side):
            super().__init__()
            self.module = module
            eye = torch.eye(side * side).reshape(-1, 1, side, side)
            self.matrices = [adaptive_avg_pool2d(eye, s).reshape(side * side, -1) for s in module.pool_scales]

        def forward(self, x):
            n, c, h, w = x.shape
            for scale, matrix, block in zip(self.module.pool_scales, self.matrices, self.module.blocks):
                small = (x.reshape(n * c, h * w) @ matrix).reshape(n, c, scale, scale)
                yield interpolate(block.conv(small), size=(h, w), mode="bilinear", align_corners=False)

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, pixel_values):
            return self.model(pixel_values).logits

    for layer in model.beit.layers:
        layer.relative_position_bias = Bias(layer.relative_position_bias)
    for m in list(model.modules()):
        if isinstance(m, modeling_beit.BeitConvLayer):
            m.convolution = fuse_conv_bn_eval(m.convolution, m.normalization)
            m.normalization = torch.nn.Identity()
        elif isinstance(m, modeling_beit.BeitFPNUpBlock):
            m.conv_transpose1 = fuse_conv_bn_eval(m.conv_transpose1, m.normalization, transpose=True)
            m.normalization = torch.nn.Identity()
    pools = Pools(model.decode_head.psp_modules, model.config.image_size // 32)
    pools_forward = pools.forward
    pools.forward = lambda x: list(pools_forward(x))
    model.decode_head.psp_modules = pools
    path = work / "model.onnx"
    with torch.no_grad():
        torch.onnx.export(Logits().eval(), (torch.from_numpy(x),), path, input_names=["pixel_values"],
                          output_names=["logits"], opset_version=17, dynamo=False, do_constant_folding=False)
    graph = onnx.load(path)
    # Quantisers mistake the output of a Transpose node for an activation: store the weight transposed instead.
    constants = {t.name: t for t in graph.graph.initializer}
    for node in [n for n in graph.graph.node if n.op_type == "Transpose" and n.input[0] in constants]:
        turned = onnx.numpy_helper.to_array(constants[node.input[0]]).transpose(node.attribute[0].ints)
        graph.graph.initializer.append(onnx.numpy_helper.from_array(turned.copy(), node.output[0]))
        graph.graph.node.remove(node)
    used = {name for node in graph.graph.node for name in node.input}
    for t in [t for t in graph.graph.initializer if t.name not in used]:
        graph.graph.initializer.remove(t)
    onnx.save(graph, path)


def quantise(work):
    """OpenVINO int8 by NNCF: transformer model type, performance preset, calibrated on three pictures of multi-scale noise."""
    import nncf
    import numpy as np
    import openvino
    shape = np.load(work / "input.npy").shape
    random = np.random.default_rng(0)

    def noise():
        image = np.zeros(shape, np.float32)
        for side in (4, 16, 64, shape[2] // 4):
            small = random.normal(size=(1, 3, side, side)).astype(np.float32)
            image += small.repeat(-(-shape[2] // side), 2).repeat(-(-shape[3] // side), 3)[:, :, : shape[2], : shape[3]]
        return np.clip(0.4 * image, -1, 1)

    model = openvino.Core().read_model(work / "model.onnx")
    model = nncf.quantize(model, nncf.Dataset([noise() for _ in range(3)]), model_type=nncf.ModelType.TRANSFORMER,
                          preset=nncf.QuantizationPreset.PERFORMANCE, subset_size=3, fast_bias_correction=True)
    openvino.save_model(model, work / "int8.xml", compress_to_fp16=False)


def ncnn_model(work):
    """Converts the graph with pnnx, ncnn's own converter."""
    import numpy as np
    shape = ",".join(str(n) for n in np.load(work / "input.npy").shape)
    subprocess.run([Path(sys.executable).parent / "pnnx", "model.onnx", f"inputshape=[{shape}]f32", "fp16=0"], cwd=work,
                   check=True, capture_output=True)


def peer(engine, threads, work):
    """Body of a child process: loads an engine, prints its pixel agreement, then times one run for each line of standard input."""
    import numpy as np
    x = np.load(work / "input.npy")
    if engine.startswith("openvino"):
        import openvino
        file = work / ("int8.xml" if engine.endswith("int8") else "model.onnx")
        kind = "bf16" if engine.endswith("bf16") else "f32"
        options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
                   "INFERENCE_PRECISION_HINT": kind}
        request = openvino.Core().compile_model(file, "CPU", options).create_infer_request()
        run = lambda: request.infer({0: x})[0]
    elif engine.startswith("ncnn"):
        import ncnn
        net = ncnn.Net()
        net.opt.num_threads = threads
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
        net.load_param(str(work / "model.ncnn.param"))
        net.load_model(str(work / "model.ncnn.bin"))

        def run():
            extractor = net.create_extractor()
            extractor.input("in0", ncnn.Mat(x[0]).clone())
            return np.array(extractor.extract("out0")[1])[None]
    else:
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(work / "model.onnx", options, providers=["CPUExecutionProvider"])
        run = lambda: session.run(None, {"pixel_values": x})[0]
    reference = np.load(work / "reference.npy").argmax(1)
    print(json.dumps({"agreement": float((run().argmax(1) == reference).mean())}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(time.perf_counter() - start, flush=True)


def ours(file, picture, threads, isa):
    """Seconds of one run of beitle, after a warm-up run."""
    out = subprocess.run([PROGRAMS / "beitle", "bench", file, "--image", picture, "--threads", str(threads), "--runs", "1",
                          "--json", *(["--isa", isa] if isa else [])], check=True, capture_output=True)
    return json.loads(out.stdout)["seconds"]


def agreement(file, picture, work):
    """The share of pixels whose class is that of the f32 reference."""
    import numpy as np
    subprocess.run([PROGRAMS / "beitle", "segment", picture, "-m", file, "-o", work / "map.png", "--logits",
                    work / "logits.npy"], check=True, capture_output=True)
    reference = np.load(work / "reference.npy")[0]
    return float((np.load(work / "logits.npy").argmax(0) == reference.argmax(0)).mean())


def measure(args, rows, engines, count):
    """Times all engines in turn with `count` threads; the seconds go to `rows[name][count]`."""
    children = {}
    for engine in engines:
        command = [sys.executable, __file__, args.checkpoint, args.picture, "--work", args.work, "--peer", engine, str(count)]
        children[engine] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        rows.setdefault(engine, {}).update(json.loads(children[engine].stdout.readline()))
    for _ in range(args.runs):
        for name, row in rows.items():
            if name in children:
                children[name].stdin.write("\n")
                children[name].stdin.flush()
                seconds = float(children[name].stdout.readline())
            else:
                seconds = ours(row["file"], args.picture, count, args.isa)
            row.setdefault(count, []).append(seconds)
            # Thread pools spin for a while after a run.
            time.sleep(1)
            print(f"{name}, {count} threads: {seconds:.3f} s", flush=True)
    for child in children.values():
        child.stdin.close()
        child.wait()


def convert(args, wanted):
    """Our weight files, by the names of their rows, with their pixel agreement."""
    rows = {}
    for i, (precision, options) in enumerate(OURS):
        name = " ".join(["beitle", precision, *options[1:]])
        if not wanted(name):
            continue
        file = args.work / f"{i}.beitle"
        if not file.exists():
            subprocess.run([PROGRAMS / "beitle-quantize", args.checkpoint, "-o", file, "--precision", precision, *options],
                           check=True, capture_output=True)
        rows[name] = {"agreement": agreement(file, args.picture, args.work), "file": file}
    return rows


def table(rows, threads):
    """One row for each engine, the fastest first; ratios are to OpenVINO int8."""
    median = lambda values: sorted(values)[len(values) // 2]
    base = {count: median(rows["openvino int8"][count]) for count in threads}
    columns = ["engine"]
    for count in threads:
        columns += [f"{count} thread{'s' * (count > 1)}, s", "of OpenVINO int8"]
    lines = []
    for name, row in sorted(rows.items(), key=lambda r: median(r[1][threads[-1]])):
        times = [text for c in threads for text in (f"{median(row[c]):.2f}", f"{median(row[c]) / base[c]:.2f}")]
        lines.append([name, *times, f"{row['agreement']:.4f}"])
    return tables.table([*columns, "pixels equal to f32"], lines)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("checkpoint", type=Path)
    args.add_argument("picture", type=Path)
    args.add_argument("--work", type=Path, required=True)
    args.add_argument("--threads", default="1,2")
    args.add_argument("--runs", type=int, default=5)
    args.add_argument("--isa", choices=["avx2"])
    args.add_argument("--table", default="", help="part of the table's name, such as large")
    args.add_argument("--only", type=lambda names: names.split(","), help="these engines only, by their names in the table")
    args.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    args = args.parse_args()
    if args.isa:
        os.environ["ONEDNN_MAX_CPU_ISA"] = args.isa.upper()
    if args.peer:
        return peer(args.peer[0], int(args.peer[1]), args.work)
    install()
    args.work.mkdir(parents=True, exist_ok=True)
    wanted = lambda name: args.only is None or name in args.only
    engines = list(filter(wanted, PEERS[args.isa]))
    if not (args.work / "model.onnx").exists():
        export(args.checkpoint, args.picture, args.work)
    if not (args.work / "int8.xml").exists():
        quantise(args.work)
    if "ncnn f32" in engines and not (args.work / "model.ncnn.bin").exists():
        ncnn_model(args.work)
    rows = convert(args, wanted)
    threads = [int(t) for t in args.threads.split(",")]
    for count in threads:
        measure(args, rows, engines, count)
    version = lambda module: importlib.import_module(module).__version__.split("-")[0]
    versions = ", ".join(f"{module} {version(module)}" for module in ("openvino", "onnxruntime", "nncf", "ncnn"))
    name = " ".join(filter(None, ["peers", args.table, args.isa]))
    tables.write(name, table(rows, threads), f"Medians of {args.runs} runs; {versions}.")


if __name__ == "__main__":
    main()
