"""From how a task has ended to what its call gave, or to the exception that says what became of it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import CancelledError
from operator import itemgetter
from typing import Any

from leaseq import payload
from leaseq.api.errors import Lost, RemoteError, RemoteTraceback, TaskFailed, TaskTimeout
from leaseq.models import Outcome, State
from leaseq.names import parse_id
from leaseq.payload import Failure, Strange
from leaseq.protocol import calls
from leaseq.reading.find import Search
from leaseq.reading.logtail import chunks, start_of_last_lines
from leaseq.reading.output import log_of
from leaseq.reading.snapshot import Reader

LINES = 20
"""So many lines of a failed task's output are shown."""
KINDS = {State.TIMEOUT: TaskTimeout, State.LOST: Lost}


def value_of(reader: Reader, outcome: Outcome) -> Any:
    """What the call of the ended task gave; of a `map`, or an index of one, a list of what its calls gave.

    Of a task that makes no call it is the outcome. Raises what a call has raised, or why there is no result.
    """
    if calls.was_call(outcome.task):
        raise TaskFailed(f"{outcome.task.id} was removed by `leaseq clean`, and what its call gave", outcome=outcome)
    if not calls.directory_in(outcome.task.argv):
        if outcome.state is not State.DONE:
            raise failure_of(reader, outcome)
        return outcome
    if outcome.task.array is not None:
        array = Search(reader).indexed(outcome.task.id)
        return [
            value for _, end in sorted(array.ends(array.every), key=itemgetter(0)) for value in values_of(reader, end)
        ]
    values = values_of(reader, outcome)
    if parse_id(outcome.task.id)[1] is not None:
        return values
    if not values:
        raise failure_of(reader, outcome)
    return values[0]


def values_of(reader: Reader, outcome: Outcome) -> list[Any]:
    """What the calls of the ended task, or index, gave; raises what one of them has raised."""
    return [raised(each, reader, outcome) for each in records_of(reader, outcome)]


def records_of(reader: Reader, outcome: Outcome) -> Iterator[Any]:
    """What each call of the ended task, or index, came to; raises TaskFailed if that is not known, and CancelledError.

    Its outcome says whether a result counts: of a task that was cancelled, or is lost, none does.
    """
    directory = calls.directory_in(outcome.task.argv)
    if outcome.state is State.CANCELLED:
        raise CancelledError(f"{outcome.task.id} was cancelled")
    if outcome.state not in (State.DONE, State.FAILED):
        raise failure_of(reader, outcome)
    try:
        file = payload.open_own(f"{directory}/{payload.result_name(outcome.task.id, outcome.attempt)}")
    except FileNotFoundError:
        raise failure_of(reader, outcome) from None
    except (Strange, OSError) as error:
        raise TaskFailed(f"{outcome.task.id}: {error}", outcome=outcome) from None
    failed = False
    with file:
        records = payload.records_of(file)
        while True:
            try:
                record = next(records)
            except StopIteration:
                break
            except Exception as error:
                said = f"{outcome.task.id} has a result, which cannot be read here: {type(error).__name__}: {error}"
                raise TaskFailed(said, outcome=outcome) from error
            failed = failed or isinstance(record, Failure)
            yield record
    if outcome.state is State.FAILED and not failed:
        raise failure_of(reader, outcome)  # it has ended badly after its calls


def raised(record: Any, reader: Reader, outcome: Outcome) -> Any:
    """The record, if it is a value; raises the exception that it is."""
    if isinstance(record, Failure):
        raise exception_of(record, outcome)
    return record


def exception_of(failure: Failure, outcome: Outcome) -> Exception:
    """What the call has raised, with the traceback of where it was as its cause."""
    error: object = None
    if failure.pickled is not None:
        try:
            error = pickle.loads(failure.pickled)
        except Exception:
            error = None
    if not isinstance(error, Exception):
        error = RemoteError(f"{outcome.task.id} raised {failure.name}: {failure.message}", outcome=outcome)
    error.__cause__ = RemoteTraceback(failure.traceback) if failure.traceback else None
    return error


def failure_of(reader: Reader, outcome: Outcome) -> TaskFailed:
    """What is said of a task that has no result to read."""
    code = "" if outcome.exit_code is None else f" with exit code {outcome.exit_code}"
    reason = f" ({outcome.reason})" if outcome.reason else ""
    text = f"{outcome.task.id} {outcome.state.name}{code}{reason}"
    if outcome.state is State.DONE:
        text += ", and its call gave no result"
    return KINDS.get(outcome.state, TaskFailed)(text, outcome=outcome, lines=last_lines(reader, outcome))


def last_lines(reader: Reader, outcome: Outcome) -> tuple[str, ...]:
    """The last lines of its standard error; if it wrote none, of its standard output."""
    for stream in ("err", "out"):
        try:
            log = log_of(reader, outcome.task.id, outcome.attempt, stream)
            data = b"".join(chunks(log, start_of_last_lines(log, LINES)))
        except OSError:
            continue
        if data.strip():
            return tuple(data.decode("utf-8", "replace").splitlines())
    return ()
