"""Which output of an array's indices is kept, as it is typed and read, with real runners that are killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leaseq.models import Array, Need
from tests.e2e.cli import Box
from tests.e2e.harness import Node
from tests.patience import PATIENCE_SECONDS, wait_until

LINE = "echo out {i} $LEASEQ_ATTEMPT; test {i} = 1 || echo err {i} >&2; test {i} != 2 -o -e mended"


def files_of(box: Box, task: str) -> list[str]:
    """The files that its indices' logs are in."""
    return sorted(path.name for path in box.home.glob(f"runs/*/logs/*/{task}/**/*") if path.is_file())


def test_packed_output_is_read_as_any_other_and_a_retry_adds_to_it(box: Box) -> None:
    gated = f"until test -e gate; do sleep 0.02; done; {LINE}"
    task = box.run("submit", "-a", "0-3", "--logs", "packed", "-c1", "--", gated).id
    following = box.popen("follow", f"{task}_0")
    wait_until(lambda: box.task(f"{task}_0")["state"] == "RUNNING", "the index to run")
    (box.work / "gate").touch()
    assert following.communicate(timeout=PATIENCE_SECONDS)[0] == b"out 0 1\n"
    box.run("wait", task, code=1)
    (pack,) = files_of(box, task)
    assert pack.startswith("pack.1.")
    said = [box.run("logs", f"{task}_{index}", "--both", code=0).out for index in range(4)]
    assert said == [
        f"==> {task}_{index} stdout <==\nout {index} 1\n"
        f"==> {task}_{index} stderr <==\n{'' if index == 1 else f'err {index}'}" + ("\n" if index != 1 else "")
        for index in range(4)
    ]
    assert box.run("logs", f"{task}_0", "--tail", "1", "--stderr", code=0).out == "err 0\n"
    assert box.run("follow", f"{task}_0", "--stdout", code=0).out == "out 0 1\n"
    (told,) = box.run("logs", f"{task}_2", "--json", code=0).json["tasks"]
    where = told["stdout"]
    assert Path(where["path"]).read_bytes()[where["offset"] :][: where["bytes"]] == b"out 2 1\n"
    assert where["last_lines"] == "out 2 1\n"
    assert where in [{**each, "last_lines": "out 2 1\n"} for each in _placed(box.task(f"{task}_2")["packed"])]
    shown = box.run("info", f"{task}_2", code=0).out
    assert f"{where['path']}: 8 bytes from byte {where['offset']:,} on" in shown
    assert "packed into one file" in box.run("info", task, code=0).out
    (box.work / "mended").touch()
    box.run("retry", f"{task}_2", code=0)
    box.run("wait", task, code=0)
    assert box.run("logs", f"{task}_2", code=0).out == "out 2 2\n"
    assert box.run("logs", f"{task}_2", "--attempt", "1", code=0).out == "out 2 1\n"
    assert [name[:7] for name in files_of(box, task)] == ["pack.1.", "pack.2."]
    box.clean()
    assert files_of(box, task) == []


def _placed(packed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: each[name] for name in ("path", "offset", "bytes")} for each in packed]


def test_output_of_failures_alone_is_kept_and_what_is_not_is_said(box: Box) -> None:
    task = box.run("submit", "-a", "0-3", "--logs", "failed", "-c1", "--", LINE).id
    box.run("wait", task, code=1)
    assert files_of(box, task) == [f"{task}_2.1.err", f"{task}_2.1.out"]
    assert box.run("logs", f"{task}_2", code=0).out == "out 2 1\n"
    for command in ("logs", "follow"):
        said = box.run(command, f"{task}_1")
        assert "keeps that of failures" in said.err or "may be missing" in said.err, said
    assert "was not kept: it is DONE" in box.run("logs", f"{task}_1", code=2).err
    assert "not kept: --logs failed" in box.run("info", f"{task}_1", code=0).out
    assert (box.task(f"{task}_1")["kept_logs"], box.task(task)["kept_logs"]) == ("failed", "failed")


@pytest.mark.parametrize(
    ("words", "told"), [(("--logs", "failed"), "goes with --array"), (("-a", "0-3", "--logs", "some"), "all, failed")]
)
def test_a_single_task_keeps_its_output_and_no_other_word_is_taken(box: Box, words: tuple[str, ...], told: str) -> None:
    assert told in box.run("submit", *words, "--", "true", code=2).err
    assert not box.home.exists()


# -- runners that are killed --------------------------------------------------------------------------------------


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.close()


def test_killed_runners_neither_lose_nor_double_packed_output(node: Node, tmp_path: Path) -> None:
    def ran() -> list[str]:
        path = tmp_path / "ran"
        return path.read_text().split() if path.exists() else []

    line = f"echo {{i}} >>{tmp_path}/ran; echo {{i}} says; sleep 0.03"
    task_id = node.shell(line, array=Array("0-59", logs="packed"), need=Need(cpus=1))
    for number in range(3):
        runner = node.start()
        wait_until(lambda number=number: len(ran()) > 12 * (number + 1), "more indices to run")  # type: ignore[misc]
        node.kill(runner)
    node.start()
    assert dict(node.result(task_id).counts) == {"DONE": 60}
    logs = Path(node.lease.logs_of(task_id))
    packed = b"".join(path.read_bytes() for path in logs.glob("pack.*"))
    for index in range(60):
        # A runner that dies before its journal names what it has packed leaves that to the next one, once more.
        assert packed.count(b"\n%d says\n" % index) >= 1
    assert [path.name for path in logs.rglob("*") if path.is_file() and not path.name.startswith("pack.")] == []
