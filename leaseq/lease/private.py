"""Whose a home is, for a runner: it runs what it finds there, so it looks at the start and with each heartbeat."""

from __future__ import annotations

import os
from collections.abc import Iterator

from leaseq.errors import Refused
from leaseq.layout import Home, LeaseDir
from leaseq.models import ANY
from leaseq.world import user_name

OVERFLOW_UID = "/proc/sys/fs/overflowuid"
"""The uid that NFS shows for every file if host and server do not agree on names."""


def owner_of(home: Home, *, remote: bool) -> int:
    """The uid that this user's files have in the home, as this host sees it; raises Refused if it is another's.

    A node whose NFS knows no names shows everything as nobody's: there the server alone can tell users apart.
    """
    try:
        owner, link = os.stat(home.root).st_uid, os.lstat(home.root).st_uid
    except FileNotFoundError:
        return os.getuid()  # what is not there is said by who looks for it
    own = {os.getuid(), _overflow_uid()} if remote else {os.getuid()}
    for uid in {owner, link} - own:
        if uid == owner or uid != 0:
            raise Refused(
                f"{home.root} belongs to {user_name(uid)}", hint="LEASEQ_HOME must be a directory of your own"
            )
    return owner


def check_owner(home: Home, owner: int) -> None:
    """The home is still that user's; raises Refused if another stands in its place."""
    found = os.stat(home.root).st_uid
    if found != owner:
        raise Refused(
            f"{home.root} belongs to {user_name(found)} now: nothing in it is carried out",
            hint="put your own directory back, and start the runner again",
        )


def check_lease(home: Home, lease: LeaseDir, node: str, *, owner: int) -> None:
    """Nobody else can put a task or a request where the node's runner would take it; raises Refused."""
    for path, words in open_places(home, lease, node, owner=owner):
        raise Refused(
            f"{path} {words}, who could run commands as you",
            hint=f"look at what is in {home.runs} and is not yours, then `chmod -R go-w {home.runs}`",
        )


def open_places(home: Home, lease: LeaseDir, node: str, *, owner: int) -> Iterator[tuple[str, str]]:
    """(directory, what is wrong) of those between the home and what a runner takes that others own or can write."""
    nodes = [where(each) for each in (node, ANY) for where in (lease.inbox, lease.claimed, lease.control)]
    for path in (home.root, home.runs, lease.root, lease.allocs, lease.inboxes, lease.claims, lease.controls, *nodes):
        try:
            info = os.stat(path)
        except FileNotFoundError:
            continue
        if info.st_uid != owner:
            yield path, f"belongs to {user_name(info.st_uid)}"
        elif info.st_mode & 0o022:
            yield path, "can be written by others"


def _overflow_uid() -> int:
    try:
        with open(OVERFLOW_UID, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 65534
