"""Which tasks were cancelled because another one had ended as it had: written down before they are, for `retry`.

    broken/ID.N     {"v": 1, "tasks": [[KEY, LEASE], ...]}: attempts, and the leases where they waited

One file for each time that somebody cancels; N counts from 1. What it names may not have been cancelled after all: the
outcomes say so. It goes with the results of the task that it is about.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence

from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.names import LEASE_ID, is_key
from leaseq.protocol import files
from leaseq.world import Fs

TIMES_MAX = 10_000


def write(fs: Fs, lease: LeaseDir, task_id: str, downs: Sequence[tuple[str, str]]) -> None:
    """It is written down that these attempts, each in its lease, are cancelled because of that task. Not yet synced."""
    data = json.dumps({"v": 1, "tasks": list(map(list, downs))}).encode("ascii") + b"\n"
    temporary = files.hidden(lease.broken)
    try:
        fs.create(temporary, data)
    except FileNotFoundError:
        files.make(fs, [lease.broken])
        fs.create(temporary, data)
    try:
        _link(fs, lease, task_id, temporary, data)
    finally:
        files.discard(fs, temporary)


def _link(fs: Fs, lease: LeaseDir, task_id: str, temporary: str, data: bytes) -> None:
    for number in range(1, TIMES_MAX):
        path = lease.cancelled_after(task_id, number)
        try:
            fs.link(temporary, path)
        except OSError as error:
            # Either another was first, or the same was written before, by this call or by one of somebody who died.
            try:
                if fs.read(path) == data:
                    return
            except FileNotFoundError:
                raise error from None
        else:
            return


def read(fs: Fs, lease: LeaseDir, task_id: str) -> Iterator[tuple[str, str]]:
    """(attempt, lease) of each that is written down for that task."""
    for number in itertools.count(1):
        try:
            body = files.json_object(files.content(fs, lease.cancelled_after(task_id, number)))
        except FileNotFoundError:
            return
        except Malformed:
            continue
        yield from _pairs(body.get("tasks"))


def _pairs(value: object) -> Iterator[tuple[str, str]]:
    for each in value if isinstance(value, list) else ():
        if isinstance(each, list) and len(each) == 2 and all(isinstance(word, str) for word in each):
            key, lease_id = each
            if is_key(key) and LEASE_ID.fullmatch(lease_id):
                yield key, lease_id
