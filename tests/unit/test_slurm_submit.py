"""From sbatch to a record: the job id among banners, refusals, and a crash between the two."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leaseq.errors import SlurmError, Unavailable
from leaseq.layout import Home
from leaseq.lease.slurm import sbatch
from leaseq.lease.slurm.answer import Queue
from leaseq.lease.slurm.args import check
from leaseq.lease.slurm.job import SlurmBackend
from leaseq.lease.slurm.text import Row
from leaseq.models import Lease
from leaseq.protocol import allocs, records
from leaseq.world import SystemClock, SystemFs
from tests.unit.fake_program import FakeProgram, on_path

FS = SystemFs(remote=False)
CLOCK = SystemClock()
TOKENS = ("-pgpu", "-N", "2", "--gres=gpu:2", "--site-thing=x y", "-t30")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(str(tmp_path / "home"))


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeProgram]:
    before = os.environ["PATH"]
    os.environ["PATH"] = on_path(tmp_path / "bin")["PATH"]
    yield FakeProgram(tmp_path / "bin", "sbatch")
    os.environ["PATH"] = before


def request(*tokens: str, name: str = "") -> sbatch.LeaseRequest:
    return sbatch.LeaseRequest(tokens=tokens or TOKENS, checked=check(tokens or TOKENS), name=name)


def prepared(home: Home, asked: sbatch.LeaseRequest) -> sbatch.Prepared:
    return sbatch.prepare(home, asked, clock=CLOCK, user="u", host="login")


def add(home: Home, *tokens: str) -> Lease:
    asked = request(*tokens)
    return sbatch.submit(FS, home, prepared(home, asked), request=asked)[0].lease


def test_the_users_words_reach_sbatch_verbatim_and_in_order(home: Home, fake: FakeProgram) -> None:
    fake.answer("77\n")
    add(home)
    (call,) = fake.calls()
    assert call[:-1] == ["--parsable", *TOKENS]
    assert call[-1].startswith(home.scripts)


def test_the_record_and_the_script_stand_beside_each_other(home: Home, fake: FakeProgram) -> None:
    fake.answer("  *** welcome ***\n77\n", err="sbatch: lua: your default account is x\n")
    asked = request(name="mine")
    stands, said = sbatch.submit(FS, home, prepared(home, asked), request=asked)
    lease = stands.lease
    assert (lease.id, lease.name, lease.argv, lease.kind) == ("77", "mine", TOKENS, "slurm")
    assert allocs.all_of(FS, home.lease("77")) == (stands.alloc,)
    assert (stands.alloc.id, stands.alloc.job, stands.alloc.token) == ("77", "77", lease.token)
    assert records.read(FS, home.lease("77")) == lease
    assert said == "sbatch: lua: your default account is x"
    assert Path(home.runs, "77", "allocs", "77", "lease.sh").read_text().startswith("#!/bin/bash -p\n")
    assert os.listdir(home.scripts) == []


def test_a_surrounding_jobs_variables_do_not_reach_sbatch(home: Home, fake: FakeProgram) -> None:
    fake.answer("77\n")
    inherited = {**os.environ, "SLURM_MEM_PER_CPU": "100", "SBATCH_ACCOUNT": "mine", "SLURM_JOB_ID": "3"}
    asked = sbatch.LeaseRequest(tokens=(), checked=check(()), environment=inherited)
    sbatch.submit(FS, home, prepared(home, asked), request=asked)
    environment = fake.environment()
    assert environment["SBATCH_ACCOUNT"] == "mine"
    assert "SLURM_MEM_PER_CPU" not in environment
    assert "SLURM_JOB_ID" not in environment


def test_a_refusal_is_told_in_sbatchs_own_words_and_leaves_nothing(home: Home, fake: FakeProgram) -> None:
    words = "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid ..."
    fake.answer(err=words, code=1)
    with pytest.raises(SlurmError) as caught:
        add(home)
    assert caught.value.message == words
    assert os.listdir(home.scripts) == []
    assert os.listdir(home.runs) == []


def test_a_misspelt_option_that_sbatch_refuses_gets_a_suggestion(home: Home, fake: FakeProgram) -> None:
    fake.answer(err="sbatch: unrecognized option '--partiton=gpu'", code=255)
    with pytest.raises(SlurmError) as caught:
        add(home, "--partiton=gpu")
    assert caught.value.hint == "did you mean --partition?"


def test_an_answer_without_a_job_id_is_an_error(home: Home, fake: FakeProgram) -> None:
    fake.answer("nothing to see\n")
    with pytest.raises(SlurmError, match="printed no job id: nothing to see"):
        add(home)


def test_a_missing_sbatch_says_where_it_is_to_be_found(home: Home, tmp_path: Path) -> None:
    before = os.environ["PATH"]
    os.environ["PATH"] = str(tmp_path)
    try:
        with pytest.raises(Unavailable, match="there is no sbatch on this host"):
            add(home)
    finally:
        os.environ["PATH"] = before


def test_a_lease_whose_command_died_after_sbatch_gets_its_record_from_squeue(home: Home, fake: FakeProgram) -> None:
    asked = request(name="orphan")
    ready = prepared(home, asked)
    # What `submit` has written before sbatch answers, as a killed command leaves it.
    for directory in (home.root, home.runs, home.scripts):
        FS.mkdir(directory)
    FS.create(ready.path.removesuffix(".sh") + ".json", ready.asked.to_json())
    FS.create(ready.path, ready.script.encode())
    other = Row(id="5", state="RUNNING", script="/somewhere/else.sh")
    queue = Queue({"5": other, "88": Row(id="88", state="PENDING", script=ready.path)}, age_seconds=0.0)
    assert sbatch.heal(FS, home, queue) == ["88"]
    healed = records.read(FS, home.lease("88"))
    assert (healed.id, healed.name, healed.argv) == ("88", "orphan", TOKENS)
    (alloc,) = allocs.all_of(FS, home.lease("88"))
    assert (alloc.id, alloc.job, alloc.lease, alloc.token) == ("88", "88", "88", healed.token)
    assert os.listdir(home.scripts) == []
    assert sbatch.heal(FS, home, queue) == []


@pytest.mark.parametrize(
    ("told", "gpus"),
    [
        ("   JOB_GRES=gpu:4\n     Nodes=node[1-2] CPU_IDs=0 Mem=0 GRES=gpu:2(IDX:0-1)\n", ["--gres=gpu:2"]),
        ("   TresPerJob=gres:gpu:4\n     Nodes=node2 CPU_IDs=0 Mem=0 GRES=gpu:1(IDX:0)\n", ["--gpus=1"]),
        ("     Nodes=node[1-2] CPU_IDs=0 Mem=0 GRES=\n", ["--gres=none"]),
        ("", []),
    ],
)
def test_stepping_in_asks_for_one_task_beside_all_others(
    home: Home, fake: FakeProgram, told: str, gpus: list[str]
) -> None:
    scontrol = FakeProgram(fake.directory, "scontrol")
    scontrol.answer(told)
    FakeProgram(fake.directory, "srun")
    backend = SlurmBackend(FS, home, clock=CLOCK)
    words = backend.attach(Lease(id="9", kind="slurm", created=0.0).first, "node2", ["bash", "-l"], tty=True)
    srun = f"{fake.directory}/srun"
    words = words[words.index(srun) :]
    start = [srun, "--jobid=9", "--overlap", "-N1", "-n1", "-w", "node2", "--mpi=none"]
    assert words == [*start, *gpus, "--pty", "bash", "-l"]
    assert scontrol.calls()[-1] == ["show", "job", "-d", "9"]


def test_stepping_in_leaves_a_surrounding_jobs_variables_behind(home: Home, fake: FakeProgram) -> None:
    for name in ("scontrol", "srun"):
        FakeProgram(fake.directory, name)
    os.environ["SLURM_NNODES"] = "3"
    try:
        words = SlurmBackend(FS, home, clock=CLOCK).attach(
            Lease(id="9", kind="slurm", created=0.0).first, "n", ["true"], tty=False
        )
    finally:
        del os.environ["SLURM_NNODES"]
    assert words[: words.index(f"{fake.directory}/srun")] == ["/usr/bin/env", "-u", "SLURM_NNODES"]


def test_the_number_counts_that_sbatch_printed_before_it_hung(home: Home, fake: FakeProgram) -> None:
    fake.answer("77\n", err="sbatch: a site's words\n", hangs=60)
    asked = request(name="mine")
    stands, said = sbatch.submit(FS, home, prepared(home, asked), request=asked, seconds_max=3.0)
    assert (stands.lease.id, said) == ("77", "sbatch: a site's words")
    assert records.read(FS, home.lease("77")).name == "mine"
    assert os.listdir(home.scripts) == []


def test_half_a_number_is_none(home: Home, fake: FakeProgram) -> None:
    fake.answer("77", hangs=60)
    asked = request()
    with pytest.raises(Unavailable, match="has not answered"):
        sbatch.submit(FS, home, prepared(home, asked), request=asked, seconds_max=3.0)
    assert len(os.listdir(home.scripts)) == 2, "what heals it if it was queued"


def test_a_number_that_another_lease_has_is_not_taken_from_it(home: Home, fake: FakeProgram) -> None:
    fake.answer("77\n")
    first, second = add(home), add(home)
    assert (first.id, second.id, second.job) == ("77", f"77.{second.token}", "77")
    assert records.read(FS, home.lease("77")).token == first.token
    assert Path(home.runs, second.id, "allocs", "77", "lease.sh").exists()


@pytest.mark.parametrize(
    ("words", "settings", "lead"),
    [
        ((), {}, 60),
        (("--signal=B:USR2@30",), {}, 15),
        (("--signal=USR1",), {}, 30),
        (("--signal=USR1@1",), {}, 1),
        (("--signal=B:USR1@600",), {}, 60),
        (("--signal=TERM@30",), {}, 60),
        ((), {"warning_signal": "USR1", "warning_seconds": 40}, 20),
        (("--signal=B:USR2@30",), {"warning_signal": "USR1", "warning_seconds": 600}, 15),
    ],
)
def test_term_comes_after_the_warning_that_was_asked_for(
    home: Home, words: tuple[str, ...], settings: dict[str, Any], lead: int
) -> None:
    asked = sbatch.LeaseRequest(tokens=words, checked=check(words), **settings)
    assert f" --end-lead {lead} " in prepared(home, asked).script
