"""The command line with a runner: tasks run, are watched, end, and outlive what serves them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from leaseq.models import Lease
from tests.e2e.cli import Box, on_terminal
from tests.e2e.harness import SECONDS_MAX, of_task
from tests.patience import wait_until


def test_one_line_on_a_fresh_machine_runs_a_task(box: Box) -> None:
    said = box.run("submit", "--", "echo", "a  b", code=0)
    assert "started this host's runner" in said.err
    assert box.run("wait", said.id, code=0).out == ""
    assert box.run("logs", said.id, code=0).out == "a  b\n"
    again = box.run("submit", "--", "true")
    assert again.err == ""
    box.run("wait", again.id, code=0)


def test_no_start_starts_no_runner(box: Box) -> None:
    box.run("submit", "--no-start", "--", "true", code=0)
    assert box.run("daemon", "status", "--json").json["running"] is False


def test_wait_and_follow_give_the_task_s_exit_code(box: Box) -> None:
    task_id = box.submit("exit 7")
    assert box.run("wait", task_id).code == 7
    assert box.run("follow", task_id).code == 7
    killed = box.submit("kill -9 $$")
    assert box.run("wait", killed).code == 137
    late = box.submit("sleep 60", options=("--time", "1s"))
    assert box.run("wait", late).code == 121
    fine = box.submit("true")
    assert box.run("wait", fine, task_id, killed).code == 7
    assert box.run("wait", f"{fine},{killed}").code == 137
    body = box.run("wait", fine, task_id, "--json").json
    assert [task["wait_code"] for task in body["tasks"]] == [0, 7]


def test_wait_for_any_ends_with_the_first(box: Box) -> None:
    slow = box.submit("sleep 60", options=("-c", "1"))
    fast = box.submit("exit 3", options=("-c", "1"))
    assert box.run("wait", slow, fast, "--any").code == 3


def test_how_far_a_task_is_is_read_from_its_output(box: Box) -> None:
    bar = r"printf '\rtrain:  43%%|####      | 43/100 [00:10<01:12, 4it/s]' >&2"
    whole = box.submit(f"{bar}; sleep 600", options=("--gpus", "0", "--name", "vit"))
    part = box.submit("echo 'Train Epoch: 3 [25600/60000 (43%)] loss 7%'; sleep 600", options=("--gpus", "0"))

    def told() -> dict[str, object]:
        return {task["id"]: task["progress"] for task in box.run("tasks", "--json").json["tasks"]}

    wait_until(lambda: told().get(whole) and told().get(part), "both outputs", seen=told)
    assert told() == {
        whole: {"fraction": 0.43, "part": None, "left_seconds": 72},
        part: {"fraction": 0.4267, "part": "epoch 3", "left_seconds": None},
    }
    table = box.run("tasks").out
    assert "43 % · 1:12 left" in table and "42 % of epoch 3" in table
    narrow = on_terminal(box, "tasks", columns=80)
    assert "43 % 1:12" in narrow and "42 % of part" in narrow
    status = box.run("status").out
    assert f"{whole[:8]} vit 43 % · 1:12 left" in status and f"{part[:8]} 42 % of epoch 3" in status
    assert "(43 %, 1:12 left) vit" in box.run("status", "--brief").out
    assert {each["id"] for each in box.run("status", "--json").json["progress"]} == {whole, part}
    assert "progress:   43 % · 1:12 left (its output says so)" in box.run("info", whole).out


def test_an_empty_stream_says_what_the_other_has(box: Box) -> None:
    out, err = box.submit("seq 1000"), box.submit("echo to stderr >&2")
    box.run("wait", out, err, code=0)
    assert box.run("logs", err, code=0).err == "leaseq: stdout is empty; stderr has 10 bytes (--stderr shows them)\n"
    said = box.run("logs", "--stderr", out, code=0)
    assert said.err == "leaseq: stderr is empty; stdout has 3,893 bytes (without --stderr it shows them)\n"
    assert said.out == box.run("logs", "--both", out, code=0).err == ""


def test_why_a_task_failed_is_read_from_its_output(box: Box) -> None:
    command = "E=Error; echo Key$E: not this; echo Runtime$E: CUDA out of memory >&2; echo bye >&2"
    task = box.submit(f"{command}; exit 3", options=("--gpus", "0"))
    silent = box.submit("exit 4", options=("--gpus", "0"))
    waited = box.run("wait", task)
    assert waited.code == 3 and waited.err.endswith("leaseq: its last error: RuntimeError: CUDA out of memory\n")
    assert "last error" not in box.run("wait", silent).err
    followed = box.run("follow", task)
    assert followed.code == 3 and "its last error: RuntimeError: CUDA out of memory" in followed.err
    told = {each["id"]: each["error"] for each in box.run("tasks", "--json").json["tasks"]}
    assert told == {task: "RuntimeError: CUDA out of memory", silent: None}
    for columns in (80, 160):
        assert "RuntimeError: CUDA" in on_terminal(box, "tasks", columns=columns)
    assert "RuntimeError" not in box.run("tasks").out, "a pipe has the command as it is"
    assert "last error: RuntimeError: CUDA out of memory" in box.run("info", task).out


def test_a_setting_says_how_progress_is_written(box: Box) -> None:
    task = box.submit("echo 'at sample 30 of 40'; sleep 600")
    settings = box.home / "config.yaml"
    settings.write_text(r"progress: 'sample (?P<done>\d+) of (?P<total>\d+)'")
    wait_until(lambda: "75 %" in box.run("tasks", code=0).out, "the progress")
    settings.write_text(r"progress: 'sample (\d+'")
    said = box.run("tasks", code=2)
    assert "config.yaml: progress: not a regular expression" in said.err and "(?P<done>" in said.err
    assert box.run("tasks", "--quiet", code=0).id == task


def test_follow_waits_for_the_start_streams_both_streams_and_ends_with_the_task(box: Box) -> None:
    task_id = box.submit("echo one; echo two >&2; sleep 0.3; printf three; exit 4", options=("--hold",))
    follower = box.popen("follow", task_id)
    assert follower.stderr
    assert b"waiting for its start" in follower.stderr.readline()
    box.run("release", task_id, code=0)
    out, err = follower.communicate(timeout=SECONDS_MAX)
    assert follower.returncode == 4
    assert out == b"one\nthree"
    assert err.startswith(b"two\n") and b"FAILED with exit code 4" in err


def test_follow_alone_is_the_one_running_task(box: Box) -> None:
    assert "no task is running" in box.run("follow", code=2).err
    gate = box.path / "gate"
    task_id = box.submit(f"echo begun; while test ! -e {gate}; do sleep 0.05; done; echo done")
    box.until(task_id, "RUNNING")
    follower = box.popen("follow")
    assert follower.stdout
    assert follower.stdout.readline() == b"begun\n"
    gate.touch()
    assert follower.communicate(timeout=SECONDS_MAX)[0] == b"done\n"
    assert follower.returncode == 0


def test_ctrl_c_leaves_the_followed_task_running_and_says_so(box: Box) -> None:
    task_id = box.submit("echo begun; sleep 60")
    follower = box.popen("follow", task_id)
    assert follower.stdout and follower.stderr
    assert follower.stdout.readline() == b"begun\n"
    follower.send_signal(signal.SIGINT)
    _, err = follower.communicate(timeout=SECONDS_MAX)
    assert follower.returncode == 130
    assert b"goes on" in err and b"leaseq cancel" in err
    assert box.task(task_id)["state"] == "RUNNING"


def test_ctrl_c_in_wait_is_quiet(box: Box) -> None:
    task_id = box.submit("sleep 60")
    waiter = box.popen("wait", task_id)
    time_to_wait = time.monotonic() + SECONDS_MAX
    while b"wait" not in Path(f"/proc/{waiter.pid}/cmdline").read_bytes() and time.monotonic() < time_to_wait:
        pass
    wait_until(lambda: _asleep(waiter.pid), "the wait to sleep")
    waiter.send_signal(signal.SIGINT)
    _, err = waiter.communicate(timeout=SECONDS_MAX)
    assert (waiter.returncode, err.strip()) == (130, b"")


def _asleep(pid: int) -> bool:
    """True once the process sleeps and goes on sleeping: what it had to import and to read is behind it."""
    looks = set()
    for _ in range(10):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        looks.add((fields[0], fields[11]))
        time.sleep(0.02)
    return len(looks) == 1 and looks.pop()[0] == "S"


def test_logs_show_any_bytes_fold_progress_bars_and_count_lines_from_the_end(box: Box) -> None:
    task_id = box.submit(r"printf 'caf\351\n 10%%\r 50%%\r100%%\nlast'; echo oops >&2")
    box.run("wait", task_id, code=0)
    process = box.popen("logs", task_id)
    assert process.communicate()[0] == b"caf\xe9\n100%\nlast"
    process = box.popen("logs", task_id, "--raw")
    assert process.communicate()[0] == b"caf\xe9\n 10%\r 50%\r100%\nlast"
    assert box.run("logs", task_id, "-n", "2").out == "100%\nlast"
    assert box.run("logs", task_id, "--tail", "0").out == ""
    assert box.run("logs", task_id, "--stderr").out == "oops\n"
    assert box.run("logs", task_id, "--both", "--tail", "1").out.split("\n")[1:] == [
        "last==> " + task_id + " stderr <==",
        "oops",
        "",
    ]


def test_the_end_of_a_large_log_costs_little(box: Box) -> None:
    task_id = box.submit("true")
    box.run("wait", task_id, code=0)
    path = Path(box.task(task_id)["logs"]["out"])
    with open(path, "wb") as file:
        file.truncate(4 << 30)
        file.seek(0, 2)
        file.write(b"\nlast but one\nlast\n")
    said = box.run("logs", task_id, "-n", "2", code=0, preexec_fn=_one_gigabyte)
    assert said.out == "last but one\nlast\n"


def _one_gigabyte() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


def test_logs_name_an_attempt(box: Box) -> None:
    task_id = box.submit("echo attempt $LEASEQ_ATTEMPT; test $LEASEQ_ATTEMPT = 2", options=("--retries", "3"))
    assert box.run("wait", task_id, code=0)
    assert box.run("logs", task_id).out == "attempt 2\n"
    assert box.run("logs", task_id, "--attempt", "1").out == "attempt 1\n"
    assert "no attempt 7" in box.run("logs", task_id, "-k", "7", code=2).err
    assert [attempt["state"] for attempt in box.task(task_id)["attempts"]] == ["FAILED", "DONE"]


def test_follow_goes_on_with_the_next_attempt(box: Box) -> None:
    task_id = box.submit("echo attempt $LEASEQ_ATTEMPT; test $LEASEQ_ATTEMPT = 2", options=("--retries", "3", "--hold"))
    follower = box.popen("follow", task_id)
    assert follower.stderr and b"waiting for its start" in follower.stderr.readline()
    box.run("release", task_id, code=0)
    out, err = follower.communicate(timeout=SECONDS_MAX)
    assert (follower.returncode, out) == (0, b"attempt 1\nattempt 2\n")
    assert b"attempt 2 follows" in err


# -- cancel ----------------------------------------------------------------------------------------


def test_a_cancelled_running_task_ends_with_all_its_processes(box: Box) -> None:
    task_id = box.submit("(setsid sleep 300 &) ; sleep 300")
    box.until(task_id, "RUNNING")
    wait_until(lambda: len(of_task(task_id)) >= 2, "its processes")
    assert "TERM" in box.run("cancel", task_id, code=0).err
    assert box.run("wait", task_id).code == 120
    assert of_task(task_id) == []
    assert [row["state"] for row in box.run("tasks", "--json").json["tasks"]] == ["CANCELLED"]


def test_a_signal_reaches_a_running_task_and_it_goes_on(box: Box) -> None:
    task_id = box.submit("trap 'echo caught' USR1; echo ready; for i in $(seq 100); do sleep 0.1; done")
    wait_until(lambda: "ready" in box.run("logs", task_id).out, "the trap")
    box.run("cancel", task_id, "--signal", "USR1", code=0)
    wait_until(lambda: "caught" in box.run("logs", task_id).out, "the signal")
    assert box.task(task_id)["state"] == "RUNNING"


# -- redo ------------------------------------------------------------------------------------------


def test_what_failed_is_submitted_again_once(box: Box) -> None:
    failed, fine = box.submit("exit 1"), box.submit("true")
    box.run("wait", failed, fine)
    (new,) = box.run("redo", "--failed", code=0).out.split()
    assert box.task(new)["redo_of"] == failed
    box.run("wait", new)
    (newer,) = box.run("redo", "--failed", code=0).out.split()
    assert box.task(newer)["redo_of"] == new


def test_follow_leaves_nothing_out_or_says_so(box: Box) -> None:
    task_id = box.submit("seq 1 1000; seq 1 150 >&2")
    box.run("wait", task_id, code=0)
    whole = box.run("follow", task_id, code=0)
    assert len(whole.out.split()) == 1000 and len(whole.err.split()) == 150
    seen = on_terminal(box, "follow", task_id, columns=200).replace("\r\n", "\n")
    shown, said = [[line for line in seen.splitlines() if line.startswith("leaseq") is told] for told in (False, True)]
    assert shown == [*map(str, range(901, 1001)), *map(str, range(51, 151))]
    assert [("stdout" in line, "stderr" in line, "-n all" in line) for line in said] == [
        (True, False, True),
        (False, True, True),
    ]
    few = on_terminal(box, "follow", task_id, "-n", "3", "--stdout", columns=200)
    assert few.split() == ["998", "999", "1000"]


# -- the runner's death ------------------------------------------------------------------------------


def test_a_task_outlives_its_runner_and_keeps_its_exit_code(box: Box) -> None:
    gate = box.path / "gate"
    task_id = box.submit(f"while test ! -e {gate}; do sleep 0.05; done; exit 5")
    box.until(task_id, "RUNNING")
    os.kill(box.runner_pid, signal.SIGKILL)
    assert box.until(task_id, "STUCK")["reason"] == "RunnerDown"
    assert "recover" in box.run("status").err
    said = box.run("recover", code=0)
    assert task_id in said.out and "daemon start" in said.out
    refused = box.run("recover", task_id, code=2)
    assert "keeper" in refused.err
    box.run("daemon", "start", code=0)
    box.until(task_id, "RUNNING")
    gate.touch()
    assert box.run("wait", task_id).code == 5
    assert [attempt["attempt"] for attempt in box.task(task_id)["attempts"]] == [1]


def test_wait_says_that_a_task_is_stuck(box: Box) -> None:
    task_id = box.submit("sleep 60")
    box.until(task_id, "RUNNING")
    os.kill(box.runner_pid, signal.SIGKILL)
    said = box.run("wait", task_id, "--timeout", "7s", code=124)
    assert "is stuck" in said.err


def test_a_task_whose_runner_and_keeper_died_is_put_back_on_request(box: Box) -> None:
    task_id = box.submit("echo x; test $LEASEQ_ATTEMPT = 2 || sleep 300")
    box.until(task_id, "RUNNING")
    status = box.run("daemon", "status", "--json").json
    os.kill(status["pid"], signal.SIGKILL)
    os.kill(status["keeper_pid"], signal.SIGKILL)
    wait_until(lambda: box.run("daemon", "status", "--json").json["keeper_pid"] is None, "the keeper's end")
    for pid in of_task(task_id):
        os.kill(pid, signal.SIGKILL)
    box.until(task_id, "STUCK")
    said = box.run("recover", task_id, code=0)
    assert said.out.split() == [task_id]
    box.run("wait", task_id, code=0)
    assert [attempt["state"] for attempt in box.task(task_id)["attempts"]] == ["LOST", "DONE"]


# -- daemon ----------------------------------------------------------------------------------------


def test_stop_leaves_running_tasks_alive_says_which_and_start_takes_them_up(box: Box) -> None:
    gate = box.path / "gate"
    task_id = box.submit(f"while test ! -e {gate}; do sleep 0.05; done; exit 6")
    box.until(task_id, "RUNNING")
    said = box.run("daemon", "stop", code=0)
    assert task_id in said.err and "--kill" in said.err and "daemon start" in said.err
    assert of_task(task_id)
    assert box.task(task_id)["state"] == "RUNNING"
    assert box.run("daemon", "status").code == 3
    box.run("daemon", "start", code=0)
    gate.touch()
    assert box.run("wait", task_id).code == 6


def test_restart_costs_no_task(box: Box) -> None:
    gate = box.path / "gate"
    task_id = box.submit(f"while test ! -e {gate}; do sleep 0.05; done; exit 6")
    box.until(task_id, "RUNNING")
    before = box.runner_pid
    box.run("daemon", "restart", code=0)
    assert box.runner_pid != before
    gate.touch()
    assert box.run("wait", task_id).code == 6


def test_stop_with_kill_ends_the_tasks_with_or_without_a_runner(box: Box) -> None:
    first = box.submit("sleep 300")
    box.until(first, "RUNNING")
    box.run("daemon", "stop", "--kill", code=0)
    assert of_task(first) == []
    assert box.task(first)["state"] == "CANCELLED"
    second = box.submit("sleep 300")
    box.until(second, "RUNNING")
    box.run("daemon", "stop", code=0)
    assert of_task(second)
    box.run("daemon", "stop", "--kill", code=0)
    assert of_task(second) == []
    assert box.task(second)["state"] == "CANCELLED"


def test_start_twice_is_one_runner(box: Box) -> None:
    starts = [box.popen("daemon", "start") for _ in range(3)]
    for process in starts:
        _, err = process.communicate(timeout=SECONDS_MAX)
        assert process.returncode == 0, err
    pid = box.runner_pid
    assert "already" in box.run("daemon", "start", code=0).err
    assert box.runner_pid == pid


def test_a_runner_that_cannot_start_says_why_and_the_task_stays_queued(box: Box) -> None:
    blocked = box.path / "n"
    blocked.write_text("not a directory")
    said = box.run("submit", "--", "true", code=0)
    assert "queued, but this host's runner could not be started" in said.err
    blocked.unlink()
    assert box.task(said.id)["state"] == "PENDING"


def test_releasing_the_local_lease_ends_its_tasks(box: Box) -> None:
    task_id = box.submit("sleep 300")
    box.until(task_id, "RUNNING")
    said = box.run("lease", "release", "local", "--yes")
    assert said.code == 0, said
    assert of_task(task_id) == []


def test_a_release_tells_running_and_stuck_and_pending_tasks_apart(box: Box) -> None:
    task_id = box.submit("sleep 300")
    waiting = box.submit("true")
    box.until(task_id, "RUNNING")
    os.kill(box.runner_pid, signal.SIGKILL)
    box.until(task_id, "STUCK")
    assert box.task(waiting)["state"] == "PENDING"
    said = box.run("lease", "release", "local", "--yes", code=0)
    assert "released; 1 stuck task ends with it" in said.err and "running" not in said.err
    assert "1 pending task stays in its queue" in said.err
    assert of_task(task_id) == []


# -- a terminal --------------------------------------------------------------------------------------


def test_the_lease_of_another_host_cannot_be_released_here_and_nothing_of_this_host_ends(box: Box) -> None:
    task = box.submit("sleep", "600")
    box.until(task, "RUNNING")
    other = box.home / "runs" / "local:elsewhere"
    other.mkdir(mode=0o700)
    (other / "lease.json").write_bytes(Lease(id="local:elsewhere", kind="local", created=1.0).to_json())
    for words in (["local:elsewhere"], ["local", "local:elsewhere"]):
        said = box.run("lease", "release", *words, "--yes", code=2)
        assert "local:elsewhere is the lease of another host" in said.err and "on elsewhere" in said.err
    assert box.task(task)["state"] == "RUNNING"


def test_a_table_fits_the_terminal_it_is_on(box: Box) -> None:
    box.submit("echo " + "x" * 300, options=("--no-start",))
    shown = on_terminal(box, "tasks", "--color", "never")
    assert max(len(line) for line in shown.splitlines()) <= 60, shown
    assert "…" in shown
    assert "\x1b[" in on_terminal(box, "tasks")


def test_help_on_a_terminal_calls_no_pager(box: Box) -> None:
    assert "submit" in on_terminal(box, "--help")
    assert "leaseq submit" in on_terminal(box, "submit", "--help")
