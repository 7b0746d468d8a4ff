"""`leaseq forward`: a port of a node, on this host."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Sequence
from functools import partial

from leaseq import programs
from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.options import LEASE, NODE
from leaseq.cli.ssh_config import entries_of
from leaseq.dataclass import dataclass, replace
from leaseq.errors import Refused, Unavailable, UsageError
from leaseq.lease.host import user_name
from leaseq.values import integer
from leaseq.verbs.ssh import keep, prepare
from leaseq.world import hostname

PORT = partial(integer, low=1, high=65535)
ALIVE = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4", "-o", "ExitOnForwardFailure=yes")


@dataclass(frozen=True)
class Forward:
    """A port of a node that is to be reached here."""

    port: str
    lease: str
    node: str
    here: int | None

    def perform(self, app: App) -> int:
        """As long as the port is brought here: ssh's exit code."""
        there = PORT(self.port, what="port")
        found = entries_of(app, self.lease, node=self.node)
        wanted = next((each for each in found if each.node == self.node), found[0])
        ssh = programs.found("ssh")
        if ssh is None:
            raise Unavailable("there is no ssh on this host", hint="OpenSSH's client brings the port here")
        prepare(app.access)
        settings = keep(app.access, found, user=user_name())
        here = self.here or _free(there)
        if self.here and not _is_free(here):
            raise Refused(f"port {here} of this host is in use", hint="--here takes another one, or leave it out")
        app.out.talk(f"leaseq: connecting to {wanted.host}")
        said = (
            f"leaseq: http://127.0.0.1:{here} is port {there} of the node, until Ctrl-C or the end of the lease",
            f"  from a laptop: ssh -N -L {here}:127.0.0.1:{here} {hostname()}, then http://127.0.0.1:{here} there",
        )
        words = ["ssh", "-F", settings, *ALIVE, *_once_connected(said)]
        os.execv(ssh, [*words, "-N", "-L", f"127.0.0.1:{here}:127.0.0.1:{there}", wanted.host])


def _once_connected(lines: Sequence[str]) -> list[str]:
    """The options by which ssh says these lines on stderr, once it brings the port here: before, that is not true."""
    script = "; ".join(f"echo {shlex.quote(line)} >&2" for line in lines)
    return ["-o", "PermitLocalCommand=yes", "-o", f"LocalCommand=/bin/sh -c {shlex.quote(script)}".replace("%", "%%")]


def _free(wished: int) -> int:
    """That port of this host, or another one if it is in use or below 1024."""
    if wished >= 1024 and _is_free(wished):
        return wished
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as bound:
        try:
            bound.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _request(*, port: str, **fields: object) -> Forward:
    if not port.isdigit():
        raise UsageError(f"{port!r} is not a port", hint="leaseq forward 8888")
    PORT(port, what="port")
    return Forward(port, **fields)  # type: ignore[arg-type]


COMMAND = Command(
    usage="PORT [--node NODE] [--here PORT]",
    about="Brings a port that a node's program (Jupyter, TensorBoard) listens on at 127.0.0.1 to 127.0.0.1 of this "
    "host, and says the line that brings it to a laptop. Whoever is on this host can connect to it: keep "
    "the program's own token. It lasts until Ctrl-C or the end of the lease. The node must have sshd.",
    make=_request,
    words=Words("port", least=1, most=1, ask="which port?", hint="leaseq forward 8888"),
    options=(
        LEASE,
        replace(NODE, help="the node (default: the first that has a runner)"),
        Option("here", "the port of this host (default: the same, or a free one)", metavar="PORT", read=PORT),
    ),
    examples=("leaseq forward 8888", "leaseq forward 6006 --node node2 --here 16006"),
)
