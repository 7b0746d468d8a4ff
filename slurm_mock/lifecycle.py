"""What a job lives through, from start to end, requeue and loss of nodes; signals as measured on 22.05."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from slurm_mock import environ, wire
from slurm_mock.cluster import Cluster, Settings
from slurm_mock.records import Job, Node, Share, Step
from slurm_mock.request import file_name, output_of
from slurm_mock.values import dataclass

KILL_AGAIN_SECONDS = 1.0
REQUEUED_HELD = "job requeued in held state"
PREEMPT = "DUE TO PREEMPTION"
GENTLE: list[int] = [signal.SIGCONT, signal.SIGTERM]
LATE: list[int] = [signal.SIGTERM, signal.SIGCONT, signal.SIGTERM]


@dataclass(frozen=True)
class Stray:
    """A step whose node was taken for lost while it ran, and that has been told to end."""

    socket: str
    kill_at: float


class Lifecycle:
    """Jobs and nodes in memory, saved after every change; no requests and no timers here."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self.cluster = cluster
        self.settings = settings
        self.jobs: dict[int, Job] = {}
        self.nodes: dict[str, Node] = {}
        self.slurmds: dict[str, wire.Peer] = {}
        self.sruns: dict[tuple[int, str], wire.Peer] = {}
        self.sallocs: dict[int, wire.Peer] = {}
        self.strays: list[Stray] = []
        self.schedule_at = 0.0
        self.last_schedule = 0.0
        self.outbox: list[Callable[[], object]] | None = None
        """While a command is answered that may end its own caller: what is sent only when the command has ended."""

    def save(self, job: Job) -> None:
        self.cluster.save_job(job)

    def schedule_soon(self) -> None:
        self.schedule_at = self.schedule_at or time.time() + self.settings.sched_delay

    # Start

    def start(self, job: Job, shares: dict[str, Share]) -> None:
        job.state, job.reason = "RUNNING", "None"
        job.start, job.end = time.time(), 0.0
        job.shares, job.nodes = shares, list(shares)
        job.cpus_allocated = sum(share.cpus for share in shares.values())
        job.batch_host = job.nodes[0] if job.request.batch else ""
        job.batch_running = job.request.batch
        self.save(job)
        if job.request.batch:
            wire.tell(self.cluster.node_socket(job.batch_host), self._batch_launch(job))
        elif job.id in self.sallocs:
            self._push(self.sallocs[job.id], {"event": "started"})

    def _batch_launch(self, job: Job) -> wire.Message:
        request = job.request
        folder = self.cluster.file("spool", job.spool)
        with open(os.path.join(folder, "env"), encoding="utf-8", errors="surrogateescape") as stream:
            submitted = dict(item.partition("=")[::2] for item in stream.read().split("\0") if item)

        def named(pattern: str) -> str:
            return file_name(job, pattern, node=job.batch_host)

        stdout = named(output_of(request))
        return {
            "op": "launch",
            "job": job.id,
            "step": "batch",
            "restarts": job.restarts,
            "argv": [os.path.join(folder, "slurm_script"), *request.arguments],
            "env": environ.of_batch(self.cluster, self.settings, job, submitted),
            "cwd": request.workdir,
            "umask": request.umask,
            "stdin": named(request.stdin),
            "stdout": stdout,
            "stderr": named(request.stderr) if request.stderr else stdout,
            "append": request.open_mode == "a",
            "tasks": [{"procid": 0, "env": {}, "pty": False, "label": ""}],
        }

    # Signals

    def _tell_stepd(self, job: Job, step: str, node: str, signals: list[int], note: str, *, shell: bool) -> bool:
        if not self.nodes[node].responding:
            return True  # nobody can know
        text = f"slurmstepd: error: *** {note} ***" if note else ""
        message = {"signals": signals, "note": text, "shell_only": shell}
        socket = self.cluster.step_socket(node, job.id, step)
        if self.outbox is None:
            return wire.tell(socket, message)
        self.outbox.append(lambda: wire.tell(socket, message))
        return os.path.exists(socket)

    def _signal_batch(self, job: Job, signals: list[int], *, note: str = "", shell: bool = False) -> bool:
        if not job.batch_running:
            return True
        text = f"JOB {job.id} ON {job.batch_host} {note}" if note else ""
        return self._tell_stepd(job, "batch", job.batch_host, signals, text, shell=shell)

    def _signal_nodes(self, job: Job, step: Step, signals: list[int], note: str = "") -> list[str]:
        """Nodes whose stepd is not there."""
        missing = []
        for node in step.nodes:
            if node in step.done or node in step.lost:
                continue
            text = f"STEP {job.id}.{step.id} ON {node} {note}" if note and node == step.nodes[0] else ""
            if not self._tell_stepd(job, str(step.id), node, signals, text, shell=False):
                missing.append(node)
        return missing

    def signal_step(self, job: Job, step: Step, number: int) -> list[str]:
        """Nodes whose stepd is not there.

        Measured: TERM and KILL leave a note in the step's output, KILL makes srun say that it is aborted.
        """
        text = f"CANCELLED AT {_stamp()}" if number in (signal.SIGTERM, signal.SIGKILL) else ""
        srun = self.sruns.get((job.id, str(step.id)))
        if srun and number == signal.SIGKILL:
            self._push(srun, {"event": "aborting"})
        return self._signal_nodes(job, step, [number], text)

    def signal_job(self, job: Job, number: int, *, batch_only: bool, full: bool) -> None:
        """Measured: --signal reaches the steps only, with --batch the batch shell only, with --full both."""
        if batch_only or full:
            self._signal_batch(job, [number], shell=batch_only)
        if not batch_only:
            for step in list(job.steps.values()):
                self._signal_nodes(job, step, [number])

    def warning_at(self, job: Job, deadline: float) -> float:
        """When --signal is due. A lead longer than the limit comes with the first look at the limits, not at the start.

        Measured: `--time=1 --signal=B:USR1@30` at 28 to 29 s.
        """
        return max(deadline - job.request.signal_lead, job.start + self.settings.limit_check)

    def check_limits(self, job: Job, now: float) -> None:
        deadline = job.deadline
        if deadline is None:
            return
        request = job.request
        if request.signal and not job.warned and now >= self.warning_at(job, deadline):
            job.warned = True
            self.save(job)
            pair: list[int] = [signal.SIGCONT, request.signal]
            if request.signal_batch:
                self._signal_batch(job, pair, shell=True)
            else:
                for step in job.steps.values():
                    self._signal_nodes(job, step, pair)
        if now >= deadline:
            job.exit_signal = signal.SIGTERM
            self.end(job, "TIMEOUT", "TimeLimit", steps=LATE, note=f"CANCELLED AT {_stamp()} DUE TO TIME LIMIT")

    # End

    def cancel(self, job: Job) -> None:
        """scancel: CONT and TERM now, KILL after KillWait."""
        if job.state == "PENDING":
            self._bury(job, "CANCELLED")
            return
        job.exit_signal = signal.SIGTERM if job.request.batch else 0
        self.end(job, "CANCELLED", "None", note=f"CANCELLED AT {_stamp()}")

    def _bury(self, job: Job, state: str) -> None:
        """A job that never started, or holds nothing any more, is over."""
        job.state, job.end = state, time.time()
        self.save(job)
        if job.id in self.sallocs:
            self._push(self.sallocs[job.id], {"event": "revoked"})
        self.schedule_soon()

    def end(
        self,
        job: Job,
        state: str,
        reason: str,
        *,
        steps: list[int] | None = None,
        note: str = "",
    ) -> None:
        """The job is in its final state and completing: warned now, killed after KillWait."""
        job.state, job.reason = state, reason
        job.end = time.time()
        job.completing = True
        job.kill_at = job.end + self.settings.kill_wait
        self.save(job)
        for key, srun in list(self.sruns.items()):
            if key[0] == job.id:
                self._push(srun, {"event": "aborting"})
        for step in list(job.steps.values()):
            self._signal_nodes(job, step, steps or GENTLE, note)
        self._signal_batch(job, GENTLE, note=note)
        if job.id in self.sallocs:
            self._push(self.sallocs[job.id], {"event": "revoked"})
        self._finish_if_over(job)

    def preempt(self, job: Job, *, requeue: bool) -> None:
        note = f"CANCELLED AT {_stamp()} {PREEMPT}"
        if requeue and job.requeue:
            self.requeue_job(job, note=PREEMPT)
            return
        job.exit_signal = signal.SIGTERM
        self.end(job, "PREEMPTED", "None", note=note)

    def release(self, job: Job) -> None:
        """salloc ended: its allocation goes."""
        if job.state == "PENDING":
            self.cancel(job)
        elif job.state == "RUNNING" and not job.completing:
            self.end(job, "COMPLETED", "None")

    def kill_rest(self, job: Job) -> None:
        """KillWait is over. What has no stepd any more, or a crashed node, will not report: it is done."""
        self._kill_everything(job)
        job.kill_at = time.time() + KILL_AGAIN_SECONDS
        self._finish_if_over(job)

    def _kill_everything(self, job: Job) -> None:
        if not self._signal_batch(job, [signal.SIGKILL]):
            job.batch_running = False
        for step in list(job.steps.values()):
            for node in self._signal_nodes(job, step, [signal.SIGKILL]):
                step.done.append(node)

    def _finish_if_over(self, job: Job) -> None:
        for key, step in list(job.steps.items()):
            if step.over and not step.lost:
                self._drop_step(job, key)
        if not job.completing:
            return
        self._free_finished_nodes(job)
        if job.shares:
            return
        job.completing = False
        job.shares, job.steps = {}, {}
        if job.requeue_after_end:
            self._back_to_queue(job)
        self.save(job)
        self.sallocs.pop(job.id, None)
        self.schedule_soon()

    def _free_finished_nodes(self, job: Job) -> None:
        """Nodes of an ending job are free one by one, as the last of it leaves them."""
        busy = {job.batch_host} if job.batch_running else set()
        for step in job.steps.values():
            busy |= {node for node in step.nodes if node not in step.done and node not in step.lost}
        left = {node: share for node, share in job.shares.items() if node in busy}
        if left != job.shares:
            job.shares = left
            self.save(job)
            self.schedule_soon()

    def _drop_step(self, job: Job, key: str) -> None:
        del job.steps[key]

    # Reports

    def batch_done(self, job: Job, status: int) -> None:
        if not job.batch_running:
            return
        job.batch_running = False
        if job.completing:
            self._finish_if_over(job)
            return
        job.exit_code, job.exit_signal = os.waitstatus_to_exitcode(status), 0
        if os.WIFSIGNALED(status):
            job.exit_code, job.exit_signal = 0, os.WTERMSIG(status)
        failed = status != 0
        reason = "JobLaunchFailure" if job.exit_signal else "NonZeroExitCode" if failed else "None"
        self.end(job, "FAILED" if failed else "COMPLETED", reason, steps=LATE[:2], note=f"CANCELLED AT {_stamp()}")

    def step_done(self, job: Job, key: str, node: str, statuses: dict[str, int]) -> None:
        step = job.steps.get(key)
        if step is None:
            return
        codes = [os.WEXITSTATUS(status) for status in statuses.values() if os.WIFEXITED(status)]
        job.derived_exit = max([job.derived_exit, *codes])
        step.done.append(node)
        self._finish_if_over(job)
        self.save(job)

    def srun_gone(self, job_id: int, key: str) -> None:
        """Nodes where srun launched nothing are done; stepds see for themselves that it is gone."""
        job = self.jobs.get(job_id)
        step = job.steps.get(key) if job else None
        if job is None or step is None:
            return
        for node in step.nodes:
            if node not in step.done and not os.path.exists(self.cluster.step_socket(node, job.id, key)):
                step.done.append(node)
        self._finish_if_over(job)
        self.save(job)

    # Requeue

    def requeue_job(self, job: Job, *, note: str, hold: bool = False) -> None:
        job.requeue_after_end = True
        job.held = REQUEUED_HELD if hold else ""
        if job.completing:
            self.save(job)
        elif job.state == "RUNNING":
            self.end(job, "PENDING", "BeginTime", note=f"CANCELLED AT {_stamp()} {note}")
        else:
            self._back_to_queue(job)
            self.save(job)
            self.schedule_soon()

    def _back_to_queue(self, job: Job) -> None:
        """The same id, steps from 0 again, a while before it may start."""
        job.state, job.reason = "PENDING", job.held or "BeginTime"
        job.eligible = time.time() + self.settings.requeue_delay
        job.requeue_after_end = job.warned = False
        job.start = job.end = 0.0
        job.nodes, job.batch_host, job.cpus_allocated = [], "", 0
        job.next_step = job.exit_code = job.exit_signal = job.derived_exit = 0
        job.restarts += 1

    # Nodes

    def node_down(self, node: Node, reason: str) -> None:
        """The node is DOWN: its jobs end, are requeued, or go on smaller under --no-kill."""
        node.up, node.reason = False, reason
        self.cluster.save_node(node)
        for job in list(self.jobs.values()):
            if node.name not in job.shares:
                continue
            if job.state == "RUNNING" and not job.completing and job.request.no_kill and len(job.shares) > 1:
                self.shrink(job, node.name)
                continue
            self._mark_lost(job, node.name)
            if job.completing:
                self._finish_if_over(job)
            else:
                self._fail(job)
        self.schedule_soon()

    def _fail(self, job: Job) -> None:
        if job.requeue and job.request.batch:
            self.requeue_job(job, note="DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS")
            return
        note = f"CANCELLED AT {_stamp()} DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS"
        self.end(job, "NODE_FAIL", "NodeDown", note=note)

    def _mark_lost(self, job: Job, node: str) -> None:
        for key, step in list(job.steps.items()):
            if node in step.nodes and node not in step.done and node not in step.lost:
                step.lost.append(node)
                srun = self.sruns.get((job.id, key))
                if srun:
                    self._push(srun, {"event": "node_fail", "node": node})
        if job.batch_host == node:
            job.batch_running = False

    def shrink(self, job: Job, node: str) -> None:
        """The job goes on without the node, for good. Measured: a step that spans the node without --no-kill of its
        own gets KILL, no TERM, on the nodes that are left."""
        self._mark_lost(job, node)
        for step in list(job.steps.values()):
            if node in step.nodes and not step.no_kill and len(step.nodes) > 1:
                self._signal_nodes(job, step, [signal.SIGKILL])
        job.cpus_allocated -= job.shares.pop(node).cpus
        job.nodes = [name for name in job.nodes if name != node]
        self.save(job)
        self.schedule_soon()

    def batch_missing(self, node: str) -> None:
        """A node that came back knows nothing of the batch script it had: that job failed with the node."""
        for job in list(self.jobs.values()):
            if os.path.exists(self.cluster.step_socket(node, job.id, "batch")):
                continue  # only its daemon had died
            if job.batch_host == node and job.batch_running and job.state == "RUNNING":
                job.batch_running = False
                self._mark_lost(job, node)
                self._fail(job)

    def end_strays(self, node: str) -> None:
        """Measured: steps that outlived their daemon and are nobody's any more get TERM and CONT, KILL after KillWait;
        KILL at once if their job goes on without the node."""
        for job_id, step in self.cluster.steps_on(node):
            job = self.jobs.get(job_id)
            if job and node in job.shares:
                continue
            shrunk = job is not None and job.state == "RUNNING" and not job.completing
            socket = self.cluster.step_socket(node, job_id, step)
            wire.tell(socket, {"signals": [signal.SIGKILL] if shrunk else LATE[:2]})
            self.strays.append(Stray(socket, time.time() + self.settings.kill_wait))

    def kill_strays(self, now: float) -> None:
        """Those whose KillWait is over are killed."""
        due = [stray for stray in self.strays if now >= stray.kill_at]
        self.strays = [stray for stray in self.strays if now < stray.kill_at]
        for stray in due:
            wire.tell(stray.socket, {"signals": [signal.SIGKILL]})

    def _push(self, peer: wire.Peer, message: wire.Message) -> None:
        if self.outbox is not None:
            self.outbox.append(lambda: self._push(peer, message))
            return
        try:
            peer.send(message)
        except OSError:
            return


def _stamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S")
