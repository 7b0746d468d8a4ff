"""What is told in the banner and of tasks in trouble: what it says to do can be done, by that key, now."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from leaseq.dataclass import replace
from leaseq.models import Lease, State
from leaseq.monitor import actions
from leaseq.monitor.arranging import arranged
from leaseq.monitor.banners import banner
from leaseq.monitor.data import Data
from leaseq.monitor.effects import Run
from leaseq.monitor.filters import Filter
from leaseq.monitor.menus import task_menu
from leaseq.monitor.model import Scene, Ui
from leaseq.monitor.overlays import Confirm, Menu
from leaseq.monitor.pane import MAIN, Pane
from leaseq.monitor.press import press
from leaseq.monitor.remedies import next_step
from leaseq.protocol.groups import Limits
from leaseq.reading.views import Health, Place
from leaseq.world import hostname
from tests.unit import monitor_scenes as situations

HERE = f"local:{hostname()}"


def scene(data: Data, **choices: object) -> Scene:
    return arranged(situations.scene(data, Ui(**choices), size="120x40"))  # type: ignore[arg-type]


def limited(*paused: str) -> Data:
    data = situations.busy()
    assert data.lease.snapshot
    return situations.with_snapshot(data, replace(data.lease.snapshot, limits=Limits(paused=frozenset(paused))))


def unused() -> Data:
    data = situations.busy()
    assert data.lease.snapshot
    nodes = tuple(situations.node(name, idle=2040.0) for name in ("gpu-node-01", "gpu-node-02"))
    return situations.with_snapshot(data, replace(data.lease.snapshot, nodes=nodes, tasks=(), totals={}))


def failing() -> Data:
    data = situations.busy()
    return replace(data, lease=replace(data.lease, failure="Permission denied: /home/x"))


def slurm_down() -> Data:
    data = situations.busy()
    return replace(data, leases=replace(data.leases, failure="Connection refused"))


def here(health: Health, *, kind: str = "local", pinned: bool = False) -> Data:
    """A lease of this host whose runner is not there; what it ran is stuck, or with `pinned` nothing ran."""
    data = situations.one_lease()
    assert data.lease.snapshot
    lease_id = HERE if kind == "local" else "lab"
    view = data.lease.snapshot.nodes[0]
    assert view.heartbeat
    node = replace(view, node=hostname(), health=health, heartbeat=replace(view.heartbeat, host=hostname()))
    first, *rest = data.lease.snapshot.tasks
    stuck = replace(first, state=State.STUCK, reason="RunnerDown", node=hostname())
    pending = situations.pending(9, "python fit.py --fold 4")
    tasks = (pending, *rest) if pinned else (stuck, pending, *rest)
    record = Lease(id=lease_id, kind=kind, created=1.0, nodes=(hostname(),))
    shot = replace(data.lease.snapshot, lease_id=lease_id, nodes=(node,), tasks=tasks, totals=situations.counted(tasks))
    row = situations.lease_row(lease_id, kind, word="RUNNING", nodes=(hostname(),))
    row = replace(row, lease=record)
    data = situations.with_snapshot(data, shot)
    return replace(data, lease_id=lease_id, leases=replace(data.leases, rows=(row,)))


SAID: dict[str, tuple[Callable[[], Data], str]] = {
    "paused": (lambda: limited("_all"), "paused: nothing starts. :resume lets it start again"),
    "group": (lambda: limited("eval", "vit"), "paused: eval, vit. :resume -g eval lets it start again"),
    "unused": (unused, "no task for 34 min, 2 nodes held. x releases the lease"),
    "failing": (failing, "Permission denied: /home/x. :doctor looks for the cause"),
    "slurm": (slurm_down, "Slurm does not answer: Connection refused. :doctor looks for the cause"),
    "stuck": (
        situations.stuck_task,
        "1 task stuck on gpu-node-02: no runner there. 8 lists it, m on one: what to do",
    ),
    "stopped": (
        lambda: here(Health.STOPPED, pinned=True),
        "no runner takes the pending task. :daemon start starts this host's",
    ),
    "hosts": (
        lambda: here(Health.DOWN, kind="hosts", pinned=True),
        "no runner takes the pending task. `leaseq daemon start --lease lab` starts this host's, also after :",
    ),
}


@pytest.mark.parametrize("name", SAID)
def test_what_a_banner_says_to_do_can_be_done(name: str) -> None:
    make, words = SAID[name]
    found = scene(make())
    assert banner(found) == words
    for line in re.findall(r":((?:[a-z]+)(?: start| -g [a-z]+)?)", words.partition(". ")[2]):
        assert isinstance(actions.typed(line, readonly=False), Run), line
    for pane in MAIN:
        elsewhere = scene(make(), focus=pane)
        if "x releases" in words:
            assert isinstance(press(elsewhere, "x").ui.overlay, Confirm), pane
        if "8 lists" in words:
            listed = replace(elsewhere, ui=press(elsewhere, "8").ui)
            assert (listed.ui.filter, listed.ui.focus) == (Filter.STUCK, Pane.TASKS)
            menu = press(arranged(listed), "m").ui.overlay
            assert isinstance(menu, Menu)
            assert any(item.key in "dbB" and not item.why_not for item in menu.items)


@pytest.mark.parametrize("name", SAID)
def test_a_read_only_monitor_tells_the_same_and_names_no_key_that_it_refuses(name: str) -> None:
    make, words = SAID[name]
    said = banner(scene(make(), readonly=True))
    assert said.split(". ")[0] == words.split(". ")[0]
    assert not re.search(r":[a-z]|\bx releases", said)


def test_x_is_not_named_while_it_means_another_lease() -> None:
    among = scene(unused(), focus=Pane.LEASES, lease="48377")
    assert banner(among) == "no task for 34 min, 2 nodes held"
    asked = press(among, "x").ui.overlay
    assert isinstance(asked, Confirm)
    assert asked.title == "release lease 48377 big"


def test_x_releases_the_lease_that_is_looked_at_wherever_the_cursor_of_their_list_was_left() -> None:
    away = scene(situations.busy(), focus=Pane.TASKS, lease="48377")
    asked = press(away, "x").ui.overlay
    assert isinstance(asked, Confirm)
    assert (asked.title, asked.then) == ("release lease 48213 sweep", ("lease", "release", "48213", "--yes"))


def test_nothing_is_said_of_a_runner_if_another_host_serves_or_nothing_waits() -> None:
    assert banner(scene(here(Health.OK, pinned=True))) == ""
    data = here(Health.STOPPED, pinned=True)
    assert data.lease.snapshot
    done = tuple(task for task in data.lease.snapshot.tasks if task.state.ended)
    shot = replace(data.lease.snapshot, tasks=done, totals=situations.counted(done))
    assert banner(scene(situations.with_snapshot(data, shot))) == ""


# -- tasks in trouble --------------------------------------------------------------------------------


def first_item(found: Scene) -> tuple[str, str]:
    menu = task_menu(found)
    assert isinstance(menu, Menu)
    return menu.items[0].key, menu.items[0].label


def test_a_task_stuck_on_this_host_is_helped_by_its_runner() -> None:
    found = scene(here(Health.DOWN))
    assert found.task
    assert next_step(found, found.task) == "its runner is gone: m, d starts this host's, and it goes on"
    assert first_item(found) == ("d", "start this host's runner: it goes on, or is told how it ended")
    assert press(scene(here(Health.DOWN), overlay=task_menu(found)), "d").effects == (Run(("daemon", "start")),)
    hosts = scene(here(Health.DOWN, kind="hosts"))
    menu = task_menu(hosts)
    assert press(replace(hosts, ui=replace(hosts.ui, overlay=menu)), "d").effects == (
        Run(("daemon", "start", "--lease", "lab")),
    )


def test_a_task_stuck_elsewhere_is_recovered_by_force_once_one_has_read_what_that_risks() -> None:
    found = scene(situations.stuck_task(), filter=Filter.STUCK)
    assert found.task
    assert "if it cannot run there any more, m, B queues it again" in next_step(found, found.task)
    menu = task_menu(found)
    assert isinstance(menu, Menu)
    by_key = {item.key: item for item in menu.items}
    assert by_key["b"].why_not == "gpu-node-02 is silent, which is no proof"
    asked = by_key["B"].act(found).ui.overlay
    assert isinstance(asked, Confirm)
    assert asked.then == ("recover", "--lease", "48213", "--force", found.task.id)
    assert "it runs twice" in " ".join(asked.lines)
    assert "gpu-node-02" in " ".join(asked.lines)


def test_a_task_whose_lease_has_given_the_node_up_is_recovered_without_force() -> None:
    data = situations.stuck_task()
    assert data.lease.snapshot
    one, two = data.lease.snapshot.nodes
    assert two.heartbeat
    beat = replace(two.heartbeat, state="stopped")
    stopped = replace(two, health=Health.STOPPED, heartbeat=beat)
    found = scene(
        situations.with_snapshot(data, replace(data.lease.snapshot, nodes=(one, stopped))), filter=Filter.STUCK
    )
    assert found.task
    assert next_step(found, found.task) == "its runner is gone, and it does not run: m, b queues it again"
    assert first_item(found)[0] == "b"


def test_a_lost_task_is_helped_by_what_is_left_of_it() -> None:
    data = situations.busy()
    assert data.lease.snapshot
    lost = situations.ended(80, State.LOST, "gpu-node-01", "python x.py", ago=60, took=9)
    for place, how, key in ((None, "r submits it again", "r"), (Place("/x", "y"), "m, b queues it again", "b")):
        task = replace(lost, place=place)
        shot = replace(data.lease.snapshot, tasks=(*data.lease.snapshot.tasks, task))
        found = scene(situations.with_snapshot(data, shot), task=task.id, filter=Filter.STUCK)
        assert found.task == task
        assert next_step(found, task).endswith(how)
        menu = task_menu(found)
        assert isinstance(menu, Menu)
        assert next(item for item in menu.items if item.key == key).why_not == ""
