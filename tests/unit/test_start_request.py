"""What a runner asks its keeper to start, and what the keeper says of a request that lacks something."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leaseq.errors import Malformed
from leaseq.node import record
from leaseq.node.keeper import Keeper
from leaseq.node.nodedir import NodeDir, open_node_dir
from leaseq.node.request import StartRequest
from leaseq.world import boot_id

KEY = "T0000000000a.1"
WHOLE: dict[str, Any] = {
    "argv": ["true"],
    "env": {"A": "b"},
    "cwd": "/",
    "umask": 0o22,
    "out": "/dev/null",
    "err": "/dev/null",
    "remote": False,
    "limit": None,
    "grace": 1.0,
    "gpus": ["0"],
    "slot": 0,
}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in WHOLE.items() if key != name}


def test_a_request_is_the_same_after_it_was_written_and_read() -> None:
    request = StartRequest.from_json(WHOLE)
    assert StartRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


def test_a_request_of_an_older_leaseq_has_no_slot() -> None:
    assert StartRequest.from_json(without("slot")).slot is None


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "slot"])
def test_what_a_request_lacks_is_named(name: str) -> None:
    with pytest.raises(Malformed, match=f"lacks '{name}'"):
        StartRequest.from_json(without(name))


def test_what_is_wrong_with_a_request_is_named() -> None:
    with pytest.raises(Malformed, match="umask of the request is not an integer: '0022'"):
        StartRequest.from_json({**WHOLE, "umask": "0022"})


# -- the keeper ---------------------------------------------------------------------------------------


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NodeDir:
    monkeypatch.setenv("LEASEQ_NODE_DIR", str(tmp_path / "node"))
    return open_node_dir(str(tmp_path), "L", "n")


@pytest.mark.parametrize("name", ["umask", "limit", "grace", "gpus"])
def test_an_attempt_whose_request_lacks_something_has_failed_and_its_record_says_of_what(
    directory: NodeDir, name: str
) -> None:
    request = Path(directory.ask) / f"start-{KEY}"
    request.write_text(json.dumps({**without(name), "boot": boot_id()}))
    keeper = Keeper(directory)
    keeper.request(request.name)
    rec = record.read(f"{directory.rec}/{KEY}")
    assert rec is not None and rec.over
    assert f"lacks '{name}'" in rec.failure
    assert not request.exists() and not keeper.keeping.kept


@pytest.mark.parametrize("torn", [b"", b'{"e":"beg'])
def test_an_attempt_whose_keeper_was_killed_as_it_made_the_record_is_pending_again(
    directory: NodeDir, torn: bytes
) -> None:
    request = Path(directory.ask) / f"start-{KEY}"
    request.write_text(json.dumps({**WHOLE, "boot": boot_id()}))
    Path(directory.rec, KEY).write_bytes(torn)
    Keeper(directory).request(request.name)
    rec = record.read(f"{directory.rec}/{KEY}")
    assert rec is not None and rec.again and not request.exists()


def test_a_request_of_an_earlier_boot_starts_nothing(directory: NodeDir) -> None:
    request = Path(directory.ask) / f"start-{KEY}"
    request.write_text(json.dumps({**WHOLE, "boot": "another"}))
    Keeper(directory).request(request.name)
    assert record.read(f"{directory.rec}/{KEY}") is None and not request.exists()
