"""What `init` makes of Slurm's words, and of settings that are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaseq.config import Config, Profile, load, parse
from leaseq.dataclass import replace
from leaseq.layout import Home
from leaseq.lease.slurm.offers import Account, Accounts, Kind, Partition, gpus_in, parse_accounts, parse_partitions
from leaseq.lease.slurm.text import SEPARATOR
from leaseq.verbs.init import Wanted, plan

SINFO = """\
CLUSTER: big
cpu|up|infinite|40|64|256000|(null)
a100*|up|1-00:00:00|2|64|512000|gpu:a100:4(S:0,3),craynetwork:4
a100*|up|1-00:00:00|6|128|1031000|gpu:a100:8(S:0-1)
mixed|up|4:00:00|1|32|128000|gpu:v100:2,gpu:p100:1,mps:200
old|down|infinite|1|8|8000|gpu:4
drained|drain|infinite|1|8|8000|(null)
welcome to the cluster
"""
SACCTMGR = """\
ann|physics|Big|physics||normal,high|normal
ann|physics|Big|bio|long|normal|
ann|physics|other|guests||normal|
"""


def test_the_partitions_that_take_jobs_are_known_with_their_nodes_and_gpus() -> None:
    found = parse_partitions(SINFO.replace("|", SEPARATOR))
    assert found == (
        Partition("a100", True, "1-00:00:00", (Kind(6, 128, 1031000, "gpu:a100:8"), Kind(2, 64, 512000, "gpu:a100:4"))),
        Partition("cpu", False, "infinite", (Kind(40, 64, 256000, ""),)),
        Partition("mixed", False, "4:00:00", (Kind(1, 32, 128000, "gpu:v100:2,gpu:p100:1"),)),
    )
    assert [each.best.gpus for each in found] == [8, 0, 3]
    assert gpus_in("gpu") == 1 and gpus_in("") == 0


def test_the_accounts_are_those_of_this_cluster_and_none_is_no_unknown() -> None:
    physics = Account("physics", ("normal", "high"), "normal")
    assert parse_accounts(SACCTMGR, "big") == Accounts((physics, Account("bio", ("normal",))), "physics", ("other",))
    assert [each.name for each in parse_accounts(SACCTMGR, "").known] == ["physics", "bio", "guests"]
    assert parse_accounts("", "big") == Accounts()


WANTED = Wanted(
    settings={"local": "never"}, profile="new", slurm={"partition": "gpu", "gres": "gpu:a100:4", "time": "4:00:00"}
)
OWN = Profile(slurm=("--partition=gpu", "--gres=gpu:a100:4", "--time=4:00:00"))
TEXTS = {
    "no profiles": "# mine\nidle: 30m   # so long\n",
    "no line end": "idle: 30m",
    "a profile": "profiles:\n  # the big\n  big:\n    slurm: {partition: big}  # all of it\n\n# the rest\nidle: 30m\n",
    "deep": "profiles:\n    big:\n        slurm:\n            partition: big\n        keep: 1d\n",
    "a prologue last": "idle: 30m\nprofiles:\n  big:\n    prologue: |\n      module load x\n\n      export A=1\n",
    "a list last": "profiles:\n  big:\n    slurm:\n      - -p\n      - big\n",
    "lines of another system": "profiles:\r\n  big:\r\n    keep: 1d\r\nidle: 30m\r\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_is_added_leaves_every_line_and_setting_as_it_was(tmp_path: Path, text: str) -> None:
    home = Home(str(tmp_path))
    Path(home.config).write_bytes(text.encode())
    planned = plan(home, WANTED, about="x")
    assert not planned.beside and planned.path == home.config
    left = iter(planned.text.splitlines())
    assert all(line in left for line in text.splitlines()), planned.text
    before, after = parse(text, path="c"), parse(planned.text, path="c")
    assert plain(after) == plain(replace(before, local="never", profiles={**before.profiles, "new": OWN}))


def plain(settings: Config) -> Config:
    made: Config = replace(settings, origin={})
    return made


@pytest.mark.parametrize(
    "text", ["{idle: 30m}\n", "profiles: {big: {keep: 1d}}\n", "profiles: {}\n", "idle: 30m\n...\n"]
)
def test_what_cannot_be_added_line_by_line_stands_beside(tmp_path: Path, text: str) -> None:
    home = Home(str(tmp_path))
    Path(home.config).write_text(text)
    Path(f"{home.config}.new").write_text("another\n")
    planned = plan(home, WANTED, about="x")
    assert planned.beside and planned.path == f"{home.config}.new2" and planned.before == ""
    assert parse(planned.text, path="c").profiles == {"new": OWN}


def test_settings_that_are_no_utf8_are_left_alone(tmp_path: Path) -> None:
    home = Home(str(tmp_path))
    Path(home.config).write_bytes(b"# caf\xe9\nidle: 30m\n")
    assert plan(home, WANTED, about="x").beside


@pytest.mark.parametrize("value", ["a b", "yes", "~", "1.5", "x: y", "#", "ü😀", '"', "gpu:", "null", "-1"])
def test_a_value_is_read_back_as_it_was_typed(tmp_path: Path, value: str) -> None:
    wanted = Wanted(profile="x", slurm={"account": value})
    home = Home(str(tmp_path))
    Path(home.config).write_text(plan(home, wanted, about="x").text)
    assert load(home).profiles["x"].slurm == (f"--account={value}",)
