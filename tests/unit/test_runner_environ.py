"""The environment of a task: its submitter's, under what the node set."""

from __future__ import annotations

from collections.abc import Mapping

from leaseq.node.environ import task_environment
from tests.build import make_task

NODE = {"HOME": "/h", "PATH": "/node", "USER": "u", "SECRET_OF_NODE": "x", "SLURM_NTASKS": "4", "LEASEQ_TASK_ID": "old"}
MARKS = {"LEASEQ_TASK_ID": "T1"}


def environment(
    env: Mapping[str, str],
    *,
    node: Mapping[str, str] = NODE,
    gpus: tuple[str, ...] | None = (),
    kept: Mapping[str, str] = {},
    variable: str = "CUDA_VISIBLE_DEVICES",
) -> dict[str, str]:
    task = make_task("T", cwd="/work", submitted=0.0, env=env)
    return task_environment(task, node_environment=node, kept=kept, gpus=gpus, gpu_variable=variable, marks=MARKS)


def test_nothing_of_the_node_leaks_but_the_basics() -> None:
    assert environment({}, gpus=None) == {"HOME": "/h", "PATH": "/node", "USER": "u", "PWD": "/work", **MARKS}


def test_the_submitters_values_go_before_the_basics_and_never_before_what_the_node_owns() -> None:
    env = {"PATH": "/mine", "PWD": "/elsewhere", "MINE": "1", "SLURM_JOB_ID": "9", "SBATCH_X": "y", "PMI_RANK": "0"}
    seen = environment({**env, "LEASEQ_HOME": "/z", "CUDA_VISIBLE_DEVICES": "0"}, kept={"SLURM_JOB_ID": "7"}, gpus=None)
    assert seen == {
        "HOME": "/h",
        "USER": "u",
        "PATH": "/mine",
        "MINE": "1",
        "SLURM_JOB_ID": "7",
        "PWD": "/work",
        **MARKS,
    }


def test_gpus_are_those_booked_in_pci_order() -> None:
    seen = environment(
        {}, node={**NODE, "CUDA_VISIBLE_DEVICES": "0,1", "ROCR_VISIBLE_DEVICES": "0"}, gpus=("1", "GPU-a")
    )
    assert (seen["CUDA_VISIBLE_DEVICES"], seen["CUDA_DEVICE_ORDER"]) == ("1,GPU-a", "PCI_BUS_ID")
    assert "ROCR_VISIBLE_DEVICES" not in seen
    assert environment({})["CUDA_VISIBLE_DEVICES"] == ""


def test_where_the_nodes_gpus_are_unknown_its_own_variables_stay() -> None:
    node = {**NODE, "CUDA_VISIBLE_DEVICES": "3", "CUDA_DEVICE_ORDER": "FASTEST_FIRST"}
    seen = environment({"CUDA_DEVICE_ORDER": "mine"}, node=node, gpus=None)
    assert (seen["CUDA_VISIBLE_DEVICES"], seen["CUDA_DEVICE_ORDER"]) == ("3", "FASTEST_FIRST")


def test_a_vendors_gpus_are_told_in_its_own_variable_alone() -> None:
    node = {**NODE, "ROCR_VISIBLE_DEVICES": "0,1", "CUDA_VISIBLE_DEVICES": "0,1", "HIP_VISIBLE_DEVICES": "0,1"}
    seen = environment({"ROCR_VISIBLE_DEVICES": "7"}, node=node, gpus=("1",), variable="ROCR_VISIBLE_DEVICES")
    assert {name: value for name, value in seen.items() if "DEVICE" in name} == {"ROCR_VISIBLE_DEVICES": "1"}
    assert environment({}, variable="ROCR_VISIBLE_DEVICES")["ROCR_VISIBLE_DEVICES"] == ""
    assert environment({}, gpus=("0.1",), variable="ZE_AFFINITY_MASK")["ZE_AFFINITY_MASK"] == "0.1"


def test_what_a_prologue_has_set_of_the_nodes_gpus_gives_way_to_what_was_booked() -> None:
    seen = environment(
        {}, kept={"ROCR_VISIBLE_DEVICES": "0,1", "MODULE": "rocm"}, gpus=("0",), variable="ROCR_VISIBLE_DEVICES"
    )
    assert (seen["ROCR_VISIBLE_DEVICES"], seen["MODULE"]) == ("0", "rocm")
