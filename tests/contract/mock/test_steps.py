"""Steps in a lease: overlap, layout, GPUs, inherited environment, exit codes, terminals."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm_mock import processes
from tests.contract.mock.conftest import Mock
from tests.patience import PATIENCE_SECONDS, wait_until


@pytest.fixture(scope="module")
def lease(mock: Mock) -> Iterator[str]:
    job = mock.lease("-N3", "--exclusive", "--ntasks-per-node=1", "--gres=gpu:4", "-t30")
    yield job
    mock.end(job)


def overlap(mock: Mock, lease: str, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return mock.run("srun", f"--jobid={lease}", "--overlap", *words, env=env)


def test_a_step_runs_on_the_asked_nodes_under_their_names(mock: Mock, lease: str) -> None:
    assert overlap(mock, lease, "-w", "node3", "hostname").stdout == "node3\n"
    assert sorted(overlap(mock, lease, "hostname").stdout.split()) == ["node1", "node2", "node3"]
    assert overlap(mock, lease, "-N1", "-n1", "sh", "-c", "echo $SLURMD_NODENAME").stdout == "node1\n"


def test_tasks_are_numbered_in_blocks_and_labelled(mock: Mock, lease: str) -> None:
    done = overlap(mock, lease, "-N2", "-n5", "-l", "sh", "-c", "echo $SLURM_NODEID $SLURM_LOCALID $SLURM_GTIDS")
    assert sorted(done.stdout.splitlines()) == [
        "0: 0 0 0,1,2",
        "1: 0 1 0,1,2",
        "2: 0 2 0,1,2",
        "3: 1 0 3,4",
        "4: 1 1 3,4",
    ]


def test_a_cyclic_distribution_deals_tasks_out(mock: Mock, lease: str) -> None:
    words = ["-N2", "-n4", "--ntasks-per-node=2", "-l", "sh", "-c", "echo $SLURM_NODEID"]
    dealt = overlap(mock, lease, *words, env={"SLURM_DISTRIBUTION": "cyclic"})
    assert sorted(dealt.stdout.splitlines()) == ["0: 0", "1: 1", "2: 0", "3: 1"]


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (["true"], 0, ""),
        (["sh", "-c", "exit 7"], 7, "srun: error: node1: task 0: Exited with exit code 7\n"),
        (["sh", "-c", "kill -9 $$"], 137, "srun: error: node1: task 0: Killed\n"),
        (["nonexist"], 2, "slurmstepd: error: execve(): nonexist: No such file or directory\n"),
    ],
)
def test_srun_returns_the_tasks_exit_code(mock: Mock, lease: str, command: list[str], code: int, words: str) -> None:
    done = overlap(mock, lease, "-N1", "-n1", *command)
    assert (done.returncode, words in done.stderr) == (code, True)


def test_the_highest_exit_code_wins(mock: Mock, lease: str) -> None:
    assert overlap(mock, lease, "-N3", "-n3", "sh", "-c", "exit $SLURM_PROCID").returncode == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-w", "node9", "-N1", "-n1"], "Requested node configuration is not available"),
        (["-N4"], "srun: error: Only allocated 3 nodes asked for 4"),
        (["-n30"], "More processors requested than permitted"),
        (
            ["-N1", "-n1", "--gres=gpu:9"],
            "Step requested gres_per_node=gpu:9 is more than the job's gres_per_node=gpu:4",
        ),
    ],
)
def test_what_the_lease_has_not_is_refused(mock: Mock, lease: str, words: list[str], message: str) -> None:
    done = overlap(mock, lease, *words, "hostname")
    assert done.returncode == 1
    assert message in done.stderr


def test_a_step_without_overlap_waits_for_another_one_and_says_so(mock: Mock, lease: str) -> None:
    first = mock.popen("srun", f"--jobid={lease}", "-N1", "-n1", "-w", "node1", "sleep", "300")
    wait_until(lambda: "sleep" in mock.out("squeue", "-h", "-s", "-o", "%i %j"))
    done = mock.run("srun", f"--jobid={lease}", "-N1", "-n1", "-w", "node1", "--immediate=1", "hostname")
    assert done.returncode == 1
    assert f"Unable to create step for job {lease}: Requested nodes are busy" in done.stderr
    assert overlap(mock, lease, "-N1", "-n1", "-w", "node1", "hostname").stdout == "node1\n"
    second = mock.popen("srun", f"--jobid={lease}", "-N1", "-n1", "-w", "node1", "hostname")
    assert first.stdout and second.stdout
    waited = second.stdout.readline()
    step = mock.out("squeue", "-h", "-s", "-o", "%i %j").split(" sleep")[0].split()[-1]
    mock.out("scancel", step)
    assert first.wait(PATIENCE_SECONDS) == 137
    assert second.wait(PATIENCE_SECONDS) == 0
    waited += second.stdout.read()
    assert f"Job {lease} step creation temporarily disabled, retrying (Requested nodes are busy)" in waited
    assert "node1" in waited
    first.stdout.close(), second.stdout.close()


def test_an_overlapping_step_blocks_nobody(mock: Mock, lease: str) -> None:
    runner = mock.popen("srun", f"--jobid={lease}", "--overlap", "-N3", "-n3", "sleep", "300")
    wait_until(lambda: "sleep" in mock.out("squeue", "-h", "-s", "-o", "%j"))
    plain = mock.run("srun", f"--jobid={lease}", "-N1", "-n1", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES")
    assert plain.stdout == "0,1,2,3\n"
    runner.terminate()
    assert runner.wait(PATIENCE_SECONDS) == 137
    assert runner.stdout
    assert "srun: forcing job termination" in runner.stdout.read()
    runner.stdout.close()


def test_exact_steps_share_out_the_gpus(mock: Mock, lease: str) -> None:
    words = ["srun", f"--jobid={lease}", "-N1", "-n1", "-w", "node2", "--exact", "--gres=gpu:1"]
    script = "echo $CUDA_VISIBLE_DEVICES; while [ ! -e done ]; do sleep 0.05; done"
    steps = [mock.popen(*words, "sh", "-c", script) for _ in range(4)]
    gpus = []
    for step in steps:
        assert step.stdout
        gpus.append(step.stdout.readline().strip())
    assert sorted(gpus) == ["0", "1", "2", "3"]
    (mock.work / "done").touch()
    for step in steps:
        assert step.wait(PATIENCE_SECONDS) == 0
        assert step.stdout
        step.stdout.close()


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        ([], "0,1,2,3 0,1,2,3"),
        (["--gres=none"], "unset unset"),
        (["--gres=gpu:1"], "0 0"),
    ],
)
def test_gpus_of_an_overlapping_step(mock: Mock, lease: str, words: list[str], seen: str) -> None:
    script = "echo ${CUDA_VISIBLE_DEVICES-unset} ${SLURM_STEP_GPUS-unset}"
    assert overlap(mock, lease, "-N1", "-n1", *words, "sh", "-c", script).stdout.strip() == seen


def test_every_rank_gets_its_own_gpu(mock: Mock, lease: str) -> None:
    words = [
        "-N2",
        "-n8",
        "--ntasks-per-node=4",
        "--gpus-per-task=1",
        "sh",
        "-c",
        "echo $SLURM_PROCID:$CUDA_VISIBLE_DEVICES",
    ]
    expected = [f"{rank}:{rank % 4}" for rank in range(8)]
    assert sorted(overlap(mock, lease, *words).stdout.split()) == expected


@pytest.mark.parametrize(
    ("env", "words", "tasks"),
    [
        ({"SLURM_NTASKS": "3", "SLURM_NPROCS": "3"}, ["-N2", "--ntasks-per-node=1"], 3),
        ({"SLURM_NTASKS": "3"}, ["-N2", "-n2", "--ntasks-per-node=1"], 2),
        ({"SLURM_NNODES": "3", "SLURM_JOB_NUM_NODES": "3"}, ["-w", "node3"], 3),
        ({"SLURM_NNODES": "3", "SLURM_NTASKS": "3"}, ["-N1", "-n1"], 1),
    ],
)
def test_inherited_counts_poison_a_step(
    mock: Mock, lease: str, env: dict[str, str], words: list[str], tasks: int
) -> None:
    done = overlap(mock, lease, *words, "hostname", env=env)
    assert (done.returncode, len(done.stdout.split())) == (0, tasks)


@pytest.mark.parametrize(
    ("env", "words", "message"),
    [
        ({"SLURM_GPUS": "12"}, [], "Invalid generic resource (gres) specification"),
        ({"SLURM_GPUS_PER_NODE": "4"}, ["--gres=none"], "Invalid Trackable RESource (TRES) specification"),
    ],
)
def test_inherited_gpu_counts_fail_a_step(
    mock: Mock, lease: str, env: dict[str, str], words: list[str], message: str
) -> None:
    done = overlap(mock, lease, "-N1", "-n1", *words, "hostname", env=env)
    assert done.returncode == 1
    assert message in done.stderr


def test_a_lease_by_a_total_of_gpus_fails_small_steps(mock: Mock) -> None:
    job = mock.submit("-N2", "--gpus=4", "--ntasks-per-node=1", "-H", "--wrap", "true")
    wait_until(lambda: mock.out("squeue", "-h", "-j", job, "-o", "%T %r") == "PENDING JobHeldUser", "the reason")
    mock.end(job)


def test_stdin_reaches_the_task_and_output_is_whole(mock: Mock, lease: str) -> None:
    text = "x" * 300_000 + "\nend\n"
    done = mock.run("srun", f"--jobid={lease}", "--overlap", "-N1", "-n1", "cat", stdin=text)
    assert done.stdout == text


def test_the_environment_is_exported_as_asked(mock: Mock, lease: str) -> None:
    everything = overlap(mock, lease, "-N1", "-n1", "--export=ALL,FOO=b", "sh", "-c", "echo $FOO$HOME")
    assert everything.stdout.strip() == "b" + os.environ["HOME"]
    nothing = overlap(mock, lease, "-N1", "-n1", "--export=NONE", "env")
    assert (nothing.returncode, "execve(): env" in nothing.stderr) == (2, True)


def test_without_a_terminal_pty_is_disregarded(mock: Mock, lease: str) -> None:
    done = overlap(mock, lease, "-N1", "-n1", "--pty", "sh", "-c", "exit 3")
    assert done.returncode == 3
    assert "Not using a pseudo-terminal, disregarding --pty option" in done.stderr


class Shell:
    """srun --pty under a terminal of our own."""

    def __init__(self, mock: Mock, lease: str) -> None:
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            words = [
                "srun",
                f"--jobid={lease}",
                "--overlap",
                "-N1",
                "-n1",
                "-w",
                "node2",
                "--pty",
                "bash",
                "--norc",
                "-i",
            ]
            os.execvpe("srun", words, {**mock.env, "PS1": "$ "})

    def expect(self, pattern: str) -> str:
        def look() -> str:
            while select.select([self.fd], [], [], 0)[0]:
                try:
                    self.seen += os.read(self.fd, 4096).decode()
                except OSError:
                    break
            return self.seen if re.search(pattern, self.seen) else ""

        try:
            wait_until(look)
        except AssertionError:
            raise AssertionError(f"no {pattern!r} in {self.seen!r}") from None
        seen, self.seen = self.seen, ""
        return seen

    def told(self, line: str) -> str:
        """What the line prints, up to the next prompt."""
        self.type(f'{line}; echo en""d\n')
        return self.expect(r"end\r\n.*\$ $")

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())


def test_a_pty_is_a_real_terminal_with_size_signals_and_exit_code(mock: Mock, lease: str) -> None:
    import fcntl
    import struct
    import termios

    shell = Shell(mock, lease)
    shell.expect(r"\$ $")
    fcntl.ioctl(shell.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    os.kill(shell.pid, signal.SIGWINCH)
    # The size goes through srun to the node, in its own time.
    wait_until(lambda: "33 101" in shell.told("stty size"))
    seen = shell.told("tty; hostname")
    assert "/dev/pts/" in seen and "node2" in seen
    # Not before it runs: until then the terminal is bash's, which takes the key for a letter.
    shell.type("sh -c 'echo be\"\"gan; exec sleep 100'\n")
    shell.expect("began\r")
    shell.type("\x03")
    shell.expect(r"\$ $")
    shell.type("exit 5\n")
    assert os.waitstatus_to_exitcode(os.waitpid(shell.pid, 0)[1]) == 5
    os.close(shell.fd)


def test_a_bad_exit_ends_the_others_only_when_asked(mock: Mock, lease: str) -> None:
    script = (
        "if [ $SLURM_PROCID = 0 ]; then until [ -e trapped ]; do sleep 0.02; done; exit 3; fi\n"
        "trap 'echo term; exit 0' TERM; : >trapped; while :; do sleep 0.05; done"
    )
    done = overlap(mock, lease, "-N2", "-n2", "-K", "bash", "-c", script)
    assert (done.returncode, done.stdout) == (3, "term\n")


def test_a_step_ends_though_a_leftover_holds_its_output(mock: Mock, lease: str) -> None:
    """With proctrack/linuxproc no signal reaches it: its task has ended."""
    done = overlap(mock, lease, "-N1", "-n1", "sh", "-c", "sleep 300 & echo $! >left; echo said")
    assert (done.returncode, done.stdout) == (0, "said\n")
    os.kill(int(mock.read("left")), signal.SIGKILL)


def test_a_step_that_is_only_being_launched_is_killed_with_its_srun(own: Mock) -> None:
    job = own.lease("-N1", "-w", "node2")
    daemon = processes.recorded(str(own.folder / "c/nodes/node2/daemon.pid"))
    os.kill(daemon, signal.SIGSTOP)
    srun = own.popen("srun", f"--jobid={job}", "--overlap", "-N1", "-n1", "sleep", "300")
    caught = re.compile(r"SigCgt:.*[67ef]...\n")  # TERM and ALRM: the step has been made
    wait_until(lambda: caught.search(Path(f"/proc/{srun.pid}/status").read_text()))
    srun.terminate()
    assert srun.stdout
    assert srun.stdout.readline() == "srun: forcing job termination\n"
    os.kill(daemon, signal.SIGCONT)
    assert srun.wait(PATIENCE_SECONDS) == 137
    srun.stdout.close()
    own.end(job)


def test_a_signal_to_srun_is_forwarded(mock: Mock, lease: str) -> None:
    script = "trap 'echo got; exit 4' USR1; echo ready; while :; do sleep 0.05; done"
    srun = mock.popen("srun", f"--jobid={lease}", "--overlap", "-N1", "-n1", "bash", "-c", script)
    assert srun.stdout
    assert srun.stdout.readline() == "ready\n"
    srun.send_signal(signal.SIGUSR1)
    assert srun.wait(PATIENCE_SECONDS) == 4
    assert "got" in srun.stdout.read()
    srun.stdout.close()


def test_a_killed_srun_takes_its_tasks_along(mock: Mock, lease: str) -> None:
    script = "echo $$ > victim; exec sleep 300"
    srun = mock.popen("srun", f"--jobid={lease}", "--overlap", "-N1", "-n1", "bash", "-c", script)
    pid = int(mock.wait_text("victim", "\n"))
    srun.kill()
    srun.wait()
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"))
    wait_until(lambda: "bash" not in mock.out("squeue", "-h", "-s", "-o", "%j"))
    assert srun.stdout
    srun.stdout.close()


def test_an_unknown_job_and_no_command_are_refused(mock: Mock) -> None:
    unknown = mock.run("srun", "--jobid=99", "--overlap", "-N1", "-n1", "true")
    assert (unknown.returncode, "Expired or invalid job 99" in unknown.stderr) == (1, True)
    assert mock.run("srun", "--bogus", "true").returncode == 255


def test_many_steps_at_once_all_run(mock: Mock, lease: str) -> None:
    words = ["srun", f"--jobid={lease}", "--overlap", "-N1", "-n1"]
    steps = [mock.popen(*words, "-w", f"node{number % 3 + 1}", "hostname") for number in range(24)]
    assert [step.wait(PATIENCE_SECONDS) for step in steps] == [0] * 24
    for number, step in enumerate(steps):
        assert step.stdout
        assert step.stdout.read() == f"node{number % 3 + 1}\n"
        step.stdout.close()
