"""What commands ask of a node's runner: files in control/NODE, each carried out once."""

from __future__ import annotations

import json

from leaseq.layout import LeaseDir
from leaseq.names import new_incarnation
from leaseq.protocol.files import content, hidden, json_object, rename_own
from leaseq.world import Fs


def ask(fs: Fs, lease: LeaseDir, node: str, request: str, body: dict[str, object]) -> None:
    """A request for the node's runner is in its control directory, durably. `request` is a file name's start."""
    directory = lease.control(node)
    temporary = hidden(directory)
    fs.create(temporary, json.dumps({"v": 1, **body}).encode() + b"\n")
    rename_own(fs, temporary, directory, f"{request}.{new_incarnation()}")
    fs.sync_dir(directory)


def read_request(fs: Fs, path: str) -> dict[str, object]:
    """The body of a request; raises Malformed."""
    return json_object(content(fs, path))
