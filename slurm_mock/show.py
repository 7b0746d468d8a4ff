"""The text of `scontrol show`, line for line as in 22.05."""

import os
import time

from slurm_mock import array, job_fields, units
from slurm_mock.cluster import Settings
from slurm_mock.hostlist import compress
from slurm_mock.node_state import NodeView, base
from slurm_mock.records import Job

NULL = "(null)"


def _gpu_text(gpus: list[int]) -> str:
    return f"gpu:{len(gpus)}(IDX:{compress([str(gpu) for gpu in gpus]).strip('[]')})" if gpus else ""


def job_text(job: Job, *, detailed: bool) -> str:
    request = job.request
    reason = job.reason.replace(" ", "_")
    cpus, tasks = job.cpus, job.ntasks
    features = request.features or NULL
    lines = [
        " ".join([f"JobId={job.id}", *_array(job), f"JobName={request.name}"]),
        f"UserId={request.user}({request.uid}) GroupId={request.group}({request.gid}) MCS_label=N/A",
        f"Priority={4294901760 - job.id if not job.held else 0} Nice={request.nice} "
        f"Account={request.account or NULL} QOS={request.qos or NULL}",
        f"JobState={job.shown_state} Reason={reason} Dependency={_dependency(job)}",
        f"Requeue={int(job.requeue)} Restarts={job.restarts} BatchFlag={int(request.batch)} Reboot=0 "
        f"ExitCode={job.exit_code}:{job.exit_signal}",
    ]
    if detailed:
        lines.append(f"DerivedExitCode={job.derived_exit}:0")
    lines += [
        f"RunTime={_run_time(job)} TimeLimit={units.limit_text(job.limit_minutes, hours=True)} TimeMin=N/A",
        f"SubmitTime={units.stamp(job.submit)} EligibleTime={units.stamp(job.eligible)}",
        f"AccrueTime={units.stamp(job.eligible)}",
        f"StartTime={units.stamp(job_fields.start_time(job), missing='Unknown')} "
        f"EndTime={units.stamp(job_fields.end_time(job), missing='Unknown')} Deadline=N/A",
        f"SuspendTime=None SecsPreSuspend=0 LastSchedEval={units.stamp(job.start or job.submit)} Scheduler=Backfill",
        f"Partition={job.partition} AllocNode:Sid={request.submit_host}:1",
        f"ReqNodeList={compress(request.nodelist) or NULL} ExcNodeList={compress(request.exclude) or NULL}",
        f"NodeList={compress(job.nodes) or NULL if job.state != 'PENDING' else NULL}",
    ]
    if job.nodes:
        lines.append(f"BatchHost={job.batch_host or job.nodes[0]}")
    per_node = request.ntasks_per_node or 0
    lines += [
        f"NumNodes={_node_count(job)} NumCPUs={cpus} NumTasks={tasks} "
        f"CPUs/Task={request.cpus_per_task or 1} ReqB:S:C:T=0:0:*:*",
        f"TRES={job_fields.tres(job)}",
        f"Socks/Node=* NtasksPerN:B:S:C={per_node}:0:*:* CoreSpec=*",
    ]
    if detailed:
        lines += _share_lines(job)
    lines += [
        f"MinCPUsNode={job_fields.min_cpus(job)} "
        f"MinMemory{'CPU' if request.mem_per_cpu else 'Node'}={job_fields.memory(job)} MinTmpDiskNode=0",
        f"Features={features} DelayBoot=00:00:00",
        f"OverSubscribe={'NO' if request.exclusive else 'OK'} Contiguous=0 Licenses=(null) Network=(null)",
        f"Command={request.command or NULL}",
        f"WorkDir={request.workdir}",
    ]
    if job.comment:
        lines.insert(-2, f"Comment={job.comment}")
    if request.batch:
        lines += [
            f"StdErr={job_fields.output_path(job, error=True)}",
            f"StdIn={request.stdin}",
            f"StdOut={job_fields.output_path(job)}",
        ]
    lines.append("Power=")
    if request.gpus_total:
        lines.append(f"TresPerJob=gres:gpu:{request.gpus_total}")
    if job_fields.tres_per_node(job) != "N/A":
        lines.append(f"TresPerNode={job_fields.tres_per_node(job)}")
    if request.gpus_per_task:
        lines.append(f"TresPerTask=gres:gpu:{request.gpus_per_task}")
    lines.append("")
    return "\n   ".join(lines)


def _array(job: Job) -> list[str]:
    tasks = array.tasks_text(job)
    throttle = [f"ArrayTaskThrottle={job.array_throttle}"] if job.array_throttle else []
    return [f"ArrayJobId={job.array_job}", f"ArrayTaskId={tasks}", *throttle] if tasks else []


def _share_lines(job: Job) -> list[str]:
    """Nodes with equal shares on one line."""
    groups: dict[str, list[str]] = {}
    for node, share in job.shares.items():
        text = f"CPU_IDs=0-{share.cpus - 1} Mem={share.mem} GRES={_gpu_text(share.gpus)}"
        groups.setdefault(text, []).append(node)
    gpus = sum(len(share.gpus) for share in job.shares.values())
    lines = [f"JOB_GRES=gpu:{gpus}"] if gpus else []
    return lines + [f"  Nodes={compress(nodes)} {text}" for text, nodes in groups.items()]


def _dependency(job: Job) -> str:
    return job_fields.LETTERS["E"].text(job)


def _node_count(job: Job) -> str:
    request = job.request
    if job.state == "PENDING" and request.nodes_min:
        return f"{request.nodes_min}-{request.nodes_max or request.nodes_min}"
    return str(job_fields.node_count(job))


def _run_time(job: Job) -> str:
    return units.span(job.seconds(time.time()), hours=True)


def node_text(view: NodeView, settings: Settings) -> str:
    node = view.node
    state = base(view).upper() + ("" if node.responding else "*")
    state = {"DRAINED": "IDLE+DRAIN", "DRAINING": "MIXED+DRAIN", "DOWN*": "DOWN*"}.get(state, state)
    uname = os.uname()
    lines = [
        f"NodeName={node.name} Arch={uname.machine} CoresPerSocket={node.cpus} ",
        f"CPUAlloc={view.cpus_used} CPUEfctv={node.cpus} CPUTot={node.cpus} CPULoad={os.getloadavg()[0]:.2f}",
        f"AvailableFeatures={view.features or NULL}",
        f"ActiveFeatures={view.features or NULL}",
        f"Gres={view.gres}",
        f"NodeAddr=127.0.0.1 NodeHostName={node.name} Version=22.05.8",
        f"OS={uname.sysname} {uname.release} {uname.version} ",
        f"RealMemory={node.mem} AllocMem={view.mem_used} FreeMem={node.mem} Sockets=1 Boards=1",
        f"State={state} ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A",
        f"Partitions={','.join(settings.partitions)} ",
        f"BootTime={units.stamp(node.booted)} SlurmdStartTime={units.stamp(node.booted)}",
        f"CfgTRES=cpu={node.cpus},mem={node.mem}M,billing={node.cpus}",
        f"AllocTRES={f'cpu={view.cpus_used}' if view.cpus_used else ''}",
    ]
    if node.reason:
        lines.append(f"Reason={node.reason} [root@{units.stamp(node.lost_at or node.booted)}]")
    return "\n   ".join(lines)


def partition_text(name: str, settings: Settings) -> str:
    default = "YES" if name == next(iter(settings.partitions)) else "NO"
    count = len(settings.nodes)
    cpus, mem = settings.cpus * count, settings.mem * count
    limit = units.limit_text(settings.partitions[name], hours=True)
    lines = [
        f"PartitionName={name}",
        "AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL",
        f"AllocNodes=ALL Default={default} QoS=N/A",
        "DefaultTime=NONE DisableRootJobs=NO ExclusiveUser=NO GraceTime=0 Hidden=NO",
        f"MaxNodes=UNLIMITED MaxTime={limit} MinNodes=0 LLN=NO MaxCPUsPerNode=UNLIMITED",
        f"Nodes={compress(settings.nodes)}",
        "PriorityJobFactor=1 PriorityTier=1 RootOnly=NO ReqResv=NO OverSubscribe=NO",
        "OverTimeLimit=NONE PreemptMode=OFF",
        f"State=UP TotalCPUs={cpus} TotalNodes={count} SelectTypeParameters=NONE",
        "JobDefaults=(null)",
        "DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED",
        f"TRES=cpu={cpus},mem={mem}M,node={count},billing={cpus}",
    ]
    return "\n   ".join(lines)


def step_text(job: Job, key: str) -> str:
    step = job.steps.get(key)
    nodes = step.nodes if step else [job.batch_host]
    cpus = sum(step.held_cpus.get(node) or _cpus(job, node) for node in nodes) if step else 0
    tasks = sum(len(ids) for ids in step.tasks.values()) if step else 1
    gpus = sum(len(ids) for ids in step.gpus.values()) if step else 0
    tres = f"cpu={cpus},mem=0,node={len(nodes)}" + (f",gres/gpu={gpus}" if gpus else "") if step else NULL
    lines = [
        f"StepId={array.label(job)}.{key} UserId={job.request.uid} "
        f"StartTime={units.stamp(step.start if step else job.start)} TimeLimit=UNLIMITED",
        f"State=RUNNING Partition={job.partition} NodeList={compress(nodes)}",
        f"Nodes={len(nodes)} CPUs={cpus} Tasks={tasks} Name={step.name if step else 'batch'} Network=(null)",
        f"TRES={tres}",
        "ResvPorts=(null)",
        "CPUFreqReq=Default",
        "SrunHost:Pid=(null):0",
    ]
    return "\n   ".join(lines)


def _cpus(job: Job, node: str) -> int:
    return job.shares[node].cpus if node in job.shares else 0
