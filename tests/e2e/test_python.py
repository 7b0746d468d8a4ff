"""leaseq from Python, on a real lease: what `concurrent.futures` promises, and what leaseq promises besides.

The first part is CPython's own tests of executors (Lib/test/test_concurrent_futures, mixins for submit, map, shutdown,
wait and as_completed), for calls that are tasks.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import os
import re
import signal
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import pytest

import leaseq
from leaseq.api import home
from leaseq.api.executor import INDICES_MAX, INDICES_MIN
from leaseq.models import State
from leaseq.world import process_start
from tests.e2e import called
from tests.e2e.cli import Box
from tests.e2e.harness import ROOT
from tests.patience import PATIENCE_SECONDS, wait_until

PATIENCE = PATIENCE_SECONDS


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A home for all of these tests, and this process in it."""
    made = Box(tmp_path_factory.mktemp("py"))
    before = {name: os.environ.get(name) for name in ("LEASEQ_HOME", "LEASEQ_NODE_DIR")}
    os.environ.update({name: made.environment[name] for name in before})
    yield made
    made.close()
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture
def ex(box: Box) -> Iterator[leaseq.Executor]:
    """An executor whose tasks share the node."""
    with leaseq.Executor(cpus=1, cwd=str(box.work)) as executor:
        yield executor


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file that `called.until` waits for; it comes at the test's end at the latest."""
    path = tmp_path / "gate"
    yield path
    path.touch()


def running(future: leaseq.Future[Any]) -> None:
    """The task runs, and its call has begun to wait."""
    wait_until(lambda: "waits" in future.log(), f"{future.id} waits", seen=future.task)
    assert future.running()


# -- ExecutorTest -----------------------------------------------------------------------------------------------------


def test_submit_gives_the_value(ex: leaseq.Executor) -> None:
    assert ex.submit(pow, 2, 8).result(PATIENCE) == 256


def test_submit_passes_keywords_even_those_that_are_called_as_its_own(ex: leaseq.Executor) -> None:
    future = ex.submit(called.capture, 1, self=2, fn=3)
    assert future.result(PATIENCE) == ((1,), {"self": 2, "fn": 3})
    with pytest.raises(TypeError):
        ex.submit(fn=called.capture, arg=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        ex.submit(arg=1)  # type: ignore[call-arg]


def test_map_gives_the_values_in_order_as_an_iterator(ex: leaseq.Executor) -> None:
    assert list(ex.map(pow, range(10), range(10))) == list(map(pow, range(10), range(10)))
    assert list(ex.map(pow, range(10), range(10), chunksize=3)) == list(map(pow, range(10), range(10)))
    values = ex.map(called.add, [1, 2], [3])
    assert next(values) == 4
    assert list(values) == []
    assert list(ex.map(called.add, [])) == []


def test_map_raises_at_the_place_of_the_call_that_raised(ex: leaseq.Executor) -> None:
    values = ex.map(called.divided, [1, 1, 1, 1], [2, 3, 0, 5])
    assert (next(values), next(values)) == (1 / 2, 1 / 3)
    with pytest.raises(ZeroDivisionError):
        next(values)


def test_map_with_a_timeout_gives_what_has_come_and_then_raises(ex: leaseq.Executor, gate: Path) -> None:
    values = ex.map(called.until, [os.devnull, str(gate)], timeout=2)
    with pytest.raises(concurrent.futures.TimeoutError):
        list(values)


def test_a_chunksize_below_one_is_refused(ex: leaseq.Executor) -> None:
    for size in (0, -1):
        with pytest.raises(ValueError, match="chunksize"):
            ex.map(str, [1], chunksize=size)


def test_an_executor_keeps_no_reference_to_what_was_called(ex: leaseq.Executor) -> None:
    class Argument:
        def __reduce__(self) -> tuple[Any, ...]:
            return int, (3,)

    argument = Argument()
    gone = weakref.ref(argument)
    future = ex.submit(called.add, argument)  # type: ignore[arg-type]
    del argument
    assert future.result(PATIENCE) == 3
    wait_until(lambda: gc.collect() >= 0 and gone() is None, "the argument is collected")


# -- ExecutorShutdownTest ---------------------------------------------------------------------------------------------


def test_nothing_can_be_queued_after_a_shutdown(box: Box) -> None:
    executor = leaseq.Executor(cpus=1)
    view = executor.options(name="x")
    executor.shutdown()
    for act in (
        lambda: executor.submit(pow, 2, 5),
        lambda: executor.map(pow, [1], [2]),
        lambda: executor.command(["true"]),
        lambda: view.submit(pow, 2, 5),
    ):
        with pytest.raises(RuntimeError, match="after shutdown"):
            act()


def test_shutdown_waits_and_without_wait_it_does_not(box: Box, gate: Path) -> None:
    executor = leaseq.Executor(cpus=1)
    future, values = executor.submit(called.until, str(gate), 5), executor.map(called.add, [1, 2])
    executor.shutdown(wait=False)
    assert not future.done()
    gate.touch()
    executor.shutdown()
    assert future.done() and values.done()
    assert (future.result(), list(values)) == (5, [1, 2])


def test_shutdown_may_cancel_what_has_not_started(box: Box, gate: Path) -> None:
    with leaseq.Executor() as executor:  # without a need each has the node alone
        first = executor.submit(called.until, str(gate), 1)
        others = [executor.submit(called.add, 1) for _ in range(3)]
        values = executor.map(called.add, range(3))
        running(first)
        executor.shutdown(wait=False, cancel_futures=True)
        assert [each.cancelled() for each in others] == [True] * 3
        gate.touch()
    assert first.result() == 1
    with pytest.raises(CancelledError):
        next(values)


# -- WaitTests, AsCompletedTests --------------------------------------------------------------------------------------


def test_wait_for_the_first(ex: leaseq.Executor, gate: Path) -> None:
    one: Future[Any] = ex.submit(called.add, 3)
    other: Future[Any] = ex.submit(called.until, str(gate))
    done, left = concurrent.futures.wait([one, other], PATIENCE, return_when=concurrent.futures.FIRST_COMPLETED)
    assert (done, left) == ({one}, {other})


def test_wait_for_the_first_exception(ex: leaseq.Executor, gate: Path) -> None:
    one: Future[Any] = ex.submit(called.raises, "x")
    other: Future[Any] = ex.submit(called.until, str(gate))
    done, left = concurrent.futures.wait([one, other], PATIENCE, return_when=concurrent.futures.FIRST_EXCEPTION)
    assert (done, left) == ({one}, {other})


def test_wait_for_all_or_until_the_time_is_over(ex: leaseq.Executor, gate: Path) -> None:
    one: Future[Any] = ex.submit(called.add, 3)
    other: Future[Any] = ex.submit(called.until, str(gate))
    one.result(PATIENCE)
    assert concurrent.futures.wait([one, other], 0.1) == ({one}, {other})
    gate.touch()
    assert concurrent.futures.wait([one, other], PATIENCE) == ({one, other}, set())


def test_as_completed_gives_each_once(ex: leaseq.Executor) -> None:
    futures = [ex.submit(called.add, number) for number in range(3)]
    found = list(concurrent.futures.as_completed([*futures, *futures], PATIENCE))
    assert sorted(each.result() for each in found) == [0, 1, 2]


def test_as_completed_with_no_time_gives_what_has_come(ex: leaseq.Executor, gate: Path) -> None:
    one: Future[Any] = ex.submit(called.add, 3)
    other: Future[Any] = ex.submit(called.until, str(gate))
    one.result(PATIENCE)
    seen = set()
    with pytest.raises(concurrent.futures.TimeoutError):
        for each in concurrent.futures.as_completed([one, other], timeout=0):
            seen.add(each)
    assert seen == {one}


def test_a_future_can_be_awaited_and_calls_back(ex: leaseq.Executor) -> None:
    heard: list[int] = []

    async def both() -> list[int]:
        futures = [ex.submit(called.add, number) for number in (1, 2)]
        for each in futures:
            each.add_done_callback(lambda future: heard.append(future.result()))
        return await asyncio.gather(*map(asyncio.wrap_future, futures))

    assert asyncio.run(both()) == [1, 2]
    wait_until(lambda: sorted(heard) == [1, 2], "both callbacks")


# -- what became of a call -------------------------------------------------------------------------------------------


def test_an_exception_comes_with_the_traceback_of_where_it_was_raised(ex: leaseq.Executor) -> None:
    future = ex.submit(called.raises, "no such thing")
    with pytest.raises(ValueError, match="no such thing") as caught:
        future.result(PATIENCE)
    cause = caught.value.__cause__
    assert isinstance(cause, leaseq.RemoteTraceback)
    assert "called.py" in str(cause) and "raise ValueError(message)" in str(cause)
    assert future.outcome is not None
    assert (future.outcome.state, future.outcome.exit_code) == (State.FAILED, 1)
    assert "no such thing" in future.log("err")


def test_an_exception_that_no_pickle_can_bring_is_told_with_its_name(ex: leaseq.Executor) -> None:
    with pytest.raises(leaseq.RemoteError, match="raised Peculiar: what") as caught:
        ex.submit(called.peculiar).result(PATIENCE)
    assert "called.py" in str(caught.value.__cause__)


def test_a_process_that_dies_is_told_by_its_exit_code_and_its_last_words(ex: leaseq.Executor) -> None:
    with pytest.raises(leaseq.TaskFailed, match="with exit code 9") as caught:
        ex.submit(called.ends_process, 9).result(PATIENCE)
    assert caught.value.lines == ("last words",)
    with pytest.raises(leaseq.TaskFailed, match="FAILED with exit code 3"):
        ex.submit(called.leaves, 3).result(PATIENCE)
    with pytest.raises(leaseq.TaskFailed, match="DONE with exit code 0, and its call gave no result"):
        ex.submit(called.leaves, 0).result(PATIENCE)


def test_a_call_that_saves_at_term_keeps_its_exit_code_whatever_comes_then(ex: leaseq.Executor) -> None:
    future = ex.submit(called.saves)
    running(future)
    leaseq.send_signal(future.id, signal=signal.SIGTERM)
    with pytest.raises(leaseq.TaskFailed, match="FAILED with exit code 75"):
        future.result(PATIENCE)
    assert "SIG_IGN" in future.log().splitlines()[-1]


def test_a_value_that_cannot_be_pickled_is_an_error_that_names_its_kind(ex: leaseq.Executor) -> None:
    future = ex.submit(called.lock)
    with pytest.raises(Exception, match="the call gave a lock, which cannot be pickled"):
        future.result(PATIENCE)
    assert future.outcome is not None and future.outcome.state is State.FAILED


def test_a_time_limit_is_an_error_of_its_own(ex: leaseq.Executor) -> None:
    with pytest.raises(leaseq.TaskTimeout):
        ex.options(time="0:01").submit(called.seconds, PATIENCE).result(PATIENCE)


def test_one_that_waits_is_cancelled_and_one_that_runs_is_not_but_can_be_killed(box: Box, gate: Path) -> None:
    with leaseq.Executor() as executor:
        first, second = executor.submit(called.until, str(gate)), executor.submit(called.add, 1)
        running(first)
        assert (first.cancel(), first.done()) == (False, False)
        assert (second.cancel(), second.cancelled(), second.cancel()) == (True, True, True)
        with pytest.raises(CancelledError):
            second.result()
        first.kill()
        with pytest.raises(CancelledError):
            first.result(PATIENCE)
        assert first.cancelled() and first.outcome is not None


def test_what_a_person_cancels_is_cancelled_for_the_program(box: Box, gate: Path) -> None:
    with leaseq.Executor() as executor:
        first, second = executor.submit(called.until, str(gate)), executor.submit(called.add, 1)
        running(first)
        box.run("cancel", second.id, code=0)
        with pytest.raises(CancelledError):
            second.result(PATIENCE)
        gate.touch()


def test_a_call_with_retries_gives_what_its_last_attempt_gives(ex: leaseq.Executor, tmp_path: Path) -> None:
    future = ex.options(retries=1).submit(called.fails_once, str(tmp_path / "once"))
    assert future.result(PATIENCE) == "2"


def test_a_future_follows_its_id_over_a_retry_in_place(box: Box, ex: leaseq.Executor, tmp_path: Path) -> None:
    future = ex.submit(called.fails_once, str(tmp_path / "once"))
    with pytest.raises(RuntimeError, match="the first time"):
        future.result(PATIENCE)
    box.run("retry", future.id, code=0)
    assert leaseq.future(future.id).result(PATIENCE) == "2"


def test_a_task_is_queued_after_others(ex: leaseq.Executor, gate: Path) -> None:
    first = ex.submit(called.until, str(gate), 1)
    second = ex.options(after=first).submit(called.add, 2)
    third = ex.command("echo three", after=[first.id, second])
    assert [each.reason.partition(":")[0] for each in (second.task(), third.task())] == ["Dependency"] * 2
    gate.touch()
    assert (second.result(PATIENCE), third.result(PATIENCE).state) == (2, State.DONE)
    assert third.log() == "three\n"


def test_a_command_that_fails_raises_with_its_output(ex: leaseq.Executor) -> None:
    with pytest.raises(leaseq.TaskFailed, match="exit code 4") as caught:
        ex.command("echo oh no >&2; exit 4").result(PATIENCE)
    assert caught.value.lines == ("oh no",)
    assert caught.value.outcome.exit_code == 4


# -- map ---------------------------------------------------------------------------------------------------------------


def test_a_map_is_one_array_whose_indices_make_several_calls_in_one_process(ex: leaseq.Executor) -> None:
    values = ex.map(called.process, range(6), chunksize=3)
    pids = list(values)
    assert len(set(pids[:3])) == len(set(pids[3:])) == 1 and pids[0] != pids[3]
    row = values.task()
    assert row.array is not None and row.array.size == 2


def test_a_map_without_a_chunksize_has_at_most_so_many_indices(ex: leaseq.Executor) -> None:
    values = ex.options(hold=True).map(called.add, range(100_000))
    row = values.task()
    assert row.array is not None and INDICES_MIN <= row.array.size <= INDICES_MAX
    few = ex.options(hold=True).map(called.add, range(INDICES_MIN))
    row = few.task()
    assert row.array is not None and row.array.size == INDICES_MIN
    few.kill()
    values.kill()
    with pytest.raises(CancelledError):
        next(values)


def test_what_raises_in_a_block_does_not_keep_its_others_from_their_values(ex: leaseq.Executor) -> None:
    values = ex.map(called.odd_raises, range(4), chunksize=4)
    found = list(values.records())
    assert [str(each) for each in found] == ["0", "1", "2", "3"]
    assert [isinstance(each, ValueError) for each in found] == [False, True, False, True]
    assert leaseq.future(f"{values.id}_0").exception(PATIENCE) is not None


def test_a_map_is_had_again_by_its_id_whole_or_an_index_of_it(ex: leaseq.Executor) -> None:
    values = ex.map(called.add, range(5), chunksize=2)
    assert list(leaseq.results(values.id)) == [0, 1, 2, 3, 4]
    assert leaseq.future(values.id).result(PATIENCE) == [0, 1, 2, 3, 4]
    assert leaseq.future(f"{values.id}_1").result(PATIENCE) == [2, 3]


# -- other processes ---------------------------------------------------------------------------------------------------

DRIVER = """
import sys, leaseq
from tests.e2e import called
ex = leaseq.Executor(cpus=1)
with ex:
    future = ex.submit(called.until, sys.argv[1], 41)
    values = ex.map(called.add, range(3), chunksize=2)
    print(future.id, values.id, flush=True)
    future.result()
"""


def driver(box: Box, text: str, *words: str, **options: Any) -> subprocess.Popen[str]:
    path = box.path / "driver.py"
    path.write_text(textwrap.dedent(text))
    environment = {**box.environment, **options.pop("env", {})}
    return subprocess.Popen(
        [sys.executable, str(path), *words],
        env=environment,
        cwd=box.work,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(process.communicate()) from None
    return process.returncode, out, err


def test_a_driver_that_is_killed_leaves_its_tasks_to_another_process(box: Box, gate: Path) -> None:
    process = driver(box, DRIVER, str(gate))
    assert process.stdout is not None
    future_id, array_id = process.stdout.readline().split()
    process.kill()
    ended(process)
    future = leaseq.future(future_id)
    assert not future.done()
    gate.touch()
    assert future.result(PATIENCE) == 41
    assert list(leaseq.results(array_id)) == [0, 1, 2]
    assert leaseq.future(future_id).result(0) == 41  # it had ended before


def test_ctrl_c_leaves_the_tasks_running_and_prints_their_ids(box: Box, gate: Path) -> None:
    process = driver(box, DRIVER, str(gate), start_new_session=True)
    assert process.stdout is not None
    future_id, _ = process.stdout.readline().split()
    future = leaseq.future(future_id)
    running(future)
    process.send_signal(signal.SIGINT)
    code, _, err = ended(process)
    assert code == -signal.SIGINT and "leaseq: 2 tasks go on: " in err and future_id in err
    assert not future.done()
    gate.touch()
    assert future.result(PATIENCE) == 41


def test_a_runner_that_is_killed_keeps_no_result_back(box: Box, gate: Path) -> None:
    with leaseq.Executor(cpus=1) as executor:
        future = executor.submit(called.until, str(gate), 7)
        running(future)
        box.run("daemon", "stop", code=0)
        gate.touch()
        box.run("daemon", "start", code=0)
        assert future.result(PATIENCE) == 7


def test_a_runner_that_is_killed_outright_keeps_no_result_back(box: Box, gate: Path) -> None:
    with leaseq.Executor(cpus=1) as executor:
        future = executor.submit(called.until, str(gate), 8)
        running(future)
        os.kill(pid := box.runner_pid, signal.SIGKILL)
        wait_until(lambda: not process_start(pid), "the runner's end")
        gate.touch()
        second = executor.submit(called.add, 1)  # whoever makes backlog sees to a runner
        assert (second.result(PATIENCE), future.result(PATIENCE)) == (1, 8)


def test_a_task_of_which_nobody_knows_how_it_ended_is_lost_and_not_run_again(box: Box, gate: Path) -> None:
    executor = leaseq.Executor(cpus=1)
    future = executor.submit(called.until, str(gate), 8)
    running(future)
    # The runner first, which would start another keeper, and the keeper before the task, whose end it would see.
    for holder in (home.access().host().runner(), home.access().host().keeper()):
        assert holder is not None
        os.kill(holder.pid, signal.SIGKILL)
        wait_until(lambda holder=holder: not holder.alive(), "its end")  # type: ignore[misc]
    box.kill_all()
    executor.submit(called.add, 1).result(PATIENCE)
    with pytest.raises(leaseq.Lost):
        future.result(PATIENCE)
    assert future.task().state is State.LOST
    gate.touch()
    leaseq.recover(future.id)
    assert leaseq.future(future.id).result(PATIENCE) == 8


def test_what_was_cancelled_while_there_was_no_runner_is_cancelled_for_the_program(box: Box) -> None:
    box.run("daemon", "stop")
    with leaseq.Executor(start=False) as executor:
        future, values = executor.submit(called.add, 1), executor.map(called.add, [1, 2])
        box.run("cancel", future.id, values.id, code=0)
        with pytest.raises(CancelledError):
            future.result(PATIENCE)
        with pytest.raises(CancelledError):
            next(values)


def test_a_result_larger_than_any_record_may_be_arrives(ex: leaseq.Executor) -> None:
    size = (64 << 20) + 1
    assert len(ex.submit(bytes, size).result(PATIENCE)) == size


IN_MAIN = """
import leaseq
def mine(x): return x + 1
class Point:
    def __init__(self, x): self.x = x
def point(x): return Point(x)
with leaseq.Executor(cpus=1) as ex:
    try:
        values = [each.x for each in ex.map(point, [1, 2])]
        print(ex.submit(mine, 1).result(), values, type(ex.submit(point, 1).result()) is Point)
    except leaseq.LeaseqError as error:
        print(type(error).__name__, error, error.hint)
"""


def test_functions_and_classes_of_the_program_itself_are_sent_by_cloudpickle(box: Box) -> None:
    pytest.importorskip("cloudpickle")
    assert ended(driver(box, IN_MAIN)) == (0, "2 [1, 2] True\n", "")


def test_without_cloudpickle_they_are_refused_and_the_next_step_is_named(box: Box, tmp_path: Path) -> None:
    (tmp_path / "cloudpickle.py").write_text("raise ImportError('not here')\n")
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    before = sorted(box.home.glob("runs/*/results/*/*"))
    code, out, err = ended(driver(box, IN_MAIN, env=env))
    assert (code, err) == (0, "")
    assert "is of the program itself (__main__)" in out and "pip install cloudpickle" in out
    assert sorted(box.home.glob("runs/*/results/*/*")) == before
    text = "import leaseq\nwith leaseq.Executor(cpus=1) as ex: print(ex.submit(pow, 2, 3).result())\n"
    assert ended(driver(box, text, env=env)) == (0, "8\n", "")


# -- files ------------------------------------------------------------------------------------------------------------


def test_calls_and_results_are_private_and_go_with_clean(box: Box, ex: leaseq.Executor) -> None:
    future = ex.submit(called.add, 1, 2)
    future.result(PATIENCE)
    place = home.access().home.lease(future.lease).call(future.id)
    modes = {path.name: path.stat().st_mode & 0o777 for path in Path(place).iterdir()}
    assert modes == {"call": 0o600, f"{future.id}.1.result": 0o600}
    assert Path(place).stat().st_mode & 0o777 == 0o700
    box.clean()
    assert not os.path.exists(place)
    with pytest.raises(leaseq.TaskFailed, match="was removed by `leaseq clean`"):
        leaseq.future(future.id).result(PATIENCE)


def test_a_result_that_others_may_write_is_not_read(ex: leaseq.Executor) -> None:
    future = ex.submit(called.add, 1, 2)
    future.result(PATIENCE)
    place = home.access().home.lease(future.lease).call(future.id)
    os.chmod(f"{place}/{future.id}.1.result", 0o622)
    with pytest.raises(leaseq.TaskFailed, match="not a file of yours alone"):
        leaseq.future(future.id).result(PATIENCE)


def test_a_result_that_is_no_result_any_more_is_said_to_be(ex: leaseq.Executor) -> None:
    future = ex.submit(called.add, 1, 2)
    future.result(PATIENCE)
    path = Path(home.access().home.lease(future.lease).call(future.id), f"{future.id}.1.result")
    whole = path.read_bytes()
    for data in (whole[:-2], b"V" + b"cno_such_module\nthing\n.", b"what is this"):
        path.write_bytes(data)
        with pytest.raises(leaseq.TaskFailed, match="has a result, which cannot be read here"):
            leaseq.future(future.id).result(PATIENCE)
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    with pytest.raises(leaseq.TaskFailed, match="symbolic links"):
        leaseq.future(future.id).result(PATIENCE)


def test_a_redone_call_is_made_again(box: Box, ex: leaseq.Executor) -> None:
    future = ex.submit(called.add, 1, 2)
    future.result(PATIENCE)
    again = box.run("redo", future.id, code=0).id
    assert leaseq.future(again).result(PATIENCE) == 3


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"timme": "2h"}, "there is no option 'timme'"),
    ({"gpus": "some"}, "gpus 'some' is not a whole number"),
    ({"time": "soon"}, "time 'soon' is not a duration"),
    ({"env": {"LEASEQ_TASK_ID": "x"}}, "the node sets it"),
    ({"on_lost": "cry"}, "on_lost 'cry' is not known"),
    ({"name": "a b"}, "not a valid name"),
]
STRANGE: list[tuple[dict[str, Any], str]] = [
    ({"lease": "nowhere"}, "there is no lease 'nowhere'"),
    ({"cpus": 99999}, "can ever run this"),
    ({"after": "T00000000000"}, "no task 'T00000000000'"),
]


def test_a_wrong_word_is_refused_before_anything_is_queued(box: Box) -> None:
    before = sorted(box.home.glob("runs/*/results/*/*"))
    for options, text in WRONG:
        with pytest.raises(leaseq.LeaseqError, match=text):
            leaseq.Executor(**options)
    for options, text in STRANGE:
        executor = leaseq.Executor(**options)
        with pytest.raises(leaseq.LeaseqError, match=text):
            executor.submit(called.add, 1)
        executor.shutdown()
    with pytest.raises(leaseq.LeaseqError, match="no task 'T00000000000'"):
        leaseq.future("T00000000000")
    assert sorted(box.home.glob("runs/*/results/*/*")) == before


def test_many_futures_are_watched_by_one_thread(ex: leaseq.Executor) -> None:
    import threading

    futures = [ex.submit(called.add, number) for number in range(8)]
    names = [each.name for each in threading.enumerate()]
    assert names.count("leaseq watcher") <= 1
    assert [each.result(PATIENCE) for each in futures] == list(range(8))
    wait_until(lambda: "leaseq watcher" not in [each.name for each in threading.enumerate()], "the watcher's end")


# -- the page ----------------------------------------------------------------------------------------------------------

PAGE = (ROOT / "docs/python.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
MODULE, *PROGRAMS = BLOCKS


def said(program: str) -> str:
    """What the comments behind its prints say that it prints, as a pattern."""
    texts = re.findall(r"^ *print\(.*\) +# (.*)$", program, re.MULTILINE)
    return re.sub(r"T3k9\w*", r"T\\w{11}", re.escape(" ".join(texts)).replace(r"\ ", r"\s+"))


def test_the_page_has_programs_and_every_print_says_what_it_prints() -> None:
    assert MODULE.startswith("# study.py") and len(PROGRAMS) >= 5
    assert PAGE.count("print(") == len(re.findall(r"print\(.*\) +# .", PAGE))


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_every_program_of_the_page_prints_what_it_says(box: Box, number: int) -> None:
    (box.path / "study.py").write_text(MODULE)
    code, out, err = ended(driver(box, PROGRAMS[number]))
    assert (code, err) == (0, "")
    assert re.fullmatch(said(PROGRAMS[number]), " ".join(out.split()))


# -- functions ---------------------------------------------------------------------------------------------------------


def test_what_commands_do_is_a_function_that_gives_values_and_prints_nothing(
    box: Box, capfd: pytest.CaptureFixture[str]
) -> None:
    one, other = leaseq.submit_many([["false"], "echo $WORD; echo err >&2"], cpus=1, env={"WORD": "hi"}, cwd=box.work)
    waited = leaseq.wait(one, other, timeout=PATIENCE)
    assert {task_id: end.state for task_id, end in waited.ended.items()} == {one: State.FAILED, other: State.DONE}
    assert (leaseq.log(other), leaseq.log(other, "err"), leaseq.task(one).exit_code) == ("hi\n", "err\n", 1)
    end = leaseq.outcome(other)
    assert end is not None and end.exit_code == 0
    held = leaseq.submit("true", hold=True, name="held", group="g")
    assert leaseq.outcome(held) is None
    assert [row.id for row in leaseq.tasks(states=["pending"], group="g")] == [held]
    assert leaseq.why(held).words and leaseq.wait(held, timeout=0).late
    (changed,) = leaseq.change(held, cpus=1, priority=7, group="h", name="other")
    assert changed.said and leaseq.task(held).group == "h"
    assert "h" in [each.name for each in leaseq.groups().groups]
    (done,) = leaseq.cancel(held)
    assert done.outcome is not None and done.outcome.state is State.CANCELLED
    (again,) = leaseq.redo(held, cpus=1)
    assert leaseq.wait(again, timeout=PATIENCE).ended[again].state is State.DONE
    leaseq.retry(one, cpus=1, name="once-more")
    assert leaseq.wait(one, timeout=PATIENCE).ended[one].attempt == 2
    assert [view.id for view in leaseq.leases()] == [leaseq.snapshot().lease_id]
    leaseq.pause()
    waits = leaseq.submit("true", cpus=1)
    assert leaseq.snapshot().limits.paused
    leaseq.resume()
    assert leaseq.wait(waits, timeout=PATIENCE).ended[waits].state is State.DONE
    runs = leaseq.submit("trap 'echo got; exit 5' USR1; echo up; while :; do sleep 0.05; done", cpus=1)
    wait_until(lambda: "up" in leaseq.log(runs), "the trap", seen=lambda: leaseq.task(runs))
    leaseq.send_signal(runs, signal=signal.SIGUSR1, leader=True)
    assert leaseq.wait(runs, timeout=PATIENCE).ended[runs].exit_code == 5
    assert capfd.readouterr() == ("", "")


def test_what_is_written_is_followed_over_attempts_until_the_task_has_ended(
    box: Box, gate: Path, tmp_path: Path
) -> None:
    line = (
        f"echo one é; until [ -e {gate} ]; do sleep 0.05; done; echo two; mkdir {tmp_path}/x 2>/dev/null && exit 1; :"
    )
    task = leaseq.submit(line, cpus=1, retries=1)
    parts = leaseq.follow(task)
    assert next(parts) == "one é\n"
    gate.touch()
    assert "".join(parts) == "two\none é\ntwo\n"
    assert "".join(leaseq.follow(task, "err")) == ""
    array = leaseq.submit_array("echo {i}", indices="0-1", cpus=1)
    assert "".join(leaseq.follow(f"{array}_1")) == "1\n"
    box.clean()
    assert "".join(leaseq.follow(task)) == ""


def test_what_can_be_asked_of_tasks_and_leases_is_given_as_values(
    box: Box, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    array = leaseq.submit_array("[ {i} = 0 ] || { echo 'no such file: x'; exit 3; }", indices="0-2", cpus=1)
    fine = leaseq.submit_array("true", indices="0-1", cpus=1)
    leaseq.wait(array, fine, timeout=PATIENCE)
    found = leaseq.triage(array)
    assert found is not None and (found.row.id, found.row.exit_code) == (f"{array}_1", 3)
    assert found.lines == ("no such file: x",)
    assert leaseq.triage(fine) is None
    detail = leaseq.details(f"{array}_1")
    assert detail.task is not None and [each.exit_code for each in detail.outcomes] == [3]
    held, pending = leaseq.report("1h")
    assert {run.run.id for run in held.ran} >= {f"{array}_{n}" for n in range(3)} and pending.tasks == 0
    info = leaseq.lease_info()
    assert info.view.lease.id == info.snapshot.lease_id and info.snapshot.nodes[0].health.serving
    assert {each.what for each in leaseq.doctor()} >= {"python", "home", "renames, links"}
    assert leaseq.settings().origin["idle"] == "default"
    runner = leaseq.host_runner()
    assert runner.pid == box.runner_pid and runner.lease == info.snapshot.lease_id
    assert leaseq.stop_runner(drain=True).before and leaseq.host_runner().pid is None
    assert not leaseq.start_runner().already and leaseq.start_runner(again=True).pid != runner.pid
    assert capfd.readouterr() == ("", "")


def test_hooks_are_added_tried_listed_and_removed(box: Box, tmp_path: Path) -> None:
    hook = leaseq.add_hook("log", f"cat >{tmp_path}/heard", on=["failed", "lost"], every_seconds=30)
    assert (hook.on, hook.every_seconds) == (("failed", "lost"), 30)
    assert leaseq.try_hook("log").code == 0 and "a test of this hook" in (tmp_path / "heard").read_text()
    assert [each.name for each in leaseq.hooks()] == ["log"]
    leaseq.add_hook("phone", ready="webhook", to="https://localhost/topic")
    leaseq.remove_hook("phone")
    leaseq.remove_hook("log")
    assert leaseq.hooks() == []


def test_what_the_code_of_a_task_differed_in_is_given_as_text(box: Box, tmp_path: Path) -> None:
    def git(*words: str) -> None:
        name = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *name, *words], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "code.py").write_text("one\n")
    git("init", "-q")
    git("add", "code.py")
    git("commit", "-q", "-m", "first")

    def submitted() -> str:
        return leaseq.submit("true", cpus=1, cwd=tmp_path)

    def differs(task_id: str) -> bool | None:
        task = leaseq.details(task_id).task
        return task.origin.dirty if task is not None and task.origin is not None else None

    as_it_is = wait_until(lambda: task if differs(task := submitted()) is False else "", "what git says comes in time")
    (tmp_path / "code.py").write_text("two\n")
    # What git said is believed for two seconds.
    changed = wait_until(lambda: task if differs(task := submitted()) else "", "git is asked again")
    leaseq.wait(as_it_is, changed, timeout=PATIENCE)
    assert leaseq.diff(as_it_is) == ""
    assert "-one\n+two\n" in leaseq.diff(changed)
    assert "-one\n+two\n" in leaseq.diff(as_it_is, changed)
    assert leaseq.diff(changed, changed) == ""


def test_a_task_of_a_program_records_the_commit_that_it_is_made_from(box: Box, tmp_path: Path) -> None:
    def git(*words: str) -> str:
        name = ("-c", "user.name=a", "-c", "user.email=a@b")
        return subprocess.run(["git", *name, *words], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    ids = [leaseq.submit("true", cpus=1, cwd=tmp_path) for _ in range(2)]
    ids.append(leaseq.Executor(cpus=1, cwd=tmp_path).submit(called.add, 1).id)
    leaseq.wait(*ids, timeout=PATIENCE)
    ends = [leaseq.outcome(each) for each in ids]
    found = [end.task.origin.commit for end in ends if end is not None and end.task.origin is not None]
    assert found == [git("rev-parse", "HEAD").strip()] * 3


def test_an_act_on_several_tasks_is_tried_for_each_and_unknown_ids_stop_it(box: Box) -> None:
    ended_one, first, second = (
        leaseq.submit("true", cpus=1),
        leaseq.submit("true", hold=True),
        leaseq.submit("true", hold=True),
    )
    leaseq.wait(ended_one, timeout=PATIENCE)
    with pytest.raises(leaseq.LeaseqError, match="no task 'T00000000000'"):
        leaseq.cancel(first, "T00000000000")
    assert leaseq.task(first).state is State.PENDING
    with pytest.raises(leaseq.LeaseqError, match="has ended already"):
        leaseq.cancel(ended_one, first, second)
    assert [leaseq.task(each).state for each in (first, second)] == [State.CANCELLED] * 2


def test_nothing_is_changed_where_the_environment_forbids_it(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = leaseq.submit("true", hold=True)
    monkeypatch.setenv("LEASEQ_READONLY", "1")
    acts: list[Callable[[], object]] = [
        lambda: leaseq.submit("true"),
        lambda: leaseq.submit_array("true", indices="0-1"),
        lambda: leaseq.Executor().submit(called.add, 1),
        lambda: leaseq.Executor().map(called.add, [1]),
        lambda: leaseq.cancel(task_id),
        lambda: leaseq.hold(task_id),
        lambda: leaseq.release(task_id),
        lambda: leaseq.change(task_id, cpus=1),
        lambda: leaseq.retry(task_id),
        lambda: leaseq.redo(task_id),
        lambda: leaseq.recover(task_id),
        lambda: leaseq.move(task_id, node="any"),
        lambda: leaseq.send_signal(task_id, signal=1),
        lambda: leaseq.future(task_id).cancel(),
        lambda: leaseq.future(task_id).kill(),
        leaseq.pause,
        leaseq.resume,
        lambda: leaseq.set_parallel("g", 1),
        leaseq.clean,
        lambda: leaseq.use_lease("local"),
        lambda: leaseq.release_lease("local"),
        lambda: leaseq.add("-N1"),
        lambda: leaseq.adopt_lease(1),
        lambda: leaseq.keep_lease("local", keep="1h"),
        lambda: leaseq.idle_lease("local", limit="1h"),
        lambda: leaseq.scale_lease("local", least=0, most=1),
        lambda: leaseq.hold_queue("local"),
        leaseq.start_runner,
        lambda: leaseq.start_runner(again=True),
        leaseq.stop_runner,
        leaseq.ssh_config,
        lambda: leaseq.add_hook("x", "true"),
        lambda: leaseq.try_hook("x"),
        lambda: leaseq.remove_hook("x"),
        leaseq.doctor,
    ]
    for act in acts:
        with pytest.raises(leaseq.LeaseqError, match="LEASEQ_READONLY"):
            act()
    assert leaseq.task(task_id).held
    monkeypatch.delenv("LEASEQ_READONLY")
    leaseq.cancel(task_id)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda: leaseq.tasks(states=["dnoe"]), "'dnoe' is not a state"),
        (lambda: leaseq.log("last", "both"), "no stream"),
        (lambda: leaseq.submit([]), "there is no command"),
        (lambda: leaseq.submit_array("true"), "which indices"),
        (lambda: leaseq.submit_array("true", indices="5-1"), "5-1"),
        (lambda: leaseq.submit_array("true", sweep={"lr": []}), "no value"),
        (lambda: leaseq.submit_array("true", sweep={"l r": [1]}), "no name of a parameter"),
        (lambda: leaseq.cancel(), "which tasks"),
        (lambda: leaseq.retry("last", hold=True), "hold cannot be said"),
        (lambda: leaseq.move("last"), "to which lease"),
        (lambda: leaseq.pause(group="a b"), "not a group's name"),
        (lambda: leaseq.follow("last", "both").__next__(), "no stream"),
        (lambda: leaseq.add_hook("x", "true", on="rain"), "no event 'rain'"),
        (lambda: leaseq.add_hook("x", "true", every_seconds=1), "at least 10 s"),
        (lambda: leaseq.try_hook("x"), "no hook 'x'"),
        (lambda: leaseq.remove_hook("x"), "no hook 'x'"),
        (lambda: leaseq.report("soon"), "not a duration"),
        (lambda: leaseq.idle_lease("local", limit="1h"), "hosts for nodes"),
        (lambda: leaseq.keep_lease("local", keep="1h"), "is of hosts"),
        (lambda: leaseq.scaling("local"), "does not scale"),
    ],
)
def test_what_cannot_be_is_said(box: Box, act: Callable[[], object], said: str) -> None:
    leaseq.start_runner()  # there is a lease, whichever test was first
    with pytest.raises(leaseq.LeaseqError, match=said):
        act()
