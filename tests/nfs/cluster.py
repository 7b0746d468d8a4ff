"""A kernel NFS server and three clients, each a machine of its own: runners on two, a person at the third."""

from __future__ import annotations

import json
import re
import shutil
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.nfs import bed
from tests.nfs.machine import Machine, Said, Switch
from tests.patience import wait_until

GUEST = "/mnt/leaseq/tests/nfs/guest"
LEASE = "local:bed"
NODES = ("n1", "n2")
SLOTS = 4
SERVER = "10.9.0.1"
EXPORTED = f"/srv/export/leaseq/runs/{LEASE}"
"""The lease directory on the server's disk."""
OPTIONS = "vers=4.2"
"""Of the mounts: everything else is the client's default, so hard."""
GRACE_SECONDS = 15
"""The server's lease and grace time; Linux's own is 90 s, and every client waits for it after a restart."""
ENVIRONMENT: dict[str, Any] = {
    "LEASEQ_HOME": "/mnt/shared/leaseq",
    "LEASEQ_NODE_DIR": "/run/leaseq",
    "LEASEQ_LEASE": LEASE,
    "SLURM_CPUS_ON_NODE": str(SLOTS),
}
RUNNER = f"""
while :; do
    python3 /mnt/leaseq/leaseq/__main__.py _run --lease {LEASE} --node $name --home $LEASEQ_HOME >>/run/runner 2>&1 &
    echo $! >/run/runner.pid
    wait $! && break
    sleep 1
done
"""
RIVAL = f"""
echo $$ >/run/rival.pid
exec python3 /mnt/leaseq/leaseq/__main__.py _run --lease {LEASE} --node $name --home $LEASEQ_HOME >/run/rival 2>&1
"""
FORMAT = """
mkfs.ext4 -q -m 0 -N 32768 /dev/ubda
mkfs.ext4 -q /dev/ubdb
"""
SERVE = """
mkdir -p /srv/export /srv/state
mount /dev/ubda /srv/export
mount /dev/ubdb /srv/state
mount --bind /srv/state /var/lib/nfs
mkdir -p /var/lib/nfs/nfsdcld /var/lib/nfs/v4recovery /var/lib/nfs/sm
touch /var/lib/nfs/etab /var/lib/nfs/rmtab
mount -t nfsd nfsd /proc/fs/nfsd
exportfs -i -o rw,sync,no_root_squash,no_subtree_check,fsid=0 '*:/srv/export'
nfsdcld -p /run/rpc_pipefs/nfsd
rpc.mountd -N 2 -N 3
"""
SERVE_CALLS = f"rpc.nfsd -N 3 --grace-time {GRACE_SECONDS} --lease-time {GRACE_SECONDS} 8\n"


class Cluster:
    """The machines, the lease on their shared file system, and what can go wrong with them."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="lqnfs-"))
        root = bed.build()
        self.switch = Switch(self.directory)

        def machine(name: str, number: int, disks: tuple[Path, ...] = ()) -> Machine:
            return Machine(name, f"10.9.0.{number}", self.directory, self.switch, root, disks)

        self.server = machine("server", 1, (self._disk("export", 160), self._disk("state", 32)))
        self.nodes = {name: machine(name, number) for number, name in enumerate(NODES, 2)}
        self.desk = machine("desk", 4)
        self.clients = [*self.nodes.values(), self.desk]
        self.runners: dict[str, Future[Said]] = {}
        wait_until(self.switch.control.exists, "the switch")

    def _disk(self, name: str, mebibytes: int) -> Path:
        path = self.directory / f"{name}.disk"
        with open(path, "wb") as file:
            file.truncate(mebibytes << 20)
        return path

    def start(self) -> None:
        """The server serves, every client has mounted it, and the lease has a runner on each of its nodes."""
        self.server.boot()
        self.server.shell(FORMAT)
        self.server.shell(SERVE + SERVE_CALLS)
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._join, self.clients))
        self.desk.good("python3", "-m", "tests.nfs.guest.lease", LEASE, *NODES, **ENVIRONMENT)
        for name in NODES:
            self.start_runner(name)
        self.until_served()

    @staticmethod
    def _join(client: Machine) -> None:
        client.boot()
        client.shell(f"mount -t nfs4 -o {OPTIONS} {SERVER}:/ /mnt/shared")

    def start_runner(self, name: str) -> None:
        self.runners[name] = self.nodes[name].begin("sh", "-c", RUNNER, **ENVIRONMENT)

    def start_rival(self, name: str) -> Future[Said]:
        """The desk has been told to serve that node, too."""
        return self.desk.begin("sh", "-c", RIVAL, **{**ENVIRONMENT, "name": name})

    def until_served(self) -> None:
        """Each node has a runner that is up, as the command line sees it."""

        def look() -> bool:
            nodes = self.leaseq("status", "--json").json["nodes"]
            return [node["health"] for node in nodes].count("OK") == len(NODES)

        wait_until(look, "runners on both nodes", seconds=60, seen=self.complaints)

    def until_idle(self, *, seconds: float = 120) -> None:
        """Nothing is pending or claimed, as the server's own disk tells: no client is asked."""

        def look() -> bool:
            hold(0.3)
            places = "inbox held claimed booking"
            return not self.server.shell(f"cd {EXPORTED}; find {places} -type f ! -name '.*'")

        wait_until(look, "the end of all tasks", seconds=seconds, seen=self.complaints)

    def complaints(self) -> str:
        """What runners and kernels said last."""
        said = [node.run("tail", "-n", "20", "/run/runner").out for node in self.nodes.values()]
        return "\n".join([*said, *(machine.console() for machine in (self.server, *self.clients))])

    def close(self) -> None:
        """Nothing of it runs any more, and nothing is left of its files."""
        for machine in (self.server, *self.clients):
            machine.cut_power()
        self.switch.close()
        shutil.rmtree(self.directory)

    # -- a person at the desk --------------------------------------------------------------------

    def leaseq(self, *words: str, input: str = "", on: Machine | None = None) -> Said:
        """What the command said, at the desk if nowhere else."""
        return (on or self.desk).run("python3", "-m", "leaseq", *words, input=input, **ENVIRONMENT)

    def begin(self, module: str, *words: str) -> Future[Said]:
        """A program of tests/nfs/guest runs at the desk."""
        return self.desk.begin("python3", "-m", f"tests.nfs.guest.{module}", *words, **ENVIRONMENT)

    def check(self, machine: Machine, known: Any) -> Any:
        """What tests/nfs/guest/check.py finds, given what is known."""
        # By a file: a serial line that was given 40 KB at once carried nothing more.
        (self.directory / "known.json").write_text(json.dumps(known))
        words = ("python3", "-m", "tests.nfs.guest.check", "/srv/host/known.json")
        return machine.run(*words, seconds=200, **ENVIRONMENT).json

    def ids(self) -> list[str]:
        """Every task that `tasks` lists."""
        return [task["id"] for task in self.leaseq("tasks", "--all", "--json").json["tasks"]]

    def ran(self) -> list[tuple[str, str, int, int, float]]:
        """(begin or end, task, attempt, code, host time) as the local disks of the nodes tell."""
        found = []
        for name in NODES:
            offset = self.offset(self.nodes[name])
            for line in self.nodes[name].shell("cat /run/ran 2>/dev/null || :").splitlines():
                what, task_id, attempt, code, at = line.split()
                found.append((what, task_id, int(attempt), int(code), float(at) - offset))
        return found

    @staticmethod
    def offset(machine: Machine) -> float:
        """How many seconds the machine's clock is before this host's."""

        def look() -> float:
            return machine.run("true").at - time.time()

        return statistics.median(look() for _ in range(5))

    # -- calls -----------------------------------------------------------------------------------

    @staticmethod
    def calls(machine: Machine) -> Counter[str]:
        """How many calls of each kind that client has made to the server."""
        text = machine.shell("cat /proc/self/mountstats").partition(" mounted on /mnt/shared ")[2]
        found = re.findall(r"^\s+([A-Z_]+): (\d+)", text.partition("per-op statistics")[2], re.MULTILINE)
        return Counter({name: int(count) for name, count in found if int(count)})

    def served(self) -> int:
        """How many calls the server has answered."""
        line = self.server.shell("grep '^proc4 ' /proc/net/rpc/nfsd")
        return int(line.split()[3])

    # -- what goes wrong -------------------------------------------------------------------------

    def crash(self) -> None:
        """The server has done what it was asked, its replies were lost, it lost its power, and serves again."""
        self.server.shell("tc qdisc add dev eth0 root netem loss 100%")
        hold(0.3)
        self.server.cut_power()
        self.server.boot()
        self.server.shell(SERVE + SERVE_CALLS)

    def restart(self) -> None:
        """The server was stopped and started in good order."""
        self.server.shell("rpc.nfsd 0\n" + SERVE_CALLS)

    def hang(self, seconds: float) -> None:
        """The server answered nobody for that long."""
        self.server.freeze()
        hold(seconds)
        self.server.thaw()

    def cut_link(self, machine: Machine, seconds: float) -> None:
        """The machine had no network for that long."""
        machine.shell("ip link set eth0 down")
        hold(seconds)
        machine.shell("ip link set eth0 up")

    @contextmanager
    def full(self) -> Iterator[None]:
        """Meanwhile the exported file system has next to nothing left (others free a block now and then)."""
        self.server.shell(
            "dd if=/dev/zero of=/srv/export/filler bs=1M 2>/dev/null || :\n"
            "dd if=/dev/zero of=/srv/export/filler.rest bs=1k 2>/dev/null || :\n"
            "[ $(df --output=avail /srv/export | tail -n 1) -le 64 ]"
        )
        try:
            yield
        finally:
            self.server.shell("rm /srv/export/filler /srv/export/filler.rest")

    def fill(self, seconds: float) -> None:
        """The exported file system was full for that long."""
        with self.full():
            hold(seconds)

    def kill_runner(self, name: str) -> None:
        """The node's runner was killed; its shell starts another."""
        self.nodes[name].shell("kill -9 $(cat /run/runner.pid)")


def hold(seconds: float) -> None:
    """A fault has lasted for that long."""
    threading.Event().wait(seconds)


def summary(values: list[float]) -> dict[str, Any]:
    """Median and worst, in seconds."""
    return {"count": len(values), "median": round(statistics.median(values), 2), "worst": round(max(values), 2)}
