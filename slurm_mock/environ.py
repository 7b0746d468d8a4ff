"""SLURM_* and GPU variables of a batch script and of a step's tasks, as measured on 22.05."""

from slurm_mock import array
from slurm_mock.cluster import Cluster, Settings
from slurm_mock.hostlist import compress, repeats
from slurm_mock.records import Job, Share, Step

# Of the job's variables, those that a step from outside gets as well.
_STEP_TOO = (
    "SLURM_CONF",
    "SLURM_JOB_ID",
    "SLURM_JOBID",
    "SLURM_JOB_UID",
    "SLURM_JOB_GID",
    "SLURM_JOB_USER",
    "SLURM_JOB_PARTITION",
    "SLURM_WORKING_CLUSTER",
    "SLURM_RESTART_COUNT",
)


def gpu_variables(settings: Settings, gpus: list[int], variable: str) -> dict[str, str | None]:
    """None means unset. With ConstrainDevices the CUDA ids count from 0, SLURM_*_GPUS are always the node's."""
    if not gpus:
        names = ("CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "SLURM_GPUS_ON_NODE", variable)
        return dict.fromkeys(names)
    seen = range(len(gpus)) if settings.constrain_devices else gpus
    ids = ",".join(map(str, seen))
    return {
        "CUDA_VISIBLE_DEVICES": ids,
        "GPU_DEVICE_ORDINAL": ids,
        "SLURM_GPUS_ON_NODE": str(len(gpus)),
        variable: ",".join(map(str, gpus)),
    }


def apply(environ: dict[str, str], changes: dict[str, str | None]) -> dict[str, str]:
    result = dict(environ)
    for name, value in changes.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return result


def tasks_per_node(job: Job, share: Share) -> int:
    """Without -n and --ntasks-per-node Slurm counts as many tasks as CPUs (measured: 8 on an exclusive node)."""
    request = job.request
    if request.ntasks is None and request.ntasks_per_node is None:
        return max(1, share.cpus // (request.cpus_per_task or 1))
    return share.tasks


def of_job(cluster: Cluster, settings: Settings, job: Job) -> dict[str, str]:
    """What describes the whole allocation."""
    shares = [job.shares[node] for node in job.nodes]
    nodes = compress(job.nodes)
    request = job.request
    pairs = {
        "SLURM_CLUSTER_NAME": settings.name,
        "SLURM_CONF": cluster.file("slurm.conf"),
        "SLURM_JOB_ID": str(job.id),
        "SLURM_JOBID": str(job.id),
        "SLURM_JOB_NAME": request.name,
        "SLURM_JOB_UID": str(request.uid),
        "SLURM_JOB_GID": str(request.gid),
        "SLURM_JOB_USER": request.user,
        "SLURM_JOB_PARTITION": job.partition,
        "SLURM_JOB_NODELIST": nodes,
        "SLURM_NODELIST": nodes,
        "SLURM_JOB_NUM_NODES": str(len(job.nodes)),
        "SLURM_NNODES": str(len(job.nodes)),
        "SLURM_NODE_ALIASES": "(null)",
        "SLURM_JOB_CPUS_PER_NODE": repeats([share.cpus for share in shares]),
        "SLURM_TASKS_PER_NODE": repeats([tasks_per_node(job, share) for share in shares]),
        "SLURM_WORKING_CLUSTER": f"{settings.name}:127.0.0.1:0:9728:109",
    }
    if request.ntasks is not None or request.ntasks_per_node is not None:
        pairs["SLURM_NTASKS"] = pairs["SLURM_NPROCS"] = str(job.ntasks)
    if settings.def_mem_per_cpu and request.mem_per_node is None:
        pairs["SLURM_MEM_PER_CPU"] = str(request.mem_per_cpu or settings.def_mem_per_cpu)
    for name, value in (("SLURM_JOB_ACCOUNT", request.account), ("SLURM_JOB_QOS", request.qos)):
        if value:
            pairs[name] = value
    if job.restarts:  # unset in the first run
        pairs["SLURM_RESTART_COUNT"] = str(job.restarts)
    return pairs


def of_allocation(cluster: Cluster, settings: Settings, job: Job) -> dict[str, str]:
    """What salloc and a srun that allocates for itself set."""
    pairs = of_job(cluster, settings, job)
    for name in ("SLURM_JOB_UID", "SLURM_JOB_GID", "SLURM_JOB_USER", "SLURM_WORKING_CLUSTER"):
        del pairs[name]
    return {**pairs, "SLURM_SUBMIT_DIR": job.request.submit_dir, "SLURM_SUBMIT_HOST": job.request.submit_host}


def of_node(node: str, share_cpus: int) -> dict[str, str]:
    return {
        "SLURMD_NODENAME": node,
        "SLURM_TOPOLOGY_ADDR": node,
        "SLURM_TOPOLOGY_ADDR_PATTERN": "node",
        "SLURM_CPUS_ON_NODE": str(share_cpus),
        "TMPDIR": "/tmp",
    }


def of_batch(cluster: Cluster, settings: Settings, job: Job, submitted: dict[str, str]) -> dict[str, str]:
    """The whole environment of the batch script: the submitted one under the job's."""
    share = job.shares[job.batch_host]
    base = {**submitted, **of_job(cluster, settings, job), **of_node(job.batch_host, share.cpus)}
    base |= {
        "ENVIRONMENT": "BATCH",
        "HOSTNAME": job.batch_host,
        "SLURM_NODEID": "0",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
    }
    base["SLURM_GTIDS"] = "0"
    if job.array_task is not None:
        indices, step, _ = array.parse(job.request.array, settings.max_array_size)
        base |= {"SLURM_ARRAY_JOB_ID": str(job.array_job), "SLURM_ARRAY_TASK_ID": str(job.array_task)}
        base |= array.variables(indices, step)
    return apply(base, {**gpu_variables(settings, share.gpus, "SLURM_JOB_GPUS"), "SLURM_STEP_GPUS": None})


def of_step(
    cluster: Cluster,
    settings: Settings,
    job: Job,
    step: Step,
    given: dict[str, str],
    *,
    distribution: str,
    cpus_per_task: int,
) -> dict[str, str]:
    """What all tasks of a step share: srun's environment under the step's.

    Measured: inside a job the job's own variables stay as inherited; from outside they are the step's.
    """
    nodes = compress(step.nodes)
    counts = [len(step.tasks[node]) for node in step.nodes]
    ntasks = str(sum(counts))
    outside = {"SLURM_JOB_NAME": step.name, "SLURM_JOB_NODELIST": nodes, "SLURM_NODELIST": nodes}
    job_pairs = of_job(cluster, settings, job)
    pairs = {name: job_pairs[name] for name in _STEP_TOO if name in job_pairs}
    pairs |= {
        "SLURM_NNODES": str(len(step.nodes)),
        "SLURM_NTASKS": ntasks,
        "SLURM_NPROCS": ntasks,
        "SLURM_TASKS_PER_NODE": repeats(counts),
        "SLURM_DISTRIBUTION": distribution or ("cyclic" if sum(counts) <= len(counts) else "block"),
        "SLURM_STEP_ID": str(step.id),
        "SLURM_STEPID": str(step.id),
        "SLURM_STEP_NODELIST": nodes,
        "SLURM_STEP_NUM_NODES": str(len(step.nodes)),
        "SLURM_STEP_NUM_TASKS": ntasks,
        "SLURM_STEP_TASKS_PER_NODE": repeats(counts),
        "SLURM_PRIO_PROCESS": "0",
        "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1",
        "SLURM_SRUN_COMM_HOST": "127.0.0.1",
        "SRUN_DEBUG": "3",
    }
    if cpus_per_task:
        pairs["SLURM_CPUS_PER_TASK"] = str(cpus_per_task)
    return {**outside, **given, **pairs}


def of_task(
    settings: Settings, job: Job, step: Step, node: str, index: int, *, gpus_per_task: int
) -> dict[str, str | None]:
    """What differs from task to task; None means unset."""
    ids = step.tasks[node]
    gpus = step.gpus[node]
    if gpus_per_task:
        gpus = gpus[index * gpus_per_task : (index + 1) * gpus_per_task]
    cpus = step.held_cpus.get(node) or job.shares[node].cpus
    changes: dict[str, str | None] = {**of_node(node, cpus)}
    changes |= {
        "SLURM_NODEID": str(step.nodes.index(node)),
        "SLURM_PROCID": str(ids[index]),
        "SLURM_LOCALID": str(index),
        "SLURM_GTIDS": ",".join(map(str, ids)),
    }
    return changes | gpu_variables(settings, gpus, "SLURM_STEP_GPUS")
