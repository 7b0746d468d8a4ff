"""`leaseq config show`: the settings, and where each comes from."""

from __future__ import annotations

from leaseq import config
from leaseq.cli.app import App
from leaseq.cli.columns import Column
from leaseq.cli.command import Command
from leaseq.cli.options import JSON
from leaseq.dataclass import dataclass

COLUMNS = (Column("SETTING", least=20), Column("VALUE", least=10), Column("FROM", least=7))


@dataclass(frozen=True)
class Show:
    json: bool

    def perform(self, app: App) -> int:
        """Every setting with its value and its origin."""
        found = config.load(app.home)
        profiles = {name: vars(each) for name, each in found.profiles.items()}
        values: dict[str, object] = {**vars(found), "profiles": profiles}
        del values["origin"]
        origin = found.origin
        if self.json:
            app.out.document({"home": app.home.root, "file": app.home.config, "settings": values, "origin": origin})
            return 0
        rows = [[name, _words(value), origin[name]] for name, value in values.items()]
        app.out.table(COLUMNS, rows)
        app.out.talk(f"leaseq: settings are read from {app.home.config}")
        return 0


def _words(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(sorted(value)) or "-"
    if isinstance(value, tuple):
        return ", ".join(value) or "-"
    return str(value).replace("\n", "; ") or "-"


COMMAND = Command(
    usage="",
    about="Shows every setting, its value, and where it comes from: a default, or config.yaml in LEASEQ_HOME.",
    make=Show,
    options=(JSON,),
    examples=("leaseq config show",),
)
