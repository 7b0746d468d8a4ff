"""Where a shell goes, and what Slurm's own words make known."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaseq.dataclass import replace
from leaseq.errors import SlurmError
from leaseq.heartbeat import Heartbeat
from leaseq.layout import Home, LeaseDir
from leaseq.lease.slurm import clusters, start, steps
from leaseq.lease.slurm.job import SlurmBackend
from leaseq.models import Lease
from leaseq.names import new_incarnation
from leaseq.protocol import records, terms
from leaseq.world import SystemClock, SystemFs
from tests.unit.fake_program import FakeProgram, on_path

FS, CLOCK = SystemFs(remote=False), SystemClock()
LEASE = Lease(id="9", kind="slurm", created=0.0)
SHOWN = """JobId=9 JobName=lease
   JobState=RUNNING Reason=None Dependency=(null)
   ReqNodeList=(null) ExcNodeList=(null)
   NodeList={nodes}
   BatchHost=node1
   StepMgrEnabled={managed}
"""


@pytest.fixture
def lease(tmp_path: Path) -> LeaseDir:
    home = Home(str(tmp_path / "h"))
    FS.mkdir(home.root)
    FS.mkdir(home.runs)
    records.write_first(FS, home.lease("9"), LEASE)
    return home.lease("9")


@pytest.fixture
def scontrol(tmp_path: Path) -> Iterator[FakeProgram]:
    before = os.environ["PATH"]
    os.environ["PATH"] = on_path(tmp_path / "bin")["PATH"]
    yield FakeProgram(tmp_path / "bin", "scontrol")
    os.environ["PATH"] = before


def backend(lease: LeaseDir) -> SlurmBackend:
    return SlurmBackend(FS, Home(str(Path(lease.root).parent.parent)), clock=CLOCK)


def beats(lease: LeaseDir, **ages: float) -> None:
    """The nodes, each heard so many seconds ago."""
    Path(lease.own.node_names).write_text("".join(f"{node}\n" for node in ages))
    for node, age in ages.items():
        terms.beat(FS, lease, Heartbeat("9", node, new_incarnation(), 1, 1.0, 5.0))
        then = time.time() - age
        os.utime(lease.heartbeat(node), (then, then))


def test_a_shell_goes_to_the_first_node_that_is_heard_now(lease: LeaseDir, scontrol: FakeProgram) -> None:
    beats(lease, node1=300.0, node2=2.0, node3=1.0)
    assert next(start.progress(backend(lease), LEASE)).node == "node2"


def test_a_shell_waits_where_no_node_is_heard(lease: LeaseDir, scontrol: FakeProgram) -> None:
    beats(lease, node1=300.0, node2=400.0)
    assert next(start.progress(backend(lease), LEASE)).node == ""


def test_what_was_submitted_long_ago_is_not_said_to_be_new(lease: LeaseDir, scontrol: FakeProgram) -> None:
    for created, word in ((0.0, "UNKNOWN"), (time.time(), "PENDING")):
        assert next(start.progress(backend(lease), replace(LEASE, created=created))).state.word == word


@pytest.mark.parametrize(
    ("nodes", "managed", "node", "said", "hint"),
    [
        ("node[2-3]", "N/A", "node1", "node1 is no longer part of lease 9", "`leaseq shell --node node2`"),
        ("node[2-3]", "Yes", "node2", "its first node, which manages its steps", "add another"),
    ],
)
def test_a_step_that_cannot_start_is_explained(
    lease: LeaseDir, scontrol: FakeProgram, nodes: str, managed: str, node: str, said: str, hint: str
) -> None:
    beats(lease, node1=300.0, node2=2.0, node3=1.0)
    scontrol.answer(SHOWN.format(nodes=nodes, managed=managed))
    with pytest.raises(SlurmError) as error:
        steps.refuse_impossible(backend(lease), LEASE, node)
    assert said in error.value.message
    assert hint in error.value.hint


@pytest.mark.parametrize("managed", ["No", "N/A", "Yes"])
def test_of_a_step_that_can_start_nothing_is_said(lease: LeaseDir, scontrol: FakeProgram, managed: str) -> None:
    scontrol.answer(SHOWN.format(nodes="node[1-3]", managed=managed))
    steps.refuse_impossible(backend(lease), LEASE, "node2")
    scontrol.answer(err="slurm_load_jobs error: Socket timed out", code=1)
    steps.refuse_impossible(backend(lease), LEASE, "node2")


def test_the_version_of_slurm_is_asked_for_once(lease: LeaseDir, scontrol: FakeProgram) -> None:
    scontrol.answer("ClusterName             = Big\nSLURM_VERSION           = 24.11.5\n")
    home = backend(lease).home
    assert (clusters.here(FS, home), clusters.slurm_version(FS, home)) == ("big", "24.11.5")
    assert clusters.slurm_version(FS, home) == "24.11.5"
    assert scontrol.calls() == [["show", "config"]]
