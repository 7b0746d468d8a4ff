"""A root file system of Debian's packages, made once by mmdebstrap and kept outside the repository."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class Unavailable(Exception):
    """This host cannot do it; the message says why and what would help."""


@dataclass(frozen=True)
class Root:
    """A root of that suite with those packages, and what apt brings along."""

    suite: str
    packages: tuple[str, ...]
    cache: Path
    """The directory that outlives the tests."""
    contents: tuple[str, ...] = ()
    """What `finish` puts into it; another list of packages or contents is another root."""

    @property
    def path(self) -> Path:
        """Where it is or will be."""
        name = hashlib.sha256(" ".join((self.suite, *self.packages, *self.contents)).encode()).hexdigest()[:10]
        return self.cache / f"{self.suite}-{name}"

    def build(self, finish: Callable[[Path], None]) -> Path:
        """The root, which exists now; `finish` has had it before anybody else. Says on stderr that it is made."""
        made = self.path
        if made.is_dir():
            return made
        refuse_without({"mmdebstrap": "mmdebstrap"})
        half = made.with_name(f"{made.name}.{os.getpid()}")
        made.parent.mkdir(parents=True, exist_ok=True)
        words = f"{', '.join(self.packages)} (two minutes, once)"
        print(f"making {made} from Debian's packages: {words}", file=sys.stderr)
        argv = ["mmdebstrap", "--variant=apt", "--dpkgopt=force-unsafe-io", f"--include={','.join(self.packages)}"]
        argv += [f"--dpkgopt=path-exclude=/usr/share/{what}/*" for what in ("doc", "man", "locale")]
        try:
            run([*argv, self.suite, str(half)])
            finish(half)
            half.rename(made)
        finally:
            shutil.rmtree(half, ignore_errors=True)
        return made


def run(argv: list[str]) -> None:
    """The command has succeeded; raises Unavailable with its last words."""
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(f"{argv[0]} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def refuse_without(programs: dict[str, str]) -> None:
    """This process is root's, and the programs are here; raises Unavailable that names their Debian packages."""
    if os.getuid() != 0:
        raise Unavailable("needs root: it mounts, and owns files as root")
    missing = [package for program, package in programs.items() if shutil.which(program) is None]
    if missing:
        raise Unavailable(f"missing here: apt install --no-install-recommends {' '.join(missing)}")


def cache(variable: str, name: str) -> Path:
    """$VARIABLE if it is set, else ~/.cache/NAME."""
    chosen = os.environ.get(variable)
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)  # tests have none
    return Path(chosen) if chosen else home / ".cache" / name
