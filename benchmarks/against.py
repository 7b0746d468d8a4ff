"""Single tasks here and in another checkout of leaseq, one run after the other: `against.py OTHER [TASKS [ROUNDS]]`.

OTHER is the root of a checkout with a `.venv` of its own. Each round runs TASKS times `true` in one slot and in two, in
both trees in turn, so other work on the machine meets all alike. What counts is the least: of processor time, for
another's work only adds to it, and the highest rate. Run it with TMPDIR on a tmpfs (`TMPDIR=/dev/shm`).
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import bench
import throughput
from bench import ROOT, Row, show

Found = tuple[float, float]
"""(tasks a second, milliseconds of processor of runner and keeper for each)"""


def once(tree: Path, count: int, slots: int) -> Found:
    """What a run of that tree's leaseq gives."""
    python = tree / ".venv" / "bin" / "python"
    bench.LEASEQ[:] = [str(python), "-m", "leaseq"]
    bench.ROOT = tree
    return throughput.leaseq_rate(count, slots)


def best(found: list[Found]) -> Found:
    return max(rate for rate, _ in found), min(taken for _, taken in found)


def main() -> None:
    other = Path(sys.argv[1]).resolve()
    count, rounds = (int(word) for word in [*sys.argv[2:], "1000", "5"][:2])
    os.chdir("/")  # `-m` looks for modules here first
    found: dict[tuple[Path, int], list[Found]] = {}
    for _ in range(rounds):
        for slots in (1, 2):
            for tree in (other, ROOT):
                found.setdefault((tree, slots), []).append(once(tree, count, slots))
    rows = []
    for slots in (1, 2):
        before, now = best(found[other, slots]), best(found[ROOT, slots])
        what = f"{count:,} true, {slots} slot{'s' if slots > 1 else ''}"
        bar = ">= 1.5 times the other's" if slots == 1 else ""
        met = now[0] >= 1.5 * before[0] if bar else None
        rows.append(Row(f"{what}: the other", before[0], "/s"))
        rows.append(Row(f"{what}: this one", now[0], "/s", bar, met, f"{now[0] / before[0]:.2f} times"))
        half = now[1] <= before[1] / 2
        rows.append(Row("runner and keeper for each: the other", before[1], "ms of processor"))
        note = f"{now[1] / before[1]:.2f} times"
        rows.append(Row("runner and keeper for each: this one", now[1], "ms of processor", "<= half", half, note))
    one, two = (best(found[ROOT, slots])[0] for slots in (1, 2))
    rows.append(Row("two slots, this one", two / one, "times one slot", ">= 1.5", two >= 1.5 * one))
    show("against", rows)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4 or not os.access(f"{sys.argv[1]}/.venv/bin/python", os.X_OK):
        sys.exit(__doc__)
    if tempfile.gettempdir() != "/dev/shm":
        print("against: TMPDIR is not a tmpfs: the disk is measured, too", file=sys.stderr)
    main()
