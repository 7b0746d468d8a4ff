"""Terminal sessions that outlive whoever looks at them: a tmux server per session, started by the node's runner.

    SESSION = NODE_DIR/session/     private, node-local
        NAME.sock                   tmux's socket
        NAME.ask                    a request of `leaseq session` to the runner: {"argv": [...], "cwd": ..., "umask": N}
        NAME.no                     why the runner could not start it
        NAME.exit                   the exit code of the session's command, once it has ended

A process that srun starts ends with the srun, and srun with the terminal. So the step that shows a session only
runs a tmux client, and the server belongs to the step of the runner. Request and answer are node-local files: the
runner sees them at once, and a slow shared file system delays no prompt. Standard library only.
"""

from __future__ import annotations

import json
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from leaseq.errors import EX_TEMPFAIL, Refused
from leaseq.layout import Home, LeaseDir
from leaseq.models import whole
from leaseq.node.countdown import counting
from leaseq.node.nodedir import NodeDir, find_node_dir, make_private, read_local, write_local
from leaseq.node.scrub import OF_JOB, PROLOGUE, PROLOGUE_FAILED, for_tasks
from leaseq.protocol.records import seconds_left
from leaseq.world import SystemFs, is_remote

WAIT_SECONDS_MAX = 20.0
"""How long a runner may take to start a session; a loaded node with a cold tmux needs some seconds."""
SOCKET_LENGTH_MAX = 100
"""A Unix socket's path has at most 107 bytes."""
NO_TMUX = "there is no tmux on this node"
NO_RUNNER = "no runner is alive here; `leaseq shell --plain` gets in without it"
RESTART_SECONDS_MAX = 8.0
"""How long a node is without a runner when one has died and another is started."""
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
SHOWN_SECONDS = 5
"""How long a session shows that its lease ends soon, unless a key is pressed."""
TERMS = ("xterm-256color", "xterm", "screen", "vt100")
"""What a terminal that the node does not know is taken for: the first of these that the node has."""
NO_TERMINAL = (
    "missing or unsuitable terminal",
    "terminal does not support",
    "open terminal failed",
    "can't find terminfo",
)
"""tmux's words, in its versions, for a terminal it cannot draw on."""


# -- in the runner ---------------------------------------------------------------------------------


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
            problem = start(root, name, words, environment, str(body["cwd"]), umask=int(body.get("umask", 0o022)))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            problem = f"the session could not be started: {error}"
        if problem:
            write_local(f"{directory}/{name}.no", problem.encode("utf-8", "replace"))


def start(root: str, name: str, argv: Sequence[str], env: Mapping[str, str], cwd: str, *, umask: int = 0o022) -> str:
    """A tmux server runs argv in a session of that name, whether or not it ran before; else the words why not."""
    tmux = shutil.which("tmux", path=env.get("PATH"))
    if tmux is None:
        return NO_TMUX
    directory = directory_of(root)
    socket = socket_of(root, name)
    if len(os.fsencode(socket)) > SOCKET_LENGTH_MAX:
        return f"{socket} is too long for a socket: set LEASEQ_NODE_DIR to a shorter local directory"
    write_local(f"{directory}/tmux.conf", _TMUX_CONF.format(title=_title(root, name)).encode())
    _remove(f"{directory}/{name}.exit")
    _remove(f"{directory}/{name}.no")
    # The shell around the command is what notes its exit code; tmux forgets it with the session.
    exit_file = shlex.quote(f"{directory}/{name}.exit")
    line = f"{shlex.join(argv)}; code=$?; umask 077; echo $code >{exit_file}; exit $code"
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


# -- beside the runner, on its node ------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """`session HOME LEASE NODE NAME CWD [WORD...]`: the session of that name is shown; the exit code of its command.

    With an empty NAME the words are run here and now, without the variables of this step.
    """
    umask = os.umask(0o077)
    home, lease, node, name, cwd, *argv = arguments
    marks = {"LEASEQ_HOME": home, "LEASEQ_LEASE": lease, "LEASEQ_NODE": node}
    if not name:
        return _run_plain(argv or shell_of(os.environ), {**_step_environment(home, lease), **marks}, umask=umask)
    words = ["env", *(f"{mark}={value}" for mark, value in marks.items()), *(argv or shell_of(os.environ))]
    try:
        directory = find_node_dir(home, lease, node)
        problem = _ensure(directory, name, words, cwd, umask=umask, new_command=bool(argv)) if directory else NO_RUNNER
    except Refused as error:
        print(f"leaseq: {node}: {error.message}\n  {error.hint}", file=sys.stderr)
        return error.exit_code
    if problem == NO_TMUX:
        print(f"leaseq: {node}: {NO_TMUX}: this shell ends when its terminal does", file=sys.stderr)
        return _run_plain(argv or shell_of(os.environ), {**_step_environment(home, lease), **marks}, umask=umask)
    if problem or directory is None:
        print(f"leaseq: {node}: {problem}", file=sys.stderr)
        return EX_TEMPFAIL
    return _show(directory, name, Home(home).lease(lease))


def _step_environment(home: str, lease: str) -> dict[str, str]:
    """This step's environment with the job's nodes for its own: srun takes the step's for all that there are."""
    clean = session_environment(os.environ)
    for name in OF_JOB:
        clean.pop(name, None)
    try:
        with open(f"{home}/runs/{lease}/nodes", encoding="ascii") as file:
            clean["SLURM_JOB_NODELIST"] = clean["SLURM_NODELIST"] = ",".join(file.read().split())
    except (OSError, UnicodeDecodeError):
        # Without it srun asks the controller.
        pass
    return clean


def _run_plain(argv: Sequence[str], environment: Mapping[str, str], *, umask: int) -> int:
    os.umask(umask)
    try:
        os.execvpe(argv[0], list(argv), dict(environment))
    except OSError as error:
        print(f"leaseq: {argv[0]}: {error.strerror}", file=sys.stderr)
        return 126 if isinstance(error, PermissionError) else 127


def _ensure(directory: NodeDir, name: str, argv: Sequence[str], cwd: str, *, umask: int, new_command: bool) -> str:
    """A session of that name runs; else the words why not."""
    place = directory_of(directory.root)
    if _running(directory.root, name):
        if new_command:
            print(f"leaseq: session {name} runs already; showing it", file=sys.stderr)
        return ""
    _remove(f"{place}/{name}.no")
    write_local(f"{place}/{name}.ask", json.dumps({"argv": list(argv), "cwd": cwd, "umask": umask}).encode())
    until = alive_at = time.monotonic()
    until += WAIT_SECONDS_MAX
    while time.monotonic() < until:
        if directory.alive("runner"):
            alive_at = time.monotonic()
        elif time.monotonic() > alive_at + RESTART_SECONDS_MAX:
            break
        if _running(directory.root, name):
            return ""
        if os.path.exists(f"{place}/{name}.exit"):
            return ""
        try:
            return read_local(f"{place}/{name}.no").decode("utf-8", "replace")
        except FileNotFoundError:
            time.sleep(0.01)
    _remove(f"{place}/{name}.ask")
    if not directory.alive("runner"):
        return NO_RUNNER
    return f"the runner did not start the session within {WAIT_SECONDS_MAX:.0f} s; `leaseq shell --plain` gets in"


def _show(directory: NodeDir, name: str, lease: LeaseDir) -> int:
    """The session was on this terminal until it ended or was detached; its exit code, 0 where it goes on."""
    fs = SystemFs(remote=is_remote(lease.root))
    with counting(lambda: seconds_left(fs, lease), lambda word: _tell(directory, name, f"lease {lease.id} {word}")):
        returncode = _attach(directory, name)
    code = _exit_code(f"{directory.root}/session/{name}.exit")
    running = _running(directory.root, name)
    if code is not None and not running:
        return code
    if returncode == 0 and running:
        print(f"leaseq: session {name} goes on; `leaseq shell` shows it again", file=sys.stderr)
    return returncode


def _attach(directory: NodeDir, name: str) -> int:
    """The exit code of tmux's client. A terminal that this node does not know is taken for one that it does."""
    own = os.environ.get("TERM", "")
    said = ""
    for term in (own, *TERMS) if own not in ("", "dumb") else (own,):
        environment = {key: value for key, value in os.environ.items() if key not in ("TMUX", "TMUX_PANE")}
        # No `=`: an exact match of the name is what a server with one session has anyway, and old tmux lacks it.
        client = subprocess.run(
            [_tmux(), "-u", "-S", socket_of(directory.root, name), "attach-session", "-t", name],
            env={**environment, "TERM": term},
            stderr=subprocess.PIPE,
            check=False,
        )
        said = client.stderr.decode("utf-8", "replace").strip()
        if client.returncode == 0 or not any(words in said for words in NO_TERMINAL):
            if term != own:
                print(f"leaseq: this node does not know the terminal {own}: it was taken for {term}", file=sys.stderr)
            if said:
                print(said, file=sys.stderr)
            return client.returncode
    print(
        f"leaseq: no session can be shown on a terminal TERM={own or '(empty)'}: {said}\n"
        "  `leaseq shell --plain` opens a shell without one",
        file=sys.stderr,
    )
    return EX_TEMPFAIL


def _tell(directory: NodeDir, name: str, text: str) -> None:
    """The session's terminal here has shown the text. Not for long: tmux draws nothing else meanwhile."""
    try:
        here = os.ttyname(0)
    except OSError:
        return
    server = [_tmux(), "-S", socket_of(directory.root, name)]
    words = [*server, "display-message", "-c", here]
    until = time.monotonic() + WAIT_SECONDS_MAX
    # A client that has just been started is not there yet, or has no session yet: then the message would be lost.
    while time.monotonic() < until:
        listed = [*server, "list-clients", "-F", "#{client_tty}"]
        shown = subprocess.run(listed, stdin=subprocess.DEVNULL, capture_output=True, check=False).stdout.split()
        if os.fsencode(here) not in shown:
            time.sleep(0.2)
            continue
        for options in (["-d", f"{SHOWN_SECONDS * 1000}"], []):  # an old tmux has no -d
            done = subprocess.run([*words, *options, text], stdin=subprocess.DEVNULL, capture_output=True, check=False)
            if done.returncode == 0:
                return
        time.sleep(0.2)


def _tmux() -> str:
    return shutil.which("tmux") or "tmux"


def _running(root: str, name: str) -> bool:
    """True where a tmux server of this user has that session; raises Refused where the socket is somebody else's."""
    socket = socket_of(root, name)
    try:
        info = os.lstat(socket)
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(info.st_mode) or info.st_uid != os.getuid():
        raise Refused(
            f"{socket} is not a socket of yours: whoever made it would see what you type",
            hint=f"remove it, and look at what else in {root} is not yours",
        )
    done = subprocess.run(
        [_tmux(), "-S", socket, "has-session", "-t", name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode == 0


def _exit_code(path: str) -> int | None:
    try:
        return whole(read_local(path).decode("ascii").strip())
    except (OSError, UnicodeDecodeError):
        return None


def socket_of(root: str, name: str) -> str:
    """tmux's socket of that session."""
    return f"{root}/session/{name}.sock"


def shell_of(environment: Mapping[str, str]) -> list[str]:
    """The user's own shell, interactive; /bin/sh for a user without one that runs here, or unknown to this node."""
    shell = environment.get("SHELL", "")
    if not (shell.startswith("/") and os.access(shell, os.X_OK)):
        try:
            shell = pwd.getpwuid(os.getuid()).pw_shell
        except KeyError:
            shell = ""
    return [shell if os.access(shell, os.X_OK) else "/bin/sh", "-i"]


def _existing(cwd: str, environment: Mapping[str, str]) -> str:
    places = (cwd, environment.get("HOME", ""))
    return next((path for path in places if os.path.isdir(path) and os.access(path, os.X_OK)), "/")


def _title(root: str, name: str) -> str:
    """LEASE NODE SESSION, for tmux's status line; `#` is tmux's own."""
    lease, node = root.rstrip("/").rsplit("/", 2)[1:]
    return f"{lease} {node} {name}".replace("#", "").replace('"', "")


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
