"""A session of this node on the terminal that is here: what `leaseq session` does beside the runner.

What the lease's directory says (how long the lease lasts, which nodes it has) is the caller's to read.
"""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from leaseq import programs
from leaseq.dataclass import dataclass
from leaseq.errors import EX_TEMPFAIL, Refused
from leaseq.node.countdown import counting
from leaseq.node.nodedir import NodeDir, read_local, write_local
from leaseq.node.scrub import OF_JOB
from leaseq.node.session import NO_TMUX, WAIT_SECONDS_MAX, directory_of, remove, session_environment, socket_of
from leaseq.schema import whole

NO_RUNNER = "no runner is alive here; `leaseq shell --plain` gets in without it"
RESTART_SECONDS_MAX = 8.0
"""How long a node is without a runner when one has died and another is started."""
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
NO_SESSION = ("no sessions", "can't find session", "no server running", "server exited", "lost server")
"""How tmux says that there is none of that name, or that its server ended before it was shown."""

Marks = Mapping[str, str]


@dataclass(frozen=True)
class OfLease:
    """What a terminal hears of its lease, from a process that reads the lease's directory."""

    id: str
    hosts: Callable[[], Sequence[str]]
    """All hosts that its job has; none if they are not known. May hang."""
    seconds_left: Callable[[], float | None]
    """Until its end; None if that is not known. May hang."""


def show(
    directory: NodeDir | None, node: str, name: str, argv: Sequence[str], lease: OfLease, *, cwd: str, marks: Marks
) -> int:
    """The session of that name is shown, and begun if it does not run; the exit code of its command.

    argv: the words that it runs if it is begun; empty: the user's shell. marks: variables that its command gets.
    """
    umask = os.umask(0o077)
    words = ["/usr/bin/env", *(f"{mark}={value}" for mark, value in marks.items()), *(argv or shell_of(os.environ))]
    try:
        request = {"argv": words, "cwd": cwd, "umask": umask, "shell": not argv}
        found = directory is not None and _running(directory.root, name)
        problem = _ensure(directory, name, request) if directory else NO_RUNNER
    except Refused as error:
        print(f"leaseq: {node}: {error.message}\n  {error.hint}", file=sys.stderr)
        return error.exit_code
    if problem == NO_TMUX:
        print(f"leaseq: {node}: {NO_TMUX}: this shell ends when its terminal does", file=sys.stderr)
        os.umask(umask)
        return run_plain(argv, lease, marks=marks)
    if problem or directory is None:
        print(f"leaseq: {node}: {problem}", file=sys.stderr)
        return EX_TEMPFAIL
    code = _show(directory, name, lease, found=found)
    if code is None and not (problem := _ensure(directory, name, request)):
        code = _show(directory, name, lease, found=False)
    if problem:
        print(f"leaseq: {node}: {problem}", file=sys.stderr)
    return EX_TEMPFAIL if code is None else code


def run_plain(argv: Sequence[str], lease: OfLease, *, marks: Marks) -> int:
    """The words, or the user's shell, have taken this process's place, without the variables of this step."""
    argv = argv or shell_of(os.environ)
    try:
        os.execvpe(argv[0], list(argv), {**_step_environment(lease.hosts()), **marks})
    except OSError as error:
        print(f"leaseq: {argv[0]}: {error.strerror}", file=sys.stderr)
        return 126 if isinstance(error, PermissionError) else 127


def _step_environment(hosts: Sequence[str]) -> dict[str, str]:
    """This step's environment with the job's nodes for its own: srun takes the step's for all that there are."""
    clean = session_environment(os.environ)
    for name in OF_JOB:
        clean.pop(name, None)
    if hosts:  # without them srun asks the controller
        clean["SLURM_JOB_NODELIST"] = clean["SLURM_NODELIST"] = ",".join(hosts)
    return clean


def _ensure(directory: NodeDir, name: str, request: Mapping[str, object]) -> str:
    """A session of that name runs, begun as requested if it did not; else the words why not."""
    place = directory_of(directory.root)
    if _running(directory.root, name):
        if not request["shell"]:
            print(f"leaseq: session {name} runs already; showing it", file=sys.stderr)
        return ""
    remove(f"{place}/{name}.no")
    write_local(f"{place}/{name}.ask", json.dumps(request).encode())
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
    remove(f"{place}/{name}.ask")
    if not directory.alive("runner"):
        return NO_RUNNER
    return f"the runner did not start the session within {WAIT_SECONDS_MAX:.0f} s; `leaseq shell --plain` gets in"


def _show(directory: NodeDir, name: str, lease: OfLease, *, found: bool) -> int | None:
    """The session was on this terminal until it ended or was detached; its exit code, 0 if it goes on.

    found: it ran before this command; None then if it ended just before it could be shown.
    """
    with counting(lease.seconds_left, lambda word: _tell(directory, name, f"lease {lease.id} {word}")):
        returncode, said = _attach(directory, name)
    if found and returncode and any(words in said for words in NO_SESSION):
        return None
    if said:
        print(said, file=sys.stderr)
    code = _exit_code(f"{directory.root}/session/{name}.exit")
    running = _running(directory.root, name)
    if code is not None and not running:
        return code
    if returncode == 0 and running:
        print(f"leaseq: session {name} goes on; `leaseq shell` shows it again", file=sys.stderr)
    return returncode


def _attach(directory: NodeDir, name: str) -> tuple[int, str]:
    """The exit code of tmux's client, and what it said.

    A terminal that this node does not know is taken for one that it does.
    """
    own = os.environ.get("TERM", "")
    said = ""
    for term in (own, *TERMS) if own not in ("", "dumb") else (own,):
        environment = {key: value for key, value in os.environ.items() if key not in ("TMUX", "TMUX_PANE")}
        # No `=`: an exact match of the name is what a server with one session has anyway, and old tmux lacks it.
        client = subprocess.run(
            [programs.path_of("tmux"), "-u", "-S", socket_of(directory.root, name), "attach-session", "-t", name],
            env={**environment, "TERM": term},
            stderr=subprocess.PIPE,
            check=False,
        )
        said = client.stderr.decode("utf-8", "replace").strip()
        if client.returncode == 0 or not any(words in said for words in NO_TERMINAL):
            if term != own:
                print(f"leaseq: this node does not know the terminal {own}: it was taken for {term}", file=sys.stderr)
            return client.returncode, said
    return EX_TEMPFAIL, (
        f"leaseq: no session can be shown on a terminal TERM={own or '(empty)'}: {said}\n"
        "  `leaseq shell --plain` opens a shell without one"
    )


def _tell(directory: NodeDir, name: str, text: str) -> None:
    """The session's terminal here has shown the text. Not for long: tmux draws nothing else meanwhile."""
    try:
        here = os.ttyname(0)
    except OSError:
        return
    server = [programs.path_of("tmux"), "-S", socket_of(directory.root, name)]
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


def _running(root: str, name: str) -> bool:
    """True if a tmux server of this user has that session; raises Refused if the socket is somebody else's."""
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
        [programs.path_of("tmux"), "-S", socket, "has-session", "-t", name],
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


def shell_of(environment: Mapping[str, str]) -> list[str]:
    """The user's own shell, interactive; /bin/sh for a user without one that runs here, or unknown to this node."""
    shell = environment.get("SHELL", "")
    if not (shell.startswith("/") and os.access(shell, os.X_OK)):
        try:
            shell = pwd.getpwuid(os.getuid()).pw_shell
        except KeyError:
            shell = ""
    return [shell if os.access(shell, os.X_OK) else "/bin/sh", "-i"]
