"""The panes of the monitor."""

from __future__ import annotations

from enum import Enum


class Pane(Enum):
    LEASES = "leases"
    NODES = "nodes"
    TASKS = "tasks"
    DETAIL = "detail"
    LOGS = "logs"
    GRID = "grid"
    TIMELINE = "timeline"
    TREE = "dependencies"
    JOBS = "allocations"


MAIN = (Pane.LEASES, Pane.NODES, Pane.TASKS, Pane.DETAIL, Pane.LOGS)
VIEWS = frozenset(set(Pane) - set(MAIN))
"""What is opened over the lists, one at a time."""
