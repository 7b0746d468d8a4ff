"""The figures of one run: a table for people, JSON for machines, both outside the repository."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from typing import Any

from tests.nfs import bed


@dataclass
class Figures:
    """Rows of (what, value in words), and the same as data."""

    rows: list[tuple[str, str]] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=lambda: {"time": time.time()})

    def add(self, what: str, words: str, **data: Any) -> None:
        self.rows.append((what, words))
        self.data[what] = data or words

    def text(self) -> str:
        """A table in Markdown."""
        loads = ", ".join(f"{load:.0f}" for load in os.getloadavg())
        self.add("the host", f"{os.cpu_count()} CPUs; load average 1, 5 and 15 minutes before the end: {loads}")
        lines = [f"| {what} | {words} |" for what, words in self.rows]
        return "\n".join(["", "| what | measured |", "|---|---|", *lines])

    def keep(self) -> None:
        path = bed.ROOT.cache / "figures.json"
        path.write_text(json.dumps(self.data, indent=1) + "\n")
        print(f"figures: {path}")
