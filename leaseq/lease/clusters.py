"""Which cluster Slurm's commands speak to from here: a home can be seen by several, and one shell can name another.

cache/conf.KEY      the name of the cluster that the commands of that host reach with those settings
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil

from leaseq import protocol
from leaseq.errors import LeaseqError
from leaseq.layout import NAME, Home
from leaseq.lease.slurm_command import ask
from leaseq.world import Fs, hostname

KNOWN_SECONDS = 86400.0
"""How long the name is taken for granted; before anything is ended because of it, it is asked for again."""
SECONDS_MAX = 20.0
_NAME = re.compile(r"^ClusterName\s*=\s*(\S+)\s*$", re.MULTILINE)


def here(fs: Fs, home: Home, *, anew: bool = False) -> str:
    """The name of the cluster that squeue, sbatch and scancel mean in this process; empty where it cannot be known."""
    path = f"{home.cache}/conf.{_key()}"
    kept, age = _kept(fs, home, path)
    if kept and age < KNOWN_SECONDS and not anew:
        return kept
    asked = _asked()
    if not asked:
        return "" if anew else kept
    if asked != kept or age > KNOWN_SECONDS / 2:
        with contextlib.suppress(OSError):  # a cache: a full or read-only disk keeps nobody from looking
            fs.mkdir(home.root)
            fs.mkdir(home.cache)
            protocol.replace_file(fs, path, asked.encode())
    return asked


def _key() -> str:
    """What decides which cluster the commands speak to, as a name."""
    words = [hostname(), shutil.which("squeue") or "", *(os.environ.get(name, "") for name in _SETTINGS)]
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()[:16]


_SETTINGS = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_CONF_SERVER")


def _kept(fs: Fs, home: Home, path: str) -> tuple[str, float]:
    try:
        name = fs.read(path).decode("ascii", "replace").strip()
        return (name, fs.age(path, home.cache)) if NAME.fullmatch(name) else ("", 0.0)
    except OSError:
        return "", 0.0


def _asked() -> str:
    try:
        answer = ask(["scontrol", "show", "config"], seconds_max=SECONDS_MAX)
    except LeaseqError:
        return ""
    found = _NAME.search(answer.out) if answer.code == 0 else None
    return found[1].lower() if found and NAME.fullmatch(found[1]) else ""
