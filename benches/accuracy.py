#!/usr/bin/env python3
"""The accuracy suite: every checkpoint in every precision against f32, on one data set.

    cargo build --release --workspace
    python3 benches/accuracy.py DATA CHECKPOINT... --work /tmp/accuracy [--limit N] [-- options of `beitle eval`]

DATA is what `beitle eval` reads: ADE20K's folders, or pictures with or without labels. For each checkpoint the script prints a
table and leaves one JSON file and one HTML page (scores, noise after each stage, and the pictures that differ most) in the work
folder. The table of a checkpoint named NAME replaces the table `accuracy NAME` of RESULTS.md, if there is one. Nothing but
Python and the two programs is needed.
"""
import argparse
import json
import subprocess
from pathlib import Path

import tables
from tables import PROGRAMS, cell

# Name and converter options of each variant; the first is the reference for all others.
VARIANTS = [
    ("f32", ["--precision", "f32"]),
    ("f16", ["--precision", "f16"]),
    ("int8", []),
    ("int8, `--conv winograd2`", ["--conv", "winograd2"]),
    ("int8, `--conv direct`", ["--conv", "direct"]),
    ("int8, `--rounding nearest`", ["--rounding", "nearest"]),
    ("auto", ["--precision", "auto"]),
    ("int4", ["--precision", "int4"]),
]


COLUMNS = ["precision", "file MB", "mIoU", "aAcc", "mAcc", "pixels equal to f32", "mIoU against f32's maps", "logits, dB"]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("data", type=Path)
    args.add_argument("checkpoint", type=Path, nargs="+")
    args.add_argument("--work", type=Path, required=True)
    args.add_argument("--limit", type=int)
    args, more = args.parse_known_args()
    args.work.mkdir(parents=True, exist_ok=True)
    more = [option for option in more if option != "--"]
    if args.limit:
        more += ["--limit", str(args.limit)]
    for checkpoint in args.checkpoint:
        files = convert(checkpoint, args.work)
        report = evaluate(args.data, files, args.work / checkpoint.name, more)
        tables.write(f"accuracy {checkpoint.name}", table(report, files), f"{report['models'][0]['pictures']} pictures.")


def convert(checkpoint, work):
    """One weight file for each variant; those of an earlier run are kept."""
    files = []
    for i, (_, options) in enumerate(VARIANTS):
        file = work / f"{checkpoint.name}.{i}.beitle"
        if not file.exists():
            subprocess.run([PROGRAMS / "beitle-quantize", checkpoint, "-o", file, *options], check=True,
                           stdout=subprocess.DEVNULL)
        files.append(file)
    return files


def evaluate(data, files, output, options):
    """Scores all files on all pictures; `output` is the path of the JSON file and the HTML page without their extensions."""
    found = output.with_name(output.name + ".json")
    page = output.with_name(output.name + ".html")
    models = [part for file in files for part in ("-m", file)]
    subprocess.run([PROGRAMS / "beitle", "eval", data, *models, "--against", files[0], "--json", found, "--html", page, *options],
                   check=True, stdout=subprocess.DEVNULL)
    return json.loads(found.read_text())


def table(report, files):
    rows = []
    for (variant, _), file, model in zip(VARIANTS, files, report["models"]):
        labels, reference = model["labels"] or {}, model["reference"] or {}
        rows.append([variant, cell(file.stat().st_size / 1e6, 1), cell(labels.get("miou"), 5), cell(labels.get("aacc"), 5),
                     cell(labels.get("macc"), 5), cell(reference.get("agreement"), 5), cell(reference.get("miou"), 5),
                     cell(reference.get("logits_sqnr_db"), 1)])
    return tables.table(COLUMNS, rows)


if __name__ == "__main__":
    main()
