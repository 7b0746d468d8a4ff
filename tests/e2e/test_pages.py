"""Pages cannot lie: each command line that they print is typed, and each JSON document has the keys that they name.

One home and one small Slurm for all of it. The lines of a page are typed from top to bottom, once each.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from leaseq.cli.table import command
from leaseq.commands import COMMANDS
from leaseq.dataclass import dataclass
from leaseq.errors import LeaseqError
from leaseq.heartbeat import GpuUse, Heartbeat
from leaseq.layout import Home
from leaseq.models import Lease, Outcome, State
from tests.build import make_task
from tests.contract.site import Terminal
from tests.e2e.cli import Box, Said
from tests.e2e.harness import ROOT
from tests.patience import PATIENCE_SECONDS, wait_until

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
INTERFACE = re.sub(r"^```.*?^```", "", (ROOT / "docs/exit-codes-and-json.md").read_text(), flags=re.M | re.S)
MOCK = ROOT / "slurm_mock" / "bin" / "mockslurm"
SETTINGS = "slurm_poll_seconds: 1\nprofiles:\n  a100:\n    slurm: {partition: gpu, gres: gpu:2}\n"
pytestmark = pytest.mark.slow


class Place(Box):
    """A home in which all of it is typed, a directory with what the pages speak of, and a Slurm of four nodes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.cluster, programs = path / "c", path / "bin"
        programs.mkdir()
        (programs / "python").symlink_to(sys.executable)
        (programs / "leaseq").write_text(f'#!/bin/sh\nexec {sys.executable} -m leaseq "$@"\n')
        (self.work / "train").write_text("#!/bin/sh\nhostname\n")
        (self.work / "files.txt").write_text("one.jpg\ntwo.jpg\n")
        (self.work / "convert").write_text("#!/bin/sh\necho $1 $2\n")
        for program in (programs / "leaseq", self.work / "train", self.work / "convert"):
            program.chmod(0o755)
        (self.work / "train.py").write_text("print('epoch 1')\n")
        (self.work / "sweep.txt").write_text("python train.py --lr 1\n# a comment\npython train.py --lr 2\n")
        (self.work / "collect.py").write_text("print('collected')\n")
        (self.work / "evaluate.py").write_text("print('good')\n")
        (self.work / "sim.py").write_text("import sys\nprint(sys.argv)\n")
        lines = '{"argv": ["python", "train.py"], "gpus": 0}\n{"line": "echo two | cat", "group": "eval"}\n'
        (self.work / "tasks.jsonl").write_text(lines)
        (self.work / "Makefile").write_text("test:\n\t@echo tested\n")
        repository = self.work / "repo"
        repository.mkdir()
        (repository / "train.py").write_text("print('epoch 1')\n")
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        for words in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "one")):
            subprocess.run(["git", *words], cwd=repository, check=True)
        self.begun: list[str] = []
        self.environment |= {
            "SLURM_MOCK_DIR": str(self.cluster),
            "SLURM_CONF": str(self.cluster / "slurm.conf"),
            "PATH": f"{programs}:{self.cluster / 'bin'}:{os.environ['PATH']}",
            "SHELL": "/bin/bash",
            "TERM": "xterm",
            "EDITOR": "true",
        }
        self.home.mkdir(mode=0o700)
        (self.home / "config.yaml").write_text(SETTINGS)
        size = ("--nodes", "4", "--gpus", "8", "--cpus", "32", "--option", "partitions=gpu:")
        self._mock("start", *size, "--until-exit-of", str(os.getpid()))
        self.lease = self.run("add", "--detach", "-N2", "-c4", "--name", "kept", code=0).out.strip()
        wait_until(self._all_up, "the runners of the lease")
        self.ended = self.submit("true", options=("--lease", "local"))
        self.run("wait", self.ended, code=0)
        self.elsewhere = Home(str(self.home)).lease("local:elsewhere")
        Path(self.elsewhere.root, "held", "_any").mkdir(mode=0o700, parents=True)
        Path(self.elsewhere.record).write_bytes(Lease(id="local:elsewhere", kind="local", created=1.0).to_json())
        Path(self.elsewhere.heartbeats).mkdir(mode=0o700)
        used = (GpuUse("0"),)
        beat = Heartbeat(self.elsewhere.id, "elsewhere", "abcdefghjk", 1, 1.0, 5.0, state="stopped", gpu_use=used)
        Path(self.elsewhere.heartbeat("elsewhere")).write_bytes(beat.to_json())

    def _all_up(self) -> bool:
        nodes = self.run("status", "--lease", self.lease, "--json", code=0).json["nodes"]
        return [node["health"] for node in nodes] == ["OK", "OK"]

    def close(self) -> None:
        try:
            subprocess.run(["scancel", "--me"], env=self.environment, check=True)
        finally:
            super().close()
            self._mock("stop")

    def _mock(self, *words: str) -> None:
        subprocess.run(
            [sys.executable, str(MOCK), *words, "--dir", str(self.cluster)], check=True, stdout=subprocess.DEVNULL
        )

    # -- what stands where a page has a placeholder ------------------------------------------------------

    @cached_property
    def pool(self) -> str:
        """A lease that scales, and has no job."""
        return self.run("add", "--scale", "0..1", "-t", "10", code=0).out.strip()

    @property
    def waiting_job(self) -> str:
        """A job of the Slurm lease that waits."""
        return self.run("add", "--detach", "--to", self.lease, "--hold", "-N1", code=0).out.strip()

    @property
    def second(self) -> str:
        """The last of the Slurm lease's nodes."""
        found = self.run("lease", "info", self.lease, "--json", code=0).json["lease"]["nodes"]
        return str(found[-1])

    @property
    def failed(self) -> str:
        """A task that has just failed."""
        task = self.submit("false", options=("--lease", "local", "--gpus", "0"))
        self.run("wait", task, code=1)
        return task

    @property
    def coded(self) -> str:
        """A task that has ended, of a directory in a repository."""
        words = ("--lease", "local", "--gpus", "0", "--", "true")
        task = self.run("submit", *words, cwd=self.work / "repo", code=0).id
        self.run("wait", task, code=0)
        return task

    @property
    def hook(self) -> str:
        """A hook."""
        self.run("hook", "add", "noted", "--on", "none", "--", "cat", code=0)
        return "noted"

    @property
    def held(self) -> str:
        """A pending task."""
        return self.submit("true", options=("--lease", "local", "--hold"))

    @property
    def pinned(self) -> str:
        """A pending task of this host's node alone."""
        return self.submit("true", options=("--lease", "local", "--hold", "--node", os.uname().nodename))

    @property
    def held_in_lease(self) -> str:
        """The Slurm lease, in which a task is pending."""
        self.submit("true", options=("--lease", self.lease, "--hold"))
        return self.lease

    @property
    def running(self) -> str:
        """A running task that has said how far it is."""
        task = self.submit("echo begun; echo step 3/10; sleep 600", options=("--lease", "local", "--gpus", "0"))
        self.begun.append(task)
        self.until(task, "RUNNING")
        wait_until(lambda: "step" in self.run("logs", task).out, "its output")
        return task

    def idle(self) -> None:
        """Nothing of that runs any more: a task that needs the whole node would wait for it."""
        while self.begun:
            task = self.begun.pop()
            self.run("cancel", task)
            self.run("wait", task)

    @property
    def cancelled(self) -> str:
        task = self.held
        self.run("cancel", task, code=0)
        return task

    @property
    def failed_sweep(self) -> str:
        """An array of two, both of which have failed."""
        task = self.submit("false {x}", options=("--lease", "local", "--gpus", "0", "--sweep", "x=1,2"))
        self.run("wait", task, code=1)
        return task

    @property
    def held_sweep(self) -> str:
        """A pending array of ten."""
        return self.submit("true", options=("--lease", "local", "--hold", "-a", "0-9"))

    @property
    def sweep(self) -> str:
        """An array of two that has ended."""
        options = ("--lease", "local", "--gpus", "0", "--sweep", "x=1,2", "--logs", "packed")
        task = self.submit("true {x}", options=options)
        self.run("wait", task, code=0)
        return task

    @property
    def late(self) -> str:
        """A task that reaches its time limit."""
        return self.submit("sleep 600", options=("--lease", "local", "--gpus", "0", "--time", "1s"))

    @property
    def lost(self) -> str:
        """A task of whose end nothing is known; written down as a runner would."""
        task = make_task("T00000000009", argv=("true",))
        path = Path(self.elsewhere.outcome(task.id, 1))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(Outcome(task=task, attempt=1, state=State.LOST, ended=2.0).to_json())
        return task.id

    @contextmanager
    def slurm_down(self) -> Iterator[None]:
        """No command of Slurm's reaches the controller meanwhile."""
        self._mock("fault", "down")
        try:
            yield
        finally:
            self._mock("clear-faults")

    @property
    def job(self) -> str:
        """A running job that is no lease."""
        sbatch = ["sbatch", "--parsable", "-N1", "-o", "/dev/null", "--wrap", "sleep 600"]
        done = subprocess.run(sbatch, env=self.environment, cwd=self.work, check=True, capture_output=True, text=True)
        job = done.stdout.strip()
        look = ["squeue", "-h", "-j", job, "-o", "%T"]
        wait_until(
            lambda: "RUNNING" in subprocess.run(look, env=self.environment, capture_output=True, text=True).stdout,
            f"job {job} to run",
        )
        return job


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with TemporaryDirectory(prefix="lq-", ignore_cleanup_errors=True) as path:
        made = Place(Path(path))
        yield made
        made.close()


# -- the JSON documents ----------------------------------------------------------------------------------

ROWS = re.findall(r"^\| (`[a-z][^|]*) \| (`[^|]*) \|.*\|$", INTERFACE, re.MULTILINE)
KEYS = {name: set(re.findall("`(.*?)`", keys)) for names, keys in ROWS for name in re.findall("`(.*?)`", names)}
DOCUMENTS = {
    "submit": "submit --lease local --gpus 0 --json -- true",
    "submit --dry-run": "submit --dry-run --json -a 0-9 -- true {{i}}",
    "wait": "wait {ended} --json",
    "redo": "redo {ended} --json",
    "retry": "retry {failed} --json",
    "triage": "triage {failed} --json",
    "status": "status --json --lease local:elsewhere",
    "tasks": "tasks --json",
    "info": "info {running} {sweep} {sweep}_1 --env --json",
    "signal": "signal {running} CONT --json",
    "logs": "logs {ended} --json",
    "recover": "recover --json",
    "recover --all": "recover --all --json",
    "hold": "hold {held} --json",
    "release": "release {held} --json",
    "set": "set {held} --priority 3 --json",
    "edit": "edit {held} --json",
    "why": "why {held} --json",
    "report": "report --json",
    "hook ls": "hook ls --json",
    "hook test": "hook test {hook} --json",
    "pause": "pause -g nobody --json",
    "resume": "resume -g nobody --json",
    "group": "group --json",
    "move": "move --to local:elsewhere {held} --json",
    "cancel": "cancel {held} --json",
    "lease keep": "lease keep {lease} forever --json",
    "lease idle": "lease idle {lease} 10m --json",
    "lease scale": "lease scale {pool} 0..2 --json",
    "lease scale --why": "lease scale {pool} --why --json",
    "lease ls": "lease ls --json",
    "lease info": "lease info {lease} --json",
    "add": "add --detach --json",
    "add --dry-run": "add --dry-run --json",
    "lease adopt": "lease adopt {job} --json",
    "lease use": "lease use local --json",
    "lease hold-queue": "lease hold-queue local --off --json",
    "daemon start": "daemon start --json",
    "daemon status": "daemon status --json",
    "daemon restart": "daemon restart --json",
    "daemon stop": "daemon stop --json",
    "clean": "clean --json",
    "doctor": "doctor --json",
    "config show": "config show --json",
    "lease release": "lease release local --yes --json",
}
FREE = {"settings", "origin", "env", "values", "unreadable", "redo_of", "others", "never"}
"""Keys under which the names are the user's."""


@pytest.fixture(scope="module")
def documents(place: Place) -> dict[str, Said]:
    """What each command says with --json."""
    place.idle()
    return {name: place.run(*line.format_map(Words(place)).split()) for name, line in DOCUMENTS.items()}


def test_every_command_with_json_is_on_the_page_and_is_run_here() -> None:
    with_json = {name for name in COMMANDS if any(option.name == "json" for option in command(name).options)}
    assert with_json == {name for name in KEYS if not name.partition(" --")[1]}
    assert set(DOCUMENTS) == set(KEYS)


def test_every_document_has_the_keys_that_the_page_names(documents: dict[str, Said]) -> None:
    assert {name: set(said.json) - {"schema"} for name, said in documents.items()} == KEYS
    assert {said.json["schema"] for said in documents.values()} == {1}
    assert {name: said.code for name, said in documents.items() if said.code} in ({}, {"doctor": 1})


def keys(value: Any) -> Iterator[str]:
    """Every key in the document, of whatever is in it too."""
    if isinstance(value, list):
        for each in value:
            yield from keys(each)
    if isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from keys(each) if name not in FREE else ()


def test_every_key_of_a_task_a_node_and_a_lease_is_on_the_page_and_the_page_names_no_other(
    documents: dict[str, Said],
) -> None:
    given = {key for said in documents.values() for key in keys(said.json)}
    named = set(re.findall("`([^`]+)`", INTERFACE))
    assert given - named == set()
    sections = INTERFACE.partition("### A task")[2].partition("## Files")[0]
    words = set(re.findall("`([a-z_]+)`", sections)) - {each for name in COMMANDS for each in name.split()}
    assert words - given == set()


def test_every_state_is_documented_with_its_code() -> None:
    assert [state for state in State if f"`{state.name}` ({state.code}" not in INTERFACE] == []


# -- the exit codes -------------------------------------------------------------------------------------

CODES = {int(code): words for code, words in re.findall(r"^\| (\d+) \| (.*) \|$", INTERFACE, re.MULTILINE)}
ENDS = {
    0: "status",
    1: "cancel {ended}",
    2: "info Tnosuchtask0",
    3: "daemon status",
    70: "a test of its own: test_a_bug_is_one_line_and_its_traceback_is_kept",
    75: "add --detach",
    120: "wait {cancelled}",
    121: "wait {late}",
    122: "wait {lost}",
    124: "wait {running} --timeout 1s",
    130: "follow {running}",
    141: "help submit",
}
"""What is done for each exit code of the page."""


def test_every_exit_code_of_the_page_is_given(place: Place) -> None:
    assert ENDS.keys() == CODES.keys()
    place.run("daemon", "stop")
    for code in (3, 0, 1, 2, 120, 121, 122, 124):
        place.run(*ENDS[code].format_map(Words(place)).split(), code=code)
    with place.slurm_down():
        place.run(*ENDS[75].split(), code=75)
    watching = place.popen(*ENDS[130].format(running=place.running).split())
    assert watching.stdout and watching.stdout.readline() == b"begun\n"
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=PATIENCE_SECONDS)
    assert watching.returncode == 130
    reader, writer = os.pipe()
    os.close(reader)
    gone = place.popen(*ENDS[141].split(), stdout=writer, stderr=subprocess.DEVNULL)
    os.close(writer)
    assert gone.wait(PATIENCE_SECONDS) == 141


def test_the_page_names_every_kind_of_error_with_its_exit_code() -> None:
    every: list[type[LeaseqError]] = [LeaseqError, *LeaseqError.__subclasses__()]
    kinds = [kind for kind in every if kind.__module__ == LeaseqError.__module__]  # others are raised to programs alone
    for kind in kinds:
        assert kind.exit_code in CODES
        assert f"`{kind.code}`" in INTERFACE
    for state in (State.CANCELLED, State.TIMEOUT, State.LOST):
        assert state.name in CODES[state.exit_code]


# -- the command lines ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Typed:
    """How a printed line is typed here."""

    line: str = ""
    """What is typed in its place; {names} are those of Place. Empty: it is typed as printed."""
    codes: tuple[int, ...] = (0,)
    keys: tuple[tuple[str, str], ...] = ()
    """On a terminal: what is awaited, and what is typed then."""


GRID = "--sweep lr=1e-4,3e-4,1e-3 --sweep seed=1..4"
TRAIN = "python train.py --lr {lr} --seed {seed}"
IN_SHELL = ((" main]", "exit\r"),)
SHELL = Typed(keys=IN_SHELL)
"""A session, which needs tmux; without it the line is left out."""
RELEASE = Typed(keys=(("[y/N]", "y\n"),))
LINES = {
    "leaseq": Typed(keys=(("quit", "q"),)),
    "leaseq tui": Typed(keys=(("quit", "q"),)),
    "leaseq follow T3k9": Typed("leaseq follow last"),
    "leaseq add -N2 -p gpu --gres=gpu:2 -t 4:00:00": SHELL,
    "leaseq add -N2 -p gpu --gres=gpu:2 -c 8 -t 4:00:00": SHELL,
    "leaseq add --profile a100 -N4": SHELL,
    "leaseq add": Typed("leaseq add --dry-run"),
    "leaseq add --to 48213 -N4 -t 2:00:00": Typed("leaseq add --detach --to {lease} --hold -N1 -t 2:00:00"),
    "leaseq add --detach --name sweep -N2 -p gpu --gres=gpu:4 -t 12:00:00 --keep 3d": Typed(
        "leaseq add --detach --hold -N2 -p gpu --gres=gpu:4 -t 4:00:00 --keep 3d"
    ),
    "leaseq lease keep sweep 2d": Typed("leaseq lease keep {lease} 2d"),
    "leaseq lease keep sweep off": Typed("leaseq lease keep {lease} off"),
    "leaseq daemon start --lease lab": Typed("leaseq daemon stop --kill; leaseq daemon start --lease lab"),
    "leaseq submit --lease lab --gpus 1 -- python train.py": Typed("leaseq submit --lease lab -G 0 -- python train.py"),
    "leaseq submit --sweep lr=1e-4,3e-4,1e-3 --gpus 1 -- python train.py --lr {lr}": Typed(
        "leaseq submit --sweep lr=1e-4,3e-4,1e-3 -G 0 -- python train.py --lr {{lr}}"
    ),
    "leaseq shell --lease lab --node gpu2": Typed("leaseq shell --lease lab --node gpu2 -- true", codes=(2,)),
    "leaseq daemon stop --drain": Typed("leaseq daemon start --lease lab; leaseq daemon stop --drain"),
    "leaseq lease release lab": Typed("leaseq lease release lab --yes"),
    "leaseq lease release lab --node gpu2": Typed(codes=(2,)),
    "leaseq lease info lab": Typed("leaseq lease info lab.2"),
    "leaseq move --from lab --to lab.2": Typed(codes=(0, 2)),
    "leaseq recover": Typed("leaseq recover", codes=(0, 2)),
    "leaseq recover ID --force": Typed("leaseq recover {ended} --force", codes=(2,)),
    "leaseq lease keep": Typed("leaseq lease keep {lease} forever; leaseq lease keep {lease} off"),
    "leaseq add -N2 -p gpu --gres=gpu:4 -t 1-00:00:00 --idle 30m": Typed(
        "leaseq add --detach --hold -N2 -p gpu --gres=gpu:2 -t 4:00:00 --idle 30m"
    ),
    "leaseq add --name pool --scale 0..4 --idle 10m -p gpu --gres=gpu:4 -t 4:00:00": Typed(
        "leaseq add --scale 0..4 --idle 10m -p gpu --gres=gpu:4 -t 4:00:00"
    ),
    "leaseq submit --lease pool -- python train.py": Typed("leaseq submit --lease {pool} --hold -- python train.py"),
    "leaseq lease scale pool 0..8": Typed("leaseq lease scale {pool} 0..8"),
    "leaseq lease scale pool --why": Typed("leaseq lease scale {pool} --why"),
    "leaseq lease scale pool --cron": Typed("leaseq lease scale {pool} --cron"),
    "leaseq lease scale": Typed("leaseq lease scale {pool} 0..1"),
    "leaseq lease idle": Typed("leaseq lease idle {lease} off"),
    "leaseq lease idle sweep 10m": Typed("leaseq lease idle {lease} 10m"),
    "leaseq lease info 48213": Typed("leaseq lease info {lease}"),
    "leaseq add --to sweep -N4 -t 2:00:00": Typed("leaseq add --detach --to {lease} --hold -N1 -t 2:00:00"),
    "leaseq shell": SHELL,
    "leaseq shell -- nvidia-smi": Typed("leaseq shell -- hostname"),
    "leaseq lease release": RELEASE,
    "leaseq lease release sweep --job 48377": Typed("leaseq lease release {lease} --job {waiting_job}"),
    "leaseq lease release sweep --node node3 --drain": Typed("leaseq lease release {lease} --node {second} --drain"),
    "leaseq help COMMAND": Typed("leaseq help submit"),
    'leaseq wait "$id" && echo fine': Typed('id=last; leaseq wait "$id" && echo fine'),
    "leaseq wait --json": Typed("leaseq wait {ended} --json"),
    "leaseq wait ID": Typed("leaseq wait {ended}"),
    "leaseq follow ID": Typed("leaseq follow {ended}"),
    "leaseq info T3a": Typed("leaseq info {ended}"),
    "leaseq info ID": Typed("leaseq info {ended}"),
    "leaseq logs ID": Typed("leaseq logs {ended}"),
    "leaseq logs -k 1 ID": Typed("leaseq logs -k 1 {ended}"),
    "leaseq move --from OLD --to NEW": Typed("leaseq move --from {held_in_lease} --to local"),
    "leaseq move": Typed("leaseq move --node any {pinned}"),
    "leaseq move --node any ID": Typed("leaseq move --node any {pinned}"),
    "leaseq lease use": Typed("leaseq lease use {lease}"),
    "leaseq lease info sweep": Typed("leaseq lease info {lease}"),
    "leaseq lease info": Typed("leaseq lease info {lease}"),
    "leaseq lease info LEASE": Typed("leaseq lease info {lease}"),
    "leaseq lease adopt JOBID": Typed("leaseq lease adopt {job}"),
    "leaseq lease hold-queue LEASE --off": Typed("leaseq lease hold-queue {lease} --off"),
    "leaseq wait -g eval": Typed("id=$(leaseq submit -g eval -G 0 -- true); leaseq wait -g eval || leaseq wait $id"),
    "leaseq cancel -g eval": Typed("leaseq submit --hold -g eval -- true; leaseq cancel -g eval"),
    "leaseq redo -g eval --failed": Typed(codes=(0, 2)),
    "leaseq logs name:vit --tail 5": Typed("leaseq wait $(leaseq submit -J vit true); leaseq logs name:vit --tail 5"),
    "leaseq hold state:pending": Typed("leaseq submit --hold -- true; leaseq hold state:pending", codes=(0, 2)),
    "leaseq set last --priority 5 --gpus 0 --time 4h": Typed("leaseq set {held} --priority 5 --gpus 0 --time 4h"),
    "leaseq set T3k9 --group long": Typed("leaseq set {held} --group long"),
    "leaseq set T3k9 --after T7aa,any:last": Typed("leaseq set {held} --after {ended},any:{pinned}"),
    "leaseq edit T3k9 T7aa": Typed("leaseq edit {held} {pinned}"),
    "leaseq edit": Typed("leaseq edit {held}"),
    "leaseq cancel": Typed("leaseq cancel {held}"),
    "leaseq cancel ID": Typed("leaseq cancel {running}"),
    "leaseq cancel ID --signal USR1": Typed("leaseq cancel {running} --signal USR1"),
    f"leaseq submit {GRID} --gpus 1 -- {TRAIN}": Typed(
        f"leaseq submit {GRID} -G 0 -- {TRAIN}".replace("{", "{{").replace("}", "}}")
    ),
    "leaseq set ID --throttle 16": Typed("leaseq set {held_sweep} --throttle 16"),
    "leaseq retry ID_3,17": Typed("leaseq retry {failed_sweep}_0,1"),
    "leaseq tasks last --values": Typed("leaseq tasks {sweep} --values"),
    "leaseq tasks last --state failed -q": Typed("leaseq tasks {sweep} --state failed -q"),
    "leaseq info last_3": Typed("leaseq info {sweep}_1"),
    "leaseq logs last_3": Typed("leaseq logs {sweep}_1"),
    "leaseq wait last_3": Typed("leaseq wait {sweep}_1"),
    "leaseq cancel last_5-8": Typed("leaseq cancel {held_sweep}_5-8"),
    "leaseq hold ID": Typed("leaseq hold {held}"),
    "leaseq release ID": Typed("leaseq release {held}"),
    "leaseq retry ID": Typed("leaseq retry {failed}"),
    "leaseq retry T3k9": Typed("leaseq retry {failed}"),
    "leaseq retry T3k9 --failed": Typed("leaseq retry {failed_sweep} --failed"),
    "leaseq retry T3k9_4": Typed("leaseq retry {failed_sweep}_1"),
    "leaseq redo ID": Typed("leaseq redo {ended}"),
    "leaseq submit --after last-1,any:T3k9 -- ./report": Typed("leaseq submit --after last-1,any:{failed} -- ./report"),
    "leaseq submit -d afterok:T3k9:T7aa -- ./compare": Typed("leaseq submit -d afterok:{ended}:{ended} -- ./compare"),
    "leaseq submit --after last_3 -- ./look-at-one": Typed("leaseq submit --after {sweep}_1 -- ./look-at-one"),
    "leaseq submit -a 0-99 --after each:last -- ./eval {i}": Typed(
        "leaseq submit -a 0-1 --after each:{sweep} -- ./eval"
    ),
    "leaseq release ID --anyway": Typed("leaseq release {held} --anyway"),
    "leaseq redo ID --time 8h --mem 32G --env LR=0.1": Typed("leaseq redo {ended} --time 8h --mem 1G --env LR=0.1"),
    "leaseq wait ID --timeout 9m": Typed("leaseq wait {ended} --timeout 9m"),
    "leaseq diff T3k9": Typed("leaseq diff {coded}"),
    "leaseq diff T3k9 T7aa": Typed("leaseq diff {coded} {coded}"),
    "leaseq diff T3k9 -k 1,2": Typed("leaseq diff {coded} -k 1,1"),
    "leaseq submit --snapshot -- python train.py": Typed("cd repo; leaseq submit --snapshot -- python train.py"),
    "leaseq redo T3k9 --same-code": Typed("leaseq redo {coded} --same-code"),
    "leaseq hook test phone": Typed("leaseq hook test {hook}"),
    "leaseq hook remove phone": Typed("leaseq hook remove {hook}"),
    "leaseq submit --notify -- COMMAND": Typed("leaseq submit --notify -- true"),
    "leaseq ssh-config --install": Typed("HOME=$PWD leaseq ssh-config --install --lease {lease}"),
    "leaseq ssh-config --laptop login.example.org": Typed(
        "leaseq ssh-config --laptop login.example.org --lease {lease}"
    ),
    "leaseq submit --gpus 1 -J notebook -- jupyter lab --no-browser --ip 127.0.0.1 --port 8888": Typed(
        "leaseq submit -G 0 -J notebook -- true"
    ),
    "leaseq forward 8888": Typed("leaseq forward nothing", codes=(2,)),
    "leaseq triage ID": Typed("leaseq triage {failed}"),
    "leaseq triage": Typed("leaseq triage {failed_sweep}"),
    "LEASEQ_READONLY=1 leaseq cancel ID": Typed("LEASEQ_READONLY=1 leaseq cancel {held}; test $? = 2"),
    "leaseq doctor": Typed(codes=(0, 1)),
    "leaseq init": Typed("leaseq init --dry-run"),
    "leaseq doctor --lease LEASE": Typed("leaseq doctor --lease {lease}", codes=(0, 1)),
}
NOT_TYPED = {
    "leaseq mcp": "tests/clients/test_mcp.py does that, where there is the SDK",
    "make demo": "a test of its own: it takes a minute",
    "make test": "it is this suite",
    "pipx install .": "`make wheel-check` installs leaseq elsewhere and uses it there",
    "ssh leaseq-48213 nvidia-smi": "tests/contract/test_ssh.py does that",
    "loginctl enable-linger": "it would change this host",
    "systemd-run --user --scope leaseq daemon start": "it needs a systemd that serves this user",
}
"""Why a printed line is not typed here."""
COMMAND = re.compile(r"(?:\$ )?((?:id=\$\()?leaseq(?: .*)?$)|\$ (.*)$")


def printed(page: Path) -> list[str]:
    """The command lines of a page, from its top, once each, without their comments."""
    found = []
    for block, code in re.findall(r"^```\w*\n(.*?)^```|`([^`\n]+(?:\n[^`\n]+)?)`", page.read_text(), re.M | re.S):
        lines = block.splitlines() if block else [" ".join(code.split())]
        for line in lines:
            match = COMMAND.match(line)
            if match and (block or line.startswith("leaseq ")):
                found.append(re.sub(r"\s+# .*", "", match[1] or match[2]))
    return list(dict.fromkeys(found))


def typed(place: Place, line: str) -> str:
    """What went wrong when the line was typed; empty if nothing did."""
    how = LINES.get(line, Typed())
    text = how.line.format_map(Words(place)) if how.line else line
    if how.keys:
        terminal = Terminal([*LEASEQ, *shlex.split(text)[1:]], place.environment, place.work)
        for awaited, keys in how.keys:
            terminal.expect(awaited)
            terminal.type(keys)
        said = Said(terminal.end(), terminal.seen, "")
    elif re.search(r"[$&;]", text):
        done = subprocess.run(
            ["bash", "-c", text], env=place.environment, cwd=place.work, capture_output=True, timeout=PATIENCE_SECONDS
        )
        said = Said(done.returncode, done.stdout.decode(), done.stderr.decode())
    else:
        said = place.run(*shlex.split(text)[1:])
    return "" if said.code in how.codes else f"{text}: {said}"


LEASEQ = (sys.executable, "-m", "leaseq")


class Words(dict[str, str]):
    """The names of a Place, each made when a line needs it."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def __missing__(self, name: str) -> str:
        return str(getattr(self.place, name))


@pytest.mark.parametrize("page", [page for page in PAGES if printed(page)], ids=lambda page: page.stem)
def test_every_command_line_of_a_page_does_what_it_is_printed_for(place: Place, page: Path) -> None:
    place.idle()
    tmux = shutil.which("tmux") is not None
    lines = [line for line in printed(page) if line not in NOT_TYPED and (tmux or LINES.get(line) != SHELL)]
    assert [wrong for line in lines if (wrong := typed(place, line))] == []


def test_the_table_of_lines_names_only_what_is_printed() -> None:
    every = {line for page in PAGES for line in printed(page)}
    assert len(every) > 40
    assert (set(LINES) | set(NOT_TYPED)) - every == set()


def test_the_study_of_the_first_screen_runs_on_two_nodes_with_gpus_and_its_failed_run_runs_again(place: Place) -> None:
    place.idle()
    lease = place.run("add", "--detach", "-N2", "-c4", "--gres=gpu:2", "--name", "study", code=0).out.strip()
    there = ("--lease", lease)
    (place.work / "study.py").write_text(
        "import os, sys\nprint(os.environ['CUDA_VISIBLE_DEVICES'], *sys.argv[1:])\n"
        "sys.exit(os.path.exists('bad') and sys.argv[2::2] == ['3e-4', '2'])\n"
    )
    (place.work / "bad").touch()
    grid = GRID.split()
    study = place.run("submit", *there, *grid, "--gpus", "1", "--", *TRAIN.replace("train.py", "study.py").split()).id
    collector = place.run("submit", *there, "--after", "last", "--", "python", "collect.py").id
    place.run("wait", collector, code=120)
    assert f"Dependency: {study}_5 FAILED" in place.run("info", collector, code=0).out
    assert place.run("tasks", study, "--state", "failed", "--values", code=0).out.count("lr=3e-4 seed=2") == 1
    (place.work / "bad").unlink()
    assert place.run("retry", *there, "last-1", "--failed", code=0).id == study
    place.run("wait", collector, code=0)
    rows = place.run("tasks", study, "--json", code=0).json["tasks"]
    assert [row["state"] for row in rows] == ["DONE"] * 12
    assert [row["attempt"] for row in rows] == [1] * 5 + [2] + [1] * 6
    assert {row["node"] for row in rows} <= {
        view["node"] for view in place.run("status", *there, "--json").json["nodes"]
    }
    assert place.run("logs", collector, code=0).out == "collected\n"
    place.run("lease", "release", lease, "--yes", code=0)
