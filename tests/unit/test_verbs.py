"""What commands do, without a command line: on a file system in memory, and with a clock that a pause turns."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import leaseq.verbs
from leaseq.errors import Refused, UsageError
from leaseq.layout import Home, LeaseDir
from leaseq.lease.lookup import Found, Located
from leaseq.models import ANY, Array, Lease, Need, State, Task
from leaseq.names import CLI, Entry, new_incarnation, task_of
from leaseq.protocol import arrays, chunks, files, records, tasks
from leaseq.reading.find import find
from leaseq.verbs.access import Access
from leaseq.verbs.cancel import cancel, cancel_waiting
from leaseq.verbs.clean import clean, due
from leaseq.verbs.hold import hold, release
from leaseq.verbs.lease_release import drain
from leaseq.verbs.move import Destination, move
from leaseq.verbs.moving import MOVING_SECONDS_MAX
from leaseq.verbs.recover import recover
from leaseq.verbs.redo import redo
from leaseq.verbs.retry import retry
from leaseq.verbs.submit import Submitted, Wanted, submit
from leaseq.verbs.wait import wait
from tests.build import make_entry, make_task
from tests.memoryfs import Disk, MemoryFs

SOURCES = sorted(Path(leaseq.verbs.__file__).parent.glob("*.py"))
HEAVY = ("fire", "jinja2", "blessed", "yaml", "asyncio")
NODE = "n1"


class Lab:
    """Two leases of one node each, whose runners do what a test says."""

    def __init__(self, root: str = "/home", access: type[Access] = Access) -> None:
        self.seconds = 1000.0
        self.meanwhile: list[Callable[[], object]] = []
        """What others do at the next pauses."""
        self.disk = Disk(root)
        self.fs = MemoryFs(self.disk)
        self.access = access(self.fs, Home(root), self, pause=self.pause)
        self.fs.mkdir(self.access.home.runs)
        self.lease, self.other = self._lease("1"), self._lease("2")

    def _lease(self, lease_id: str) -> LeaseDir:
        lease = self.access.home.lease(lease_id)
        records.prepare(self.fs, lease)
        records.prepare_node(self.fs, lease, NODE)
        record = Lease(lease_id, "slurm", 0.0, nodes=(NODE,), job=lease_id)
        files.replace_file(self.fs, lease.record, record.to_json())
        return lease

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    def pause(self, seconds: float) -> None:
        self.seconds += seconds
        if self.meanwhile:
            self.meanwhile.pop(0)()

    def submit(
        self, *names: str, key: str = "", node: str = ANY, file: bool = False, lease: LeaseDir | None = None
    ) -> Submitted:
        like = Task("", (), "/", 0.0, need=Need(cpus=1), export="NONE", key=key, node=node)
        commands = [((name,), False) for name in names or ("true",)]
        return submit(self.access, lease or self.lease, Wanted(like, commands, file=file), threads=0)

    def task(self, *, key: str = "", node: str = ANY) -> Located:
        """A new task that waits."""
        return self.see(self.submit(key=key, node=node).ids[0])

    def see(self, task_id: str, lease: LeaseDir | None = None) -> Located:
        reader = self.access.reader_of(lease or self.lease)
        return Located(reader, find(reader, task_id)[0])

    def claim(self, each: Located) -> tasks.Claim:
        assert each.row.place is not None
        entry = Entry.parse(each.row.place.name)
        won = tasks.claim(
            self.fs, self.lease, each.row.place.directory, entry, node=NODE, incarnation=new_incarnation()
        )
        assert won is not None
        return won


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_verb_prints_nothing_and_reads_no_command_line(path: Path) -> None:
    tree = ast.parse(path.read_text())
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert used.isdisjoint({"print", "input"})
    assert imported.isdisjoint({"sys", "argparse"})


def test_verbs_are_light_to_import() -> None:
    names = [f"leaseq.verbs.{path.stem}" for path in SOURCES]
    assert len(names) > 10
    code = f"import sys, {', '.join(names)}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_submission_imports_nothing_that_reads_a_lease() -> None:
    code = "import sys, leaseq.cli.submit; print([name for name in sys.modules if name.startswith('leaseq.reading')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_submission_says_which_tasks_are_new(lab: Lab) -> None:
    first = lab.submit("a", "b", key="k", file=True)
    grown = lab.submit("a", "b", "c", key="k", file=True)
    assert [entry.id for entry in first.new] == list(first.ids)
    assert grown.ids[:2] == first.ids
    assert [entry.id for entry in grown.new] == [grown.ids[2]]


def test_a_task_that_was_claimed_meanwhile_is_asked_of_its_runner(lab: Lab) -> None:
    each = lab.task()
    lab.claim(each)
    done = cancel(lab.access, each)
    assert done.outcome is None and done.row.node == NODE
    assert [name.partition(".")[0] for name in lab.fs.names(lab.lease.control(NODE))] == ["cancel"]


def test_a_pending_task_that_is_cancelled_stands_so(lab: Lab) -> None:
    each = lab.task()
    done = cancel(lab.access, each)
    assert done.outcome is not None and done.outcome.state is State.CANCELLED
    with pytest.raises(UsageError, match="has ended already"):
        cancel(lab.access, lab.see(each.row.id))


def test_what_waits_can_be_cancelled_without_ending_what_runs(lab: Lab) -> None:
    waits, runs = lab.task(), lab.task()
    assert cancel_waiting(lab.access, waits)
    assert lab.see(waits.row.id).row.state is State.CANCELLED
    assert not cancel_waiting(lab.access, lab.see(waits.row.id))
    lab.claim(runs)
    # It had been seen pending, and was claimed just now.
    assert not cancel_waiting(lab.access, runs)
    assert lab.fs.names(lab.lease.control(NODE)) == []


def test_a_task_that_moves_on_and_on_is_given_up_after_a_while(lab: Lab) -> None:
    each, began = lab.task(), lab.seconds
    places = [lab.lease.inbox(ANY), lab.lease.held(ANY)]

    def move_away(operation: str, paths: tuple[str, ...]) -> None:
        if operation == "rename" and paths[1].startswith(lab.lease.claimed(CLI)):
            lab.disk.hook = None
            (name,) = lab.fs.names(places[0])
            lab.fs.rename(f"{places[0]}/{name}", f"{places[1]}/{name}")
            places.reverse()
            lab.disk.hook = move_away

    lab.disk.hook = move_away
    with pytest.raises(UsageError, match="on the move"):
        cancel(lab.access, each)
    assert MOVING_SECONDS_MAX <= lab.seconds - began <= 2 * MOVING_SECONDS_MAX


def test_a_held_task_is_released_where_it_was_pinned(lab: Lab) -> None:
    each = lab.task(node=NODE)
    assert hold(lab.access, each)
    assert not hold(lab.access, lab.see(each.row.id))
    assert release(lab.access, lab.see(each.row.id))
    assert not release(lab.access, lab.see(each.row.id))
    assert [task_of(name) for name in lab.fs.names(lab.lease.inbox(NODE))] == [each.row.id]


def test_chunks_that_were_held_with_their_array_go_on_with_it(lab: Lab) -> None:
    task = make_task(array=Array("0-9"))
    entry = make_entry(task.id, count=10)
    held, inbox = lab.lease.held(ANY), lab.lease.inbox(ANY)
    tasks.publish(lab.fs, held, entry, task)
    arrays.prepare(lab.fs, lab.lease, entry)
    (claim,), _ = chunks.take(lab.fs, lab.lease, [entry.of_chunk(0)], node=NODE, incarnation=new_incarnation())
    tasks.unclaim(lab.fs, lab.lease, claim, held)
    both = {str(entry), str(entry.of_chunk(0))}
    arrays.go_on(lab.fs, lab.lease, entry)
    assert set(lab.fs.names(held)) == both, "the array is held"
    assert release(lab.access, lab.see(task.id))
    assert set(lab.fs.names(inbox)) == both
    assert tasks.move_pending(lab.fs, inbox, str(entry.of_chunk(0)), held), "a runner that had not seen the release"
    arrays.go_on(lab.fs, lab.lease, entry)
    assert set(lab.fs.names(inbox)) == both


def test_a_cancelled_task_is_retried_under_its_id_and_redone_under_another(lab: Lab) -> None:
    each = lab.task()
    cancel(lab.access, each)
    queued = retry(lab.access, lab.see(each.row.id))
    again = lab.see(each.row.id)
    assert (queued.task.id, again.row.state, again.row.attempt) == (each.row.id, State.PENDING, 2)
    new = redo(lab.access, again)
    assert new.task.redo_of == each.row.id != new.task.id
    assert lab.see(new.task.id).row.state is State.PENDING


def test_of_redos_that_are_to_be_made_once_there_is_one(lab: Lab) -> None:
    each = lab.task()
    ids = {redo(lab.access, each, once=True).task.id for _ in range(3)}
    assert len(ids) == 1
    assert redo(lab.access, each).task.id not in ids


def test_a_task_moves_with_its_key(lab: Lab) -> None:
    each = lab.task(key="k")
    to = Destination(lab.other, lab.access.record(lab.other))
    move(lab.access, each, to)
    there = lab.see(each.row.id, lab.other)
    assert there.row.state is State.PENDING
    assert lab.submit(key="k", lease=lab.other).ids == (each.row.id,)
    with pytest.raises(Refused, match="already"):
        move(lab.access, there, to)


def test_a_pending_task_is_neither_stuck_nor_lost(lab: Lab) -> None:
    with pytest.raises(Refused, match="neither stuck nor lost"):
        recover(lab.access, lab.task(), force=True)


def test_a_wait_ends_with_its_time_and_says_what_is_left(lab: Lab) -> None:
    ended, left = lab.task(), lab.task()
    lab.meanwhile += [lambda: None, lambda: cancel(lab.access, ended)]
    told: list[str] = []
    began = lab.seconds
    waited = wait(lab.access, Found((ended, left)), seconds=60.0, told=told.append)
    assert (list(waited.ended), waited.left, waited.late) == ([ended.row.id], (left.row.id,), True)
    assert lab.seconds - began == pytest.approx(60.0)
    assert len(told) == 1 and "no runner takes it" in told[0]


def test_a_wait_for_any_ends_with_the_first(lab: Lab) -> None:
    tasks = [lab.task() for _ in range(3)]
    lab.meanwhile.append(lambda: cancel(lab.access, tasks[2]))
    waited = wait(lab.access, Found(tuple(tasks)), any=True)
    assert (list(waited.ended), waited.late) == ([tasks[2].row.id], False)


def test_a_lease_drains_until_its_last_running_task_has_ended(lab: Lab) -> None:
    claims = [lab.claim(lab.task()) for _ in range(2)]
    lab.meanwhile += [partial(lab.fs.unlink, claim.path(lab.lease)) for claim in claims]
    assert list(drain(lab.access, lab.access.record(lab.lease))) == [2, 1]
    assert [name.partition(".")[0] for name in lab.fs.names(lab.lease.control(NODE))] == ["drain"]


def test_what_is_due_goes_when_it_is_cleaned_and_not_before(lab: Lab) -> None:
    each = lab.task()
    cancel(lab.access, each)
    lab.seconds += 100.0
    assert due(lab.access, lab.lease, older_seconds=200.0).tasks == ()
    old = due(lab.access, lab.lease, older_seconds=50.0)
    assert [task.outcome.task.id for task in old.tasks] == [each.row.id]
    path = lab.lease.outcome(each.row.id, 1)
    lab.fs.read(path)
    clean(lab.access, old)
    with pytest.raises(FileNotFoundError):
        lab.fs.read(path)


def test_a_lease_of_slurm_starts_its_runners_itself(lab: Lab) -> None:
    assert lab.access.ensure(lab.lease) is None


def test_the_news_of_every_lease_whose_tasks_are_named_are_done(tmp_path: Path) -> None:
    heard: list[str] = []

    class Hearing(Access):
        """Slurm has news of every lease."""

        def keep_up(self, lease: LeaseDir) -> bool:
            heard.append(lease.id)
            return True

    tmp_path.chmod(0o700)
    lab = Lab(str(tmp_path), Hearing)
    ids = [*lab.submit().ids, *lab.submit(lease=lab.other).ids]
    assert [each.row.id for each in lab.access.find(ids, lease="").tasks] == ids and heard == []
    lab.access.find(ids, lease="", acts=True)
    assert heard == ["1", "2"]
