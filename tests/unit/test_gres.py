"""A step's GPU option for every kind of job: by leaseq, and by the lease script, which must not say anything else.

The texts are what `scontrol show job -d` printed; with each of the options a step was started on that Slurm and had
all GPUs that the node was granted.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from leaseq.lease.slurm import render
from leaseq.lease.slurm.gres import step_option

TEXT = """JobId=7 JobName=Nodes=node1 GRES=gpu:9
   Comment=TresPerJob=gres:gpu:8
   NumNodes=2 NumCPUs=2 NumTasks=2 CPUs/Task=1 ReqB:S:C:T=0:0:*:*
   JOB_GRES=gpu:4
{lines}
   MinCPUsNode=1 MinMemoryNode=0 MinTmpDiskNode=0
   Power=
   {request}
"""
OLD, NEW = "22.05.8", "24.11.5"
UNEVEN = ("node1 GRES=gpu:3(IDX:0-2)", "node2 GRES=gpu:1(IDX:0)")
TYPED = ("node1 GRES=gpu:a100:2(IDX:0-1),gpu:h100:1(IDX:2)", "node2 GRES=gpu:a100:1(IDX:0),gpu:h100:0(IDX:)")
BOTH = ("node1 GRES=gpu:a100:1(IDX:0),gpu:h100:2(IDX:2-3)",)
ALL_OF_BOTH = "--gres=gpu:a100:1,gpu:h100:2"
THREE = "--gres=gpu:a100:2,gpu:h100:1"
ONE_TYPE = ("node1 GRES=gpu:a100:2(IDX:0-1)",)
CASES = [
    # what was asked for, by whom it was told, the nodes' lines, Slurm's line of it, the options on the nodes
    ("--gpus=4", OLD, UNEVEN, "TresPerJob=gres:gpu:4", ("--gpus=3", "--gpus=1")),
    ("--gpus=4", NEW, UNEVEN, "TresPerJob=gres/gpu:4", ("--gres=gpu:3", "--gres=gpu:1")),
    ("--gpus=2", NEW, ("node[1-2] GRES=gpu:1(IDX:0)",), "TresPerJob=gres/gpu:2", ("--gres=gpu:1", "--gres=gpu:1")),
    ("--gpus=a100:1,h100:2", OLD, BOTH, "TresPerJob=gres:gpu:a100:1,gres:gpu:h100:2", ("--gpus=a100:1,h100:2",)),
    ("--gpus=a100:1,h100:2", NEW, BOTH, "TresPerJob=gres/gpu:a100:1,gres/gpu:h100:2", (ALL_OF_BOTH,)),
    ("--exclusive", OLD, ("node[1-2] GRES=gpu:4(IDX:0-3)",), "", ("--gres=gpu:4", "--gres=gpu:4")),
    ("--exclusive", NEW, BOTH, "", (ALL_OF_BOTH,)),
    ("--exclusive --gres=gpu:1", OLD, ("node1 GRES=gpu:4(IDX:0-3)",), "TresPerNode=gres:gpu:1", ("--gpus=4",)),
    ("-n4 --gpus-per-task=1", OLD, TYPED, "TresPerTask=gres:gpu:1", ("--gpus=3", "--gpus=1")),
    ("-n4 --gpus-per-task=1", NEW, TYPED, "TresPerTask=gres/gpu=1", (THREE, "--gres=gpu:a100:1")),
    ("--gpus-per-task=a100:1", OLD, ONE_TYPE, "TresPerTask=gres:gpu:a100:1", ("--gpus=a100:2",)),
    ("--tres-per-task=cpu:2,gres/gpu:1", NEW, UNEVEN, "TresPerTask=cpu:2,gres/gpu:1", ("--gres=gpu:3", "--gres=gpu:1")),
    ("--gres=gpu:3", OLD, TYPED[:1], "TresPerNode=gres:gpu:3", ("--gpus=3",)),
    ("--gres=gpu:1080:1", OLD, ("node1 GRES=gpu:1080:1(IDX:3)",), "TresPerNode=gres:gpu:1080:1", ("--gpus=1080:1",)),
    ("-c4", NEW, ("node1 GRES=",), "TresPerTask=cpu=4", ("--gres=none",)),
    ("--gres=gpu:2,nic:1", NEW, ("node1 GRES=gpu:2(IDX:0,3),nic:1(CNT:1)",), "", ("--gres=gpu:2,nic:1",)),
]  # fmt: skip


def shown(lines: tuple[str, ...], request: str) -> str:
    told = "\n".join(f"     Nodes={line.replace(' ', ' CPU_IDs=0-1 Mem=0 ')}" for line in lines)
    return TEXT.format(lines=told, request=request)


def by_the_script(directory: Path, text: str, node: str) -> str:
    template = Path(render.packaged(), "allocation.sh.j2").read_text()
    function = re.search(r"^gpu_option\(\) \{.*?^\}$", template, re.MULTILINE | re.DOTALL)
    assert function
    (directory / "shown").write_text(text)
    scontrol = directory / "scontrol"
    scontrol.write_text(
        f"#!/bin/bash\n[ $2 = job ] && exec cat {directory}/shown\n"
        "case $3 in *-2]) echo node1; echo node2 ;; *) echo $3 ;; esac\n"
    )
    scontrol.chmod(0o755)
    script = f"set -u; job=7; {function[0]}\ngpu_option {node}"
    done = subprocess.run(
        ["bash", "-c", script],
        env={"PATH": f"{directory}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize(("asked", "version", "lines", "request_line", "options"), CASES)
def test_a_step_asks_for_what_the_node_was_granted(
    asked: str, version: str, lines: tuple[str, ...], request_line: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    text = shown(lines, request_line)
    nodes = [f"node{number}" for number in range(1, len(options) + 1)]
    assert tuple(step_option(text, node) for node in nodes) == options
    assert tuple(by_the_script(tmp_path, text, node) for node in nodes) == options


@pytest.mark.parametrize("text", ["", "slurm_load_jobs error: Invalid job id specified\n", shown(UNEVEN, "")])
def test_of_a_node_that_slurm_does_not_tell_of_nothing_is_said(text: str, tmp_path: Path) -> None:
    assert step_option(text, "node9") == ""
    assert by_the_script(tmp_path, text, "node9") == ""
