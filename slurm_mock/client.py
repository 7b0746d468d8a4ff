"""What every command does first and last: find its cluster, misbehave as the faults say, speak to the controller."""

from __future__ import annotations

import os
import sys
import time

from slurm_mock.cluster import VERSION, Cluster, Fault, Settings
from slurm_mock.errors import WORDS
from slurm_mock.options import Refused, warnings
from slurm_mock.records import Request
from slurm_mock.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

    from slurm_mock import wire


class Failure(Exception):
    """The command ends with this exit code; its message is already out."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


NO_COMMANDS = ("vanish", "slow-signals")
"""The faults that no command meets: they are the cluster's."""


class Client:
    """One command of one cluster."""

    def __init__(self, cluster: Cluster, command: str) -> None:
        self.cluster = cluster
        self.command = command
        self.settings: Settings = cluster.settings()
        self.lost_reply = False
        self.error = ""
        self.peer: wire.Peer | None = None

    def say(self, text: str) -> None:
        print(f"{self.command}: {text}", file=sys.stderr, flush=True)

    def fail(self, text: str, code: int = 1) -> NoReturn:
        for line in text.splitlines():
            self.say(line if line.startswith("fatal: ") else f"error: {line}")
        raise Failure(code)

    def refuse(self, refused: Refused) -> NoReturn:
        if refused.before:
            print(refused.before, file=sys.stderr)
        self.fail(refused.message, refused.code)

    def asked(self, options: dict[str, str], *, batch: bool, name: str) -> Request:
        """The request for a job; what Slurm warns of is said. The command ends if it is refused."""
        from slurm_mock import request  # most commands ask for none

        try:
            made = request.build(options, self.settings, dict(os.environ), batch=batch, name=name)
        except Refused as refused:
            self.refuse(refused)
        for line in warnings(options):
            self.say(f"error: {line}")
        warning = request.warn_few_tasks(made)
        if warning:
            self.say(f"Warning: {warning}")
        return made

    def misbehave(self) -> None:
        """Noise and delays happen at once; a broken connection is kept for the first question."""
        for fault in self.cluster.faults():
            if fault.kind in NO_COMMANDS or fault.target not in ("", self.command) or not fault.take():
                continue
            self._suffer(fault)

    def _suffer(self, fault: Fault) -> None:
        if fault.kind == "stdout":
            print(fault.text, flush=True)
        elif fault.kind == "stderr":
            print(fault.text, file=sys.stderr, flush=True)
        elif fault.kind == "slow":
            time.sleep(float(fault.text))
        elif fault.kind == "lost-reply":
            self.lost_reply = True
        else:
            self.error = fault.kind

    @property
    def broken(self) -> str:
        """Why the controller cannot be read: a name of `errors.WORDS`, or ""."""
        if not self.error and not os.path.exists(self.cluster.socket):
            return "down"
        return self.error

    def ask(self, message: wire.Message) -> wire.Message:
        """The controller's answer; {"error": name} if none comes."""
        if self.broken:
            return {"error": self.broken}
        reply = self._answer(message)
        if reply is None:
            return {"error": "down"}
        return {"error": "timeout"} if self.lost_reply else reply

    def _answer(self, message: wire.Message) -> wire.Message | None:
        """None if nobody answers."""
        from slurm_mock import wire  # most commands only read the cluster's files

        try:
            if self.peer is None:
                self.peer = wire.Peer(wire.connect(self.cluster.socket))
                os.dup(self.peer.fileno())  # only the process's end closes it, and the controller may wait for that
            self.peer.send(message)
            return self.peer.wait()
        except OSError:
            return None

    def words(self, reply: wire.Message) -> str:
        return WORDS[reply["error"]]


def version_text() -> str:
    return f"slurm {VERSION}"
