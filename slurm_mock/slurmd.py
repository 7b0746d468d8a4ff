"""One node: its first process, of which every process of the node is a descendant, and its daemon.

Killing the first process's tree is a power cut. The daemon may be killed alone, and started again: steps live on.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import traceback

from slurm_mock import processes, wire
from slurm_mock.cluster import Cluster, Settings
from slurm_mock.cluster import write as write_file
from slurm_mock.stepd import Stepd

LAUNCH_SECONDS = 30.0
START_DAEMON = signal.SIGUSR1
"""What tells the first process that the node is to have a daemon again."""


def serve(cluster: Cluster, settings: Settings, node: str, controller: int) -> None:
    """The node's first process; returns when the controller's process has ended, and nothing of the node is left."""
    os.setsid()
    processes.become_subreaper()
    _log_to(cluster.file("nodes", node, "slurmd.log"))
    named = settings.hostnames and processes.own_hostname(node)
    shim = "" if named else _hostname_shim(cluster, node)
    processes.record(cluster.file("nodes", node, "slurmd.pid"))
    ended = os.pidfd_open(controller)
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, _reap)
    signal.signal(START_DAEMON, lambda *_: None)
    signal.set_wakeup_fd(theirs.fileno())
    selector = selectors.DefaultSelector()
    selector.register(ours, selectors.EVENT_READ)
    selector.register(ended, selectors.EVENT_READ)
    boot = processes.start_time(os.getpid())
    _start_daemon(cluster, settings, node, shim, boot)
    while True:
        for key, _ in selector.select():
            if key.fileobj is not ours:
                processes.kill_below(os.getpid())
                return
            if START_DAEMON in ours.recv(4096):
                _start_daemon(cluster, settings, node, shim, boot)


def _start_daemon(cluster: Cluster, settings: Settings, node: str, shim: str, boot: str) -> None:
    if os.fork():
        return
    try:
        signal.set_wakeup_fd(-1)
        _daemon(cluster, settings, node, shim, boot)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)


def _daemon(cluster: Cluster, settings: Settings, node: str, shim: str, boot: str) -> None:
    """Launches what it is asked to; returns when the controller is gone."""
    processes.record(cluster.file("nodes", node, "daemon.pid"))
    listener = wire.listen(cluster.node_socket(node))
    controller = wire.Peer(wire.connect(cluster.socket, seconds=None))
    controller.send({"op": "register", "node": node, "boot": boot})
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(controller, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                _launch(cluster, settings, node, listener, controller, shim)
            elif controller.receive() is None:
                return


def _log_to(path: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for fd in (1, 2):
        os.dup2(log, fd)
    os.close(log)


def _hostname_shim(cluster: Cluster, node: str) -> str:
    """A folder for the front of PATH whose `hostname` says the node's name: all that works without root."""
    folder = cluster.file("nodes", node, "bin")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    write_file(os.path.join(folder, "hostname"), f"#!/bin/sh\necho {node}\n", mode=0o700)
    return folder


def _reap(*_: object) -> None:
    """Orphans and finished stepds leave no zombie."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _launch(
    cluster: Cluster, settings: Settings, node: str, listener: socket.socket, controller: wire.Peer, shim: str
) -> None:
    """A stepd of its own takes over the connection; srun's stays open as its lifeline."""
    sock, _ = listener.accept()
    sock.settimeout(LAUNCH_SECONDS)
    peer = wire.Peer(sock)
    try:
        message = peer.wait()
        if message is None:
            return
        if not _wanted(cluster, message):
            _refuse(cluster, node, message, peer)
            return
        if os.fork() == 0:
            listener.close()
            controller.close()
            _run_stepd(cluster, settings, node, message, peer, shim)
    except OSError:
        traceback.print_exc()
    finally:
        peer.close()
        for fd in peer.fds:
            os.close(fd)


def _wanted(cluster: Cluster, message: wire.Message) -> bool:
    """The job still runs; it may have been cancelled since its step was created."""
    job = cluster.job(int(message["job"]))
    return job is not None and job.state == "RUNNING" and not job.completing


def _refuse(cluster: Cluster, node: str, message: wire.Message, peer: wire.Peer) -> None:
    if message["step"] != "batch":
        peer.send({"event": "refused", "node": node})
        return
    done = {"op": "step_done", "job": message["job"], "step": "batch", "node": node, "statuses": {"0": 9}}
    wire.call(cluster.socket, {**done, "restarts": message["restarts"]})


def _run_stepd(
    cluster: Cluster, settings: Settings, node: str, message: wire.Message, peer: wire.Peer, shim: str
) -> None:
    code = 1
    try:
        if shim:
            message["env"]["PATH"] = f"{shim}:{message['env'].get('PATH', os.defpath)}"
        peer.sock.settimeout(None)
        batch = message["step"] == "batch"
        if batch:
            peer.close()
        Stepd(cluster, settings, node, message, None if batch else peer).run()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
