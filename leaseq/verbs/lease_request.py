"""From what is said of a lease, the settings and a profile to what Slurm is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from leaseq import config
from leaseq.dataclass import dataclass
from leaseq.errors import UsageError
from leaseq.names import is_node, valid_name
from leaseq.protocol.succession import How
from leaseq.verbs import lease_words

if TYPE_CHECKING:
    from leaseq.lease.slurm.sbatch import LeaseRequest


@dataclass(frozen=True)
class Wish:
    """A lease that is asked for, or another job of one, as it is said."""

    tokens: tuple[str, ...] = ()
    """The user's Slurm options, verbatim and in order."""
    to: str = ""
    """The lease that is to get more nodes; empty: a new one is asked for."""
    name: str = ""
    profile: str = ""
    template: str = ""
    keep: str = ""
    """How long each job is to be followed by another; empty: by the profile, else there is one alone."""
    overlap: str = ""
    """How long before the end of one the next may start."""
    idle: str = ""
    """How long it may stand unused; empty: by the profile, or the settings."""
    scale: tuple[int, int] | None = None
    """How many jobs it is to have, as its tasks need them; None: by the profile, else one."""


def lease_name(text: str, *, what: str) -> str:
    """The name, if a lease may have it; raises UsageError."""
    valid_name(text, what=what)
    if text[0].isdigit():
        raise UsageError(f"{what} {text!r} begins like an id", hint="begin it with a letter")
    return text


def request(wish: Wish, settings: config.Config, *, umask: int, name: str) -> LeaseRequest:
    """What is asked of Slurm: the profile's options, then those that were said, which win. Raises UsageError."""
    from leaseq.lease.slurm.args import check
    from leaseq.lease.slurm.keep import like
    from leaseq.lease.slurm.sbatch import LeaseRequest

    profile = settings.profile(wish.profile)
    tokens = (*profile.slurm, *wish.tokens)
    checked = check(tokens)
    called = name or _job_name(checked.options) or profile.name
    how = _how(wish, profile, checked.options)
    idle = idle_limit(wish.idle, profile.idle, wish.profile, settings.idle)
    said = wish.idle or profile.idle or settings.idle
    if how is not None and how.scale and not said:
        idle = lease_words.IDLE_SECONDS
    return LeaseRequest(
        tokens=tokens,
        checked=checked,
        name=called,
        template=wish.template or profile.template,
        prologues=_snippets("prologue", settings.prologue, profile.prologue, wish.profile),
        epilogues=_snippets("epilogue", settings.epilogue, profile.epilogue, wish.profile),
        warning_seconds=settings.warning_seconds,
        warning_signal=settings.warning_signal,
        warning_to=settings.warning_to,
        umask=umask,
        prologue_failure=profile.prologue_failure or settings.prologue_failure,
        idle_seconds=idle,
        keep=how and like(how, tokens=tokens, name=called, umask=umask, environment=os.environ),
    )


def _how(wish: Wish, profile: config.Profile, options: Mapping[str, str]) -> How | None:
    """How other jobs are to be asked for; None if there is to be one. What was said goes before the profile."""
    if wish.to:
        return None
    scale = wish.scale
    if scale is None and profile.scale and not wish.keep:
        scale = lease_words.of_add(profile.scale, what=f"scale of profile {wish.profile}")
    if scale is None:
        return lease_words.kept(wish.keep or profile.keep, wish.overlap, options, otherwise=profile.overlap)
    if profile.scale and profile.keep:
        raise UsageError(
            f"profile {wish.profile} says both keep and scale",
            hint="jobs follow each other, or there are as many as tasks need",
        )
    for name, why in lease_words.AGAINST.items():
        if name in options:
            raise UsageError(f"--{name} makes no sense with --scale: {why}", hint="without it, or without --scale")
    return How("", scale=scale)


def idle_limit(asked: str, of_profile: str, profile: str, setting: str) -> float | None:
    """How long the job may stand unused: as it is said, else by the profile, else by the settings."""
    words = ((asked, "--idle"), (of_profile, f"idle of profile {profile}"), (setting, "idle in config.yaml"))
    return next((lease_words.unused_limit(text, what=what) for text, what in words if text), None)


def _job_name(options: Mapping[str, str]) -> str:
    """The job's name as sbatch will take it, if it can be a lease's."""
    name = options.get("job-name") or os.environ.get("SBATCH_JOB_NAME", "")
    return name if is_node(name) and not name[0].isdigit() else ""


def _snippets(kind: str, general: str, special: str, profile: str) -> tuple[str, ...]:
    """The parts of a script that the settings and the profile give; bash can read each by itself."""
    from leaseq.lease.slurm.render import snippet

    parts = [(general, f"the {kind} in config.yaml"), (special, f"the {kind} of profile {profile}")]
    made = [snippet(text, origin=origin) for text, origin in parts if text.strip()]
    return tuple(made if kind == "prologue" else made[::-1])
