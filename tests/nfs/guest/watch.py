"""A monitor that is left open: reads the lease every two seconds until /run/enough exists.

Prints {"reads": N, "wrong": [...], "troubles": [...]}: tasks that it saw vanish or go back after they had ended, and
the errors of the file system that it met.
"""

from __future__ import annotations

import json
import os
import threading

from leaseq.layout import Home, default_home
from leaseq.monitor.reader import REFRESH_SECONDS
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import TaskView
from leaseq.world import SystemClock, SystemFs

ALL = 100_000


def main() -> dict[str, object]:
    lease = Home(default_home()).lease(os.environ["LEASEQ_LEASE"])
    reader = Reader(lease, SystemFs(remote=True), SystemClock())
    seen: dict[str, TaskView] = {}
    wrong: list[str] = []
    troubles: list[str] = []
    reads = 0
    while not os.path.exists("/run/enough"):
        try:
            rows = {row.id: row for row in reader.read(recent=ALL, pending=None).tasks}
        except OSError as error:
            troubles.append(str(error))
        else:
            reads += 1
            wrong += [f"{task_id} has vanished; it was {seen[task_id]}" for task_id in seen.keys() - rows.keys()]
            wrong += [f"{before} became {rows[before.id]}" for before in seen.values() if back(before, rows)]
            seen.update(rows)
        threading.Event().wait(REFRESH_SECONDS)
    return {"reads": reads, "wrong": wrong, "troubles": troubles}


def back(before: TaskView, rows: dict[str, TaskView]) -> bool:
    """True if an attempt that had ended is not what it was."""
    now = rows.get(before.id)
    if now is None or not before.state.ended:
        return False
    return (now.attempt, now.state, now.exit_code) != (before.attempt, before.state, before.exit_code)


if __name__ == "__main__":
    print(json.dumps(main()))
