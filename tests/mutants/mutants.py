"""The protocol with one thing wrong each: mistakes that such protocols are known for.

Each is a replacement of one function of `tests.crash.actors.Protocol`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from leaseq.allocation import Allocation
from leaseq.dataclass import replace
from leaseq.layout import LeaseDir
from leaseq.lease import leases
from leaseq.lease.slurm.answer import Queue
from leaseq.lease.slurm.text import Row
from leaseq.lease.slurm.verdict import Judge
from leaseq.models import Event, Lease, Outcome, State, Task
from leaseq.names import CLI, Entry
from leaseq.protocol import edits, keys, records, tasks
from leaseq.protocol.files import discard, hidden, replace_file
from leaseq.protocol.history import event_of
from leaseq.protocol.tasks import Claim
from leaseq.reading import beats
from leaseq.world import Fs
from tests.crash import actors
from tests.crash.actors import Host, Protocol, decide_and_book

# -- submit ------------------------------------------------------------------------------------------


def publish_in_place(fs: Fs, directory: str, entry: Entry, task: Task) -> None:
    fs.create(f"{directory}/{entry}", task.to_json())
    fs.sync_dir(directory)


def publish_under_a_fixed_temporary_name(fs: Fs, directory: str, entry: Entry, task: Task) -> None:
    fs.create(f"{directory}/.new", task.to_json())
    try:
        fs.rename(f"{directory}/.new", f"{directory}/{entry}")
    except FileNotFoundError:
        fs.names(directory)
    fs.sync_dir(directory)


def publish_without_data_sync(fs: Fs, directory: str, entry: Entry, task: Task) -> None:
    temporary = hidden(directory)
    fs.create(temporary, task.to_json(), durable=False)
    _rename_done(fs, temporary, f"{directory}/{entry}")
    fs.sync_dir(directory)


def publish_that_trusts_enoent(fs: Fs, directory: str, entry: Entry, task: Task) -> None:
    temporary = hidden(directory)
    fs.create(temporary, task.to_json())
    fs.rename(temporary, f"{directory}/{entry}")
    fs.sync_dir(directory)


def reserve_the_key_and_then_publish(
    fs: Fs, lease: LeaseDir, digest: str, directory: str, entry: Entry, task: Task
) -> str:
    temporary = hidden(lease.keys)
    fs.create(temporary, task.id.encode())
    try:
        fs.link(temporary, lease.key(digest))
    except FileExistsError:
        pass
    discard(fs, temporary)
    fs.sync_dir(lease.keys)
    first = fs.read(lease.key(digest)).decode()
    if first == task.id:
        tasks.publish(fs, directory, entry, task)
    return first


# -- change ------------------------------------------------------------------------------------------


def change_by_publishing_first(
    fs: Fs, lease: LeaseDir, source: str, old: Entry, directory: str, new: Entry, task: Task
) -> bool:
    """The new file is there before the old one is taken away."""
    tasks.publish(fs, directory, new, task)
    discard(fs, f"{source}/{old}")
    return True


def change_by_removing_first(
    fs: Fs, lease: LeaseDir, source: str, old: Entry, directory: str, new: Entry, task: Task
) -> bool:
    held = tasks.claim(fs, lease, source, old, node=CLI, incarnation="00000edit0")
    if held is None:
        return False
    discard(fs, held.path(lease))
    tasks.publish(fs, directory, new, task)
    return True


def change_whose_intent_is_not_durable(
    fs: Fs, lease: LeaseDir, source: str, old: Entry, directory: str, new: Entry, task: Task
) -> bool:
    class Hasty:
        def __getattr__(self, name: str) -> Any:
            return getattr(fs, name)

        def sync_dir(self, path: str) -> None:
            if path != lease.edits:
                fs.sync_dir(path)

    return edits.change(Hasty(), lease, source, old, directory, new, task)


def change_that_trusts_a_lost_claim(
    fs: Fs, lease: LeaseDir, source: str, old: Entry, directory: str, new: Entry, task: Task
) -> bool:
    """The old file counts as claimed, whoever has it."""
    edits.change(fs, lease, source, old, directory, new, task)
    return True


def change_under_the_same_name(
    fs: Fs, lease: LeaseDir, source: str, old: Entry, directory: str, new: Entry, task: Task
) -> bool:
    """The file is replaced where it is."""
    replace_file(fs, f"{source}/{old}", task.to_json())
    return True


# -- claim -------------------------------------------------------------------------------------------


def claim_that_trusts_enoent(
    fs: Fs, lease: LeaseDir, source: str, entry: Entry, *, node: str, incarnation: str
) -> Claim | None:
    won = Claim(entry.claimed_by(incarnation), node)
    try:
        fs.rename(f"{source}/{entry}", won.path(lease))
    except FileNotFoundError:
        return None
    return won


def claim_under_a_shared_name(
    fs: Fs, lease: LeaseDir, source: str, entry: Entry, *, node: str, incarnation: str
) -> Claim | None:
    return tasks.claim(fs, lease, source, entry, node=node, incarnation="")


def claim_by_link_and_unlink(
    fs: Fs, lease: LeaseDir, source: str, entry: Entry, *, node: str, incarnation: str
) -> Claim | None:
    won = Claim(entry.claimed_by(incarnation), node)
    try:
        fs.link(f"{source}/{entry}", won.path(lease))
    except FileExistsError:
        pass
    except FileNotFoundError:
        return None
    discard(fs, f"{source}/{entry}")
    return won


def unclaim_by_unlink_and_publish(fs: Fs, lease: LeaseDir, held: Claim, target: str) -> None:
    task = tasks.read_task(fs, held.path(lease), held.entry)
    discard(fs, held.path(lease))
    tasks.publish(fs, target, held.entry.pending(), task)


def start_before_the_claim_is_durable(
    p: Protocol, fs: Fs, lease: LeaseDir, held: Claim, ask: Callable[[], None]
) -> Task:
    task = p.read_task(fs, held.path(lease), held.entry)
    ask()
    fs.sync_dir(lease.claimed(held.node))
    return task


# -- finish ------------------------------------------------------------------------------------------


def decide_by_rename(fs: Fs, lease: LeaseDir, outcomes: list[Outcome]) -> list[Outcome]:
    for outcome in outcomes:
        temporary = hidden(lease.done(outcome.task.id))
        fs.create(temporary, outcome.to_json())
        _rename_done(fs, temporary, lease.outcome(outcome.task.id, outcome.attempt))
        fs.sync_dir(lease.done(outcome.task.id))
    return outcomes


def decide_without_directory_sync(fs: Fs, lease: LeaseDir, outcomes: list[Outcome]) -> list[Outcome]:
    return [tasks.decide(fs, lease, outcome) for outcome in outcomes]


def unlink_the_claim_before_the_outcome(
    p: Protocol, fs: Fs, lease: LeaseDir, held: Claim, outcome: Outcome, node: str
) -> Outcome:
    if not outcome.requeued and outcome.state is not State.LOST:
        discard(fs, held.path(lease))
    return actors.finish(p, fs, lease, held, outcome, node)


def settle_before_deciding(p: Protocol, fs: Fs, lease: LeaseDir, held: Claim, outcome: Outcome, node: str) -> Outcome:
    p.settle(fs, lease, held, outcome)
    decided = p.decide_all(fs, lease, [outcome])[0]
    p.record_events(fs, lease, node, [event_of(decided)])
    return decided


def requeue_before_deciding(p: Protocol, fs: Fs, lease: LeaseDir, held: Claim, outcome: Outcome, node: str) -> Outcome:
    if outcome.requeued:
        p.settle(fs, lease, held, outcome)
    return actors.finish(p, fs, lease, held, outcome, node)


def settle_before_the_history(
    p: Protocol, fs: Fs, lease: LeaseDir, held: Claim, outcome: Outcome, node: str
) -> Outcome:
    decided = p.decide_all(fs, lease, [outcome])[0]
    p.settle(fs, lease, held, decided)
    p.record_events(fs, lease, node, [event_of(decided)])
    return decided


def retry_as_the_same_attempt(fs: Fs, lease: LeaseDir, held: Claim, decided: Outcome) -> None:
    if decided.requeued:
        tasks.unclaim(fs, lease, held, lease.inbox(decided.task.node))
    else:
        tasks.settle(fs, lease, held, decided)


def drop_the_file_of_a_lost_task(fs: Fs, lease: LeaseDir, held: Claim, decided: Outcome) -> None:
    tasks.settle(fs, lease, held, replace(decided, state=State.FAILED))


def settle_unsynced_outcome_of_another(
    p: Protocol, fs: Fs, lease: LeaseDir, held: Claim, decided: Outcome, node: str
) -> None:
    actors.record_if_missing(p, fs, lease, decided, node)
    p.settle(fs, lease, held, decided)


def append_after_a_torn_line(fs: Fs, lease: LeaseDir, node: str, events: list[Event]) -> None:
    fs.append(lease.events(node), b"".join(event.to_json() for event in events))
    fs.sync_dir(lease.events_dir)


def history_durable_only_by_its_first_writer(fs: Fs, lease: LeaseDir, node: str, events: list[Event]) -> None:
    new = f"{node}.jsonl" not in fs.names(lease.events_dir)
    fs.append(lease.events(node), b"\n" + b"".join(event.to_json() for event in events))
    if new:
        fs.sync_dir(lease.events_dir)


def history_whose_name_is_not_durable(fs: Fs, lease: LeaseDir, node: str, events: list[Event]) -> None:
    fs.append(lease.events(node), b"\n" + b"".join(event.to_json() for event in events))


# -- commands and recovery ---------------------------------------------------------------------------


def cancel_without_a_claim(
    fs: Fs, lease: LeaseDir, source: str, entry: Entry, *, ended: float, reason: str
) -> Outcome | None:
    try:
        task = tasks.read_task(fs, f"{source}/{entry}", entry)
    except FileNotFoundError:
        return None
    outcome = Outcome(task, entry.attempt, State.CANCELLED, ended=ended, reason=reason)
    decided = decide_and_book(fs, lease, outcome)
    discard(fs, f"{source}/{entry}")
    return decided


def cancel_whose_claim_is_dropped_first(fs: Fs, lease: LeaseDir, held: Claim, *, ended: float, reason: str) -> Outcome:
    task = tasks.read_task(fs, held.path(lease), held.entry)
    discard(fs, held.path(lease))
    outcome = Outcome(task, held.entry.attempt, State.CANCELLED, incarnation=held.entry.owner, ended=ended)
    return decide_and_book(fs, lease, outcome)


def cancel_whose_claim_is_not_durable(
    fs: Fs, lease: LeaseDir, source: str, entry: Entry, *, ended: float, reason: str
) -> Outcome | None:
    held = tasks.claim(fs, lease, source, entry, node=CLI, incarnation="00000000ca")
    if held is None:
        return None
    task = tasks.read_task(fs, held.path(lease), held.entry)
    outcome = Outcome(task, entry.attempt, State.CANCELLED, incarnation=held.entry.owner, ended=ended)
    decided = decide_and_book(fs, lease, outcome)
    tasks.settle(fs, lease, held, decided)
    return decided


def lose_a_claim_that_is_not_durable(fs: Fs, lease: LeaseDir, held: Claim, outcome: Outcome) -> Outcome:
    decided = decide_and_book(fs, lease, outcome)
    tasks.settle(fs, lease, held, decided)
    return decided


def cancel_that_is_not_booked(
    fs: Fs, lease: LeaseDir, source: str, entry: Entry, *, ended: float, reason: str
) -> Outcome | None:
    held = tasks.claim(fs, lease, source, entry, node=CLI, incarnation="00000000ca")
    if held is None:
        return None
    task = tasks.read_task(fs, held.path(lease), held.entry)
    outcome = Outcome(task, entry.attempt, State.CANCELLED, incarnation=held.entry.owner, ended=ended)
    decided = tasks.decide_all(fs, lease, [outcome])[0]
    tasks.settle(fs, lease, held, decided)
    return decided


def move_that_trusts_enoent(fs: Fs, source: str, name: str, target: str) -> bool:
    try:
        fs.rename(f"{source}/{name}", f"{target}/{name}")
    except FileNotFoundError:
        return False
    fs.sync_dir(target)
    return True


def recover_as_the_same_attempt(fs: Fs, lease: LeaseDir, entry: Entry, target: str) -> bool:
    try:
        fs.rename(f"{lease.lost}/{entry}", f"{target}/{entry.pending()}")
    except FileNotFoundError:
        if str(entry.pending()) not in fs.names(target):
            return False
    fs.sync_dir(target)
    return True


def recover_that_is_not_durable(fs: Fs, lease: LeaseDir, entry: Entry, target: str) -> bool:
    try:
        fs.rename(f"{lease.lost}/{entry}", f"{target}/{entry.next_attempt()}")
    except FileNotFoundError:
        return str(entry.next_attempt()) in fs.names(target)
    return True


def retry_without_a_key(fs: Fs, lease: LeaseDir, ended: Outcome, directory: str, entry: Entry, task: Task) -> Entry:
    fs.sync_dir(lease.done(task.id))
    tasks.publish(fs, directory, entry.pending(), task)
    return entry


def retry_of_an_outcome_that_is_not_durable(
    fs: Fs, lease: LeaseDir, ended: Outcome, directory: str, entry: Entry, task: Task
) -> Entry:
    keys.publish_once(fs, lease, f"{task.id}.{entry.attempt}", directory, entry, task)
    return entry


def retry_by_hand_as_the_same_attempt(
    fs: Fs, lease: LeaseDir, ended: Outcome, directory: str, entry: Entry, task: Task
) -> Entry:
    return keys.retry(fs, lease, ended, directory, replace(entry, attempt=ended.attempt), task)


def retry_whose_file_has_a_shared_name(
    fs: Fs, lease: LeaseDir, ended: Outcome, directory: str, entry: Entry, task: Task
) -> Entry:
    return keys.retry(fs, lease, ended, directory, entry.pending(), task)


def redo_without_its_link(fs: Fs, lease: LeaseDir, number: int, directory: str, entry: Entry, task: Task) -> str:
    tasks.publish(fs, directory, entry, task)
    return entry.id


def move_before_the_key(fs: Fs, target: LeaseDir, digest: str, source: str, name: str, directory: str) -> str:
    if not tasks.move_pending(fs, source, name, directory):
        return ""
    return keys.move_with_key(fs, target, digest, source, name, directory)


def move_with_a_key_that_is_not_durable(
    fs: Fs, target: LeaseDir, digest: str, source: str, name: str, directory: str
) -> str:
    body = f'{{"v":1,"entry":"{name}","directory":"inbox/_any"}}\n'
    if not fs.names(target.keys):
        fs.create(target.key(digest), body.encode())
    return Entry.parse(name).id if tasks.move_pending(fs, source, name, directory) else ""


def lose_by_the_claim_alone(fs: Fs, lease: LeaseDir, held: Claim, outcome: Outcome) -> Outcome:
    tasks.settle(fs, lease, held, outcome)
    return decide_and_book(fs, lease, outcome)


def ignore_a_living_owner(owner: str, host: Host, certain: frozenset[str]) -> bool:
    return True


def requeue_on_unknown(host: Host, held: Claim) -> str:
    what = actors.fate(host, held)
    return "unstarted" if what == "unknown" else what


def replace_by_remove_and_rename(fs: Fs, path: str, data: bytes) -> None:
    directory = path.rpartition("/")[0]
    temporary = hidden(directory)
    fs.create(temporary, data)
    discard(fs, path)
    _rename_done(fs, temporary, path)
    fs.sync_dir(directory)


def read_whichever_lease(fs: Fs, lease: LeaseDir, token: str) -> Lease:
    return records.read_lease(fs, lease)


def prepare_without_sync(fs: Fs, lease: LeaseDir) -> None:
    for directory in lease.directories():
        fs.mkdir(directory)


def _rename_done(fs: Fs, temporary: str, path: str) -> None:
    try:
        fs.rename(temporary, path)
    except FileNotFoundError:
        fs.names(path.rpartition("/")[0])


class JudgesTheLeasesOfAllClusters(Judge):
    """An answer of one cluster is held against the leases of another."""

    def _may_be_here(self, alloc: Allocation) -> bool:
        return alloc.kind == "slurm"


class TakesEveryNodeForTheJobs(Judge):
    """The end of one job is held against the nodes of all jobs of its lease."""

    def _nodes(self, alloc: Allocation, *, left: bool = False) -> beats.Nodes:
        return beats.Nodes(tuple(beats.nodes(self.fs, self.home.lease(alloc.lease))))


class TakesALineByItsNumber(Judge):
    """A line is a job's whatever token it bears."""

    def learn(self, kept: Queue, rows: Sequence[Row]) -> Queue:
        marks = {alloc.job: alloc.token for each in leases.list_holdings(self.fs, self.home) for alloc in each.allocs}
        return super().learn(kept, [replace(row, script=f"/scripts/{marks[row.id]}.sh") for row in rows])


MUTANTS: dict[str, dict[str, Any]] = {
    "publish in place": {"publish": publish_in_place},
    "publish under a fixed temporary name": {"publish": publish_under_a_fixed_temporary_name},
    "publish without syncing the data": {"publish": publish_without_data_sync},
    "acknowledge without syncing the directory": {"publish": tasks.write_pending},
    "publish that trusts ENOENT": {"publish": publish_that_trusts_enoent},
    "reserve the key, then publish": {"publish_once": reserve_the_key_and_then_publish},
    "claim that trusts ENOENT": {"claim": claim_that_trusts_enoent},
    "claim under a name without incarnation": {"claim": claim_under_a_shared_name},
    "claim by link and unlink": {"claim": claim_by_link_and_unlink},
    "unclaim by unlink and publish": {"unclaim": unclaim_by_unlink_and_publish},
    "start before the claim is durable": {"start": start_before_the_claim_is_durable},
    "decide by rename: two finishers": {"decide_all": decide_by_rename},
    "decide without syncing the directory": {"decide_all": decide_without_directory_sync},
    "unlink the claim before the outcome": {"finish": unlink_the_claim_before_the_outcome},
    "decide after settling": {"finish": settle_before_deciding},
    "requeue before deciding": {"finish": requeue_before_deciding},
    "settle before the history": {"finish": settle_before_the_history},
    "retry as the same attempt": {"settle": retry_as_the_same_attempt},
    "drop the file of a LOST task": {"settle": drop_the_file_of_a_lost_task},
    "settle another's outcome unsynced": {"finish_decided": settle_unsynced_outcome_of_another},
    "append to a torn line": {"record_events": append_after_a_torn_line},
    "history durable only by its first writer": {"record_events": history_durable_only_by_its_first_writer},
    "history whose name is not durable": {"record_events": history_whose_name_is_not_durable},
    "cancel without a claim": {"cancel_pending": cancel_without_a_claim},
    "cancel that drops its claim first": {"finish_cancelled": cancel_whose_claim_is_dropped_first},
    "cancel whose claim is not durable": {"cancel_pending": cancel_whose_claim_is_not_durable},
    "cancel that is not booked": {"cancel_pending": cancel_that_is_not_booked},
    "change by publishing first": {"change": change_by_publishing_first},
    "change by removing first": {"change": change_by_removing_first},
    "change whose intent is not durable": {"change": change_whose_intent_is_not_durable},
    "change that trusts a lost claim": {"change": change_that_trusts_a_lost_claim},
    "change in place": {"change": change_under_the_same_name},
    "hold that trusts ENOENT": {"move_pending": move_that_trusts_enoent},
    "recover as the same attempt": {"recover_lost": recover_as_the_same_attempt},
    "recover that is not durable": {"recover_lost": recover_that_is_not_durable},
    "retry without a key": {"retry": retry_without_a_key},
    "retry of an outcome that is not durable": {"retry": retry_of_an_outcome_that_is_not_durable},
    "retry by hand as the same attempt": {"retry": retry_by_hand_as_the_same_attempt},
    "retry whose file has a shared name": {"retry": retry_whose_file_has_a_shared_name},
    "redo without its link": {"publish_redo": redo_without_its_link},
    "move before the key": {"move_with_key": move_before_the_key},
    "move with a key that is not durable": {"move_with_key": move_with_a_key_that_is_not_durable},
    "lose: settle before deciding": {"lose": lose_by_the_claim_alone},
    "lose a claim that is not durable": {"lose": lose_a_claim_that_is_not_durable},
    "recovery ignores a living owner": {"is_gone": ignore_a_living_owner},
    "requeue on unknown": {"fate": requeue_on_unknown},
    "replace by remove and rename": {"replace_file": replace_by_remove_and_rename},
    "directories that are not durable": {"prepare": prepare_without_sync},
    "a runner serves any lease of its number": {"read_own_lease": read_whichever_lease},
    "an answer judges another cluster's leases": {"judge": JudgesTheLeasesOfAllClusters},
    "an end settles the nodes of other jobs": {"judge": TakesEveryNodeForTheJobs},
    "a line is a job's by its number": {"judge": TakesALineByItsNumber},
}

CAUGHT_BY = {
    "publish in place": "deaths: publish",
    "publish under a fixed temporary name": "meetings: submit, submit",
    "publish without syncing the data": "power_losses: publish",
    "acknowledge without syncing the directory": "power_losses: publish",
    "reserve the key, then publish": "repeats: publish_once",
    "claim that trusts ENOENT": "lost_replies: claim_and_start",
    "claim under a name without incarnation": "meetings: take, take on another host of the same name",
    "claim by link and unlink": "power_losses: claim_and_start",
    "unclaim by unlink and publish": "deaths: unclaim",
    "start before the claim is durable": "power_losses: claim_and_start",
    "decide by rename: two finishers": "meetings: report, lose and recover and work",
    "decide without syncing the directory": "power_losses: finish_done",
    "unlink the claim before the outcome": "lost_replies: retry_undurable",
    "decide after settling": "lost_replies: retry_undurable",
    "requeue before deciding": "deaths: finish_retry",
    "settle before the history": "deaths: finish_done",
    "retry as the same attempt": "lost_replies: finish_retry",
    "drop the file of a LOST task": "lost_replies: finish_lost",
    "settle another's outcome unsynced": "recovery_power_losses: finish_done",
    "append to a torn line": "deaths: finish_done",
    "history durable only by its first writer": "recovery_power_losses: finish_done",
    "history whose name is not durable": "power_losses: finish_done",
    "cancel without a claim": "deaths: cancel",
    "cancel that drops its claim first": "deaths: finish_cancelled",
    "cancel whose claim is not durable": "power_losses: cancel",
    "cancel that is not booked": "lost_replies: cancel",
    "hold that trusts ENOENT": "lost_replies: hold",
    "recover as the same attempt": "lost_replies: recover_lost",
    "recover that is not durable": "power_losses: recover_lost",
    "retry without a key": "meetings: retry, retry and work",
    "retry of an outcome that is not durable": "power_losses: retry_undurable",
    "retry by hand as the same attempt": "lost_replies: retry",
    "retry whose file has a shared name": "meetings: retry, retry and work",
    "redo without its link": "lost_replies: redo",
    "move before the key": "keyed_moves",
    "move with a key that is not durable": "keyed_moves",
    "lose: settle before deciding": "deaths: lose",
    "lose a claim that is not durable": "power_losses: lose_undurable_claim",
    "change in place": "meetings: change, take",
    "change that trusts a lost claim": "meetings: change, take",
    "change whose intent is not durable": "power_losses: change",
    "change by removing first": "deaths: change",
    "change by publishing first": "deaths: change",
    "recovery ignores a living owner": "meetings: take, next runner",
    "requeue on unknown": "power_losses: claim_and_start",
    "replace by remove and rename": "deaths: replace_file",
    "directories that are not durable": "new_leases",
    "a runner serves any lease of its number": "strangers",
    "an answer judges another cluster's leases": "foreign_answers",
    "an end settles the nodes of other jobs": "ends_of_one",
    "a line is a job's by its number": "lines_of_another",
}
"""What was seen to catch a mutant, if not the first case: it is tried first, and all else if it no longer does."""
