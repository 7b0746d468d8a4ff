"""Slurm's own answers, where clients of any kind build on them: the mock gives what the real one gives."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.contract.clusters import run
from tests.contract.site import Site

# Runs the command of its arguments, outlives TERM, and leaves the command's exit code in the file.
ASK = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: None)
code = subprocess.call(sys.argv[2:])
open(sys.argv[1], "w").write(f"{code}\\n")
"""


def answer(site: Site, *argv: str, **env: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command of Slurm's."""
    done: subprocess.CompletedProcess[str] = run(argv, {**site.cluster.env, **env}, cwd=site.directory)
    return done.returncode, done.stdout, done.stderr


def skip_where_words_are_newer(site: Site) -> None:
    """The mock has the words of 22.05, and other versions have others."""
    version = answer(site, "sbatch", "--version")[1].split()[-1]
    if not version.startswith("22.05"):
        pytest.skip(f"the words are those of 22.05, this is {version}")


def submit(site: Site, *words: str) -> str:
    return site.slurm("sbatch", "--parsable", *words).strip()


def until(site: Site, *words: str, is_: str) -> None:
    """squeue says this."""
    site.wait_until(lambda: site.cluster.squeue("-h", *words).strip() == is_, f"{is_!r} from {words}")


@pytest.mark.parametrize("verb", ["scontrol requeue", "scancel"])
@pytest.mark.parametrize("inside", ["a step", "the script"])
def test_a_job_that_ends_itself_gets_the_answer_first(site: Site, verb: str, inside: str) -> None:
    """On a real Slurm whose processors are busy the signal now and then overtakes the command (measured: 3 of 48)."""
    (site.directory / "ask.py").write_text(ASK)
    step = "srun --overlap -N1 -n1 " if inside == "a step" else "exec "
    script = f"{step}{sys.executable} -IS ask.py code.$SLURM_JOB_ID {verb} $SLURM_JOB_ID"
    jobs = [submit(site, "-N1", "-n1", "--wrap", script) for _ in range(6)]
    files = [site.directory / f"code.{job}" for job in jobs]
    site.wait_until(lambda: all(file.exists() and file.read_text() for file in files), "an answer for each job")
    codes = {file.read_text().strip() for file in files}
    assert codes <= ({"0"} if site.cluster.kind == "mock" else {"0", "-15"})
    assert "0" in codes


def test_a_long_format_without_a_width_is_as_wide_as_it_is(site: Site) -> None:
    job = submit(site, "-H", "-N1", "-n1", "-J", "alpha", "--wrap", "true")

    def shown(spec: str) -> str:
        return site.slurm("squeue", "-h", "-j", job, "-O", spec).rstrip("\n")

    assert shown("name:###,state:|,partition:") == "alpha###PENDING|gpu"
    assert shown("name:8###,state:.9|") == "alpha   ###  PENDING|"
    assert shown("name,state") == f"{'alpha':20}{'PENDING':20}"
    assert shown("name:#3,state:x10") == "alpha#3PENDINGx10"


NO_CLUSTER = (
    "Problem talking to database",
    "'x' can't be reached now, or it is an invalid entry for --cluster.  "
    "Use 'sacctmgr list clusters' to see available clusters.",
)
GRES = "Invalid generic resource (gres) specification"
TIME = "{failed}: Requested time limit is invalid (missing or exceeds some limit)"
# What sbatch, salloc and srun say of a bad value, in the same words: option, exit code, lines.
REFUSED: list[tuple[str, int, tuple[str, ...]]] = [
    *((f"--{name}=x", 1, (f'Invalid numeric value "x" for --{name}.',)) for name in (
        "core-spec", "cores-per-socket", "cpus-per-gpu", "cpus-per-task", "mincpus", "ntasks", "ntasks-per-core",
        "ntasks-per-gpu", "ntasks-per-node", "ntasks-per-socket", "sockets-per-node", "switches", "thread-spec",
        "threads-per-core",
    )),
    *((f"--{name}=bogus", 255, (f"Invalid --{name} specification",)) for name in (
        "delay-boot", "distribution", "exclusive", "gid", "gres-flags", "mail-type", "mem", "mem-per-cpu",
        "mem-per-gpu", "no-kill", "signal", "time", "time-min", "tmp", "uid",
    )),
    ("--acctg-freq=abc", 255, ("Invalid --acctg-freq specification: abc",)),
    ("--bbf=/nonexist", 1, ("Invalid --bbf specification",)),
    ("--clusters=x", 1, NO_CLUSTER),
    ("--cpu-freq=bogus", 255, ('unrecognized --cpu-freq argument "bogus"', "Invalid --cpu-freq argument")),
    ("--deadline=2020-01-01", 1, (TIME,)),
    ("--extra-node-info=1:x", 1, ('Invalid numeric value "x" for second arg of -B.',)),
    ("--gpu-bind=bogus", 255, ("Invalid --gpu-bind argument: gpu:bogus",)),
    ("--gpu-freq=bogus", 255, ("Invalid --gpu-freq argument: gpu:bogus",)),
    ("--gpus-per-socket=1", 1, ("--gpus-per-socket option requires --sockets-per-node specification", GRES)),
    ("--gpus-per-task=1", 1, (
        "Failed to validate job spec. --gpus-per-task used without either --gpus or -n/--ntasks is not allowed.", GRES,
    )),
    ("--hint=bogus", 1, ('unrecognized --hint argument "bogus", see --hint=help',)),
    ("--licenses=foo:1", 1, ("{failed}: Invalid license specification",)),
    ("--mem-bind=bogus", 255, ('unrecognized --mem-bind argument "bogus"',)),
    ("--mem-per-gpu=1", 1, ("Requested mem_per_tres=gres:gpu:1 but did not request any GPU.", GRES)),
    ("--nice=9999999999", 255, ("Invalid --nice value, out of range (+/- 2147483645)",)),
    ("--nodefile=/nonexist", 255, (
        "slurm_allocate_resources error opening file /nonexist, No such file or directory",
        "Invalid --nodefile node file",
    )),
    ("--nodelist=node[1-", 1, ("{failed}: Invalid node name specified",)),
    ("--nodes=2-1", 255, ("Maximum node count 1 is less than minimum node count 2",)),
    ("--nodes=99", 1, ("{failed}: More processors requested than permitted",)),
    ("--partition=gpu,nope", 1, ("invalid partition specified: nope", "{failed}: Invalid partition name specified")),
    ("--prefer=nofeature", 1, ("{failed}: Invalid preferred feature specification",)),
    ("--profile=bogus", 255, ("invalid --profile=bogus option",)),
    ("--reservation=nope", 1, ("{failed}: Requested reservation is invalid",)),
    ("--signal=B:USR1@70000", 255, ("Invalid --signal specification",)),
    ("--time=0", 1, (TIME,)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "failed"),
    [
        ("sbatch", "Batch job submission failed"),
        ("salloc", "Job submit/allocate failed"),
        ("srun", "Unable to allocate resources"),
    ],
)
def test_bad_values_are_refused_in_the_same_words(site: Site, command: str, failed: str) -> None:
    skip_where_words_are_newer(site)
    words = ("--wrap", "true") if command == "sbatch" else ("true",)
    wrong = {}
    for option, code, lines in REFUSED:
        told = "".join(f"{command}: error: {line.format(failed=failed)}\n" for line in lines)
        seen = answer(site, command, option, *words)
        if seen != (code, "", told):
            wrong[option] = seen
    assert wrong == {}


@pytest.mark.parametrize(
    ("option", "code", "told"),
    [
        ("--batch=x", 1, "Batch job submission failed: Job --batch option is invalid or not a subset of --constraints"),
        ("--export-file=/nonexist", 1, "Could not open user environment file /nonexist"),
        ("--get-user-env=bogus", 255, "Invalid --get-user-env specification"),
        ("--kill-on-invalid-dep=bogus", 255, "Invalid --kill-on-invalid-dep specification"),
        ("--open-mode=bogus", 255, "Invalid --open-mode specification"),
        ("--wait-all-nodes=2", 255, "Invalid --wait-all-nodes specification"),
        ("--distribution=arbitrary", 1, "With Arbitrary distribution you need to specify a nodelist or hostfile with "
         "the -w option"),
    ],
)  # fmt: skip
def test_sbatch_refuses_bad_values(site: Site, option: str, code: int, told: str) -> None:
    skip_where_words_are_newer(site)
    assert answer(site, "sbatch", option, "--wrap", "true") == (code, "", f"sbatch: error: {told}\n")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--wait=x",), 1, 'srun: error: Invalid numeric value "x" for --wait.'),
        (("--immediate=x",), 1, 'srun: error: Invalid numeric value "x" for immediate.'),
        (("--kill-on-bad-exit=x",), 1, 'srun: error: Invalid numeric value "x" for --kill-on-bad-exit.'),
        (("--accel-bind=x",), 255, "srun: error: Invalid --accel-bind specification"),
        (("--relative=x",), 1, 'srun: error: Invalid numeric value "x" for --relative.'),
    ],
)
def test_srun_refuses_bad_values(site: Site, words: tuple[str, ...], code: int, told: str) -> None:
    assert answer(site, "srun", *words, "true") == (code, "", f"{told}\n")


def test_filters_that_match_nothing_show_and_cancel_nothing(site: Site) -> None:
    job = submit(site, "-H", "--wrap", "true")
    for option in ("-p", "-A", "-q", "-R", "-n", "-L"):
        assert answer(site, "squeue", "-h", option, "nope") == (0, "", ""), option
    for option in ("-p", "-A", "-q", "-R", "-n", "-w"):
        assert answer(site, "scancel", option, "nope") == (0, "", ""), option
    assert answer(site, "scancel", "-u", "no-such-user")[:2] == (1, "")
    assert answer(site, "scancel", "-t", "BOGUS")[0] == 1
    assert answer(site, "squeue", "-S", "?")[0] == 1
    assert site.slurm("squeue", "-h", "-j", job, "-o", "%T").strip() == "PENDING"


def test_what_a_started_job_cannot_change_is_refused(site: Site) -> None:
    held = submit(site, "-H", "-t5", "--wrap", "true")
    running = submit(site, "-t5", "-N1", "-n1", "-o", "/dev/null", "--wrap", "sleep 600")
    until(site, "-j", running, "-o", "%T", is_="RUNNING")
    for change, told in (
        ("Partition=nope", "Invalid partition name specified"),
        ("Dependency=foo:1", "Job dependency problem"),
    ):
        assert answer(site, "scontrol", "update", f"jobid={held}", change) == (1, "", f"{told} for job {held}\n")
    for change in ("Partition=long", "Dependency=afterok:1", "StartTime=now"):
        told = f"Job is no longer pending execution for job {running}\n"
        assert answer(site, "scontrol", "update", f"jobid={running}", change) == (1, "", told)
    for job in (held, running):
        assert answer(site, "scontrol", "update", f"jobid={job}", "Requeue=x")[::2] == (
            1,
            "scontrol: error: Invalid Requeue value: x\n",
        )
        assert answer(site, "scontrol", "update", f"jobid={job}", "NodeList=nope")[0] == 1


def test_each_task_of_a_multi_prog_step_runs_its_own_line(site: Site) -> None:
    (site.directory / "programs").write_text("# what runs where\n0 echo zero %t\n1-2 echo 'a  b' %t %o\n")
    asked = ("-N1", "-l", "--multi-prog", "programs")
    code, said, _ = answer(site, "srun", "-n3", *asked)
    assert (code, sorted(said.splitlines())) == (0, ["0: zero 0", "1: a  b 1 0", "2: a  b 2 1"])
    told = "srun: error: Configuration file programs invalid, no record for task id 3\n"
    assert told in answer(site, "srun", "-n4", *asked)[2]
