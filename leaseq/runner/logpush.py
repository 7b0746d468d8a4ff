"""Pushing what running tasks wrote to the file server, or readers elsewhere wait half a minute (measured, NFSv4)."""

from __future__ import annotations

import os

from leaseq.layout import LeaseDir
from leaseq.runner.node_state import NodeState


class LogPusher:
    """Pushes the logs of what runs. Its thread reads the state that another one changes."""

    def __init__(self, state: NodeState, lease: LeaseDir) -> None:
        self.state, self.lease = state, lease
        self.sizes: dict[str, int] = {}

    def push(self) -> None:
        """Logs that grew since the last push are on the server."""
        seen: dict[str, int] = {}
        for attempt in list(self.state.running.values()):
            for stream in ("out", "err"):
                path = self.lease.log(attempt.entry.id, attempt.entry.attempt, stream)
                size = self._push(path)
                if size is not None:
                    seen[path] = size
        self.sizes = seen

    def _push(self, path: str) -> int | None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            size = os.fstat(fd).st_size
            if size != self.sizes.get(path):
                os.fsync(fd)
            return size
        finally:
            os.close(fd)
