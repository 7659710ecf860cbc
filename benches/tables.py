"""The tables of RESULTS.md: how scripts format them, replace them and stamp them with commit, date and machine.

A table stands between the lines `<!-- NAME -->` and `<!-- end of NAME -->`. A script replaces what is between them and
leaves the rest of the page alone.
"""
import datetime
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "RESULTS.md"
# Cargo's build folder.
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PROGRAMS = TARGET / "release"
# The instruction sets that decide which kernels run, best first, by their names in /proc/cpuinfo.
INSTRUCTION_SETS = ["avx512_vnni", "avx_vnni", "avx2", "sse4_1", "i8mm", "asimddp", "asimd"]


def table(columns, rows):
    """A Markdown table: the first column is text, the others are right-aligned; columns without any value are left out."""
    kept = [i for i in range(len(columns)) if i == 0 or any(row[i] not in ("", None) for row in rows)]
    line = lambda cells: "| " + " | ".join(str(cells[i]) for i in kept) + " |"
    return [line(columns), "| --- |" + " ---: |" * (len(kept) - 1), *map(line, rows)]


def cell(value, digits):
    """A number with `digits` decimals, or an empty string for None."""
    return "" if value is None else f"{value:.{digits}f}"


def commit():
    """The commit that was measured, with `-dirty` if tracked files other than Markdown differ from it."""
    git = lambda *arguments: subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
    head = git("rev-parse", "--short=7", "HEAD")
    if head.returncode != 0:
        return "unknown"
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":!*.md")
    return head.stdout.strip() + ("-dirty" if changed.stdout.strip() else "")


def machine():
    """The processor as Linux names it, its best instruction set and the number of cores."""
    info = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        info.setdefault(name.strip(), value.strip())
    # Arm's cpuinfo has no model name.
    model = info.get("model name") or f"Arm implementer {info.get('CPU implementer')} part {info.get('CPU part')}"
    family = f" (family {info['cpu family']}, model {info['model']})" if "cpu family" in info else ""
    flags = (info.get("flags") or info.get("Features") or "").split()
    best = [flag for flag in INSTRUCTION_SETS if flag in flags][:1]
    return ", ".join([model + family, *best, f"{len(os.sched_getaffinity(0))} cores"])


def command():
    """This script's command line, with paths shortened to their last part."""
    script = Path(sys.argv[0]).resolve()
    script = script.relative_to(ROOT) if script.is_relative_to(ROOT) else script.name
    arguments = [re.sub(r"^(--[\w-]+=)?[~./].*?([^/]+)/?$", r"\1\2", a) for a in sys.argv[1:]]
    return shlex.join(["python3", str(script), *arguments])


def stamp(*notes):
    """The line under a table that says what was measured, when and where."""
    measured = f"Commit {commit()}, {datetime.date.today()}; {machine()}; `{command()}`."
    return " ".join([measured, *notes])


def write(name, lines, *notes):
    """Prints a table with its stamp and puts both into RESULTS.md, if the page has a place for the table."""
    text = "\n".join([*lines, "", stamp(*notes)])
    print(text, flush=True)
    if replace(name, text):
        print(f"\nwritten to {RESULTS.name}: {name}", file=sys.stderr)
    else:
        print(f"\n{RESULTS.name} has no <!-- {name} -->: not written", file=sys.stderr)


def replace(name, text):
    """Puts `text` between the markers of a table; whether the page has these markers."""
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    page = RESULTS.read_text()
    found = re.search(re.escape(start) + "(.*?)" + re.escape(end), page, re.S)
    if not found:
        return False
    RESULTS.write_text(page[: found.start(1)] + text + "\n" + page[found.end(1) :])
    return True
