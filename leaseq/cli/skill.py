"""`leaseq skill`: a guide to leaseq for coding agents."""

from __future__ import annotations

from pathlib import Path

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.dataclass import dataclass
from leaseq.errors import Refused
from leaseq.verbs.allowed import allow_change

NAME = "leaseq"
FILE = "SKILL.md"
BEGIN = f"---\nname: {NAME}\n"
"""How each guide of leaseq's begins, whichever version wrote it."""


def guide() -> str:
    """The guide, with the lines by which agents find it."""
    return Path(__file__).with_name("skill.md").read_text("utf-8")


@dataclass(frozen=True)
class Skill:
    """The guide is printed, or written into a directory of skills."""

    install: str

    def perform(self, app: App) -> int:
        if not self.install:
            print(guide(), end="")
            return 0
        allow_change("`leaseq skill --install`")
        path = Path(self.install).expanduser() / NAME / FILE
        if path.exists() and not path.read_text("utf-8", "replace").startswith(BEGIN):
            raise Refused(f"{path} is there already, and is not leaseq's guide", hint="name another directory")
        path.parent.mkdir(mode=0o777 & ~app.umask, parents=True, exist_ok=True)
        path.write_text(guide(), "utf-8")
        path.chmod(0o666 & ~app.umask)
        print(path)
        return 0


COMMAND = Command(
    usage="[--install DIR]",
    about="Prints a guide to leaseq for coding agents.",
    make=Skill,
    options=(
        Option(
            "install",
            "write it to DIR/leaseq/SKILL.md: DIR is where your agent looks for skills",
            metavar="DIR",
            completes="directory",
        ),
    ),
    examples=("leaseq skill", "leaseq skill --install .skills"),
)
