"""What leases held, booked and left idle: the parts are the whole, whatever ran when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leaseq.cli.report import hours, split, summary
from leaseq.cli.timeline import lines
from leaseq.models import State
from leaseq.reading.report import SECOND, Report, between, gaps, length, merged, quantile, report, waits_of
from leaseq.reading.usage import Run, Stay
from leaseq.verbs.report import Pending

H = 3600.0


def run(began: float, seconds: float, *gpus: str, node: str = "n1", state: State = State.DONE, name: str = "") -> Run:
    return Run(node, began, seconds, gpus, "T00000000001", 1, state, name, "", "python train.py", max(0.1, began - 60))


def stay(since: float, until: float, *gpus: str, node: str = "n1", heard: float | None = None) -> Stay:
    return Stay("1", node, since, until, until if heard is None else heard, gpus)


def seen(stays: list[Stay], runs: list[Run], *, since: float = 0, until: float = 24 * H) -> Report:
    return report({"L": (stays, runs)}, since=round(since * SECOND), until=round(until * SECOND))


moments = st.floats(0, 30 * H, allow_nan=False)
tokens = st.lists(st.sampled_from(["0", "1", "2"]), unique=True, max_size=3)
runs_drawn = st.lists(
    st.builds(
        lambda began, seconds, gpus, state, node: run(began, seconds, *gpus, node=node, state=state),
        moments,
        st.floats(0, 9 * H, allow_nan=False),
        tokens,
        st.sampled_from(list(State)),
        st.sampled_from(["n1", "n2"]),
    ),
    max_size=30,
)
stays_drawn = st.lists(
    st.builds(
        lambda since, long, gpus, node, silent: stay(
            since, since + long, *gpus, node=node, heard=since + long * silent
        ),
        moments,
        st.floats(0.001, 20 * H, allow_nan=False),
        tokens,
        st.sampled_from(["n1", "n2"]),
        st.floats(0, 1, allow_nan=False),
    ),
    max_size=4,
)


@given(stays_drawn, runs_drawn, moments)
def test_busy_idle_and_down_are_together_what_was_held(stays: list[Stay], runs: list[Run], since: float) -> None:
    found = seen(stays, runs, since=since, until=30 * H)
    for part in found.parts:
        spans = [*part.busy, *part.idle, *part.down]
        assert length(spans) == length([part.held])
        assert merged(spans) == (part.held,), "no second counts twice, and none is left out"
    for gpus in (False, True):
        parts = [found.total(what, gpus=gpus) for what in ("busy", "idle", "down")]
        assert sum(parts) == found.total("held", gpus=gpus)
    for by in ("lease", "day", "node", "gpu", "name", "group", "state"):
        titles, rows = split(found, by)
        assert all(len(row) == len(titles) for row in rows)
    assert summary(found, Pending()) and list(lines(found, columns=80, ascii=True))


def test_a_task_that_started_at_once_has_not_waited_while_a_node_was_idle() -> None:
    at_once = run(5 * H, H, "0")._replace(submitted=5 * H - 1)
    late = run(7 * H, H, "0")._replace(submitted=6.5 * H)
    found = gaps(seen([stay(0, 10 * H, "0", "1")], [at_once, late]))
    waited = {(gap.gpus, gap.span[0] // 1000 // 3600): gap.waited for gap in found}
    assert waited == {(("1",), 0): 1, (("0",), 0): 0, (("0",), 6): 1, (("0",), 8): 0}


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: (min(pair), max(pair)))))
def test_spans_and_what_is_between_them(spans: list[tuple[int, int]]) -> None:
    found = merged(span for span in spans if span[0] < span[1])
    seconds = {second for begin, end in spans for second in range(begin, end)}
    assert length(found) == len(seconds)
    assert length(between((0, 50), found)) == 50 - len(seconds)


def test_a_gpu_that_nothing_booked_is_a_gap_with_what_waited_meanwhile() -> None:
    found = seen([stay(0, 10 * H, "0", "1")], [run(0, 4 * H, "0", "1"), run(7 * H, 3 * H, "0", "1")])
    (gap,) = gaps(found)
    assert (gap.gpus, gap.span) == (("0", "1"), (round(4 * H * SECOND), round(7 * H * SECOND)))
    assert gap.waited == 1, "the second was submitted a minute before the gap ended"
    (text,) = [line for line in summary(found, Pending()) if line.startswith("idle")]
    assert "2 GPUs of n1 for 3 h" in text and "while 1 task waited" in text
    whole = gaps(seen([stay(0, 10 * H)], []))
    assert [(each.gpus, each.waited) for each in whole] == [((), 0)]


def test_what_is_not_known_is_named_and_not_counted() -> None:
    unknown = Stay("1", "n1", 0, 5 * H, 5 * H, None)
    found = seen([unknown], [run(0, H)])
    assert found.unknown == (("L", "n1"),) and found.total("held", gpus=True) == 0
    assert any("is not known" in line for line in summary(found, Pending()))
    assert "not known" in summary(found, Pending(tasks=3))[-2]


def test_hours_of_failed_tasks_by_name() -> None:
    runs = [run(0, H, "0", name="a"), run(H, H, "0", name="b", state=State.FAILED), run(2 * H, H, "0", name="b")]
    titles, rows = split(seen([stay(0, 9 * H, "0")], runs), "name")
    by_name = {row[0]: dict(zip(titles, row, strict=True)) for row in rows}
    assert by_name["b"]["gpu_hours"] == 2 and by_name["b"]["gpu_hours_failed"] == 1
    assert (by_name["a"]["attempts"], by_name["b"]["failed"], by_name["b"]["wait_seconds"]) == (1, 1, 60)
    assert hours(round(12.34 * H * SECOND)) == "12.3"


def test_waits_are_of_first_attempts_whose_submission_is_known() -> None:
    first = run(100, 10)
    again, index = first._replace(attempt=2), first._replace(submitted=0.0)
    found = seen([stay(0, H)], [first, again, index])
    assert waits_of(found.ran) == [60.0]
    assert quantile([], 0.5) is None and quantile([1, 2, 3, 4], 0.5) == 3 and quantile([1, 2], 0.95) == 2
