"""Terminal sessions that outlive the terminals that show them: a tmux server per session, started by the node's runner.

    SESSION = NODE_DIR/session/     private, node-local
        NAME.sock                   tmux's socket
        NAME.ask                    a request of `leaseq session` to the runner: {"argv": [...], "cwd": ..., "umask": N,
                                    "shell": whether that is a person's shell}
        NAME.no                     why the runner could not start it
        NAME.exit                   the exit code of the session's command, once it has ended
        NAME.pid, at.PID            who uses the node by it: see `leaseq.node.terminals`

A process that srun starts ends with the srun, and srun with the terminal. So the step that shows a session only
runs a tmux client, and the server belongs to the step of the runner. Request and answer are node-local files: the
runner sees them at once, and a slow shared file system delays no prompt. Standard library only.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence

from leaseq import programs
from leaseq.node.nodedir import make_private, read_local, write_local
from leaseq.node.scrub import PROLOGUE, PROLOGUE_FAILED, for_tasks

WAIT_SECONDS_MAX = 20.0
"""How long a runner may take to start a session; a loaded node with a cold tmux needs some seconds."""
SOCKET_LENGTH_MAX = 100
"""A Unix socket's path has at most 107 bytes."""
NO_TMUX = "there is no tmux on this node"
_TMUX_CONF = """\
set-option -g history-limit 50000
set-option -g status-left "[{title}] "
set-option -g status-left-length 60
source-file -q /etc/tmux.conf
source-file -q ~/.tmux.conf
source-file -q ~/.config/tmux/tmux.conf
set-option -sq exit-unattached off
set-option -sq exit-empty on
set-option -g destroy-unattached off
set-option -gw remain-on-exit off
"""
"""The user's files come before what the session depends on: it outlives its terminals, and ends with its command. -q is
for an old tmux that lacks one of these."""


def directory_of(root: str) -> str:
    """The session directory in that node-local directory; it exists."""
    make_private(f"{root}/session")
    return f"{root}/session"


def serve(root: str, environment: Mapping[str, str]) -> None:
    """Every session asked for runs, or its `.no` file says why not."""
    directory = f"{root}/session"
    for file_name in os.listdir(directory):
        name, dot, kind = file_name.rpartition(".")
        if not dot or kind != "ask" or name.startswith("."):
            continue
        path = f"{directory}/{file_name}"
        try:
            body = json.loads(read_local(path))
            os.unlink(path)
            words = [str(word) for word in body["argv"]]
            umask, is_shell = int(body.get("umask", 0o022)), body.get("shell") is True
            problem = start(root, name, words, environment, str(body["cwd"]), umask=umask, is_shell=is_shell)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            problem = f"the session could not be started: {error}"
        if problem:
            write_local(f"{directory}/{name}.no", problem.encode("utf-8", "replace"))


def start(
    root: str,
    name: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: str,
    *,
    umask: int = 0o022,
    is_shell: bool = False,
) -> str:
    """A tmux server runs argv in a session of that name, whether or not it ran before; else the words why not."""
    tmux = programs.found("tmux", env)
    if tmux is None:
        return NO_TMUX
    directory = directory_of(root)
    socket = socket_of(root, name)
    if len(os.fsencode(socket)) > SOCKET_LENGTH_MAX:
        return f"{socket} is too long for a socket: set LEASEQ_NODE_DIR to a shorter local directory"
    write_local(f"{directory}/tmux.conf", _TMUX_CONF.format(title=_title(root, name)).encode())
    remove(f"{directory}/{name}.exit")
    remove(f"{directory}/{name}.no")
    # The shell around the command is what notes its exit code; tmux forgets it with the session.
    exit_file = shlex.quote(f"{directory}/{name}.exit")
    pid_file, kind = shlex.quote(f"{directory}/{name}.pid"), "shell" if is_shell else "command"
    begins = f"old=$(umask); umask 077; echo $PPID $$ {kind} >{pid_file}; umask $old"
    line = f"{begins}; {shlex.join(argv)}; code=$?; umask 077; echo $code >{exit_file}; exit $code"
    new = ["new-session", "-d", "-s", name, "-x", "200", "-y", "50", "/bin/sh", "-c", line]
    try:
        done = subprocess.run(
            [tmux, "-u", "-S", socket, "-f", f"{directory}/tmux.conf", *new],
            env=session_environment(env),
            cwd=_existing(cwd, env),  # not by -c: tmux would run what stands in `#(...)` in a name
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=WAIT_SECONDS_MAX,
            check=False,
            umask=umask,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"tmux could not be started: {error}"
    said = (done.stderr + done.stdout).decode("utf-8", "replace").strip()
    return "" if done.returncode == 0 or "duplicate session" in said else f"tmux: {said or done.returncode}"


def session_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The runner's environment as a person's shell may see it: nothing of the step, of a task, or of another tmux."""
    clean = for_tasks(environment)
    for name in ("TMUX", "TMUX_PANE", "LEASEQ_TASK_ID", "LEASEQ_ATTEMPT", PROLOGUE, PROLOGUE_FAILED, "SHLVL", "OLDPWD"):
        clean.pop(name, None)
    clean.setdefault("TERM", "xterm-256color")
    return clean


def socket_of(root: str, name: str) -> str:
    """tmux's socket of that session."""
    return f"{root}/session/{name}.sock"


def _existing(cwd: str, environment: Mapping[str, str]) -> str:
    places = (cwd, environment.get("HOME", ""))
    return next((path for path in places if os.path.isdir(path) and os.access(path, os.X_OK)), "/")


def _title(root: str, name: str) -> str:
    """LEASE NODE SESSION, for tmux's status line; `#` is tmux's own."""
    lease, node = root.rstrip("/").rsplit("/", 2)[1:]
    return f"{lease} {node} {name}".replace("#", "").replace('"', "")


def remove(path: str) -> None:
    """The file is gone, if it was there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
