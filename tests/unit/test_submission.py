"""Batches of tasks over a real directory and one that fails."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path

import pytest

from leaseq.cli.watched import WatchedFs
from leaseq.errors import UsageError
from leaseq.models import Need, Task
from leaseq.names import Entry
from leaseq.protocol.submission import (
    chosen_environment,
    command_of,
    commands_in,
    entries,
    is_shell_line,
    publish_batch,
)
from leaseq.world import SystemFs
from tests.build import make_task
from tests.patience import wait_until


class FailingFs(SystemFs):
    """The real file system, with no space left after so many files or renames."""

    def __init__(self, *, files: int = 10**9, renames: int = 10**9) -> None:
        super().__init__(remote=False)
        self.files, self.renames = files, renames
        self.lock = threading.Lock()

    def create(self, path: str, data: bytes, *, durable: bool = True) -> None:
        with self.lock:
            self.files -= 1
        if self.files < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        super().create(path, data, durable=durable)

    def rename(self, source: str, target: str) -> None:
        self.renames -= 1
        if self.renames < 0:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), target)
        super().rename(source, target)


def batch(count: int) -> list[tuple[Entry, Task]]:
    env = {"A": 'quote " and é', "B": "\udce9"}
    named = entries(count, need=Need(), priority=0, now=1e9)
    return [(entry, make_task(entry.id, argv=(f"t{n}",), env=env)) for n, entry in enumerate(named)]


def test_a_batch_is_published_whole_in_its_order_with_its_environment(tmp_path: Path) -> None:
    made = batch(100)
    published = publish_batch(SystemFs(remote=False), str(tmp_path), made)
    assert (published.ids, published.failure) == ([entry.id for entry, _ in made], None)
    names = sorted(os.listdir(tmp_path))
    assert [Task.from_json((tmp_path / name).read_bytes()) for name in names] == [task for _, task in made]
    assert all((tmp_path / name).read_bytes().count(b'"env"') == 1 for name in names)


def test_a_batch_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    published = publish_batch(FailingFs(files=50), str(tmp_path), batch(100))
    assert published.ids == [] and published.failure is not None
    assert published.failure.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []


def test_a_batch_that_stops_half_way_tells_exactly_which_stand(tmp_path: Path) -> None:
    made = batch(100)
    published = publish_batch(FailingFs(renames=40), str(tmp_path), made)
    assert published.failure is not None
    assert published.ids == [entry.id for entry, _ in made[:40]]
    assert sorted(os.listdir(tmp_path)) == sorted(str(entry) for entry, _ in made[:40])


def test_the_order_of_names_is_priority_then_time_then_place_in_the_batch() -> None:
    low, high = (entries(3, need=Need(), priority=priority, now=1e9) for priority in (-5, 5))
    later = entries(1, need=Need(), priority=5, now=2e9)
    assert sorted([*low, *high, *later], key=str) == [*high, *later, *low]


@pytest.mark.parametrize(
    "word", ["a b", "a\tb", "a|b", "a;b", "a&b", "$A", "`a`", "a>b", "a*", "?", "[x]", "{a,b}", "~/x", "#x", '"a"']
)
def test_what_a_shell_reads_makes_a_shell_line(word: str) -> None:
    assert is_shell_line(word)
    assert command_of([word]) == ((word,), True)
    assert command_of([word, "x"]) == ((word, "x"), False)


@pytest.mark.parametrize("word", ["a", "./a", "/a/b-c_d.e", "a=b", "a:b", "a@b", "a,b", "a%b", "a#b", "a~", "é"])
def test_a_plain_word_is_a_program(word: str) -> None:
    assert not is_shell_line(word)


def test_lines_of_a_file_are_tasks_but_for_blanks_and_comments() -> None:
    assert commands_in("a\n\n # c\n  b c  \r\n#d\n\te") == ["a", "  b c  ", "\te"]


def test_the_environment_is_what_export_names() -> None:
    here = {"A": "1", "B": "2"}
    assert chosen_environment("ALL", [], here) == here
    assert chosen_environment("NONE", ["X=1"], here) == {"X": "1"}
    assert chosen_environment("B,C=3", [], here) == {"B": "2", "C": "3"}
    assert chosen_environment("all,A=9", ["B"], here) == {"A": "9", "B": "2"}
    with pytest.raises(UsageError):
        chosen_environment("MISSING", [], here)


def test_a_record_with_its_environment_is_one_json_object(tmp_path: Path) -> None:
    publish_batch(SystemFs(remote=False), str(tmp_path), batch(1))
    (name,) = os.listdir(tmp_path)
    assert json.loads((tmp_path / name).read_bytes())["env"]["A"] == 'quote " and é'


# -- the watchdog ------------------------------------------------------------------------------------


class HungFs(SystemFs):
    """A file system that does not answer until it is told to."""

    def __init__(self) -> None:
        super().__init__(remote=True)
        self.answer = threading.Event()

    def names(self, directory: str) -> list[str]:
        self.answer.wait()
        return ["x"]


def test_a_file_system_that_does_not_answer_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    hung = HungFs()
    watched = WatchedFs(hung, slow_seconds=0.2)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.extend(watched.names("/")))
    reader.start()
    said: list[str] = []

    def told() -> bool:
        said.append(capsys.readouterr().err)
        return "file system not answering" in "".join(said)

    wait_until(told, "the watchdog's words", seen=lambda: said)
    hung.answer.set()
    reader.join()
    assert found == ["x"]
