"""What `clean` may remove, and what it must leave."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from leaseq.dataclass import replace
from leaseq.layout import Home, LeaseDir
from leaseq.models import ANY, Outcome, State, Task
from leaseq.names import Entry
from leaseq.protocol import concluding, keys, records, retention, tasks
from leaseq.world import SystemFs
from tests.build import make_entry, make_task
from tests.crash.actors import decide_and_book

FS = SystemFs(remote=False)
DAY = 86400.0


@pytest.fixture
def lease(tmp_path: Path) -> LeaseDir:
    found = Home(str(tmp_path)).lease("local:here")
    os.makedirs(found.root)
    records.prepare(FS, found)
    records.prepare_node(FS, found, "here")
    return found


def task_and_entry() -> tuple[Task, Entry]:
    task = make_task(argv=("true",), submitted=0.0)
    return task, make_entry(task.id)


def ended(lease: LeaseDir, *, state: State = State.DONE, age: float = 100 * DAY, attempt: int = 1) -> Task:
    task, _ = task_and_entry()
    outcome = Outcome(task=task, attempt=attempt, state=state, ended=time.time() - age)
    tasks.decide_all(FS, lease, [outcome])
    for stream in ("out", "err"):
        Path(lease.log(task.id, attempt, stream)).write_text("x")
    return task


def clean(lease: LeaseDir, *, keep_failed: bool = False) -> set[str]:
    old = list(retention.old_tasks(FS, lease, before=time.time() - 30 * DAY, keep_failed=keep_failed))
    for each in old:
        retention.remove(FS, lease, each)
    return {each.outcome.task.id for each in old}


def test_an_old_result_goes_with_its_logs_and_a_young_one_stays(lease: LeaseDir) -> None:
    old, young = ended(lease), ended(lease, age=DAY)
    assert clean(lease) == {old.id}
    assert not os.path.exists(lease.outcome(old.id, 1)) and not os.path.exists(lease.log(old.id, 1, "out"))
    assert os.path.exists(lease.outcome(young.id, 1)) and os.path.exists(lease.log(young.id, 1, "err"))


def test_keep_failed_keeps_everything_that_is_not_done(lease: LeaseDir) -> None:
    done, failed = ended(lease), ended(lease, state=State.FAILED)
    assert clean(lease, keep_failed=True) == {done.id}
    assert os.path.exists(lease.outcome(failed.id, 1))


def test_a_task_that_is_pending_again_keeps_its_first_attempt(lease: LeaseDir) -> None:
    task, entry = task_and_entry()
    outcome = Outcome(task=task, attempt=1, state=State.LOST, ended=0.0, requeued="recover")
    tasks.decide_all(FS, lease, [outcome])
    tasks.publish(FS, lease.inbox(ANY), entry.next_attempt(), task)
    assert clean(lease) == set()


def test_a_lost_task_waits_to_be_recovered_however_old_it_is(lease: LeaseDir) -> None:
    task, entry = task_and_entry()
    tasks.publish(FS, lease.inbox(ANY), entry, task)
    claim = tasks.claim(FS, lease, lease.inbox(ANY), entry, node="here", incarnation="0123456789")
    assert claim is not None
    outcome = Outcome(task=task, attempt=1, state=State.LOST, ended=0.0)
    concluding.lose(FS, lease, claim, outcome)
    assert clean(lease) == set()
    assert len(FS.names(lease.lost)) == 1


def test_a_key_outlives_its_task_so_that_it_never_runs_again_unasked(lease: LeaseDir) -> None:
    task, entry = task_and_entry()
    first = keys.publish_once(FS, lease, "d" * 40, lease.inbox(ANY), entry, task)
    os.unlink(f"{lease.inbox(ANY)}/{entry}")
    tasks.decide_all(FS, lease, [Outcome(task=task, attempt=1, state=State.DONE, ended=0.0)])
    assert clean(lease) == {first}
    again, second = task_and_entry()
    assert keys.publish_once(FS, lease, "d" * 40, lease.inbox(ANY), second, again) == first
    assert FS.names(lease.inbox(ANY)) == []


def test_what_made_a_task_run_once_more_goes_with_it(lease: LeaseDir) -> None:
    task = ended(lease, state=State.FAILED)
    outcome = tasks.read_outcome(FS, lease, task.id, 1)
    assert outcome is not None
    entry = make_entry(task.id, attempt=2, owner="0123456789")
    keys.retry(FS, lease, outcome, lease.inbox(ANY), entry, task)
    new, new_entry = task_and_entry()
    keys.publish_redo(FS, lease, 1, lease.inbox(ANY), new_entry, replace(new, redo_of=task.id))
    assert keys.redone(FS, lease, task.id) == [new.id]
    assert clean(lease) == set(), "it is pending"
    for name in FS.names(lease.inbox(ANY)):
        os.unlink(f"{lease.inbox(ANY)}/{name}")
    tasks.decide_all(FS, lease, [Outcome(task=task, attempt=2, state=State.DONE, ended=0.0)])
    assert clean(lease) == {task.id}
    assert FS.names(lease.keys) == FS.names(lease.redone) == []


def test_leftovers_are_old_hidden_files_but_never_a_task_that_waits_in_keys(lease: LeaseDir) -> None:
    stale, fresh, waiting = f"{lease.inbox(ANY)}/.stale", f"{lease.inbox(ANY)}/.fresh", f"{lease.keys}/.waiting"
    for path in (stale, fresh, waiting):
        Path(path).write_text("x")
    for path in (stale, waiting):
        os.utime(path, (1.0, 1.0))
    assert retention.leftovers(FS, lease) == [stale]


def test_an_outcome_that_no_history_tells_yet_keeps_no_environment(lease: LeaseDir) -> None:
    task = replace(task_and_entry()[0], env={"TOKEN": "hunter2"})
    outcome = Outcome(task=task, attempt=1, state=State.CANCELLED, ended=time.time() - 100 * DAY, reason="cancelled")
    decide_and_book(FS, lease, outcome)
    assert clean(lease) == {task.id}
    told = tasks.outcome_in(FS, f"{lease.booking}/{task.id}.1")
    assert told.task.env == {} and told.reason == "cancelled"


def test_a_tasks_own_directory_goes_with_its_results_and_what_its_links_lead_to_stays(
    lease: LeaseDir, tmp_path: Path
) -> None:
    old, young = ended(lease), ended(lease, age=DAY)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "data").write_text("x")
    for task in (old, young):
        own = Path(lease.results(task.id))
        (own / "deep").mkdir(parents=True)
        (own / "deep" / "model").write_text("x")
        (own / "link").symlink_to(outside)
    clean(lease)
    assert not Path(lease.results(old.id)).exists() and Path(lease.results(young.id), "deep", "model").exists()
    assert (outside / "data").exists()


def test_a_task_whose_directory_cannot_be_removed_stays_whole(lease: LeaseDir) -> None:
    class Refusing(SystemFs):
        def remove_tree(self, directory: str) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", directory)

    stays = ended(lease)
    (old,) = retention.old_tasks(FS, lease, before=time.time() - 30 * DAY, keep_failed=False)
    with pytest.raises(PermissionError):
        retention.remove(Refusing(remote=False), lease, old)
    assert os.path.exists(lease.outcome(stays.id, 1)) and os.path.exists(lease.log(stays.id, 1, "out"))
