"""`leaseq ssh-config`: what ssh, rsync and editors need to reach a lease's nodes."""

from __future__ import annotations

import os
import re
from pathlib import Path

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.cli.options import LEASE
from leaseq.cli.shell import chosen
from leaseq.dataclass import dataclass
from leaseq.errors import NotFound, UsageError
from leaseq.lease.host import user_name
from leaseq.protocol import allocs
from leaseq.verbs.ssh import Entry, entries, keep, prepare, text_of


@dataclass(frozen=True)
class SshConfig:
    """A lease whose nodes ssh is to reach."""

    lease: str
    install: bool
    laptop: str

    def perform(self, app: App) -> int:
        found = entries_of(app, self.lease)
        directory = prepare(app.access)
        if self.laptop:
            app.out.talk(
                f"leaseq: for ~/.ssh/config of the laptop. Once, there: mkdir -p ~/.ssh/leaseq; "
                f"scp {self.laptop}:{directory}/key {self.laptop}:{directory}/known_hosts ~/.ssh/leaseq/"
            )
        text = "".join(text_of(app.access, each, user=user_name(), login=self.laptop) for each in found)
        if not self.install:
            print(text, end="")
            return 0
        settings = keep(app.access, found, user=user_name())
        own = Path("~/.ssh/config").expanduser()
        line = f'Include "{settings}"'
        before = own.read_text() if own.exists() else ""
        if line not in before.splitlines():
            own.parent.mkdir(mode=0o700, exist_ok=True)
            file = own.resolve()  # of those who keep it elsewhere, the link stays
            hidden = file.with_name(f".config.leaseq.{os.getpid()}")
            hidden.write_text(f"{line}\n{before}")
            hidden.chmod(0o600)
            hidden.replace(file)
        app.out.talk(f"leaseq: {', '.join(f'`ssh {each.host}`' for each in found[:3])}: {own} includes what is needed")
        return 0


def entries_of(app: App, lease: str, *, node: str = "") -> list[Entry]:
    """The lease's first node, and each node by its name; raises LeaseqError, also if the named one is none of it."""
    record = chosen(app, lease)
    nodes = allocs.members(app.fs, app.home.lease(record.id)) or record.nodes
    if node and node not in nodes:
        raise NotFound(f"{node} is no node of that lease", hint="`leaseq status` shows its nodes")
    return entries(record, nodes)


def _laptop(text: str, *, what: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*", text):
        raise UsageError(f"{what} {text!r} is no host", hint=f"{what} login.example.org, or USER@HOST")
    return text


COMMAND = Command(
    usage="[--lease LEASE] [--install | --laptop LOGINHOST]",
    about="Prints an entry for ssh's settings by which ssh, rsync, sftp and editors reach the lease's nodes: inside "
    "its allocation, with its environment and GPUs. A private sshd on the node speaks through `leaseq shell --plain`: "
    "no port is opened, and it takes a key of leaseq's own alone. The node must have sshd.",
    make=SshConfig,
    options=(
        LEASE,
        Option("install", "let ~/.ssh/config include it", kind="flag"),
        Option(
            "laptop",
            "the entry for a laptop, which comes through that host",
            metavar="LOGINHOST",
            read=_laptop,
            absent="",
            against=("install",),
        ),
    ),
    examples=("leaseq ssh-config --install", "leaseq ssh-config --laptop login.example.org"),
)
