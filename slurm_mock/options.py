"""The values of options that `request` does not turn into a request: each is checked as the real commands check it.

sbatch, salloc and srun use the same words (measured). What Slurm would carry out and slurm_mock does not is refused as
such; what changes nothing on nodes of one socket without power control, topology or mail is taken.
"""

import functools
import grp
import os
import pwd
import re
import time
from collections.abc import Callable, Iterable, Mapping

from slurm_mock import units

Options = Mapping[str, str]
USAGE = 255
GRES = "Invalid generic resource (gres) specification"


class Refused(Exception):
    """Lines for stderr after `sbatch: error: ` and the exit code; `before` is a bare line that comes first."""

    def __init__(self, message: str, code: int = 1, *, before: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.before = before
        self.code = code


class BadValue(Refused):
    """`Invalid --name specification`, how most values are refused."""

    def __init__(self, name: str, *, before: str = "") -> None:
        super().__init__(f"Invalid --{name} specification", USAGE, before=before)


def unsupported(name: str, value: str) -> Refused:
    return Refused(f"--{name}{'=' if value else ''}{value}: not supported by slurm_mock")


NUMBERS = """core-spec cores-per-socket cpus-per-gpu cpus-per-task mincpus ntasks ntasks-per-core ntasks-per-gpu
ntasks-per-node ntasks-per-socket relative sockets-per-node thread-spec threads threads-per-core""".split()
ZERO_TOO = ("relative", "core-spec", "thread-spec")

UNSUPPORTED = """bcast container cpus-per-gpu epilog export-file get-user-env gpus-per-socket het-group
mem-per-gpu mincpus no-allocate ntasks-per-core ntasks-per-gpu ntasks-per-socket oversubscribe preserve-env prolog
propagate reboot task-epilog task-prolog time-min tmp x11""".split()
"""A value that is good would change what the job gets or does, and here it would not."""

UNSUPPORTED_VALUES = {"exclusive": ("mcs",), "kill-on-invalid-dep": ("yes",)}
LAYOUT = ("cores-per-socket", "sockets-per-node", "threads-per-core")
CHOICES: dict[str, tuple[str, ...]] = {
    "exclusive": ("", "user", "mcs"),
    "gres-flags": ("disable-binding", "enforce-binding"),
    "kill-on-invalid-dep": ("yes", "no"),
    "no-kill": ("", "off"),
    "wait-all-nodes": ("0", "1"),
    "open-mode": ("a", "append", "t", "truncate"),
}
MAIL = """NONE BEGIN END FAIL REQUEUE ALL STAGE_OUT TIME_LIMIT TIME_LIMIT_90 TIME_LIMIT_80 TIME_LIMIT_50 ARRAY_TASKS
INVALID_DEPEND""".split()
LIMITS = "AS CORE CPU DATA FSIZE MEMLOCK NOFILE NPROC RSS STACK".split()
PROFILES = "none all energy task filesystem lustre network".split()
HINTS = "compute_bound memory_bound multithread nomultithread".split()
GOVERNORS = "conservative ondemand performance powersave schedutil userspace".split()
CPU_BIND = """q quiet v verbose n no none rank map_cpu mask_cpu rank_ldom map_ldom mask_ldom sockets cores threads
ldoms boards""".split()
MEM_BIND = "q quiet v verbose n no none rank local sort nosort p prefer".split()
NICE_MAX = 2147483645


def check(options: Options) -> None:
    """Nothing, if every value is one that Slurm takes and slurm_mock carries out; else Refused.

    The order is that of the words on the command line, then what only the whole can tell.
    """
    for name, value in options.items():
        if name in NUMBERS and not (value.isdigit() and (int(value) or name in ZERO_TOO)):
            raise Refused(f'Invalid numeric value "{value}" for --{name}.')
        if name in CHOICES and value not in CHOICES[name]:
            if name == "wait-all-nodes" and not value.isdigit():
                raise Refused(f'Invalid numeric value "{value}" for --{name}.')
            raise BadValue(name)
        if name in CHECKS:
            CHECKS[name](value)
    _check_together(options)
    for name, value in options.items():
        if name in UNSUPPORTED or value in UNSUPPORTED_VALUES.get(name, ()) or (name in LAYOUT and int(value) > 1):
            raise unsupported(name, value)


def check_srun(options: Options) -> None:
    """What srun alone knows."""
    for name, shown in (
        ("wait", "--wait"),
        ("msg-timeout", "--msg-timeout"),
        ("kill-on-bad-exit", "--kill-on-bad-exit"),
        ("immediate", "immediate"),
        ("resv-ports", "--resv-port"),
    ):
        if options.get(name) and not options[name].isdigit():
            raise Refused(f'Invalid numeric value "{options[name]}" for {shown}.')
    if set(options.get("accel-bind", "")) - set("gmnv"):
        raise BadValue("accel-bind")
    for word in re.split(r",(?=[a-z])", options.get("cpu-bind", "")):
        if word and word.partition(":")[0].lower() not in CPU_BIND:
            raise Refused(f'unrecognized --cpu-bind argument "{word}"\nfatal: Failed to parse --cpu-bind= values.')
    kind = options.get("mpi", "none")
    if kind in ("pmix", "pmix_v4", "pmi2", "cray_shasta"):
        raise unsupported("mpi", kind)
    if kind != "none":
        raise Refused(
            f"Couldn't find the specified plugin name for mpi/{kind} looking at all files\n"
            f"cannot find mpi plugin for mpi/{kind}\nMPI: Cannot create context for mpi/{kind}\n"
            f"MPI: Unable to load any plugin\nInvalid MPI type '{kind}', --mpi=list for acceptable types"
        )


def _check_together(options: Options) -> None:
    if len({"mem", "mem-per-cpu", "mem-per-gpu"} & options.keys()) > 1:
        raise Refused("fatal: --mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive.")
    gpus = {"gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket", "gres"} & options.keys()
    if "gpus-per-socket" in options and "sockets-per-node" not in options:
        raise Refused(f"--gpus-per-socket option requires --sockets-per-node specification\n{GRES}")
    if "gpus-per-task" in options and not {"gpus", "ntasks"} & options.keys():
        words = "Failed to validate job spec. --gpus-per-task used without either --gpus or -n/--ntasks is not allowed."
        raise Refused(f"{words}\n{GRES}")
    if "mem-per-gpu" in options and not gpus:
        words = f"Requested mem_per_tres=gres:gpu:{options['mem-per-gpu']} but did not request any GPU."
        raise Refused(f"{words}\n{GRES}")
    if "ntasks-per-gpu" in options and not gpus | ({"nodes", "ntasks"} & options.keys()):
        words = "gres_job_state_validate: --ntasks-per-tres needs either a GRES GPU specification or a node/ntask"
        raise Refused(f"{words} specification\n{GRES}")
    if options.get("distribution", "").startswith("arbitrary"):
        if "nodelist" not in options:
            words = "With Arbitrary distribution you need to specify a nodelist or hostfile with the -w option"
            raise Refused(words)
        raise unsupported("distribution", options["distribution"])


def warnings(options: Options) -> list[str]:
    """Lines about options that are taken and passed over, as the real commands say them."""
    why = "since it's not allowed by configuration (AllowSpecResourcesUsage = No)"
    lines = [f"Ignoring -S {why}"] if "core-spec" in options else []
    lines += [f"Ignoring --thread-spec {why}"] if "thread-spec" in options else []
    bad = [word for word in filter(None, options.get("power", "").split(",")) if word != "level"]
    return lines + [f"Ignoring unrecognized power option ({word})" for word in bad for _ in range(2)]


def _moment(name: str, value: str) -> float:
    if not value:
        raise BadValue(name)
    try:
        return units.moment(value, time.time())
    except units.BadValue:
        raise BadValue(name, before=f"Invalid time specification (pos=0): {value}") from None


def begin(value: str) -> float:
    """When it says; Refused for what is no time."""
    return _moment("begin", value)


def _deadline(value: str) -> None:
    if _moment("deadline", value) > time.time():
        raise unsupported("deadline", value)


def _read(name: str, read: Callable[[str], object], value: str) -> None:
    try:
        read(value)
    except units.BadValue:
        raise BadValue(name) from None


def _account(name: str, find: Callable[[str], int], own: int, value: str) -> None:
    try:
        number = find(value)
    except KeyError:
        raise BadValue(name) from None
    if number != own:
        raise unsupported(name, value)


def _uid(text: str) -> int:
    return pwd.getpwuid(int(text)).pw_uid if text.isdigit() else pwd.getpwnam(text).pw_uid


def _gid(text: str) -> int:
    return grp.getgrgid(int(text)).gr_gid if text.isdigit() else grp.getgrnam(text).gr_gid


def _acctg(value: str) -> None:
    for item in value.split(","):
        kind, equals, number = item.rpartition("=")
        if not number.isdigit() or (equals and kind not in ("task", "energy", "network", "filesystem")):
            raise Refused(f"Invalid --acctg-freq specification: {item}", USAGE)


def _cpu_freq(value: str) -> None:
    words, _, governor = value.partition(":")
    for word in [*words.split("-"), *([governor] if governor else [])]:
        if not word.isdigit() and word.lower() not in [*GOVERNORS, "low", "medium", "high", "highm1"]:
            raise Refused(f'unrecognized --cpu-freq argument "{word}"\nInvalid --cpu-freq argument', USAGE)


def _gpu_freq(value: str) -> None:
    for item in value.split(","):
        word = item.removeprefix("memory=")
        if not word.isdigit() and word not in ("low", "medium", "high", "highm1", "verbose"):
            raise Refused(f"Invalid --gpu-freq argument: gpu:{value}", USAGE)


def _gpu_bind(value: str) -> None:
    word = re.sub(r"^v(erbose)?,", "", value)
    kind, _, rest = word.partition(":")
    if kind not in ("closest", "none", "single", "map_gpu", "mask_gpu", "per_task"):
        raise Refused(f"Invalid --gpu-bind argument: gpu:{value}", USAGE)
    for item in rest.split(",") if kind == "map_gpu" else []:
        if not item.isdigit():
            words = f"Failed to validate {rest}, offending character is {item[:1]}"
            raise Refused(f"{words}\nInvalid --gpu-bind argument: gpu:{value}", USAGE)
    if kind not in ("closest", "none"):
        raise unsupported("gpu-bind", value)


def _mem_bind(value: str) -> None:
    for item in re.split(r",(?!0x|\d)", value):
        if item not in MEM_BIND and not item.startswith(("map_mem:", "mask_mem:")):
            raise Refused(f'unrecognized --mem-bind argument "{item}"', USAGE)


def _hint(value: str) -> None:
    if value not in HINTS:
        raise Refused(f'unrecognized --hint argument "{value}", see --hint=help')


def _profile(value: str) -> None:
    if not set(value.lower().split(",")) <= set(PROFILES):
        raise Refused(f"invalid --profile={value} option", USAGE)


def _mail(value: str) -> None:
    if not set(value.upper().split(",")) & set(MAIL):
        raise BadValue("mail-type")


def _propagate(value: str) -> None:
    for word in value.upper().removeprefix("RLIMIT_").split(",") if value else []:
        if word not in [*LIMITS, "ALL", "NONE"]:
            raise Refused(f"Bad rlimit name: {value}\n--propagate={value} is not valid.")


def no_clusters(value: str) -> Refused:
    """Without accounting no cluster is known by its name, not even this one."""
    words = f"'{value}' can't be reached now, or it is an invalid entry for --cluster."
    return Refused(f"Problem talking to database\n{words}  Use 'sacctmgr list clusters' to see available clusters.")


def _clusters(value: str) -> None:
    raise no_clusters(value)


def _layout(value: str) -> None:
    for place, word in zip(("first", "second", "third"), value.split(":"), strict=False):
        if word != "*" and not word.isdigit():
            raise Refused(f'Invalid numeric value "{word}" for {place} arg of -B.')
    if set(value.split(":")) - {"*", "1"}:
        raise unsupported("extra-node-info", value)


def _distribution(value: str) -> None:
    levels, _, packing = value.lower().partition(",")
    first, *others = levels.split(":")
    kind, equals, size = first.partition("=")
    if kind == "plane":
        if not size.isdigit():
            raise Refused("Invalid plane size or size not specified\nInvalid --distribution specification", USAGE)
        raise unsupported("distribution", value)
    known = kind in ("block", "cyclic", "arbitrary", "*") and not equals and packing in ("", "pack", "nopack")
    if not known or not set(others) <= {"block", "cyclic", "fcyclic", "*"}:
        raise BadValue("distribution")


def _switches(value: str) -> None:
    count = value.partition("@")[0]
    if not count.isdigit():
        raise Refused(f'Invalid numeric value "{count}" for --switches.')


def _nice(value: str) -> None:
    if value.lstrip("-").isdigit() and abs(int(value)) > NICE_MAX:
        raise Refused(f"Invalid --nice value, out of range (+/- {NICE_MAX})", USAGE)


def _file(words: str, code: int, value: str) -> None:
    if not os.path.exists(value):
        raise Refused(words.format(value), code)


def _user_env(value: str) -> None:
    if not re.fullmatch(r"\d*[SsLl]?", value):
        raise BadValue("get-user-env")


def _signal_lead(value: str) -> None:
    lead = value.partition("@")[2]
    if not value or (lead.isdigit() and int(lead) > 65535):
        raise BadValue("signal")


def _burst_buffer(value: str) -> None:
    _file("Invalid --bbf specification", 1, value)
    raise unsupported("bbf", value)


NO_NODEFILE = "slurm_allocate_resources error opening file {}, No such file or directory\nInvalid --nodefile node file"
CHECKS: dict[str, Callable[[str], None]] = {
    "acctg-freq": _acctg,
    "bbf": _burst_buffer,
    "begin": lambda value: void(begin(value)),
    "clusters": _clusters,
    "cpu-freq": _cpu_freq,
    "deadline": _deadline,
    "delay-boot": functools.partial(_read, "delay-boot", units.minutes),
    "distribution": _distribution,
    "export-file": functools.partial(_file, "Could not open user environment file {}", 1),
    "extra-node-info": _layout,
    "get-user-env": _user_env,
    "gid": lambda value: _account("gid", _gid, os.getgid(), value),
    "gpu-bind": _gpu_bind,
    "gpu-freq": _gpu_freq,
    "hint": _hint,
    "mail-type": _mail,
    "mem-bind": _mem_bind,
    "mem-per-gpu": functools.partial(_read, "mem-per-gpu", units.megabytes),
    "nice": _nice,
    "nodefile": functools.partial(_file, NO_NODEFILE, USAGE),
    "profile": _profile,
    "propagate": _propagate,
    "signal": _signal_lead,
    "switches": _switches,
    "time-min": functools.partial(_read, "time-min", units.minutes),
    "tmp": functools.partial(_read, "tmp", units.megabytes),
    "uid": lambda value: _account("uid", _uid, os.getuid(), value),
}


def void(_: object) -> None:
    """The value was good; nothing is kept of it."""


def nodes_of(path: str) -> Iterable[str]:
    """The names in a --nodefile."""
    with open(path, encoding="utf-8") as stream:
        return [name for name in re.split(r"[\s,]+", stream.read()) if name]
