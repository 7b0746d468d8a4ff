"""The processor time that a command takes, against the bare interpreter and the import of fire."""

from __future__ import annotations

import os
import statistics
import sys

from bench import LEASEQ, ROOT, Row, children_seconds, home, quietly, run, show

BAR = 0.8
ROUNDS = 25


def main() -> None:
    rows = []
    with home() as env:
        run([*LEASEQ, "submit", "--", "true"], env=env)

        def taken(argv: list[str]) -> float:
            before = children_seconds()
            quietly(argv, env=env)
            return children_seconds() - before

        submit = ["submit", "--no-start", "--cwd"]
        barred = [["status"], ["tasks"], [*submit, "/", "--", "true"]]
        # Of a task in a repository git is asked, too: three processes of its own.
        commands = [*barred, [*submit, str(ROOT), "--", "true"], ["--version"]]
        measured = [[sys.executable, "-c", "pass"], [sys.executable, "-c", "import fire"]]
        measured += [[*LEASEQ, *words] for words in commands]
        # In turn, so that other work on the machine meets all alike; the first round warms what is cached.
        rounds = [[taken(argv) for argv in measured] for _ in range(ROUNDS)][1:]
        bare, fire, *ours = (statistics.median(each) * 1000 for each in zip(*rounds, strict=True))
        rows.append(Row("python -c pass", bare, "ms of processor"))
        rows.append(Row("python -c 'import fire'", fire, "ms of processor"))
        for words, median in zip(commands, ours, strict=True):
            ratio = median / fire
            met = ratio <= BAR if words in barred else None
            bar = f"<= {BAR} x import fire: {ratio:.2f}" if words in barred else f"{ratio:.2f} x import fire"
            rows.append(Row(f"leaseq {' '.join(words)}", median, "ms of processor", bar, met))
    show("startup", rows)


if __name__ == "__main__":
    os.environ.pop("LEASEQ_HOME", None)
    main()
