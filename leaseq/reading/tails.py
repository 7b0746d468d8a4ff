"""How far running tasks are: the ends of their outputs, of which only what has been appended is read again."""

from __future__ import annotations

import re
from collections.abc import Sequence

from leaseq.dataclass import dataclass
from leaseq.layout import LeaseDir
from leaseq.reading.progress import progress_of
from leaseq.reading.rewritten import Rows
from leaseq.reading.views import Progress
from leaseq.world import Fs

WINDOW_BYTES = 16 << 10
"""So much of the end of an output is read at first, and again if it has grown by more."""
WIDE_BYTES = 128 << 10
"""So much if the end is of an inner bar, and what it is in stands farther up."""
STREAMS = ("out", "err")


@dataclass
class _Tail:
    """The end of one output as it was read last."""

    size: int
    screen: Rows


class Tails:
    """Of the running tasks of one lease. own: the expression of the settings."""

    def __init__(self, fs: Fs, lease: LeaseDir, own: re.Pattern[str] | None = None) -> None:
        self.fs, self.lease, self.own = fs, lease, own
        self._tails: dict[tuple[str, int, str], _Tail | None] = {}
        self._known: dict[tuple[str, int], Progress | None] = {}

    def look(self, asked: Sequence[tuple[str, int]]) -> dict[str, Progress]:
        """How far each of these (id, attempt) is that says so, by id; what is known of others is forgotten."""
        keys = set(asked)
        self._tails = {key: tail for key, tail in self._tails.items() if key[:2] in keys}
        self._known = {key: known for key, known in self._known.items() if key in keys}
        found = {task_id: self._look(task_id, attempt) for task_id, attempt in asked}
        return {task_id: known for task_id, known in found.items() if known is not None}

    def _look(self, task_id: str, attempt: int) -> Progress | None:
        grown = [self._read((task_id, attempt, stream), WINDOW_BYTES) for stream in STREAMS]
        if any(grown) or (task_id, attempt) not in self._known:
            known = self._judge(task_id, attempt)
            if known is not None and known.part and any(grown) and self._widen(task_id, attempt):
                known = self._judge(task_id, attempt)
            self._known[task_id, attempt] = known
        return self._known[task_id, attempt]

    def _judge(self, task_id: str, attempt: int) -> Progress | None:
        tails = [self._tails[task_id, attempt, stream] for stream in STREAMS]
        return progress_of([tail.screen for tail in tails if tail is not None], self.own)

    def _widen(self, task_id: str, attempt: int) -> bool:
        """True if more of an output was read than its end, for the first time."""
        wider = False
        for stream in STREAMS:
            tail = self._tails[task_id, attempt, stream]
            if tail is not None and tail.screen.cut and not tail.screen.wide:
                wider |= self._open((task_id, attempt, stream), WIDE_BYTES)
        return wider

    def _read(self, key: tuple[str, int, str], window: int) -> bool:
        """True if there is more of it than there was."""
        tail = self._tails.get(key)
        if tail is None:
            return self._open(key, window)
        try:
            data, size = self.fs.read_range(self.lease.log(*key), tail.size, window)
        except OSError:
            return False
        if size < tail.size or size - tail.size > window:
            return self._open(key, window)
        tail.screen.feed(data)
        tail.size += len(data)
        return bool(data)

    def _open(self, key: tuple[str, int, str], window: int) -> bool:
        try:
            data, size = self.fs.read_range(self.lease.log(*key), -window, window)
        except OSError:
            self._tails[key] = None  # it has written nothing yet, or nobody may read it
            return False
        start = max(0, size - window)
        screen = Rows(cut=start > 0, wide=window > WINDOW_BYTES)
        screen.feed(_whole_rows(data) if start else data)
        self._tails[key] = _Tail(start + len(data), screen)
        return bool(data)


def _whole_rows(data: bytes) -> bytes:
    """Without the row that begins before it: the end of a number is another number."""
    ends = [at for at in (data.find(b"\n"), data.find(b"\r")) if at >= 0]
    return data[min(ends) + 1 :] if ends else b""
