"""The GPUs that a runner was granted: their tokens, and the variable by which a task is given some of them.

A Slurm step says it in its environment, by the vendor's own variable (gres.conf(5): nvidia_gpu_env, amd_gpu_env,
intel_gpu_env). If nobody has said it, this host's GPUs are meant, as their drivers list them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from leaseq import programs
from leaseq.dataclass import dataclass

CUDA, ROCR, LEVEL_ZERO = "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"
VARIABLES = (CUDA, ROCR, LEVEL_ZERO)
"""How NVIDIA's, AMD's and Intel's runtimes are told which GPUs a process may use."""
PROBE_SECONDS = 60.0
"""How long a driver may take to list its GPUs: without persistence mode it first wakes each of them."""
_NO_TOKENS = ("-1", "NoDevFiles", "none", "void")


@dataclass(frozen=True)
class Gpus:
    """What is known of the GPUs of a node."""

    tokens: tuple[str, ...] = ()
    """As they were granted: indices, UUIDs, MIG names, tiles."""
    variable: str = CUDA
    """What tells a task which of them are its own."""
    known: bool = True
    """False if a driver is there and has not told yet which GPUs it has."""
    trouble: str = ""
    """What the driver said beside."""


def from_environment(environment: Mapping[str, str], *, root: str = "") -> Gpus | None:
    """The GPUs that the environment grants; None if it says nothing and the host is not a Slurm step.

    Slurm sets the variables of all vendors if the site has not said which GPUs it has; then the node tells.
    """
    said = [name for name in VARIABLES if name in environment]
    if len(said) > 1:
        amd = os.path.exists(f"{root}/dev/kfd") and not os.path.exists(f"{root}/dev/nvidiactl")
        said = [ROCR] if amd and ROCR in said else [name for name in said if name != ROCR or CUDA not in said]
    if said:
        return Gpus(parse_tokens(environment[said[0]]), said[0])
    if "SLURM_JOB_ID" not in environment:
        return None
    # A step without GPUs has none of the variables (measured, 22.05).
    granted = environment.get("SLURM_STEP_GPUS") or environment.get("SLURM_GPUS_ON_NODE", "0")
    if granted == "0":
        return Gpus()
    return Gpus(trouble=f"Slurm granted GPUs ({granted}) and set none of {', '.join(VARIABLES)}: no task can get one")


def parse_tokens(visible: str) -> tuple[str, ...]:
    """The tokens of such a variable's value, as they are; the first bad one ends it."""
    tokens: list[str] = []
    for token in (part.strip() for part in visible.split(",")):
        if not token or token in _NO_TOKENS or token in tokens:
            break
        tokens.append(token)
    return tuple(tokens)


def installed(*, root: str = "", seconds_max: float = PROBE_SECONDS) -> Gpus:
    """This host's GPUs, as NVIDIA's, AMD's or Intel's driver lists them; takes as long as the driver does."""
    for found in (_nvidia(seconds_max), _amd(root), _intel(seconds_max)):
        if found.tokens or not found.known:
            return found
    return Gpus()


def present(*, root: str = "") -> bool:
    """True if it is worth asking: a driver's program or device is there."""
    return bool(programs.found("nvidia-smi") or programs.found("xpu-smi") or os.path.exists(f"{root}/dev/kfd"))


def _nvidia(seconds_max: float) -> Gpus:
    """The cards that can be used, and of one in MIG mode its slices, each by its UUID.

    A card that is lost makes the program end badly, and the others are listed and work (nvidia-smi(1), return value).
    Exit codes tell nothing in a runner, which reaps every child: what was listed counts, and else what was said.
    """
    from leaseq.node import driver  # commands need only the names of the variables

    out, words = driver.ask("nvidia-smi", "-L", seconds_max=seconds_max)
    tokens: list[str] = []
    for card, slices in re.findall(r"^GPU (\d+):[^\n]*\n?((?:^\s+MIG [^\n]*\n?)*)", out, re.MULTILINE):
        tokens += re.findall(r"UUID: (MIG-[^)\s]+)", slices) or [card]
    if not tokens and "No devices were found" in words:
        return Gpus()
    return Gpus(tuple(tokens), known=bool(tokens) or not words, trouble=words)


def _amd(root: str) -> Gpus:
    """The GPUs in the kernel's topology, by the number that ROCm's runtime gives them: their place in it."""
    if not os.path.exists(f"{root}/dev/kfd"):
        return Gpus(variable=ROCR)
    return Gpus(tuple(str(place) for place in range(len(amd_devices(root=root)))), ROCR)


def amd_devices(*, root: str = "") -> list[str]:
    """The device directory in /sys of each AMD GPU that this process may use, in ROCm's order.

    A processor in the topology has no SIMD units, and a group that was not given a GPU is refused its properties.
    """
    nodes = f"{root}/sys/class/kfd/kfd/topology/nodes"
    found = []
    try:
        numbers = [number for number in os.listdir(nodes) if number.isdigit()]
    except OSError:
        return []
    for number in sorted(numbers, key=int):
        try:
            with open(f"{nodes}/{number}/properties", encoding="ascii", errors="replace") as file:
                said = dict(line.split(None, 1) for line in file if " " in line.strip())
        except OSError:
            continue
        if said.get("simd_count", "0").strip() != "0":
            found.append(f"{root}/sys/class/drm/renderD{said.get('drm_render_minor', '').strip()}/device")
    return found


def _intel(seconds_max: float) -> Gpus:
    """The devices that Level Zero numbers on this host; a processor's own graphics are none."""
    from leaseq.node import intel  # as above

    cards, words = intel.cards(seconds_max)
    return Gpus(intel.devices(cards), LEVEL_ZERO, known=bool(cards) or not words, trouble="" if cards else words)
