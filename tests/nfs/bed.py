"""The root file system of the guests: made once by mmdebstrap from Debian's packages, kept outside the repository.

    python -m tests.nfs.bed          makes it where it is missing; prints where it is

It lies in $LEASEQ_NFS_BED, default ~/.cache/leaseq-nfs (about 200 MB), and nothing is installed on this host.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

SUITE = "bookworm"
PACKAGES = ("python3", "nfs-kernel-server", "kmod", "iproute2", "e2fsprogs", "mount")
PROGRAMS = {
    "linux.uml": "user-mode-linux",
    "uml_switch": "uml-utilities",
    "mmdebstrap": "mmdebstrap",
}
MODULES = Path("/usr/lib/uml/modules")
INIT = Path(__file__).parent / "guest" / "init"


class Unavailable(Exception):
    """This host cannot run the guests; the message says why and what would help."""


def refuse_without_programs() -> None:
    """The programs that make and run guests are here; raises Unavailable that names the Debian packages."""
    if os.getuid() != 0:
        raise Unavailable("the guests need root: they mount, and own files as root")
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        raise Unavailable(f"missing here: apt install --no-install-recommends {' '.join(missing)}")


def cache() -> Path:
    """The directory that outlives the tests."""
    chosen = os.environ.get("LEASEQ_NFS_BED")
    return Path(chosen) if chosen else Path.home() / ".cache" / "leaseq-nfs"


def root() -> Path:
    """Where the guests' root is or will be; another list of packages is another root."""
    name = hashlib.sha256(" ".join((SUITE, *PACKAGES)).encode()).hexdigest()[:10]
    return cache() / f"{SUITE}-{name}"


def build() -> Path:
    """The guests' root, which exists now; says so on stderr where it has to be made."""
    refuse_without_programs()
    made = root()
    if not made.is_dir():
        _make(made)
    # The first process is the repository's own, whatever it was when the root was made.
    shutil.copy(INIT, made / "init")
    return made


def _make(made: Path) -> None:
    half = made.with_name(f"{made.name}.{os.getpid()}")
    made.parent.mkdir(parents=True, exist_ok=True)
    print(f"making {made} from Debian's packages: {', '.join(PACKAGES)} (two minutes, once)", file=sys.stderr)
    words = ["mmdebstrap", "--variant=apt", "--dpkgopt=force-unsafe-io", f"--include={','.join(PACKAGES)}"]
    words += [f"--dpkgopt=path-exclude=/usr/share/{what}/*" for what in ("doc", "man", "locale")]
    try:
        done = subprocess.run([*words, SUITE, str(half)], capture_output=True, text=True)
        if done.returncode != 0:
            raise Unavailable(f"mmdebstrap failed:\n{done.stderr[-2000:]}")
        for mount_point in ("leaseq", "packages", "shared", "modules"):
            (half / "mnt" / mount_point).mkdir()
        (half / "usr/lib/modules").symlink_to("/mnt/modules")
        half.rename(made)
    finally:
        shutil.rmtree(half, ignore_errors=True)


if __name__ == "__main__":
    try:
        print(build())
    except Unavailable as error:
        sys.exit(f"{error}")
