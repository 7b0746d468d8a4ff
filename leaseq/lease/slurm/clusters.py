"""Which cluster Slurm's commands speak to from here: a home can be seen by several, and one shell can name another.

cache/conf.KEY      `NAME VERSION`: the cluster that the commands of that host reach with those settings, and its Slurm
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re

from leaseq import programs
from leaseq.errors import LeaseqError
from leaseq.layout import Home
from leaseq.lease.slurm.command import ask
from leaseq.names import NAME
from leaseq.protocol import files
from leaseq.world import Fs, hostname

KNOWN_SECONDS = 86400.0
"""How long the name is taken for granted; before anything is ended because of it, it is asked for again."""
SECONDS_MAX = 20.0
_NAME = re.compile(r"^ClusterName\s*=\s*(\S+)\s*$", re.MULTILINE)
_VERSION = re.compile(r"^SLURM_VERSION\s*=\s*([0-9][\w.-]*)\s*$", re.MULTILINE)


def here(fs: Fs, home: Home, *, anew: bool = False) -> str:
    """The name of the cluster that squeue, sbatch and scancel mean in this process; empty if it cannot be known."""
    return _conf(fs, home, anew=anew)[0]


def slurm_version(fs: Fs, home: Home) -> str:
    """The version of that cluster's Slurm, such as `24.11.5`; empty if it cannot be known."""
    return _conf(fs, home, anew=False)[1]


def _conf(fs: Fs, home: Home, *, anew: bool) -> tuple[str, str]:
    path = f"{home.cache}/conf.{_key()}"
    kept, age = _kept(fs, home, path)
    if kept[0] and age < KNOWN_SECONDS and not anew:
        return kept
    found = asked()
    if not found[0]:
        return ("", "") if anew else kept
    if found != kept or age > KNOWN_SECONDS / 2:
        with contextlib.suppress(OSError):  # a cache: a full or read-only disk keeps nobody from looking
            fs.mkdir(home.root)
            fs.mkdir(home.cache)
            files.replace_file(fs, path, " ".join(found).encode())
    return found


def _key() -> str:
    """What decides which cluster the commands speak to, as a name."""
    words = [hostname(), programs.found("squeue") or "", *(os.environ.get(name, "") for name in _SETTINGS)]
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()[:16]


_SETTINGS = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_CONF_SERVER")


def _kept(fs: Fs, home: Home, path: str) -> tuple[tuple[str, str], float]:
    try:
        name, _, version = fs.read(path).decode("ascii", "replace").strip().partition(" ")
        return ((name, version), fs.age(path, home.cache)) if NAME.fullmatch(name) else (("", ""), 0.0)
    except OSError:
        return ("", ""), 0.0


def asked() -> tuple[str, str]:
    """The name and the version as Slurm says them now; empty if it does not. Nothing is written."""
    try:
        answer = ask(["scontrol", "show", "config"], seconds_max=SECONDS_MAX)
    except LeaseqError:
        return "", ""
    found = _NAME.search(answer.out) if answer.code == 0 else None
    if not (found and NAME.fullmatch(found[1])):
        return "", ""
    version = _VERSION.search(answer.out)
    return found[1].lower(), version[1] if version else ""
