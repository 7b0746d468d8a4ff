"""Which history tells an outcome that somebody else than the node's own runner decided: one of them, for ever.

    told/ID.ATTEMPT     {"v": 1, "node": NODE}: the history of that node tells it, or is to

Linked exclusively, and durable, before the line is written. Without it two nodes tell what waits in booking/, if both
look at it at once, or if somebody who comes late to the end of an attempt links it into booking/ once more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.protocol import files
from leaseq.world import Fs


def take(fs: Fs, lease: LeaseDir, node: str, keys: Sequence[str]) -> dict[str, str]:
    """By attempt, the node that tells its outcome, durably: this one, unless another was first; empty: nobody knows."""
    found: dict[str, str] = {}
    if not keys:
        return found
    staged, data = files.hidden(lease.told), json.dumps({"v": 1, "node": node}).encode("ascii") + b"\n"
    try:
        fs.create(staged, data)
    except FileNotFoundError:
        files.make(fs, [lease.told])
        fs.create(staged, data)
    try:
        for key in keys:
            try:
                fs.link(staged, f"{lease.told}/{key}")
                found[key] = node
            except OSError as error:
                try:
                    found[key] = _teller(fs, lease, key)
                except FileNotFoundError:
                    raise error from None
    finally:
        files.discard(fs, staged)
    fs.sync_dir(lease.told)
    return found


def _teller(fs: Fs, lease: LeaseDir, key: str) -> str:
    try:
        return str(files.json_object(files.content(fs, f"{lease.told}/{key}")).get("node") or "")
    except Malformed:
        return ""
