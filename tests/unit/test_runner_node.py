"""What a runner was granted on its node: CPUs and memory, by Slurm, by this host, by the groups around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaseq.node.cgroup import limits, memory_kills
from leaseq.node.grant import Gpus
from leaseq.node.granted import granted, memory

NONE = Gpus()


def host(root: Path, files: dict[str, str]) -> str:
    """A host whose /proc and /sys say that."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return str(root)


def test_what_slurm_granted_goes_before_what_the_host_has() -> None:
    room = granted({"SLURM_CPUS_ON_NODE": "12", "SLURM_MEM_PER_CPU": "100"}, Gpus(("1",)))
    assert (room.cpus, room.mem_mb, room.gpus, room.gpus_known) == (12, 1200, ("1",), True)
    assert not granted({}, Gpus(known=False)).gpus_known


def test_memory_is_the_grant_or_what_the_host_has() -> None:
    assert granted({"SLURM_MEM_PER_NODE": "512"}, NONE).mem_mb == 512
    assert granted({"SLURM_MEM_PER_NODE": "0"}, NONE).mem_mb == memory()[0] > 0
    total, used = memory()
    assert 0 < used < total


VERSION2 = {
    "proc/self/cgroup": "0::/user.slice/app\n",
    "proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
    "sys/fs/cgroup/user.slice/app/memory.max": "max\n",
    "sys/fs/cgroup/user.slice/app/memory.events": "low 0\noom 3\noom_kill 2\n",
    "sys/fs/cgroup/user.slice/app/cpu.max": "max 100000\n",
    "sys/fs/cgroup/user.slice/memory.max": "419430400\n",
    "sys/fs/cgroup/user.slice/memory.current": "209715200\n",
    "sys/fs/cgroup/user.slice/memory.stat": "anon 1\ninactive_file 104857600\n",
    "sys/fs/cgroup/user.slice/cpu.max": "250000 100000\n",
}
VERSION1 = {
    "proc/self/cgroup": "4:memory:/docker/f00\n2:cpu,cpuacct:/docker/f00\n0::/\n",
    "proc/self/mountinfo": (
        "40 23 0:30 /docker/f00 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
        "41 23 0:31 /docker/f00 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n"
    ),
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "419430400\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "209715200\n",
    "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 104857600\n",
    "sys/fs/cgroup/memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
}


@pytest.mark.parametrize(("files", "cpus"), [(VERSION2, 2.5), (VERSION1, 0.5)], ids=["version 2", "version 1"])
def test_the_tightest_group_around_a_process_limits_it(tmp_path: Path, files: dict[str, str], cpus: float) -> None:
    root = host(tmp_path, files)
    seen = limits(root=root)
    assert (seen.cpus, seen.memory_mb, seen.memory_used_mb) == (cpus, 400, 100)
    assert memory_kills(root=root) == 2


def test_what_is_not_limited_or_cannot_be_read_limits_nothing(tmp_path: Path) -> None:
    unlimited = {
        **VERSION1,
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/memory/memory.oom_control": "oom_kill_disable 0\n",
        "proc/vmstat": "nr_free_pages 7\noom_kill 5\n",
    }
    root = host(tmp_path / "a", unlimited)
    assert (limits(root=root).cpus, limits(root=root).memory_mb) == (None, None)
    assert memory_kills(root=root) == 5, "where the group does not count, the host does"
    assert limits(root=str(tmp_path / "nothing")).memory_mb is None
    assert memory_kills(root=str(tmp_path / "nothing")) is None
