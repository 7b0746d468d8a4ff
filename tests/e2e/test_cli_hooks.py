"""Hooks: commands that hear of what happens, after it is written down, and never in its way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from leaseq.node import hook as process
from tests.e2e.cli import Box
from tests.e2e.harness import processes
from tests.patience import wait_until

PACKED = ("--gpus", "0")


def told(box: Box) -> list[dict[str, Any]]:
    """The documents that the hook `log` was told."""
    path = box.work / "told"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def events(box: Box) -> list[str]:
    return [each["event"] for document in told(box) for each in document["events"]]


def log_hook(box: Box, *options: str) -> None:
    """A hook that keeps what it is told; runners that start afterwards know of it."""
    line = f'cat >>{box.work}/told; echo "$LEASEQ_TEXT" >>{box.work}/text'
    box.run("hook", "add", "log", "--every", "10s", *options, "--", line, code=0)


def begun(box: Box) -> None:
    """A runner has begun, and knows of the hooks."""
    box.run("daemon", "start", code=0)
    wait_until(lambda: any(box.home.glob("runs/*/notices/*.json")), "the runner to know the hooks")


@pytest.mark.slow
def test_ends_are_told_with_what_is_known_of_them_and_then_that_nothing_is_left(box: Box) -> None:
    log_hook(box, "--on", "done,failed,cancelled,empty")
    begun(box)
    fine = box.submit("true", options=(*PACKED, "-J", "good"))
    bad = box.submit("exit 3", options=(*PACKED, "-g", "eval"))
    box.run("wait", fine, bad, code=3)
    wait_until(lambda: "empty" in events(box), "the lease to be empty", seen=lambda: events(box))
    by_id = {each["id"]: each for each in (each for one in told(box) for each in one["events"]) if "id" in each}
    assert (by_id[fine]["event"], by_id[fine]["name"]) == ("done", "good")
    assert (by_id[bad]["event"], by_id[bad]["exit_code"], by_id[bad]["group"]) == ("failed", 3, "eval")
    assert Path(by_id[bad]["err"]).exists()
    assert f"{bad} FAILED exit code 3" in (box.work / "text").read_text()
    (listed,) = box.run("hook", "--json", code=0).json["hooks"]
    assert listed["last"]["exit_code"] == 0 and "ok" in box.run("hook", code=0).out
    held = box.submit("true", options=("--hold",))
    box.run("cancel", held, code=0)
    wait_until(lambda: events(box).count("cancelled") == 1, "the cancel", seen=lambda: events(box))


def test_a_hook_hears_of_what_it_asked_for_of_tasks_with_notify_and_of_retried_attempts_once(box: Box) -> None:
    log_hook(box, "--on", "failed")
    begun(box)
    quiet = box.submit("true", options=PACKED)
    loud = box.submit("true", options=(*PACKED, "--notify"))
    again = box.submit("false", options=(*PACKED, "--retries", "2"))
    box.run("wait", quiet, loud, again, code=1)
    wait_until(lambda: len(events(box)) >= 2, "both ends", seen=lambda: told(box))
    found = [each for one in told(box) for each in one["events"]]
    assert sorted((each["id"], each["event"], each["attempt"]) for each in found) == sorted(
        [(loud, "done", 1), (again, "failed", 3)]
    )


@pytest.mark.slow
def test_many_ends_are_one_call(box: Box) -> None:
    log_hook(box, "--on", "done")
    begun(box)
    lines = "".join('{"line": "true", "gpus": 0}\n' for _ in range(150))
    ids = box.run("submit", "--json-lines", "-", input=lines.encode(), code=0).out.split()
    box.run("wait", *ids, code=0)
    wait_until(
        lambda: sum(one["counts"].get("done", 0) for one in told(box)) == 150, "all ends", seen=lambda: len(told(box))
    )
    assert len(told(box)) <= 5
    assert all(len(one["events"]) <= 100 for one in told(box))
    array = box.submit("true {i}", options=(*PACKED, "-a", "0-99"))
    box.run("wait", array, code=0)
    wait_until(lambda: array in [each.get("id") for one in told(box) for each in one["events"]], "the array")
    (one,) = [each for document in told(box) for each in document["events"] if each.get("id") == array]
    assert one["counts"] == {"DONE": 100}


@pytest.mark.parametrize(
    ("line", "code"),
    [("sleep 600", None), ("(sleep 600) & exit 4", 4), ("no-such-program", 127), ("echo went wrong >&2; exit 7", 7)],
)
def test_a_hook_that_hangs_forks_fails_or_is_missing_is_said_and_holds_nothing_up(
    box: Box, line: str, code: int | None
) -> None:
    box.run("hook", "add", "bad", "--on", "failed", "--every", "10s", "--", line, code=0)
    begun(box)
    failed = box.submit("false", options=PACKED)
    box.run("wait", failed, code=1)
    fine = [box.submit("true", options=PACKED) for _ in range(3)]
    box.run("wait", *fine, code=0)
    (last,) = wait_until(lambda: [each for each in box.run("hook", "--json").json["hooks"] if each["last"]], "the call")
    assert (last["last"]["exit_code"], last["last"]["events"]) == (code, 1)
    assert "failed" in box.run("hook", code=0).out
    wait_until(lambda: "hook bad failed" in box.run("status", code=0).out, "the node's note")
    mark = f"LEASEQ_HOME={box.home}\0".encode()
    left = processes(lambda environ: mark in environ and b"LEASEQ_TEXT=" in environ)
    assert left == [], "nothing of it is left"


def test_what_a_crash_comes_between_is_told_by_the_next_runner(box: Box) -> None:
    log_hook(box, "--on", "failed")
    begun(box)
    first = box.submit("false", options=PACKED)
    box.run("wait", first, code=1)
    wait_until(lambda: events(box) == ["failed"], "the first", seen=lambda: events(box))
    pid = box.run("daemon", "status", "--json", code=0).json["pid"]
    # Within the ten seconds in which the hook is not called again.
    second = box.submit("false", options=PACKED)
    box.run("wait", second, code=1)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "its end")
    box.run("daemon", "start", code=0)

    def ids() -> list[str]:
        return [each["id"] for one in told(box) for each in one["events"]]

    wait_until(lambda: second in ids(), "the second", seen=ids)
    assert ids().count(first) == 1


def test_a_runner_that_is_stopped_tells_what_is_new_first(box: Box) -> None:
    log_hook(box, "--on", "failed")
    begun(box)
    first, second = (box.submit("false", options=PACKED) for _ in range(2))
    box.run("wait", first, second, code=1)
    box.run("daemon", "stop", code=0)
    wait_until(lambda: box.run("daemon", "status").code == 3, "the end of the runner")
    assert len(events(box)) == 2


@contextmanager
def server() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """(a URL, what was posted there: type and body)"""
    posted: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append((self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *words: object) -> None:
            pass

    made = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}/topic?token=secret", posted
    made.shutdown()
    made.server_close()


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_ready_hooks_post_a_line_and_their_target_is_in_no_argv(box: Box) -> None:
    with server() as (url, posted):
        for kind in ("webhook", "slack"):
            box.run("hook", "add", kind, "--ready", kind, "--to", url, code=0)
            assert "ok" in box.run("hook", "test", kind, code=0).err
    assert "secret" not in box.run("hook", code=0).out
    (_, plain), (form, slack) = posted
    assert plain.decode().startswith("leaseq, lease local:") and "1 failed" in plain.decode()
    assert form == "application/json" and json.loads(slack)["text"].startswith("leaseq, lease local:")
    assert (box.home / "hooks" / "slack.json").stat().st_mode & 0o077 == 0


def test_ready_mail_and_desktop_are_given_to_their_programs(box: Box) -> None:
    programs = box.path / "bin"
    programs.mkdir()
    for name in ("sendmail", "notify-send"):
        (programs / name).write_text(
            f'#!/bin/sh\n{{ echo "$@"; [ {name} = sendmail ] && cat; }} >{box.work}/{name}\nexit 0\n'
        )
        (programs / name).chmod(0o755)
    path = {"PATH": f"{programs}:{box.environment['PATH']}"}
    box.run("hook", "add", "post", "--ready", "mail", "--to", "me@example.org", env=path, code=0)
    box.run("hook", "add", "desk", "--ready", "desktop", env=path, code=0)
    for name in ("post", "desk"):
        box.run("hook", "test", name, env=path, code=0)
    mail = (box.work / "sendmail").read_text()
    assert mail.startswith("-t\nTo: me@example.org\nSubject: leaseq, lease local:") and "1 failed" in mail
    assert (box.work / "notify-send").read_text().startswith("leaseq leaseq, lease local:")


def test_hooks_are_listed_removed_and_wrong_words_refused(box: Box) -> None:
    assert "no hook yet" in box.run("hook", code=0).err
    wrong = [
        ("add", "x", "--on", "fialed", "--", "true"),
        ("add", "x"),
        ("add", "a/b", "--", "true"),
        ("add", "x", "--every", "1s", "--", "true"),
        ("add", "x", "--ready", "webhook"),
        ("add", "x", "--ready", "desktop", "--to", "there"),
        ("add", "x", "--ready", "mail", "--to", "me@x", "--", "true"),
        ("add", "x", "--to", "there", "--", "true"),
        ("test", "nosuch"),
        ("remove", "nosuch"),
    ]
    for line in wrong:
        assert box.run("hook", *line).code == 2, line
    assert "did you mean" in box.run("hook", *wrong[0]).err
    box.run("hook", "add", "x", "--on", "none", "--", "echo out; exit 3", code=0)
    said = box.run("hook", "test", "x", code=1).err
    assert "exit code 3: out" in said
    box.run("hook", "remove", "x", code=0)
    assert box.run("hook", "--json", code=0).json["hooks"] == []


def test_a_call_ends_with_all_that_it_started(tmp_path: Path) -> None:
    ended = process.call(("sleep 600 & echo $!; exit 2",), shell=True, document=b"{}\n", env=dict(os.environ))
    assert ended.code == 2
    wait_until(lambda: not os.path.exists(f"/proc/{ended.words}"), "the child's end")
