"""Where leaseq's own programs are: those of PATH, but for the current directory's.

Who stands in a directory of somebody else's, with `.` or an empty entry in PATH, would run that one's squeue. What a
task runs is looked up as its user's PATH says.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping


def found(name: str, environment: Mapping[str, str] | None = None) -> str | None:
    """The path of the program in this environment, or the given one; None if there is none. A path is for itself."""
    from shutil import which  # most commands start no other program

    return which(name, path=os.pathsep.join(_split(environment)[0]))


def path_of(name: str, environment: Mapping[str, str] | None = None) -> str:
    """As `found`; raises FileNotFoundError if there is none."""
    path = found(name, environment)
    if path is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    return path


def passed_over() -> list[str]:
    """The entries of PATH in which nothing is looked for."""
    return _split(None)[1]


def _split(environment: Mapping[str, str] | None) -> tuple[list[str], list[str]]:
    """(the absolute entries of PATH, the others)."""
    path = (os.environ if environment is None else environment).get("PATH")
    entries = os.defpath.split(os.pathsep) if path is None else path.split(os.pathsep)
    absolute = [entry for entry in entries if os.path.isabs(entry)]
    return absolute, [entry for entry in entries if entry not in absolute]


def slurm_is_here() -> bool:
    """True if leases can be had of Slurm."""
    return found("sbatch") is not None
