"""The Slurm jobs of a lease in the monitor's detail."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.lease.view import look_at_all
from leaseq.monitor.arranging import arranged
from leaseq.monitor.data import Data, Leases
from leaseq.monitor.model import Ui
from leaseq.monitor.pane import Pane
from leaseq.monitor.reader import read_past
from leaseq.monitor.stage import laid_out
from leaseq.monitor.wants import want
from leaseq.world import SystemFs
from tests.unit import monitor_scenes as situations
from tests.unit.slurm_world import CLOCK, World, line


class Counting(SystemFs):
    """The real file system, with a count of what was read."""

    reads = 0

    def read(self, path: str) -> bytes:
        self.reads += 1
        return super().read(path)


def test_what_an_ended_job_had_is_read_once(world: World) -> None:
    lease = world.lease("1")
    world.another(lease, "2", nodes="node3,node4")
    world.answers(line("1", "RUNNING") + line("2", "TIMEOUT", reason="TimeLimit"))
    (row,) = look_at_all(world.fs, world.home, clock=CLOCK).views
    data, fs = Data("1", leases=Leases((row,))), Counting(remote=False)
    found = read_past(fs, world.home, data, "1")
    assert found == {("1", "2"): ("node3", "node4")} and fs.reads == 1
    assert read_past(fs, world.home, replace(data, had=found), "1") == {} and fs.reads == 1


def test_it_is_read_only_while_it_is_shown() -> None:
    for focus, last, size, of in (
        (Pane.TASKS, Pane.TASKS, "120x40", ""),
        (Pane.LEASES, Pane.LEASES, "80x24", ""),
        (Pane.LEASES, Pane.LEASES, "200x50", "48213"),
        (Pane.DETAIL, Pane.LEASES, "80x24", "48213"),
    ):
        scene = arranged(situations.scene(situations.several_jobs(), Ui(focus=focus, last_list=last), size=size))
        assert want(scene, laid_out(scene).panes).past_of == of
