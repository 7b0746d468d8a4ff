"""The options of sbatch, salloc and srun and the Request, environment and file names they mean."""

import grp
import os
import pwd
from collections.abc import Callable

from slurm_mock import options as checks
from slurm_mock import units
from slurm_mock.cluster import Settings
from slurm_mock.hostlist import expand
from slurm_mock.options import Refused
from slurm_mock.records import Job, Request

Options = dict[str, str]
NO_TASK = 4294967294  # what %a stands for if there is no task of an array

# What a user's login would set again under --export=NONE.
_LOGIN = ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "MAIL", "LANG", "TZ", "TERM")


def count(options: Options, name: str) -> int | None:
    """A whole number, which `options` has checked; None if nothing was said."""
    text = options.get(name)
    return None if text is None else int(text)


def node_range(options: Options) -> tuple[int | None, int | None]:
    """(min, max) of `-N 2`, `-N 2-4`."""
    text = options.get("nodes")
    if text is None:
        return None, None
    low, dash, high = text.partition("-")
    if not low.isdigit() or (high and not high.isdigit()):
        raise Refused(f'"{text}" is not a valid node count', 255)
    if dash and int(high or -1) < int(low):
        raise Refused(f"Maximum node count {high or -1} is less than minimum node count {low}", 255)
    return int(low), int(high) if dash else int(low)


def gpus_of_gres(text: str, settings: Settings) -> int:
    """GPUs per node of a --gres list; a type the nodes lack counts as more than any node has."""
    if text == "help":
        raise checks.unsupported("gres", text)
    total = 0
    for item in filter(None, text.split(",")):
        name, *fields = item.removeprefix("gres:").replace("=", ":").split(":")
        if name in ("none", "NONE"):
            continue
        if name != "gpu" or not settings.gpus:
            raise Refused("Invalid generic resource (gres) specification")
        total += _gpu_number(fields, settings)
    return total


def gpus_of(options: Options, name: str, settings: Settings) -> int:
    """The number in `--gpus=[type:]N` and its kin."""
    text = options.get(name)
    return sum(_gpu_number(item.split(":"), settings) for item in text.split(",")) if text else 0


def _gpu_number(fields: list[str], settings: Settings) -> int:
    number = fields[-1] if fields and fields[-1].isdigit() else "1"
    kind = fields[0] if fields and not fields[0].isdigit() else ""
    if len(fields) > 2:
        raise Refused("Invalid generic resource (gres) specification")
    return int(number) if kind in ("", settings.gpu_type) else 10**6


def build(options: Options, settings: Settings, environ: dict[str, str], *, batch: bool, name: str) -> Request:
    """The Request. Refused with Slurm's own words for a value it would not take."""
    checks.check(options)
    nodes_min, nodes_max = node_range(options)
    ntasks = count(options, "ntasks")
    gres = options.get("gres", "")
    user = environ.get("USER") or str(os.getuid())
    request = Request(
        name=options.get("job-name") or name,
        user=_user_name(user),
        uid=os.getuid(),
        gid=os.getgid(),
        group=_group_name(),
        batch=batch,
        workdir=os.path.abspath(options.get("chdir") or os.getcwd()),
        submit_dir=os.getcwd(),
        submit_host=environ.get("SLURMD_NODENAME") or os.uname().nodename,
        partition=_partition(options, settings),
        nodes_min=nodes_min,
        nodes_max=nodes_max,
        ntasks=ntasks,
        ntasks_per_node=count(options, "ntasks-per-node"),
        cpus_per_task=count(options, "cpus-per-task"),
        mem_per_node=_mem(options, "mem"),
        mem_per_cpu=_mem(options, "mem-per-cpu"),
        gres=gres,
        gpus_per_node=gpus_of_gres(gres, settings) or gpus_of(options, "gpus-per-node", settings),
        gpus_total=gpus_of(options, "gpus", settings),
        gpus_per_task=gpus_of(options, "gpus-per-task", settings),
        exclusive=options.get("exclusive") == "",  # "user" keeps other users away, and a mock's jobs are one user's
        overcommit="overcommit" in options,
        limit_set="time" in options,
        nodelist=_nodelist(options),
        exclude=expand(options.get("exclude", "")),
        features=options.get("constraint", ""),
        dependency=options.get("dependency", ""),
        array=options.get("array", ""),
        hold="hold" in options or options.get("priority") == "0",
        requeue=_requeue(options),
        no_kill="no-kill" in options and options["no-kill"] != "off",
        comment=options.get("comment", ""),
        account=options.get("account", ""),
        qos=options.get("qos", ""),
        reservation=options.get("reservation", ""),
        licenses=options.get("licenses", ""),
        prefer=options.get("prefer", ""),
        batch_features=options.get("batch", ""),
        stale="deadline" in options,
        nice=int(options.get("nice") or 0) if options.get("nice", "0").lstrip("-").isdigit() else 0,
        stdin=options.get("input", "/dev/null"),
        stdout=options.get("output", ""),
        stderr=options.get("error", ""),
        open_mode=options.get("open-mode", "")[:1],
        umask=current_umask(),
    )
    _timing(request, options)
    _fit_nodes(request)
    return request


def _timing(request: Request, options: Options) -> None:
    if "time" in options:
        request.limit_minutes = _checked(options, "time", units.minutes)
    if "begin" in options:
        request.begin = checks.begin(options["begin"])
    if "signal" in options:
        _checked(options, "signal", lambda text: _signal(request, text))


def _checked(options: Options, name: str, read: Callable[[str], int | None]) -> int | None:
    try:
        return read(options[name])
    except units.BadValue:
        raise Refused(f"Invalid --{name} specification", 255) from None


def _mem(options: Options, name: str) -> int | None:
    return _checked(options, name, units.megabytes) if name in options else None


def _signal(request: Request, text: str) -> int:
    flags, colon, rest = text.rpartition(":")
    if colon and flags.strip("BR"):
        raise units.BadValue(text)
    name, _, lead = rest.partition("@")
    request.signal = units.signal_number(name)
    if lead and not lead.isdigit():
        raise units.BadValue(text)
    request.signal_lead = int(lead or 60)
    request.signal_batch = "B" in flags
    return request.signal


def _fit_nodes(request: Request) -> None:
    if request.nodelist and request.nodes_max is not None and len(request.nodelist) > request.nodes_max:
        raise Refused(f"invalid number of nodes (-N {len(request.nodelist)}-{request.nodes_max})")


def warn_few_tasks(request: Request) -> str:
    """Sets the node count down to the task count; the warning's text, or ""."""
    if request.ntasks and request.nodes_min and request.ntasks < request.nodes_min:
        text = f"can't run {request.ntasks} processes on {request.nodes_min} nodes, setting nnodes to {request.ntasks}"
        request.nodes_min = request.nodes_max = request.ntasks
        return text
    return ""


def _partition(options: Options, settings: Settings) -> str:
    """The first one named; of names that are not all known, one that is not."""
    names = options.get("partition", next(iter(settings.partitions))).split(",")
    unknown = [name for name in names if name not in settings.partitions]
    return (unknown or names)[0] or "(null)"


def _nodelist(options: Options) -> list[str]:
    if "nodefile" in options and "nodelist" not in options:
        return list(checks.nodes_of(options["nodefile"]))
    try:
        return expand(options.get("nodelist", ""))
    except ValueError:
        return [options["nodelist"]]  # no node has that name, and so the controller says


def _requeue(options: Options) -> bool | None:
    said = [name for name in options if name in ("requeue", "no-requeue")]
    return said[-1] == "requeue" if said else None


def environment(environ: dict[str, str], export: str) -> dict[str, str]:
    """The part of the environment that --export lets through to a batch script."""
    if export in ("", "ALL"):
        return dict(environ)
    return exported(environ, export, {name: environ[name] for name in _LOGIN if name in environ})


def exported(environ: dict[str, str], export: str, otherwise: dict[str, str]) -> dict[str, str]:
    """`otherwise`, or everything under ALL, plus the named variables and NAME=VALUE pairs."""
    items = split_commas(export)
    chosen = dict(environ) if "ALL" in items else dict(otherwise)
    for item in items:
        name, equals, value = item.partition("=")
        if equals:
            chosen[name] = value
        elif name in environ:
            chosen[name] = environ[name]
    return chosen


def split_commas(text: str) -> list[str]:
    """Items between commas; quotes, single or double, hold an item together."""
    items, quote, item = [], "", ""
    for char in text:
        if char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        elif char == "," and not quote:
            items.append(item)
            item = ""
        else:
            item += char
    return [*items, item] if item else items


def request_variables(request: Request, options: Options) -> dict[str, str]:
    """SLURM_* that sbatch itself puts into the job's environment."""
    pairs = {
        "SLURM_JOB_NAME": request.name,
        "SLURM_SUBMIT_DIR": request.submit_dir,
        "SLURM_SUBMIT_HOST": request.submit_host,
        "SLURM_PRIO_PROCESS": "0",
        "SLURM_NTASKS_PER_NODE": request.ntasks_per_node,
        "SLURM_CPUS_PER_TASK": request.cpus_per_task,
        "SLURM_MEM_PER_NODE": request.mem_per_node,
        "SLURM_MEM_PER_CPU": request.mem_per_cpu,
        "SLURM_GPUS": options.get("gpus"),
        "SLURM_GPUS_PER_NODE": options.get("gpus-per-node"),
        "SLURM_GPUS_PER_TASK": options.get("gpus-per-task"),
        "SLURM_OVERCOMMIT": "1" if request.overcommit else None,
        "SLURM_DISTRIBUTION": options.get("distribution"),
        "SLURM_EXPORT_ENV": options.get("export"),
    }
    return {name: str(value) for name, value in pairs.items() if value is not None}


def output_of(request: Request) -> str:
    """The pattern of the batch script's output."""
    return request.stdout or ("slurm-%A_%a.out" if request.array else "slurm-%j.out")


def file_name(job: Job, pattern: str, *, node: str, workdir: str = "", step: str = "") -> str:
    """The absolute path that a pattern such as `out-%j.%N` stands for; `%4j` pads."""
    values = {
        "j": str(job.id),
        "A": str(job.array_job or job.id),
        "J": f"{job.id}.{step}" if step else str(job.id),
        "a": str(NO_TASK if job.array_task is None else job.array_task),
    }
    values |= {"N": node, "x": job.request.name, "u": job.request.user, "n": "0", "t": "0"}
    values |= {"s": step or "batch", "%": "%"}
    result, index = "", 0
    while index < len(pattern):
        if pattern[index] != "%":
            result += pattern[index]
            index += 1
            continue
        end = index + 1
        while end < len(pattern) and pattern[end].isdigit():
            end += 1
        letter = pattern[end : end + 1]
        result += values[letter].zfill(int(pattern[index + 1 : end] or 0)) if letter in values else pattern[index]
        index = end + 1 if letter in values else index + 1
    return os.path.join(workdir or job.request.workdir, result)


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _user_name(fallback: str) -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return fallback


def _group_name() -> str:
    try:
        return grp.getgrgid(os.getgid()).gr_name
    except KeyError:
        return str(os.getgid())
