#!/usr/bin/env python3
"""Static estimates of the inner loops on Arm cores: cycles of one iteration by llvm-mca, and the share of the core's peak.

    python3 benches/arm/cycles.py target/aarch64-unknown-linux-gnu/release/beitle --suffix=-22

Needs llvm-nm, llvm-objdump and llvm-mca; --suffix is the version in their names. Of each tile's functions the script takes the
innermost loop with the most accumulators and, among those, the largest share of multiplications: the main loop of the largest
tile. llvm-mca models pipes and latencies but neither caches nor branch mispredictions, so the figures are upper bounds of what a
core can do, provided that LLVM's model of the core is right.

The peak is what the core's multiplier could do alone, in multiply-accumulates (MAC) a cycle, by the throughputs of LLVM's models:
sdot 1, 2, 4 a cycle on A55, N1, V1 (16 MAC each); smmla 4 on V1 (32 each); fmla 1, 2, 2, 4 on A53, A55, N1, V1 (4 each). Plain
NEON needs smull, smlal and sadalp for 16 exact products: one of them a cycle on A53 and A55, so 16/3; on A72 and N1 one of the
first two a cycle beside a sadalp, so 8, and twice that on V1. LLVM has no model of A76: N1 is its sibling. For A72 it uses A57's.

The table replaces `arm cycles` in RESULTS.md.
"""
import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import tables

CORES = ["cortex-a53", "cortex-a55", "cortex-a72", "neoverse-n1", "neoverse-v1"]
COLUMNS = ["tile", "MAC an iteration", "A53", "A55", "A72", "N1 (A76)", "V1"]
# Name, functions, multiply instruction, multiply-accumulates of one, peaks of CORES.
TILES = [
    ("neon 2x1", r"simd3arm7tile_i8", r"(?:smull|smlal)2?\b", 8, [16 / 3, 16 / 3, 8, 8, 16]),
    ("dotprod 6x1", r"simd3arm7dotprod", r"sdot\b", 16, [None, 16, None, 32, 64]),
    ("i8mm 10 rows, half a panel", r"simd3arm4i8mm", r"smmla\b", 32, [None, None, None, None, 128]),
    ("f32 6x1", r"simd3arm6tile_f.*tile_f32", r"fmla\b", 4, [4, 8, 4, 8, 16]),
    ("f16 6x1", r"simd3arm6tile_f.*tile_f16", r"fmla\b", 4, [4, 8, 4, 8, 16]),
]


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def loops(program, symbol, suffix):
    """Yields the innermost loops of a function, each as a list of instructions."""
    listing = run(f"llvm-objdump{suffix}", "-d", "--no-show-raw-insn", f"--disassemble-symbols={symbol}", program)
    code = [(int(at, 16), text) for at, text in re.findall(r"^\s*([0-9a-f]+):\s+(.+?)(?:\s+//.*)?$", listing, re.M)]
    place = {at: i for i, (at, _) in enumerate(code)}
    jumps = {}
    for i, (_, text) in enumerate(code):
        if m := re.match(r"(?:b|b\.\w+|cbn?z|tbn?z)\s.*?0x([0-9a-f]+)", text):
            jumps[i] = place.get(int(m[1], 16), -1)
    for i, to in jumps.items():
        if 0 <= to <= i and not any(to <= j < i for j in jumps):
            yield [re.sub(r"0x[0-9a-f]+( <.*)?$", ".Lloop", t) if j == i else t for j, (_, t) in enumerate(code) if to <= j <= i]


def cycles(loop, core, suffix):
    """Cycles of one iteration by llvm-mca."""
    with tempfile.NamedTemporaryFile("w", suffix=".s") as f:
        f.write(".Lloop:\n" + "\n".join(loop) + "\n")
        f.flush()
        said = run(f"llvm-mca{suffix}", "-mtriple=aarch64-linux-gnu", f"-mcpu={core}", "-mattr=+dotprod,+i8mm,+fullfp16",
                   "-iterations=1000", f.name)
    return int(re.search(r"Total Cycles:\s+(\d+)", said)[1]) / 1000


def main_loop(program, symbols, functions, multiplication, suffix):
    """The loop with the most accumulators, then the largest share of multiplications, and its number of multiplications."""
    count = lambda loop: sum(bool(re.match(multiplication, text)) for text in loop)
    sums = lambda loop: len({m[1] for text in loop if (m := re.match(r"(?:sadalp|sdot|smmla|fmla)\s+(\w+)", text))})
    found = [loop for s in symbols if re.search(functions, s) for loop in loops(program, s, suffix)]
    loop = max(found, key=lambda loop: (sums(loop), count(loop) / len(loop)))
    return loop, count(loop)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("program")
    args.add_argument("--suffix", default="")
    args = args.parse_args()
    symbols = [line.split()[-1] for line in run(f"llvm-nm{args.suffix}", "--defined-only", args.program).splitlines()]
    rows = []
    for name, functions, multiplication, macs, peaks in TILES:
        loop, count = main_loop(args.program, symbols, functions, multiplication, args.suffix)
        work = macs * count
        row = [name, work]
        for core, peak in zip(CORES, peaks):
            n = cycles(loop, core, args.suffix) if peak else None
            row.append(f"{n:.1f} ({work / n / peak:.0%})" if peak else "")
        rows.append(row)
    version = re.search(r"version (\S+)", run(f"llvm-mca{args.suffix}", "--version"))[1]
    tables.write("arm cycles", tables.table(COLUMNS, rows), f"LLVM {version}.")


if __name__ == "__main__":
    main()
