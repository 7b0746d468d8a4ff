"""The processor time that a command takes, against the bare interpreter and the import of fire."""

from __future__ import annotations

import os
import statistics
import sys

from bench import LEASEQ, Row, children_seconds, home, quietly, run, show

BAR = 0.8


def main() -> None:
    rows = []
    with home() as env:
        run([*LEASEQ, "submit", "--", "true"], env=env)

        def measure(argv: list[str]) -> float:
            def taken() -> float:
                before = children_seconds()
                quietly(argv, env=env)
                return children_seconds() - before

            return statistics.median([taken() for _ in range(16)][1:]) * 1000

        bare = measure([sys.executable, "-c", "pass"])
        fire = measure([sys.executable, "-c", "import fire"])
        rows.append(Row("python -c pass", bare, "ms of processor"))
        rows.append(Row("python -c 'import fire'", fire, "ms of processor"))
        for words in (["status"], ["tasks"], ["submit", "--no-start", "--", "true"], ["--version"]):
            taken = measure([*LEASEQ, *words])
            ratio = taken / fire
            has_bar = words[0] != "--version"
            met = ratio <= BAR if has_bar else None
            bar = f"<= {BAR} x import fire: {ratio:.2f}" if has_bar else f"{ratio:.2f} x import fire"
            rows.append(Row(f"leaseq {' '.join(words)}", taken, "ms of processor", bar, met))
    show("startup", rows)


if __name__ == "__main__":
    os.environ.pop("LEASEQ_HOME", None)
    main()
