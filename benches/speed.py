#!/usr/bin/env python3
"""Times `beitle bench` on weight files and writes the table into RESULTS.md.

    cargo build --release
    python3 benches/speed.py FILE... [--threads 2] [--runs 5] [--isa NAME] [--image PICTURE] [--table NAME] [--stages]

For each file: precision, megabytes, median seconds from picture to class map, executed multiply-accumulates (GMAC), the share of
the processor's peak that they reach, the arena, and the memory of the process (without the mapped file, and at its peak with it).
Files take turns, run after run, so that a busy machine is busy for all of them. The table replaces `speed`, or `speed NAME` with
--table. --stages writes the stages of the first file's fastest run instead, to `stages` or `stages NAME`.
"""
import argparse
import json
import struct
import subprocess
from pathlib import Path
from statistics import median

import tables
from tables import PROGRAMS, cell

COLUMNS = ["file", "precision", "Winograd tiles (levels 0, 1, 2, bottleneck)", "file MB", "seconds", "GMAC", "of the peak",
           "arena MiB", "process MiB", "peak RSS MiB"]


def bench(file, args):
    """One measured run after a warm-up run: the JSON object of `beitle bench`."""
    options = ["--threads", str(args.threads), "--runs", "1"]
    options += ["--isa", args.isa] if args.isa else []
    options += ["--image", args.image] if args.image else []
    out = subprocess.run([PROGRAMS / "beitle", "bench", file, "--json", *options], check=True, capture_output=True)
    return json.loads(out.stdout)


def facts(file):
    """Precision and Winograd tiles from the file's header (src/file/FORMAT.md)."""
    with open(file, "rb") as f:
        header = f.read(512)
    (precision,) = struct.unpack_from("<I", header, 180)
    tiles = [f"{m}x{m}" if m else "direct" for m in header[216:220]]
    return ["f32", "f16", "int8", "int4"][precision], ", ".join(tiles) if any(header[216:220]) else "direct"


def row(file, runs):
    """A row of the table, from all runs of a file."""
    of = lambda key: [run[key] for run in runs if run[key] is not None]
    mib = lambda key: cell(max(of(key)) / (1 << 20), 1) if of(key) else ""
    share = f"{median(of('peak_share')):.0%}" if of("peak_share") else ""
    return [file.name, *facts(file), cell(file.stat().st_size / 1e6, 1), cell(median(of("seconds")), 3),
            cell(runs[0]["macs"] / 1e9, 2), share, mib("arena_bytes"), mib("private_bytes"), mib("peak_rss_bytes")]


def stages(run):
    """A row for each stage, the slowest first, and one for the sum."""
    def row(name, seconds, macs, share):
        rate = [f"{macs / 1e9:.2f}", f"{macs / 1e9 / seconds:.0f}"] if macs else ["", ""]
        return [name, f"{seconds * 1e3:.1f}", *rate, f"{share:.0%}" if macs and share else ""]

    slowest_first = sorted(run["stages"], key=lambda stage: -stage["seconds"])
    rows = [row(s["name"], s["seconds"], s["macs"], s["peak_share"]) for s in slowest_first]
    rows.append(row("all", run["seconds"], run["macs"], run["peak_share"]))
    return tables.table(["stage", "ms", "GMAC", "GMAC/s", "of the peak"], rows)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("file", type=Path, nargs="+")
    args.add_argument("--threads", type=int, default=2)
    args.add_argument("--runs", type=int, default=5)
    args.add_argument("--isa")
    args.add_argument("--image", type=Path)
    args.add_argument("--table", default="")
    args.add_argument("--stages", action="store_true")
    args = args.parse_args()
    measured = {file: [] for file in args.file}
    for _ in range(args.runs):
        for file, runs in measured.items():
            runs.append(bench(file, args))
    first = min(measured[args.file[0]], key=lambda run: run["seconds"])
    setting = f"threads: {args.threads}, kernels: {first['isa']}, picture {first['width']}x{first['height']}"
    if args.stages:
        name, lines, note = "stages", stages(first), f"The fastest of {args.runs} runs"
    else:
        lines = tables.table(COLUMNS, [row(file, runs) for file, runs in measured.items()])
        name, note = "speed", f"Medians of {args.runs} runs in turn"
    tables.write(f"{name} {args.table}".strip(), lines, f"{note}, {setting}.")


if __name__ == "__main__":
    main()
