"""The root file system of the guests: made once by mmdebstrap from Debian's packages, kept outside the repository.

    python -m tests.nfs.bed          makes it if it is missing; prints where it is

It lies in $LEASEQ_NFS_BED, default ~/.cache/leaseq-nfs (about 200 MB), and nothing is installed on this host.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests import debian
from tests.debian import Unavailable

PACKAGES = ("python3", "nfs-kernel-server", "kmod", "iproute2", "e2fsprogs", "mount")
PROGRAMS = {
    "linux.uml": "user-mode-linux",
    "uml_switch": "uml-utilities",
    "mmdebstrap": "mmdebstrap",
}
MODULES = Path("/usr/lib/uml/modules")
INIT = Path(__file__).parent / "guest" / "init"
XSTATE = Path(__file__).parent / "xstate.c"
ROOT = debian.Root("bookworm", PACKAGES, debian.cache("LEASEQ_NFS_BED", "leaseq-nfs"))


def build() -> Path:
    """The guests' root, which exists now; says so on stderr if it has to be made."""
    debian.refuse_without(PROGRAMS)
    made = ROOT.build(_finish)
    # The first process is the repository's own, whatever it was when the root was made.
    shutil.copy(INIT, made / "init")
    return made


def environment() -> dict[str, str]:
    """That of linux.uml: on a processor with AMX, which it cannot run on by itself, with `xstate.c`."""
    if " amx_tile" not in Path("/proc/cpuinfo").read_text():
        return dict(os.environ)
    debian.refuse_without({"cc": "gcc libc6-dev"})
    made = ROOT.cache / "xstate.so"
    if not made.exists() or made.stat().st_mtime < XSTATE.stat().st_mtime:
        half = made.with_name(f"xstate.{os.getpid()}.so")
        debian.run(["cc", "-O1", "-shared", "-fPIC", "-o", str(half), str(XSTATE), "-ldl"])
        half.rename(made)
    return {**os.environ, "LD_PRELOAD": str(made)}


def _finish(root: Path) -> None:
    for mount_point in ("leaseq", "packages", "shared", "modules"):
        (root / "mnt" / mount_point).mkdir()
    (root / "usr/lib/modules").symlink_to("/mnt/modules")


if __name__ == "__main__":
    try:
        print(build())
    except Unavailable as error:
        sys.exit(f"{error}")
