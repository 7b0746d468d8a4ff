"""srun: options and inherited environment become a step; its tasks run, and its exit code is theirs."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType

from slurm_mock import environ, grammar, multiprog, request, wire
from slurm_mock.client import Client, Failure
from slurm_mock.commands.salloc import allocate
from slurm_mock.hostlist import expand
from slurm_mock.launch import Launch
from slurm_mock.options import Refused, check, check_srun
from slurm_mock.records import Job, Step, job_from
from slurm_mock.steps import Ask
from slurm_mock.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, NoReturn


POLL_SECONDS = 0.1
TALK_SECONDS_MIN, TALK_SECONDS_MAX = 8.0, 44.0  # gaps seen between two "still disabled" lines

# Input variables of srun: option -> variables, the first one set counts.
VARIABLES = {
    "nodes": ("SLURM_NNODES", "SLURM_JOB_NUM_NODES"),
    "ntasks": ("SLURM_NTASKS", "SLURM_NPROCS"),
    "ntasks-per-node": ("SLURM_NTASKS_PER_NODE",),
    "cpus-per-task": ("SRUN_CPUS_PER_TASK",),
    "overlap": ("SLURM_OVERLAP",),
    "exact": ("SLURM_EXACT",),
    "gpus": ("SLURM_GPUS",),
    "gpus-per-node": ("SLURM_GPUS_PER_NODE",),
    "gpus-per-task": ("SLURM_GPUS_PER_TASK",),
    "gres": ("SLURM_STEP_GRES", "SLURM_GRES"),
    "distribution": ("SLURM_DISTRIBUTION",),
    "label": ("SLURM_LABELIO",),
    "unbuffered": ("SLURM_UNBUFFEREDIO",),
    "export": ("SRUN_EXPORT_ENV", "SLURM_EXPORT_ENV"),
    "kill-on-bad-exit": ("SLURM_KILL_BAD_EXIT",),
    "wait": ("SLURM_WAIT",),
    "immediate": ("SLURM_IMMEDIATE",),
    "mem-per-cpu": ("SLURM_MEM_PER_CPU",),
    "no-kill": ("SLURM_NO_KILL",),
    "overcommit": ("SLURM_OVERCOMMIT",),
    "cpu-bind": ("SLURM_CPU_BIND",),
    "chdir": ("SLURM_WORKING_DIR",),
}
GPU_OPTIONS = ("gres", "gpus", "gpus-per-node", "gpus-per-task")


def main(client: Client, argv: list[str]) -> int:
    given, command = grammar.Parser("srun", grammar.SRUN).parse(argv)
    if given.get("mpi") == "list":
        print("MPI plugin types are...\n\tnone")
        return 0
    if not command:
        client.say("fatal: No command given to execute.")
        return 1
    if command[0] == ":":
        client.fail("heterogeneous jobs: not supported by slurm_mock")
    options = _with_environment(given)
    job_text = given.get("jobid") or os.environ.get("SLURM_JOB_ID") or os.environ.get("SLURM_JOBID")
    lifeline = None
    if job_text is None:
        lifeline, job_id = allocate(client, given, name=os.path.basename(command[0]), command=command[0])
        granted = client.cluster.job(job_id) or _gone(client)
        options.setdefault("nodes", str(len(granted.nodes)))
        os.environ.update(environ.of_allocation(client.cluster, client.settings, granted))
    else:
        if not job_text.isdigit():
            client.fail(f'Invalid numeric value "{job_text}" for --jobid.')
        job_id = int(job_text)
    try:
        check(options)
        check_srun(options)
    except Refused as refused:
        client.refuse(refused)
    if "cpu-bind" in options:
        client.say("cluster configuration lacks support for cpu binding")
        os.environ["SLURM_CPU_BIND"] = options["cpu-bind"]
    job = _confirm(client, job_id)
    ask = _ask(client, options, given, job, command)
    peer, job, step = _create(client, job.id, ask, options)
    tasks = _environment(client, options, job, step)
    ntasks = sum(map(len, step.tasks.values()))
    try:
        programs = multiprog.read(command[0], ntasks) if "multi-prog" in options else []
    except Refused as refused:
        client.refuse(refused)
    launch = Launch(
        client, peer, job, step, options, command, tasks, gpus_per_task=ask.gpus_per_task, programs=programs
    )
    code = launch.run()
    if lifeline:
        lifeline.close()
    return code


def _gone(client: Client) -> NoReturn:
    client.fail("Job allocation has been revoked.")


def _with_environment(given: dict[str, str]) -> dict[str, str]:
    options = {}
    for name, variables in VARIABLES.items():
        values = [os.environ[variable] for variable in variables if os.environ.get(variable)]
        if values and not (name in GPU_OPTIONS and any(option in given for option in GPU_OPTIONS)):
            options[name] = values[0]
    for name in ("overlap", "exact", "label", "overcommit"):
        if options.get(name) == "0":
            del options[name]
    if options.get("kill-on-bad-exit") == "0":
        del options["kill-on-bad-exit"]
    return {**options, **given}


def _confirm(client: Client, job_id: int) -> Job:
    """The job whose allocation is used, as srun looks it up before anything else."""
    job = None if client.broken else client.cluster.job(job_id)
    if job and job.state == "RUNNING" and not job.completing:
        return job
    error = client.broken or ("job" if job is None else "pending" if job.state == "PENDING" else "done")
    if error == "done":
        client.say(f"error: Slurm job {job_id} has expired")
    else:
        client.say(f"error: Unable to confirm allocation for job {job_id}: {client.words({'error': error})}")
    client.say(f"Check SLURM_JOB_ID environment variable. Expired or invalid job {job_id}")
    raise Failure(1)


def _ask(client: Client, options: dict[str, str], given: dict[str, str], job: Job, command: list[str]) -> Ask:
    settings = client.settings
    if given.get("gres") == "none" and os.environ.get("SLURM_GPUS_PER_NODE"):
        _unable(client, job.id, {"error": "tres"})
    try:
        nodes = request.node_range(options)[0]
        ask = Ask(
            name=options.get("job-name") or os.path.basename(command[0]),
            user=job.request.user,
            nodes_min=nodes,
            ntasks=request.count(options, "ntasks"),
            ntasks_per_node=request.count(options, "ntasks-per-node"),
            cpus_per_task=request.count(options, "cpus-per-task") or 1,
            nodelist=expand(options.get("nodelist", "")),
            exclude=expand(options.get("exclude", "")),
            relative=request.count(options, "relative") or 0,
            overlap="overlap" in options,
            exact="exact" in options or "exclusive" in options,
            overcommit="overcommit" in options,
            cyclic=options.get("distribution", "").startswith("cyclic"),
            gpus_asked=any(name in options for name in GPU_OPTIONS),
            gpus_per_node=request.gpus_of_gres(options.get("gres", ""), settings)
            or request.gpus_of(options, "gpus-per-node", settings),
            gpus_total=request.gpus_of(options, "gpus", settings),
            gpus_per_task=request.gpus_of(options, "gpus-per-task", settings),
            no_kill="no-kill" in options and options["no-kill"] != "off",
            mem_per_cpu=int(options.get("mem-per-cpu", 0)) if settings.track_memory else 0,
            srun_node=os.environ.get("SLURMD_NODENAME", ""),
        )
    except Refused as refused:
        client.refuse(refused)
    _check_counts(client, ask, given, job)
    return ask


def _check_counts(client: Client, ask: Ask, given: dict[str, str], job: Job) -> None:
    """Warnings and refusals about -N, -n and --ntasks-per-node, verbatim."""
    lost = set(expand(os.environ.get("SLURM_JOB_NODELIST", ""))) - set(job.nodes)
    inherited = os.environ.get("SLURM_JOB_NUM_NODES", "")
    if "nodes" not in given and inherited and inherited != str(len(job.nodes)):
        client.say(
            "error: SLURM_JOB_NUM_NODES environment variable conflicts with allocated node count "
            f"({inherited} != {len(job.nodes)})."
        )
    if "nodes" not in given and not lost and ask.nodes_min is not None:
        ask.nodes_min = min(ask.nodes_min, len(job.nodes))  # measured: an inherited count is cut to what there is
    if ask.nodes_min is not None and len(ask.nodelist) > ask.nodes_min:
        client.say(
            "error: Required nodelist includes more nodes than permitted by max-node count "
            f"({len(ask.nodelist)} > {ask.nodes_min}). Eliminating nodes from the nodelist."
        )
        ask.nodelist = ask.nodelist[: ask.nodes_min]
    nodes = max(ask.nodes_min or 0, len(ask.nodelist))
    if ask.ntasks is not None and ask.ntasks < nodes:
        if "nodes" in given or ask.nodes_min is None:
            client.say(f"Warning: can't run {ask.ntasks} processes on {nodes} nodes, setting nnodes to {ask.ntasks}")
        ask.nodes_min = ask.ntasks
        ask.nodelist = ask.nodelist[: ask.ntasks]
    if ask.nodes_min is not None and ask.nodes_min > len(job.nodes):
        client.fail(f"Only allocated {len(job.nodes)} nodes asked for {ask.nodes_min}")
    wanted = (ask.ntasks_per_node or 0) * (ask.nodes_min or 0)
    if wanted and ask.ntasks is not None and wanted < ask.ntasks and "ntasks" in given:
        client.say(
            f"Warning: can't honor --ntasks-per-node set to {ask.ntasks_per_node} which doesn't match the "
            f"requested tasks {ask.ntasks} with the number of requested nodes {ask.nodes_min}. "
            "Ignoring --ntasks-per-node."
        )


def _unable(client: Client, job_id: int, reply: dict[str, Any]) -> NoReturn:
    if reply.get("hint"):
        client.say(f"error: {reply['hint']}")
    client.fail(f"Unable to create step for job {job_id}: {client.words(reply)}")


def _create(client: Client, job_id: int, ask: Ask, options: dict[str, str]) -> tuple[wire.Peer, Job, Step]:
    """The step, as soon as no other step holds what it needs; --immediate sets an end to the waiting."""
    until = _immediate(options)
    began = time.monotonic()
    next_talk, gap = began, TALK_SECONDS_MIN
    waited = False
    _end_waiting_on_signals(client, job_id)
    peer = wire.Peer(wire.connect(client.cluster.socket))
    while True:
        peer.send({"op": "step_create", "job": job_id, "ask": vars(ask)})
        reply = peer.wait() or {"error": "down"}
        if "error" not in reply:
            if waited:
                client.say(f"Step created for job {job_id}")
            return peer, job_from(reply["job"]), Step(**reply["step"])
        if reply["error"] != "busy" or (until is not None and time.monotonic() - began >= until):
            _unable(client, job_id, reply)
        if until is None and time.monotonic() >= next_talk:
            word = "still" if waited else "temporarily"
            client.say(f"Job {job_id} step creation {word} disabled, retrying ({client.words(reply)})")
            waited = True
            gap = min(gap * 2, TALK_SECONDS_MAX)
            next_talk = time.monotonic() + gap
        time.sleep(POLL_SECONDS)


def _end_waiting_on_signals(client: Client, job_id: int) -> None:
    def end(number: int, _: FrameType | None) -> None:
        client.say(f"Cancelled pending job step with signal {number}")
        _unable(client, job_id, {"error": "done"})

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def _immediate(options: dict[str, str]) -> float | None:
    if "immediate" not in options:
        return None
    return float(options["immediate"] or 1)


def _environment(client: Client, options: dict[str, str], job: Job, step: Step) -> dict[str, str]:
    """What the tasks inherit of srun's environment, by --export, and the step's variables."""
    base = dict(os.environ)
    export = options.get("export", "ALL")
    if export != "ALL":
        slurm = {name: value for name, value in base.items() if name.startswith("SLURM_")}
        base = request.exported(base, "" if export == "NONE" else export, slurm)
    if "label" in options:
        base["SLURM_LABELIO"] = "1"
    base["SLURM_UMASK"] = f"{request.current_umask():04o}"
    distribution = options.get("distribution", "").partition(":")[0]
    cpus = request.count(options, "cpus-per-task") or 0
    return environ.of_step(
        client.cluster, client.settings, job, step, base, distribution=distribution, cpus_per_task=cpus
    )
