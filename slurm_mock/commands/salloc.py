"""salloc: an allocation for a command's lifetime, or with --no-shell until scancel."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from types import FrameType

from slurm_mock import environ, grammar, wire
from slurm_mock.client import Client
from slurm_mock.errors import HINTS
from slurm_mock.records import to_json


def main(client: Client, argv: list[str]) -> int:
    parser = grammar.Parser("salloc", grammar.SALLOC)
    given, command = parser.parse(argv)
    if command[:1] == [":"]:
        client.fail("heterogeneous jobs: not supported by slurm_mock")
    options = {**grammar.from_environment(dict(os.environ), "SALLOC_", parser), **given}
    name = "no-shell" if "no-shell" in options else "interactive"
    peer, job_id = allocate(client, options, name=name)
    if "no-shell" in options:
        peer.send({"op": "detach", "job": job_id})
        peer.wait()
        return 0
    job = client.cluster.job(job_id)
    assert job is not None
    variables = environ.of_allocation(client.cluster, client.settings, job)
    child = subprocess.Popen(command or [os.environ.get("SHELL", "/bin/sh")], env={**os.environ, **variables})
    code = _wait(client, child)
    client.say(f"Relinquishing job allocation {job_id}")
    peer.close()
    return code


def _wait(client: Client, child: subprocess.Popen[bytes]) -> int:
    """The command's exit code; a hangup or TERM ends it (measured: HUP relinquishes)."""

    def end(number: int, _: FrameType | None) -> None:
        child.send_signal(number)

    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = child.wait()
    return 128 - code if code < 0 else code


def allocate(client: Client, options: dict[str, str], *, name: str, command: str = "") -> tuple[wire.Peer, int]:
    """A running job without a batch script, as long as the connection lives. Failure if it is refused."""
    asked = client.asked(options, batch=False, name=name)
    asked.command = command
    if client.broken:
        client.fail(f"Unable to allocate resources: {client.words({'error': client.broken})}")
    peer = wire.Peer(wire.connect(client.cluster.socket, seconds=None))
    peer.send({"op": "submit", "request": to_json(asked), "env": {}, "attached": True})
    replies = _messages(peer)
    reply = next(replies, {"error": "down"})
    if "error" in reply:
        if reply["error"] in HINTS:
            client.say(f"error: {HINTS[reply['error']]}")
        if reply["error"] == "partition":
            client.say(f"error: invalid partition specified: {asked.partition}")
        what = "Job submit/allocate failed" if client.command == "salloc" else "Unable to allocate resources"
        client.fail(f"{what}: {client.words(reply)}")
    job_id = int(reply["job"])
    event = next(replies, {"event": "revoked"})
    if event["event"] != "started":
        client.fail(f"Job allocation {job_id} has been revoked.")
    if client.command == "salloc":
        client.say(f"Granted job allocation {job_id}")
    return peer, job_id


def _messages(peer: wire.Peer) -> Iterator[wire.Message]:
    while True:
        messages = peer.receive()
        if messages is None:
            return
        yield from messages
