"""What a long history costs: status, tasks and a claim with 10,000 pending tasks, with and without 100,000 finished."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bench import LEASEQ, ROOT, Row, home, median_ms, quietly, run, show, wait_for
from throughput import lease_of

sys.path.insert(0, str(ROOT))

from leaseq.layout import LeaseDir
from leaseq.models import Outcome, State, Task
from leaseq.names import new_task_id
from leaseq.protocol import history
from leaseq.world import hostname

PENDING = 10_000
FINISHED = 100_000
BAR = 1.2


def make_history(lease: LeaseDir, count: int) -> None:
    """Outcomes and history as `count` finished tasks leave them, written without syncing."""
    totals: dict[str, int] = {}
    with open(lease.events(hostname()), "ab") as events:
        for number in range(count):
            state = State.FAILED if number % 10 == 0 else State.DONE
            task = Task(id=new_task_id(), argv=("python", "train.py", f"--seed={number}"), cwd="/", submitted=1.0)
            outcome = Outcome(
                task=task,
                attempt=1,
                state=state,
                node=hostname(),
                incarnation="0" * 10,
                exit_code=state.exit_code,
                started=2.0,
                ended=3.0,
                elapsed_seconds=1.0,
            )
            totals[state.name] = totals.get(state.name, 0) + 1
            Path(lease.outcome(task.id, 1)).write_bytes(outcome.to_json())
            events.write(history.event_of(outcome, totals).to_json())


def measure(finished: int) -> dict[str, float]:
    with home() as env:
        run([*LEASEQ, "wait", run([*LEASEQ, "submit", "--", "true"], env=env).strip()], env=env)
        run([*LEASEQ, "daemon", "stop"], env=env)
        if finished:
            make_history(lease_of(env), finished)
        run([*LEASEQ, "submit", "--no-start", "--hold", "--file", "-"], env=env, text="true\n" * PENDING)
        found = {
            "status": median_ms(lambda: quietly([*LEASEQ, "status"], env=env), 7),
            "tasks": median_ms(lambda: quietly([*LEASEQ, "tasks"], env=env), 7),
        }
        run([*LEASEQ, "daemon", "start"], env=env)
        began = time.perf_counter()
        lines = run([*LEASEQ, "submit", "--file", "-"], env=env, text="true\n" * 300)
        ids = lines.split()
        lease = lease_of(env)
        wait_for(lambda: Path(lease.outcome(ids[-1], 1)).exists(), seconds=120, what="300 tasks")
        found["claim and run, each"] = (time.perf_counter() - began) / 300 * 1000
        return found


def main() -> None:
    without, with_history = measure(0), measure(FINISHED)
    rows = []
    for what, base in without.items():
        ratio = with_history[what] / base
        rows.append(Row(f"{what}, {PENDING:,} pending", base, "ms"))
        rows.append(
            Row(
                f"{what}, and {FINISHED:,} finished", with_history[what], "ms", f"<= {BAR} x: {ratio:.2f}", ratio <= BAR
            )
        )
    show("scale", rows)


if __name__ == "__main__":
    main()
