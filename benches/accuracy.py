#!/usr/bin/env python3
"""The accuracy suite: every checkpoint in every precision against f32, on a data set.

    cargo build --release --workspace
    python3 benches/accuracy.py DATA CHECKPOINT... --work /tmp/accuracy [--limit N] [-- options of `beitle eval`]

DATA is what `beitle eval` reads: ADE20K's folders, or pictures with or without labels. For each checkpoint its own table,
one JSON file and one HTML page (pictures, maps and differences side by side, the error layer by layer) are left in the
work folder; all tables are printed together. Nothing but Python and the two programs is needed.
"""
import argparse
import json
import subprocess
from pathlib import Path

PROGRAMS = Path(__file__).resolve().parent.parent / "target/release"
# Name, options of the converter; the first is what all others are compared with.
VARIANTS = [
    ("f32", ["--precision", "f32"]),
    ("f16", ["--precision", "f16"]),
    ("int8", []),
    ("int8, direct convolutions", ["--conv", "direct"]),
    ("int8, nearest rounding", ["--rounding", "nearest"]),
    ("auto", ["--precision", "auto"]),
    ("int4", ["--precision", "int4"]),
]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("data", type=Path)
    args.add_argument("checkpoint", type=Path, nargs="+")
    args.add_argument("--work", type=Path, required=True)
    args.add_argument("--limit", type=int)
    args, more = args.parse_known_args()
    args.work.mkdir(parents=True, exist_ok=True)
    limit = ["--limit", str(args.limit)] if args.limit else []
    tables = []
    for checkpoint in args.checkpoint:
        files = []
        for i, (_, options) in enumerate(VARIANTS):
            file = args.work / f"{checkpoint.name}.{i}.beitle"
            if not file.exists():
                subprocess.run([PROGRAMS / "beitle-quantize", checkpoint, "-o", file, *options], check=True,
                               stdout=subprocess.DEVNULL)
            files.append(file)
        found = args.work / f"{checkpoint.name}.json"
        page = args.work / f"{checkpoint.name}.html"
        models = [part for file in files for part in ("-m", file)]
        subprocess.run([PROGRAMS / "beitle", "eval", args.data, *models, "--against", files[0], "--json", found, "--html", page,
                        *limit, *[m for m in more if m != "--"]], check=True, stdout=subprocess.DEVNULL)
        tables.append(table(checkpoint.name, json.loads(found.read_text()), files))
    print("\n\n".join(tables))


def table(name, report, files):
    lines = [f"{name}:", "", "| precision | file MB | mIoU | aAcc | mAcc | pixels equal to f32 | mIoU of the maps | logits, dB |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    cell = lambda value, digits: "" if value is None else f"{value:.{digits}f}"
    for (variant, _), file, model in zip(VARIANTS, files, report["models"]):
        truth, like = model["labels"] or {}, model["reference"] or {}
        lines.append(f"| {variant} | {file.stat().st_size / 1e6:.1f} | "
                     + " | ".join([cell(truth.get("miou"), 5), cell(truth.get("aacc"), 5), cell(truth.get("macc"), 5),
                                   cell(like.get("agreement"), 5), cell(like.get("miou"), 5),
                                   cell(like.get("logits_sqnr_db"), 1)]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
