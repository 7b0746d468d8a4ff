"""A newer Slurm than this host's: Debian 13's, in a root of its own, with that root's Python.

    python -m tests.contract.newer_slurm 24.11 COMMAND...      runs the command in there, from this directory

The root is made once (mmdebstrap; about 500 MB) in $LEASEQ_SLURM_BED, default ~/.cache/leaseq-slurm-24.11, with a
virtual environment of its Python for leaseq's dependencies and the test tools: wheels that this host's pip brings, for
the host's settings of pip hold outside only. Nothing is installed on this host. A command sees the root, this
repository, and the host's devices, cgroups and network; what it writes elsewhere ends with it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from tests import debian
from tests.contract.clusters import REPOSITORY
from tests.debian import Unavailable

VERSION = "24.11"
PYTHON = "3.13"
PACKAGES = ("slurm-wlm", "munge", "python3", "python3-venv", "tmux", "procps", "iproute2", "util-linux", "strace")
TEST_TOOLS = ("pytest", "hypothesis", "pyte")
"""How the names of the development packages begin that tests need."""
VENV = "/opt/leaseq"
ENTER = Path(__file__).parent / "slurmconf" / "enter_root.sh"


def build() -> Path:
    """The root, which exists now; says so on stderr if it has to be made."""
    debian.refuse_without({"unshare": "util-linux", "pivot_root": "util-linux"})
    requirements = tuple(sorted(_requirements()))
    place = debian.cache("LEASEQ_SLURM_BED", f"leaseq-slurm-{VERSION}")
    return debian.Root("trixie", PACKAGES, place, contents=requirements).build(lambda root: _finish(root, requirements))


def _requirements() -> list[str]:
    """What leaseq needs at run time and what its tests need, for a Python newer than this one."""
    declared = metadata.requires("leaseq") or []
    named = [(each.partition(";")[0].strip(), "extra ==" in each) for each in declared]
    return [name for name, is_extra in named if not is_extra or name.startswith(TEST_TOOLS)]


def _finish(root: Path, requirements: tuple[str, ...]) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels = root / "opt" / "wheels"
    # What is pure and has no wheel of its own is built here.
    debian.run([*pip, "wheel", "--no-deps", f"--wheel-dir={wheels}", "gputil"])
    newer = ["--only-binary=:all:", f"--python-version={PYTHON}", f"--find-links={wheels}", f"--dest={wheels}"]
    debian.run([*pip, "download", *newer, *requirements])
    debian.run(["chroot", str(root), "python3", "-m", "venv", VENV])
    offline = ["--quiet", "--disable-pip-version-check", "--no-index", "--find-links=/opt/wheels"]
    debian.run(["chroot", str(root), f"{VENV}/bin/python", "-m", "pip", "install", *offline, *requirements])
    shutil.rmtree(wheels)


def run(root: Path, command: list[str]) -> int:
    """The command's exit code in the root; everything that it started there has ended."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("LEASEQ_TEST_", "PYTEST_"))}
    path = f"{VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    basic = {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", "TERM": os.environ.get("TERM", "dumb")}
    with tempfile.TemporaryDirectory(prefix="leaseq-root-") as scratch:
        namespaces = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child"]
        words = ["sh", str(ENTER), str(root), scratch, str(REPOSITORY), socket.gethostname(), *command]
        return subprocess.call([*namespaces, *words], env={**kept, **basic})


def main(arguments: list[str]) -> int:
    if len(arguments) < 2 or arguments[0] != VERSION:
        print(f"usage: python -m tests.contract.newer_slurm {VERSION} COMMAND...", file=sys.stderr)
        return 2
    try:
        return run(build(), arguments[1:])
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
