"""What a job holds on a node as the option of a step there, out of `scontrol show job -d`. Pure.

A step that says nothing of GPUs gets what the job's options come to for one task on one node, and that can be less
than the node was granted: fewer with --gpus-per-task, none with --exclusive, nothing but a refusal with --gpus=N. No
option serves every Slurm (measured): 24.11 starts a step with --gres= and the words that it prints for the node, and
never one with --gpus=N on some nodes; 22.05 refuses those words on some nodes, and starts a step with --gpus=, with
types if the job was asked for by type. 22.05 prints what was asked for as `gres:gpu`, 24.11 as `gres/gpu`.
`gpu_option` of the lease script says the same in bash.
"""

from __future__ import annotations

import re

from leaseq.hostlist import expand_hosts
from leaseq.schema import whole

_NODE = re.compile(r"^ *Nodes=(\S+) .*GRES=(\S*)", re.MULTILINE)
_BY_GPUS = re.compile(r"^ *Tres[A-Za-z]*=\S*gres:gpu", re.MULTILINE)
_BY_TYPE = re.compile(r"^ *Tres[A-Za-z]*=\S*gres:gpu:[^,\s]*[^0-9,\s]", re.MULTILINE)


def step_option(shown: str, node: str) -> str:
    """The option by which a step gets all GPUs that the job has on the node; empty if Slurm does not tell."""
    words = _held(shown, node)
    if words is None:
        return ""
    gpus = [word.removeprefix("gpu:") for word in words if word.startswith("gpu:")]
    if gpus and _BY_GPUS.search(shown):
        return f"--gpus={','.join(gpus) if _BY_TYPE.search(shown) else sum(map(_count, gpus))}"
    return f"--gres={','.join(words) or 'none'}"


def _held(shown: str, node: str) -> list[str] | None:
    """`gpu:a100:2`, `nic:1`: what the job holds on the node; None if it is not among the job's nodes."""
    for nodes, held in _NODE.findall(shown):
        try:
            names = expand_hosts(nodes)
        except ValueError:
            continue
        if node in names:
            words = re.sub(r"\([^)]*\)", "", held).split(",")
            return [word for word in words if word and not word.endswith(":0")]
    return None


def _count(word: str) -> int:
    return whole(word.rpartition(":")[2]) or 0
