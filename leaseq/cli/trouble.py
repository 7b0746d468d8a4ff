"""An error of the operating system as one that a person can act on."""

from __future__ import annotations

import errno
import os

from leaseq.errors import LeaseqError, Refused, Unavailable

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_THREAD = "can't start new thread"
"""What Python says if the limit of processes, which counts threads, is reached."""


def explained(error: OSError) -> LeaseqError:
    """The error with its next step."""
    what = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    if error.errno in NO_ROOM:
        return Unavailable(
            what, hint="free some space (`leaseq clean --dry-run` shows what it would remove), try again"
        )
    if error.errno in DENIED:
        return Refused(what, hint=_where(error.filename))
    if error.errno == errno.EAGAIN:
        return no_process()
    return Unavailable(what, hint="the file system refused; trying later may work")


def no_process() -> LeaseqError:
    """Nothing can be started any more."""
    return Unavailable(
        "no more processes can be started here: the limit of yours is reached",
        hint="`ulimit -u` and `ps -fu $USER` show both; `leaseq cancel ID` ends a task's without starting any",
    )


def _where(path: object) -> str:
    """What must be writable for that path to be."""
    from leaseq.layout import default_home
    from leaseq.node.nodedir import node_root

    if not isinstance(path, str):
        return "it belongs to another user, or the system forbids it"
    places = {default_home(): "LEASEQ_HOME", node_root(): "LEASEQ_NODE_DIR"}
    for root, name in places.items():
        if f"{os.path.abspath(path)}/".startswith(f"{root}/") or root.startswith(f"{path}/"):
            return f"{name} must be a directory that you can write; it is {root}"
    return "`ls -ld` shows whose it is, and who may do what with it"
