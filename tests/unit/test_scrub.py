"""What a process inherits of Slurm's variables."""

from __future__ import annotations

import pytest

from leaseq.node import scrub

STEP = {
    "HOME": "/home/u",
    "SLURM_CONF": "/etc/slurm.conf",
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NODELIST": "node[1-2]",
    "SLURM_TASKS_PER_NODE": "1(x2)",
    "SLURM_NTASKS": "1",
    "SLURM_NNODES": "1",
    "SLURM_MEM_PER_CPU": "100",
    "SLURM_GPUS": "4",
    "SLURM_CPU_BIND": "quiet,mask_cpu:0x1",
    "SLURM_STEP_ID": "0",
    "SRUN_DEBUG": "3",
    "PMI_RANK": "0",
    "PMIX_RANK": "0",
    "SBATCH_PARTITION": "gpu",
    "SQUEUE_FORMAT": "%i",
    "SLURM_TIME_FORMAT": "relative",
    "SLURMD_NODENAME": "node1",
    "CUDA_VISIBLE_DEVICES": "0,1",
}
POISON = ("SLURM_NTASKS", "SLURM_NNODES", "SLURM_MEM_PER_CPU", "SLURM_GPUS", "SLURM_CPU_BIND", "PMI_RANK", "PMIX_RANK")


def test_a_task_keeps_the_name_of_the_job_and_loses_what_poisons_a_nested_srun() -> None:
    environment = scrub.for_tasks(STEP)
    assert environment["SLURM_JOB_ID"] == "7"
    assert environment["SLURM_JOB_NODELIST"] == "node[1-2]"
    assert environment["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert not set(POISON) & set(environment)
    assert not [name for name in environment if name.startswith(("SRUN_", "SBATCH_", "SLURM_STEP_ID"))]


def test_kept_for_tasks_holds_only_slurm_variables() -> None:
    kept = scrub.kept_for_tasks(STEP)
    job = {"SLURM_CONF", "SLURM_JOB_ID", "SLURM_JOB_NODELIST", "SLURM_TASKS_PER_NODE", "SLURMD_NODENAME"}
    assert set(kept) == {*job, "SLURM_NNODES", "SLURM_JOB_NUM_NODES"}


def test_the_counts_of_nodes_agree_with_the_list_that_a_task_gets() -> None:
    for nodes, count in (("node[1-2]", "2"), ("a,b[08-10],c", "5"), ("node1", "1")):
        kept = scrub.kept_for_tasks({**STEP, "SLURM_JOB_NODELIST": nodes})
        assert (kept["SLURM_NNODES"], kept["SLURM_JOB_NUM_NODES"]) == (count, count)
    for nodes in ("", "node[", "x" * 300):
        assert not set(scrub.COUNTS) & set(scrub.kept_for_tasks({**STEP, "SLURM_JOB_NODELIST": nodes}))


@pytest.mark.parametrize(
    ("nodes", "tasks", "told"),
    [
        ("node[1-2]", "1", "1(x2)"),
        ("node[1-3]", "4", "1(x3)"),
        ("node1", "2(x2)", "1"),
        ("node[1-2]", "?", "1(x2)"),
        ("node[1-2]", "2(x2)", "2(x2)"),
        ("node[1-3]", "4,2(x2)", "4,2(x2)"),
        ("node1", "8", "8"),
    ],
)
def test_the_counts_of_tasks_tell_of_as_many_nodes_as_the_list(nodes: str, tasks: str, told: str) -> None:
    kept = scrub.kept_for_tasks({**STEP, "SLURM_JOB_NODELIST": nodes, "SLURM_TASKS_PER_NODE": tasks})
    assert kept["SLURM_TASKS_PER_NODE"] == told


def test_a_command_of_ours_prints_what_we_parse_whatever_the_user_has_set() -> None:
    environment = scrub.for_commands(STEP)
    assert environment["SLURM_TIME_FORMAT"] == "standard"
    assert environment["SLURM_CONF"] == "/etc/slurm.conf"
    assert "SQUEUE_FORMAT" not in environment
    assert "SLURM_JOB_ID" not in environment
    assert environment["HOME"] == "/home/u"


def test_sbatch_honours_the_users_options_and_not_those_of_a_surrounding_job() -> None:
    environment = scrub.for_sbatch(STEP)
    assert environment["SBATCH_PARTITION"] == "gpu"
    assert not [name for name in environment if name.startswith("SLURM_") and name != "SLURM_CONF"]


def test_what_the_prologue_set_reaches_tasks_and_slurms_own_variables_do_not_by_that_way() -> None:
    kept = scrub.kept_for_tasks({**STEP, "LD_LIBRARY_PATH": "/cuda", scrub.PROLOGUE: " LD_LIBRARY_PATH SLURM_NTASKS"})
    assert kept["LD_LIBRARY_PATH"] == "/cuda"
    assert "SLURM_NTASKS" not in kept
    assert "HOME" not in kept
