"""From which code a task was submitted: recorded, shown, compared, and run once more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli import Box
from tests.patience import wait_until

PACKED = ("--gpus", "0")
DAYS = 3 * 86400


class Repository:
    """A repository in a box's working directory."""

    def __init__(self, box: Box) -> None:
        self.box, self.path = box, box.work / "repo"
        self.path.mkdir()
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.email", "a@example.org")
        self.git("config", "user.name", "a")
        self.write("one")
        (self.path / "sub").mkdir()
        (self.path / "sub" / "go.sh").write_text("echo one\n")
        self.git("add", ".")
        self.git("commit", "-qm", "one")

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def write(self, word: str) -> None:
        (self.path / "train.py").write_text(f"print({word!r})\n")

    def submit(self, *options: str, at: str = "", words: tuple[str, ...] = (sys.executable, "train.py")) -> str:
        line = ("submit", *PACKED, *options, "--", *words)
        return told(self.box, lambda: self.box.run(*line, cwd=self.path / at, code=0).id)

    def said(self, task: str) -> str:
        assert self.box.run("wait", task, code=0)
        return self.box.run("logs", task, code=0).out.strip()


def told(box: Box, queued: Callable[[], str]) -> str:
    """A task of whose code git has told all: on a busy host it may not in its half second, and another is tried."""
    return wait_until(
        lambda: next(filter(lambda task: not origin(box, task)["note"], [queued()]), ""), "git to be quick"
    )


@pytest.fixture
def repository(box: Box) -> Iterator[Repository]:
    yield Repository(box)


def origin(box: Box, task: str) -> dict[str, Any]:
    (found,) = box.run("info", task, "--json", code=0).json["tasks"]
    return dict(found["source"])


def test_the_commit_the_branch_and_the_changes_are_recorded_once_for_each_difference(
    box: Box, repository: Repository
) -> None:
    repository.git("remote", "add", "origin", "https://me:secret@example.org/a/b.git?token=secret")
    clean = repository.submit("--hold")
    commit = repository.git("rev-parse", "HEAD")
    assert origin(box, clean) | {"python": "", "environment": ""} == {
        "root": str(repository.path),
        "commit": commit,
        "branch": "main",
        "remote": "https://example.org/a/b.git",
        "dirty": False,
        "diff": "",
        "note": "",
        "python": "",
        "environment": "",
        "tree": "",
        "time": None,
        "time_at": None,
    }
    repository.write("two")
    (repository.path / "untracked").write_text("x")
    first, second = repository.submit("--hold"), repository.submit("--hold", at="sub")
    assert origin(box, first)["dirty"] is True and origin(box, first)["diff"] == origin(box, second)["diff"]
    assert len(os.listdir(box.home / "code")) == 1
    assert (box.home / "code").stat().st_mode & 0o077 == 0
    assert f"code:       {commit[:10]} (main) and changes, in {repository.path}" in box.run("info", first, code=0).out
    assert "secret" not in box.run("info", first, "--json", code=0).out
    for url, public in (("me:secret@example.org:a", "example.org:a"), ("me@example.org:a", "me@example.org:a")):
        repository.git("remote", "set-url", "origin", url)
        assert origin(box, repository.submit("--hold"))["remote"] == public
    assert repository.git("status", "--porcelain") == "M train.py\n?? untracked"


def test_a_repository_of_any_name_is_known_by_it(box: Box, repository: Repository) -> None:
    repository.path = repository.path.rename(box.work / "of\ntwo lines")
    assert repository.said(repository.submit("--snapshot")) == "one"
    found = origin(box, repository.submit("--hold"))
    assert (found["root"], found["commit"]) == (str(repository.path), repository.git("rev-parse", "HEAD"))


def test_where_there_is_no_repository_or_no_commit_that_is_what_is_said(box: Box, repository: Repository) -> None:
    elsewhere = box.submit("true", options=("--hold",))
    assert origin(box, elsewhere)["commit"] == "" and "code:" not in box.run("info", elsewhere, code=0).out
    said = box.run("diff", elsewhere, code=2).err
    assert "is not known" in said
    fresh = box.work / "fresh"
    fresh.mkdir()
    subprocess.run(["git", "init", "-q", "."], cwd=fresh, check=True)
    task = box.run("submit", "--hold", "--", "true", cwd=fresh, code=0).id
    assert origin(box, task)["note"] == "git did not say which commit"
    (box.home / "config.yaml").write_text("provenance: off\n")
    assert origin(box, repository.submit("--hold"))["commit"] == ""
    (box.home / "config.yaml").write_text("provenance: perhaps\n")
    assert "`on` or `off`" in box.run("submit", "--", "true", cwd=repository.path, code=2).err


def test_a_git_that_does_not_answer_keeps_nobody_from_submitting(box: Box, repository: Repository) -> None:
    programs = box.path / "bin"
    programs.mkdir()
    (programs / "git").write_text("#!/bin/sh\nexec sleep 600\n")
    (programs / "git").chmod(0o755)
    slow = {"PATH": f"{programs}:{box.environment['PATH']}"}
    task = box.run("submit", "--hold", "--", "true", cwd=repository.path, env=slow, code=0).id
    assert origin(box, task)["note"] == "git took too long"
    assert "took too long" in box.run("info", task, code=0).out


def test_what_is_too_large_is_not_kept_and_that_is_said(box: Box, repository: Repository) -> None:
    (repository.path / "train.py").write_bytes(os.urandom(6 << 20))
    task = box.run("submit", "--hold", "--", "true", cwd=repository.path, code=0).id
    found = origin(box, task)
    # On a busy host git may not have said all of it in its half second.
    said = {True: "what differs is more than 4 MiB", None: "git took too long to say what differs"}
    assert found["diff"] == "" and str(found["note"]).startswith(said[found["dirty"]])
    assert "is not kept" in box.run("diff", task, code=2).err


def test_diff_shows_what_differed_and_what_differs_between_two(box: Box, repository: Repository) -> None:
    before = repository.submit("--hold")
    assert "nothing differed" in box.run("diff", before, code=0).err
    repository.write("two")
    (repository.path / "new.bin").write_bytes(bytes(range(256)))
    repository.git("add", "new.bin")
    dirty = repository.submit("--hold")
    text = box.run("diff", dirty, code=0).out
    assert "+print('two')" in text and "GIT binary patch" in text
    assert box.run("diff", before, dirty, code=0).out == text
    repository.git("commit", "-qam", "two")
    committed = repository.submit("--hold")
    assert "is the same" in box.run("diff", dirty, committed, code=0).err
    assert "-print('two')" in box.run("diff", committed, before, code=0).out
    repository.git("checkout", "-q", "--orphan", "other")
    repository.git("commit", "-qm", "other")
    repository.git("branch", "-D", "main")
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.git("gc", "-q", "--prune=now")
    assert "is not in" in box.run("diff", before, dirty, code=2).err
    assert box.run("diff", dirty, code=0).out == text


def test_a_snapshot_is_what_runs_whatever_is_edited_meanwhile(box: Box, repository: Repository) -> None:
    repository.write("two")
    task = repository.submit("--snapshot", "--hold")
    repository.write("three")
    box.run("release", task, code=0)
    assert repository.said(task) == "two"
    again = box.run("redo", task, code=0).id
    assert repository.said(again) == "two" and origin(box, again)["tree"] == origin(box, task)["tree"]
    below = repository.submit("--snapshot", at="sub", words=("sh", "go.sh"))
    assert repository.said(below) == "one"
    assert repository.git("status", "--porcelain") == "M train.py"
    (repository.path / "data").mkdir()
    refused = box.run("submit", "--snapshot", "--", "true", cwd=repository.path / "data", code=2).err
    assert "holds no tracked file" in refused
    assert "not a git repository" in box.run("submit", "--snapshot", "--", "true", code=2).err


def test_a_change_in_the_moment_of_a_commit_is_in_the_copy(box: Box, repository: Repository) -> None:
    """git takes a file of the same size and time for unchanged, unless it is as new as the index itself."""
    train, index = repository.path / "train.py", repository.path / ".git" / "index"
    then = 1_700_000_000_000_000_000
    os.utime(train, ns=(then, then))
    repository.git("update-index", "--refresh")
    os.utime(index, ns=(then, then))
    repository.write("two")
    os.utime(train, ns=(then, then))
    assert repository.said(repository.submit("--snapshot")) == "two"


def test_same_code_runs_what_it_ran_then_and_without_it_what_is_there_now(box: Box, repository: Repository) -> None:
    repository.write("two")
    task = repository.submit()
    assert repository.said(task) == "two"
    repository.write("three")
    assert repository.said(box.run("redo", task, code=0).id) == "three"
    same = box.run("redo", task, "--same-code", code=0).id
    assert repository.said(same) == "two"
    assert repository.said(box.run("redo", same, "--same-code", code=0).id) == "two"
    elsewhere = box.submit("true", options=PACKED)
    box.run("wait", elsewhere, code=0)
    assert "is not known" in box.run("redo", elsewhere, "--same-code", code=1).err
    now = told(box, lambda: box.run("redo", task, code=0).id)
    assert "+print('three')" in box.run("diff", now, code=0).out


def retried(box: Box, task: str) -> list[dict[str, Any]]:
    """The attempts of the task, which fails again, once git has told all of the code of the newest."""

    def once_more() -> str:
        box.run("retry", task, code=0)
        box.run("wait", task, code=1)
        return task

    told(box, once_more)
    found = box.task(task)["attempts"]
    assert isinstance(found, list)
    return found


def test_a_retried_task_says_for_each_attempt_what_it_ran(box: Box, repository: Repository) -> None:
    gate = box.path / "gate"
    first = repository.git("rev-parse", "HEAD")
    repository.write("two")
    task = repository.submit(words=("sh", "-c", f"{sys.executable} train.py; test -e {gate}"))
    box.run("wait", task, code=1)
    repository.git("commit", "-qam", "two")
    second = repository.git("rev-parse", "HEAD")
    repository.write("three")
    attempts = retried(box, task)
    newest = str(len(attempts))
    assert [box.run("logs", task, "-k", each, code=0).out for each in ("1", newest)] == ["two\n", "three\n"]
    assert [attempts[0]["source"]["commit"], attempts[-1]["source"]["commit"]] == [first, second]
    assert attempts[0]["source"]["time"] is None and attempts[-1]["source"]["time_at"].startswith("20")
    assert origin(box, task)["commit"] == second
    lines = box.run("info", task, code=0).out.splitlines()
    (past,) = (line for line in lines if line.startswith("code 1:"))
    (now,) = (line for line in lines if line.startswith("code:"))
    assert first[:10] in past and f"`leaseq diff {task} -k 1`" in past
    assert second[:10] in now and "as of 20" in now and f"`leaseq diff {task}`" in now
    assert "+print('two')" in box.run("diff", task, "-k", "1", code=0).out
    assert "+print('three')" in box.run("diff", task, code=0).out
    assert "-print('two')\n+print('three')" in box.run("diff", task, "-k", f"1,{newest}", code=0).out
    gate.touch()
    box.run("retry", task, "--same-code", code=0)
    repository.write("four")
    box.run("wait", task, code=0)
    assert box.run("logs", task, code=0).out == "three\n"
    same = box.run("diff", task, "-k", f"{newest},{len(attempts) + 1}", code=0)
    assert same.out == "" and f"{task}.{newest} and {task}.{len(attempts) + 1} is the same" in same.err
    for wrong, said in (("99", "has no attempt 99"), ("1,2,3", "more than two"), ("x", "whole number")):
        assert said in box.run("diff", task, "-k", wrong, code=2).err
    assert "is of one task" in box.run("diff", task, task, "-k", "1", code=2).err


def test_an_index_that_ran_once_more_says_what_it_ran_then(box: Box, repository: Repository) -> None:
    task = repository.submit("-a", "0-1", words=("sh", "-c", "test $LEASEQ_ARRAY_INDEX = 0"))
    box.run("wait", task, code=1)
    repository.write("two")
    retried(box, task)
    dirty = {each: [past["source"]["dirty"] for past in box.task(f"{task}_{each}")["attempts"]] for each in "01"}
    assert dirty["0"] == [False] and dirty["1"][0] is False and dirty["1"][-1] is True


def test_git_makes_the_difference_of_a_snapshot_once(box: Box, repository: Repository) -> None:
    programs, said = box.path / "bin", box.path / "said"
    programs.mkdir()
    (programs / "git").write_text(f'#!/bin/sh\necho "$*" >>{said}\nPATH={box.environment["PATH"]} exec git "$@"\n')
    (programs / "git").chmod(0o755)
    seen = {"PATH": f"{programs}:{box.environment['PATH']}"}
    repository.write("two")
    line = ("submit", "--snapshot", "--hold", "--", "true")
    task = box.run(*line, cwd=repository.path, env=seen, code=0).id
    assert said.read_text().count(" diff ") == 1
    assert "+print('two')" in box.run("diff", task, code=0).out and origin(box, task)["branch"] == "main"


def test_who_imports_the_repository_itself_is_warned(box: Box, repository: Repository) -> None:
    top, root = box.path / "venv", str(repository.path)
    site = top / "lib" / "python3.11" / "site-packages"
    for name, place in (("mine", root), ("another", f"{root}-2")):
        (site / f"{name}-1.0.dist-info").mkdir(parents=True)
        body = {"url": f"file://{place}", "dir_info": {"editable": True}}
        (site / f"{name}-1.0.dist-info" / "direct_url.json").write_text(json.dumps(body))
    line = ("submit", "--hold", "--snapshot", "--")
    venv = {"VIRTUAL_ENV": str(top)}
    said = box.run(*line, "true", cwd=repository.path, env=venv, code=0)
    assert f"mine is installed from {root} itself" in said.err and "another" not in said.err
    assert origin(box, said.id)["environment"] == "venv"
    (top / "bin").mkdir()
    (top / "bin" / "python").symlink_to(sys.executable)
    (top / "pyvenv.cfg").write_text("")
    called = box.run(*line, str(top / "bin" / "python"), "train.py", cwd=repository.path, code=0)
    assert f"mine is installed from {root} itself" in called.err, "an environment that is not active"
    first = box.run(*line, "true", cwd=repository.path, env={"PATH": f"{top}/bin:{os.environ['PATH']}"}, code=0)
    assert f"mine is installed from {root} itself" in first.err
    (site / "mine-1.0.dist-info" / "direct_url.json").unlink()
    (site / "easy-install.pth").write_text(f"import sys\n{root}/sub\n")
    older = box.run(*line, "true", cwd=repository.path, env={**venv, "PYTHONPATH": f"lib:{root}/src:/other"}, code=0)
    assert f"easy-install.pth names {root} itself" in older.err and f"PYTHONPATH names {root}/src" in older.err


def test_a_program_that_is_not_tracked_is_not_in_a_snapshot(box: Box, repository: Repository) -> None:
    (repository.path / ".venv" / "bin").mkdir(parents=True)
    (repository.path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    line = ("submit", "--snapshot", "--hold", "--")
    said = box.run(*line, ".venv/bin/python", "train.py", cwd=repository.path, code=2).err
    assert f"is not tracked: it is not in the copy\n  name it by its whole path: {repository.path}/.venv" in said
    box.run(*line, f"{repository.path}/.venv/bin/python", "train.py", cwd=repository.path, code=0)


def aged(path: Path) -> None:
    for each in path.iterdir():
        if each.is_file():
            os.utime(each, (each.stat().st_atime, each.stat().st_mtime - DAYS))


def test_clean_removes_what_no_task_names_and_no_file_of_a_task(box: Box, repository: Repository) -> None:
    repository.write("two")
    kept = repository.submit("--snapshot", "--hold")
    repository.write("three")
    gone = repository.submit("--snapshot")
    repository.write("four")
    used = repository.submit("--snapshot", words=("sh", "-c", "echo x >result"))
    box.run("wait", gone, used, code=0)
    trees = {task: origin(box, task)["tree"] for task in (kept, gone, used)}
    (box.home / "trees" / str(trees[gone]) / "__pycache__").mkdir()
    (box.home / "trees" / str(trees[gone]) / "__pycache__" / "train.pyc").write_text("x")
    box.clean()
    assert len(os.listdir(box.home / "code")) == 3, "nothing that is new goes"
    aged(box.home / "code")
    aged(box.home / "trees")
    would = box.run("clean", "--older-than", "0", "--dry-run", "--json", code=0).json
    assert (would["diffs"], would["trees"]) == (2, 1)
    said = box.run("clean", "--older-than", "0", code=0)
    assert "1 copy of code" in said.out and "tasks have written files there" in said.err
    left = {name for name in os.listdir(box.home / "trees") if not name.endswith(".files")}
    assert left == {trees[kept], trees[used]}
    assert [name.partition(".")[0] for name in os.listdir(box.home / "code")] == [origin(box, kept)["diff"]]
    box.run("release", kept, code=0)
    assert repository.said(kept) == "two"
