"""Whether the lease's directory was removed: then a runner has nothing to serve, now or later.

What cannot be reached is not removed. So only a listing counts that succeeds, in a directory of the same file system
as at the start (a mount point that is not mounted is empty), and lacks the name; and it counts only if every look
says so, for minutes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

GONE_SECONDS = 300.0
"""How long the directory must be absent."""
LOOKS_MIN = 3
"""At how many looks, at least."""


class HomeWatch:
    """Looks for the lease's directory when its heartbeats fail. `told` is called once it is gone."""

    def __init__(self, root: str, *, gone_seconds: float, told: Callable[[], None]) -> None:
        runs = os.path.dirname(root)
        home = os.path.dirname(runs)
        self.gone = False
        self._gone_seconds, self._told = gone_seconds, told
        self._steps = [(os.path.dirname(home), home), (home, runs), (runs, root)]
        self._devices = {parent: os.stat(parent).st_dev for parent, _ in self._steps}
        self._since: float | None = None
        self._looks = 0

    def seen(self) -> None:
        """The directory was there just now."""
        self.gone, self._since, self._looks = False, None, 0

    def look(self) -> None:
        """`gone` is true once the directory was absent at every look for so long."""
        if not self._is_absent():
            self.seen()
            return
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        self._looks += 1
        if not self.gone and self._looks >= LOOKS_MIN and now - self._since >= self._gone_seconds:
            # Once: whoever is told beats again, and a look follows each beat that fails.
            self.gone = True
            self._told()

    def _is_absent(self) -> bool:
        """True if a directory above it that can be listed does not have it; an error is no answer."""
        try:
            for parent, child in self._steps:
                names = os.listdir(parent)
                if os.stat(parent).st_dev != self._devices[parent]:
                    return False
                if os.path.basename(child) not in names:
                    return True
        except OSError:
            return False
        return False
