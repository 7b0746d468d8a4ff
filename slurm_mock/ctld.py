"""The controller: the only writer of jobs/ and nodes/, one event loop that sleeps until something is due.

It hears commands, sruns and slurmds over one socket, lets `scheduler` and `steps` decide, and tells slurmds and
stepds what to do. What a job lives through is in `lifecycle`.
"""

from __future__ import annotations

import copy
import math
import os
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Callable

from slurm_mock import array, dependency, placement, processes, scheduler, slurmd, steps, wire
from slurm_mock.cluster import Cluster, Settings
from slurm_mock.cluster import write as write_file
from slurm_mock.lifecycle import Lifecycle
from slurm_mock.records import Job, Node, Request, job_from, to_json
from slurm_mock.update import Denied, hold_job, update_job, update_node
from slurm_mock.values import dataclass, replace

PURGE_SECONDS_MIN = 1.0
ENDING = ("cancel", "requeue", "update", "update_node")
"""Requests that may end the job which the command runs in. As measured, the command still gets its answer: it has it,
and has ended, before anything is signalled."""
PATIENCE_SECONDS = 2.0  # with a command that does not end after its answer


@dataclass
class Unsent:
    """What waits for the end of the command that asked."""

    until: float
    actions: list[Callable[[], object]]


class Controller(Lifecycle):
    """State, the loop, and one method `on_OP` per request."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        super().__init__(cluster, settings)
        self.selector = selectors.DefaultSelector()
        self.listener = wire.listen(cluster.socket)
        self.running = True
        self.unsent: dict[wire.Peer, Unsent] = {}
        self.next_id = settings.first_job_id
        for name in settings.nodes:
            self.nodes[name] = Node(
                name=name,
                cpus=settings.cpus,
                gpus=settings.gpus,
                mem=settings.mem,
                responding=False,
            )
            self.cluster.save_node(self.nodes[name])

    def serve(self, until_exit_of: int) -> None:
        self.selector.register(self.listener, selectors.EVENT_READ, self._accept)
        if until_exit_of:
            pidfd = os.pidfd_open(until_exit_of)
            self.selector.register(pidfd, selectors.EVENT_READ, self._stop)
        for name in self.nodes:
            self._start_slurmd(name)
        try:
            while self.running:
                due = self._due()
                for key, _ in self.selector.select(None if due is None else max(0.0, due - time.time())):
                    key.data()
                self._tick(time.time())
        finally:
            for name in self.nodes:
                pid = processes.recorded(self.cluster.file("nodes", name, "slurmd.pid"))
                if pid:
                    processes.power_cut(pid)
            os.unlink(self.cluster.socket)

    def _stop(self) -> None:
        self.running = False

    def _start_slurmd(self, name: str) -> None:
        if os.fork():
            return
        try:
            os.closerange(3, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 65536 else 65536)
            slurmd.serve(self.cluster, self.settings, name, os.getppid())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)

    # Time

    def _due(self) -> float | None:
        """When the loop must wake without any message."""
        moments = [self.schedule_at] if self.schedule_at else []
        for node in self.nodes.values():
            if node.up and not node.responding and node.lost_at:
                moments.append(node.lost_at + self.settings.node_detection)
        for job in self.jobs.values():
            moments += self._job_moments(job)
        moments += [stray.kill_at for stray in self.strays]
        moments += [unsent.until for unsent in self.unsent.values()]
        return min(moments, default=None)

    def _job_moments(self, job: Job) -> list[float]:
        if job.completing:
            return [job.kill_at]
        if job.state == "PENDING":
            return [each for each in scheduler.moments(job, self.jobs, self.settings) if each > time.time()]
        if job.state != "RUNNING":
            return [job.end + max(self.settings.min_job_age, PURGE_SECONDS_MIN)]
        if job.deadline is None:
            return []
        warn = [self.warning_at(job, job.deadline)] if job.request.signal and not job.warned else []
        return [self._next_check(moment) for moment in [job.deadline, *warn]]

    def _next_check(self, moment: float) -> float:
        """Limits are looked at every so often only, as the real controller does (every 30 s there)."""
        step = self.settings.limit_check
        return math.ceil(moment / step) * step if step else moment

    def _tick(self, now: float) -> None:
        for node in self.nodes.values():
            if node.up and not node.responding and node.lost_at and now >= node.lost_at + self.settings.node_detection:
                self.node_down(node, "Not responding")
        self.kill_strays(now)
        for peer in [peer for peer, unsent in self.unsent.items() if now >= unsent.until]:
            self._send_rest(peer)
        for job in list(self.jobs.values()):
            if all(now < moment for moment in self._job_moments(job)):
                continue
            if job.completing:
                self.kill_rest(job)
            elif job.state == "RUNNING":
                self.check_limits(job, now)
            elif job.state != "PENDING":
                self._purge(job)
        waiting = [job for job in self.jobs.values() if job.state == "PENDING"]
        begins = [each for job in waiting for each in scheduler.moments(job, self.jobs, self.settings)]
        if any(self.last_schedule < begin <= now for begin in begins):
            self.schedule_at = now
        if self.schedule_at and now >= self.schedule_at:
            self._schedule(now)

    def _purge(self, job: Job) -> None:
        del self.jobs[job.id]
        os.unlink(self.cluster.file("jobs", f"{job.id}.json"))

    def _schedule(self, now: float) -> None:
        self.schedule_at = 0.0
        self.last_schedule = now
        plan = scheduler.plan(self.jobs, self.nodes, self.settings, now)
        for job_id, reason in plan.reasons.items():
            job = self.jobs[job_id]
            if job.reason != reason:
                job.reason = reason
                self.save(job)
        for job, shares in plan.starts:
            self.start(self._split(job, job.array_tasks[0]) if job.array_tasks else job, shares)

    # Messages

    def _accept(self) -> None:
        sock, _ = self.listener.accept()
        sock.settimeout(2.0)
        peer = wire.Peer(sock)
        self.selector.register(peer, selectors.EVENT_READ, lambda: self._hear(peer))

    def _hear(self, peer: wire.Peer) -> None:
        messages = peer.receive()
        if messages is None:
            self.selector.unregister(peer)
            peer.close()
            self._gone(peer)
            return
        for message in messages:
            handler: Callable[[wire.Message, wire.Peer], wire.Message | None] = getattr(self, f"on_{message['op']}")
            self.outbox = [] if message["op"] in ENDING else None
            try:
                reply = handler(message, peer)
            except Denied as denied:
                reply = {"error": denied.error}
            if self.outbox:
                unsent = self.unsent.setdefault(peer, Unsent(time.time() + PATIENCE_SECONDS, []))
                unsent.actions += self.outbox
            self.outbox = None
            if reply is not None:
                try:
                    peer.send(reply)
                except OSError:
                    continue

    def _send_rest(self, peer: wire.Peer) -> None:
        """What waited for the end of the command at the other end is sent."""
        unsent = self.unsent.pop(peer, None)
        for action in unsent.actions if unsent else []:
            action()

    def _gone(self, peer: wire.Peer) -> None:
        """The other end closed or died: a command, a slurmd, an srun, or an salloc."""
        self._send_rest(peer)
        for name, registered in list(self.slurmds.items()):
            if registered is peer:
                del self.slurmds[name]
                self._lost(self.nodes[name])
        for key, srun in list(self.sruns.items()):
            if srun is peer:
                del self.sruns[key]
                self.srun_gone(*key)
        for job_id, salloc in list(self.sallocs.items()):
            if salloc is peer:
                del self.sallocs[job_id]
                if job_id in self.jobs:
                    self.release(self.jobs[job_id])

    def _lost(self, node: Node) -> None:
        node.responding = False
        node.lost_at = time.time()
        self.cluster.save_node(node)

    def on_register(self, message: wire.Message, peer: wire.Peer) -> None:
        node = self.nodes[message["node"]]
        self.slurmds[node.name] = peer
        crashed, rebooted = bool(node.lost_at), message["boot"] != node.boot
        if crashed and rebooted and node.up and self.settings.return_to_service == 1:
            self.node_down(node, "Node unexpectedly rebooted")
        elif crashed and not node.up and self.settings.return_to_service == 0:
            pass
        else:
            node.up, node.reason = True, ""
        node.responding, node.lost_at = True, 0.0
        if rebooted:
            node.boot, node.booted = message["boot"], time.time()
        self.cluster.save_node(node)
        if crashed and node.up:
            self.batch_missing(node.name)
            self.end_strays(node.name)
        self.schedule_soon()

    def on_start_node(self, message: wire.Message, peer: wire.Peer) -> wire.Message:
        self._start_slurmd(message["node"])
        return {"ok": True}

    def on_shutdown(self, message: wire.Message, peer: wire.Peer) -> wire.Message:
        self.running = False
        return {"ok": True}

    def on_ready(self, message: wire.Message, peer: wire.Peer) -> wire.Message:
        return {"ready": all(node.responding for node in self.nodes.values())}

    def on_submit(self, message: wire.Message, peer: wire.Peer) -> wire.Message:
        """A pending job, its script and environment in the spool; with test_only just what would happen."""
        request = Request(**message["request"])
        refused = self._refusal(request)
        if refused:
            return {"error": refused}
        if message.get("test_only"):
            return self._forecast(request)
        job = self._admit(request)
        folder = self.cluster.file("spool", job.spool)
        os.makedirs(folder, mode=0o700)
        write_file(os.path.join(folder, "env"), _lines(message["env"]))
        if request.batch:
            write_file(os.path.join(folder, "slurm_script"), message["script"], mode=0o700)
        if message.get("attached"):
            self.sallocs[job.id] = peer
        self.save(job)
        if "aftercorr" in request.dependency:  # measured: each task waits in a record of its own
            for task in job.array_tasks[:-1]:
                self._split(job, task)
        self.schedule_soon()
        return {"job": job.id}

    def _refusal(self, request: Request) -> str:
        try:
            dependency.parse(request.dependency)
        except dependency.Unsupported:
            return "unsupported"
        except ValueError:
            return "dependency"
        try:
            array.parse(request.array or "0", self.settings.max_array_size)
        except ValueError:
            return "array"
        return placement.refusal(request, self.settings, list(self.nodes.values()))

    def _admit(self, request: Request) -> Job:
        now = time.time()
        limit = request.limit_minutes if request.limit_set else self.settings.partitions[request.partition]
        job = Job(
            id=self.next_id,
            request=request,
            submit=now,
            eligible=max(now, request.begin),
            limit_minutes=limit,
            minute_seconds=self.settings.minute,
            requeue=self.settings.job_requeue if request.requeue is None else request.requeue,
            held="JobHeldUser" if request.hold else "",
            comment=request.comment,
            partition=request.partition,
        )
        request.dependency = self._shown_dependency(request.dependency)
        if request.array:
            job.array_job = job.id
            job.array_tasks, _, job.array_throttle = array.parse(request.array, self.settings.max_array_size)
        self.jobs[job.id] = job
        self.next_id += 1
        return job

    def _shown_dependency(self, text: str) -> str:
        return dependency.named(text, {job.array_job for job in self.jobs.values()})

    def _split(self, job: Job, task: int) -> Job:
        """The record of this one task, which waited with others; the last one takes theirs over."""
        job.array_tasks = [other for other in job.array_tasks if other != task]
        if not job.array_tasks:
            job.array_task = task
            self.save(job)
            return job
        own = job_from(copy.deepcopy(to_json(job)))
        own.id, self.next_id = self.next_id, self.next_id + 1
        own.array_tasks, own.array_task = [], task
        self.jobs[own.id] = own
        if len(job.array_tasks) == 1:
            job.array_task, job.array_tasks = job.array_tasks[0], []
        for each in (job, own):
            self.save(each)
        return own

    def _forecast(self, request: Request) -> wire.Message:
        now = time.time()
        busy_until = [job.deadline or now for job in self.jobs.values() if job.shares]
        free = scheduler.free_nodes(self.nodes, self.jobs.values(), self.settings)
        shares = placement.place(request, self.settings, free)
        start = now if shares else max(busy_until, default=now)
        whole = scheduler.free_nodes(self.nodes, [], self.settings)
        shares = shares or placement.place(request, self.settings, whole) or {}
        cpus = sum(share.cpus for share in shares.values())
        job_id, self.next_id = self.next_id, self.next_id + 1  # measured: --test-only uses up an id
        return {"job": job_id, "start": start, "cpus": cpus, "nodes": list(shares)}

    def _known(self, message: wire.Message) -> Job:
        """The job, or the one task of an array that the message names."""
        tasks = message.get("tasks")
        for job in self.jobs.values():
            if job.id == message["job"] and not tasks:
                return job
            if tasks and job.array_job == message["job"] and job.array_task in tasks:
                return job
        raise Denied("job")

    def _each(
        self, message: wire.Message, action: Callable[[Job], None], *, part: Callable[[Job, int], Job] | None = None
    ) -> wire.Message:
        """The action is done to the job, or to all or some tasks of an array: what came of each is the answer.

        `part` makes a record of a task that waits with others; without it the action meets them all.
        """
        asked: list[int] | None = message.get("tasks")
        jobs = [job for job in self.jobs.values() if array.owns(job, message["job"])]
        if asked is None and not any(job.array_job == message["job"] for job in jobs):
            action(self._known(message))
            return {"ok": True}
        results: dict[str, list[int]] = {}
        for job in jobs:
            chosen = [task for task in job.indices if asked is None or task in asked]
            targets = [job] if len(chosen) == len(job.indices) or not part else [part(job, task) for task in chosen]
            for target in targets if chosen else []:
                tasks = target.indices
                try:
                    action(target)
                    error = ""
                except Denied as denied:
                    error = denied.error
                results.setdefault(error, []).extend(tasks)
        unknown = set(asked or []).difference(*results.values())
        if unknown:
            results["job"] = sorted(unknown)
        return {
            "results": sorted(([error, sorted(tasks)] for error, tasks in results.items()), key=lambda pair: pair[1])
        }

    def on_cancel(self, message: wire.Message, peer: wire.Peer) -> wire.Message:
        if "step" in message:
            return self._cancel_step(self._known(message), message)
        return self._each(message, lambda job: self._cancel(job, message), part=self._apart)

    def _apart(self, job: Job, task: int) -> Job:
        """A task that waits with others, to be cancelled: it leaves no trace (measured)."""
        job.array_tasks = [other for other in job.array_tasks if other != task]
        self.save(job)
        return replace(job, id=0, array_tasks=[], array_task=task)

    def _cancel(self, job: Job, message: wire.Message) -> None:
        if job.completing or job.state not in ("PENDING", "RUNNING"):
            raise Denied("done")
        number = message["signal"] or signal.SIGKILL  # scancel's own default
        if number == signal.SIGKILL and (job.state == "PENDING" or not message["batch"]):
            if job.id:
                self.cancel(job)
        elif job.state == "PENDING":
            raise Denied("pending")
        else:  # measured: --batch alone kills the script, and the job is FAILED
            self.signal_job(job, number, batch_only=message["batch"], full=message["full"])

    def _cancel_step(self, job: Job, message: wire.Message) -> wire.Message:
        step = job.steps.get(message["step"])
        if message["step"] == "batch" and job.batch_running:
            self.signal_job(job, message["signal"] or signal.SIGKILL, batch_only=True, full=False)
            return {"ok": True}
        if step is None:
            raise Denied("job")
        self.signal_step(job, step, message["signal"] or signal.SIGKILL)
        return {"ok": True}

    def on_requeue(self, message: wire.Message, peer: wire.Peer) -> wire.Message:
        return self._each(message, lambda job: self._requeue(job, hold=bool(message.get("hold"))))

    def _requeue(self, job: Job, *, hold: bool) -> None:
        if not job.requeue:
            raise Denied("disabled")
        if job.state == "PENDING":
            raise Denied("pending")
        self.requeue_job(job, note="DUE TO JOB REQUEUE", hold=hold)

    def on_detach(self, message: wire.Message, peer: wire.Peer) -> wire.Message:
        """The allocation outlives its salloc (--no-shell)."""
        self.sallocs.pop(message["job"], None)
        return {"ok": True}

    def on_hold(self, message: wire.Message, peer: wire.Peer) -> wire.Message:
        return self._each(message, lambda job: self._set_hold(job, message["why"]), part=self._split)

    def on_release(self, message: wire.Message, peer: wire.Peer) -> wire.Message:
        return self._each(message, lambda job: self._set_hold(job, ""), part=self._split)

    def _set_hold(self, job: Job, why: str) -> None:
        if not job.listed:
            raise Denied("finished")
        hold_job(job, why)
        self.save(job)
        self.schedule_soon()

    def on_update(self, message: wire.Message, peer: wire.Peer) -> wire.Message:
        return self._each(message, lambda job: self._update(job, message), part=self._split)

    def _update(self, job: Job, message: wire.Message) -> None:
        changes = message["changes"]
        if "dependency" in changes:
            changes["dependency"] = self._shown_dependency(changes["dependency"])
        for node in update_job(job, changes, self.settings, root=message["uid"] == 0, now=time.time()):
            self.shrink(job, node)
        self.save(job)
        self.schedule_soon()

    def on_update_node(self, message: wire.Message, peer: wire.Peer) -> wire.Message:
        for name in message["nodes"]:
            if name not in self.nodes:
                raise Denied("node_name")
            if update_node(self.nodes[name], message["changes"]) == "DOWN":
                self.node_down(self.nodes[name], message["changes"].get("reason", ""))
            self.cluster.save_node(self.nodes[name])
        self.schedule_soon()
        return {"ok": True}

    def on_preempt(self, message: wire.Message, peer: wire.Peer) -> wire.Message:
        job = self._known(message)
        if job.state != "RUNNING" or job.completing:
            raise Denied("pending" if job.state == "PENDING" else "done")
        self.preempt(job, requeue=message["requeue"])
        return {"ok": True}

    def on_step_create(self, message: wire.Message, peer: wire.Peer) -> wire.Message:
        """A step and all that srun needs to launch it; srun's connection is the step's from here on."""
        job = self._known(message)
        if job.state == "PENDING":
            raise Denied("pending")
        if job.completing or job.state != "RUNNING":
            raise Denied("done")
        try:
            step = steps.create(job, steps.Ask(**message["ask"]))
        except steps.Unable as unable:
            return {"error": unable.error, "hint": unable.hint}
        job.next_step += 1
        job.steps[str(step.id)] = step
        self.sruns[job.id, str(step.id)] = peer
        self.save(job)
        return {"step": to_json(step), "job": to_json(job)}

    def on_step_kill(self, message: wire.Message, peer: wire.Peer) -> wire.Message:
        """srun was told to end its step: KILL without TERM, unless the job is ending anyway."""
        job = self._known(message)
        step = job.steps.get(message["step"])
        if step and not job.completing:
            return {"ok": True, "missing": self.signal_step(job, step, signal.SIGKILL)}
        return {"ok": True, "missing": []}

    def on_step_abort(self, message: wire.Message, peer: wire.Peer) -> wire.Message:
        """srun could not launch on the node."""
        self.step_done(self._known(message), message["step"], message["node"], {})
        return {"ok": True}

    def on_step_done(self, message: wire.Message, peer: wire.Peer) -> wire.Message:
        job = self.jobs.get(int(message["job"]))
        if job is None or job.restarts != message["restarts"]:
            return {"ok": True}
        if message["step"] == "batch":
            self.batch_done(job, message["statuses"]["0"])
        else:
            self.step_done(job, message["step"], message["node"], message["statuses"])
        return {"ok": True}


def _lines(environ: dict[str, str]) -> str:
    return "\0".join(f"{name}={value}" for name, value in environ.items())


def run(cluster: Cluster, *, until_exit_of: int = 0) -> None:
    """The daemon: returns after shutdown, when nothing of the cluster is alive."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    processes.record(cluster.file("ctld.pid"))
    controller = Controller(cluster, cluster.settings())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    controller.serve(until_exit_of)
