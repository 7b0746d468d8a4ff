"""`python -m tests.sim [--seconds S] [--seed SEED]`: new histories for so long, or the one of a seed.

Prints how many histories there were and which troubles struck. A history that breaks a promise is shrunk and printed
with its seed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.sim.history import Result, run
from tests.sim.plan import Plan, draw, shrink

TOLD_SECONDS = 30.0
LINES_SHOWN = 60


def main(argv: Sequence[str]) -> int:
    """1 if a promise was broken, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", default="")
    words = parser.parse_args(argv)
    if words.seed:
        return _one(words.seed)
    return _many(words.seconds)


def _one(seed: str) -> int:
    result = run(draw(seed))
    print("\n".join(result.log))
    return _failed(draw(seed), result) if result.violation else 0


def _many(seconds: float) -> int:
    first = f"{time.time_ns() // 1_000_000}"
    began = told = time.monotonic()
    struck: Counter[str] = Counter()
    histories = calls = 0
    while time.monotonic() - began < seconds:
        plan = draw(f"{first}-{histories}")
        result = run(plan)
        histories += 1
        calls += result.calls
        struck.update(result.struck)
        if result.violation:
            _tell(histories, calls, struck, began)
            return _failed(plan, result)
        if time.monotonic() - told > TOLD_SECONDS:
            told = time.monotonic()
            print(f"{histories} histories, {time.monotonic() - began:.0f} s", flush=True)
    _tell(histories, calls, struck, began)
    return 0


def _tell(histories: int, calls: int, struck: Counter[str], began: float) -> None:
    seconds = time.monotonic() - began
    print(f"{histories} histories with {calls} operations in {seconds:.0f} s; what struck:")
    for what, count in struck.most_common():
        print(f"  {count:7}  {what}")


def _failed(plan: Plan, result: Result) -> int:
    print(f"\nbroken: {result.violation}\nseed {plan.seed}, shrunk to:", flush=True)
    small = shrink(plan, lambda less: bool(run(less).violation))
    result = run(small)
    print(f"{small}\nbroken: {result.violation}\nthe last operations:")
    print("\n".join(result.log[-LINES_SHOWN:]))
    print(f"\nthe whole history: python -m tests.sim --seed {plan.seed}")
    return 1


if __name__ == "__main__":
    # The order of a set of words is another in each process, unless it is told to be the same.
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.sim", *sys.argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"}
        )
    sys.exit(main(sys.argv[1:]))
