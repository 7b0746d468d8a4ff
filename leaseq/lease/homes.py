"""The home exists, and nobody else may change what is in it, or put another in its place."""

from __future__ import annotations

import os
import stat

from leaseq.errors import Refused
from leaseq.layout import Home
from leaseq.node.nodedir import anybody_may_replace
from leaseq.world import user_name


def make_home(home: Home) -> None:
    """The home exists, is this user's, and nobody else may change it; raises Refused."""
    if check_home(home):
        return
    try:
        os.mkdir(home.root, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        raise Refused(
            f"cannot make {home.root}: {os.path.dirname(home.root)} does not exist",
            hint="create it, or set LEASEQ_HOME",
        ) from None
    check_home(home)


_checked: set[str] = set()
"""Homes that this process has looked at: once is enough for a command."""


def check_home(home: Home) -> bool:
    """True if the home exists: a directory of this user that nobody else can change; else raises Refused."""
    if home.root in _checked:
        return True
    try:
        info = link = os.lstat(home.root)
        if stat.S_ISLNK(link.st_mode):
            info = os.stat(home.root)
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(link.st_mode) and link.st_uid not in (os.getuid(), 0):
        raise Refused(
            f"{home.root} is a link that {user_name(link.st_uid)} has made, and can change",
            hint=f"set LEASEQ_HOME to the directory itself: {os.path.realpath(home.root)}",
        )
    if not stat.S_ISDIR(info.st_mode):
        raise Refused(f"{home.root} is not a directory", hint="move it away, or set LEASEQ_HOME")
    if info.st_uid != os.getuid():
        raise Refused(f"{home.root} belongs to someone else", hint="set LEASEQ_HOME to a directory of your own")
    if info.st_mode & 0o022:
        raise Refused(f"others can write in {home.root}: they could run commands as you", hint=f"chmod 700 {home.root}")
    if anybody_may_replace(home.root):
        parent = os.path.dirname(os.path.realpath(home.root))
        raise Refused(f"others can write in {parent}, and so put another home there", hint=f"chmod o-w {parent}")
    _checked.add(home.root)
    return True
