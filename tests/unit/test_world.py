"""The real world behind the ports: a real directory, real processes, this host's mounts."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaseq import world
from leaseq.world import SystemClock, SystemFs
from tests.patience import wait_until


@pytest.fixture(params=[False, True], ids=["local", "remote"])
def fs(request: pytest.FixtureRequest) -> SystemFs:
    return SystemFs(remote=request.param)


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_what_was_created_is_read(fs: SystemFs, tmp_path: Path) -> None:
    data = bytes(range(256)) * 20_000
    fs.create(f"{tmp_path}/a", data)
    fs.create(f"{tmp_path}/b", b"", durable=False)
    assert fs.read(f"{tmp_path}/a") == data
    assert fs.read(f"{tmp_path}/b") == b""
    assert sorted(fs.names(str(tmp_path))) == ["a", "b"]


def test_hidden_names_do_not_exist(fs: SystemFs, tmp_path: Path) -> None:
    for name in (".tmp", ".nfs0000", "..x", "seen"):
        fs.create(f"{tmp_path}/{name}", b"")
    assert fs.names(str(tmp_path)) == ["seen"]


def test_files_and_directories_are_private_whatever_the_umask(fs: SystemFs, tmp_path: Path, open_umask: None) -> None:
    fs.create(f"{tmp_path}/created", b"")
    fs.append(f"{tmp_path}/appended", b"")
    fs.mkdir(f"{tmp_path}/made")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"created": 0o600, "appended": 0o600, "made": 0o700}


def test_a_range_is_read_from_either_end(fs: SystemFs, tmp_path: Path) -> None:
    path = f"{tmp_path}/log"
    fs.append(path, b"one\n")
    fs.append(path, b"two\n")
    assert fs.read_range(path, 0, 100) == (b"one\ntwo\n", 8)
    assert fs.read_range(path, 4, 3) == (b"two", 8)
    assert fs.read_range(path, -1, 1) == (b"\n", 8)
    assert fs.read_range(path, -100, 3) == (b"one", 8)
    assert fs.read_range(path, 9, 3) == (b"", 8)


def test_names_move_and_are_linked_once(fs: SystemFs, tmp_path: Path) -> None:
    fs.create(f"{tmp_path}/a", b"a")
    fs.create(f"{tmp_path}/b", b"b")
    fs.link(f"{tmp_path}/a", f"{tmp_path}/only")
    with pytest.raises(FileExistsError):
        fs.link(f"{tmp_path}/b", f"{tmp_path}/only")
    fs.rename(f"{tmp_path}/a", f"{tmp_path}/b")
    assert fs.read(f"{tmp_path}/b") == b"a"
    fs.unlink(f"{tmp_path}/b")
    fs.sync_dir(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        fs.rename(f"{tmp_path}/b", f"{tmp_path}/c")
    assert fs.names(str(tmp_path)) == ["only"]


def test_a_directory_may_be_made_twice_and_a_file_is_none(fs: SystemFs, tmp_path: Path) -> None:
    fs.mkdir(f"{tmp_path}/made")
    fs.mkdir(f"{tmp_path}/made")
    fs.create(f"{tmp_path}/file", b"")
    with pytest.raises(FileExistsError):
        fs.mkdir(f"{tmp_path}/file")
    with pytest.raises(FileNotFoundError):
        fs.mkdir(f"{tmp_path}/missing/made")


def test_what_is_missing_is_file_not_found(fs: SystemFs, tmp_path: Path) -> None:
    missing = f"{tmp_path}/missing"
    for call in (
        lambda: fs.read(missing),
        lambda: fs.read_range(missing, 0, 1),
        lambda: fs.read(f"{missing}/file"),
        lambda: fs.names(missing),
        lambda: fs.sync_dir(missing),
        lambda: fs.unlink(missing),
        lambda: fs.age(missing, str(tmp_path)),
    ):
        with pytest.raises(FileNotFoundError):
            call()


def test_what_is_no_regular_file_never_blocks_a_reader(fs: SystemFs, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    os.symlink("/etc/hostname", tmp_path / "link")
    os.symlink(tmp_path / "elsewhere", tmp_path / "dangling")
    for call in (
        lambda: fs.read(f"{tmp_path}/pipe"),
        lambda: fs.read(f"{tmp_path}/link"),
        lambda: fs.read(str(tmp_path)),
        lambda: fs.create(f"{tmp_path}/dangling", b""),
        lambda: fs.append(f"{tmp_path}/dangling", b""),
    ):
        with pytest.raises(OSError):
            call()
    assert not (tmp_path / "elsewhere").exists()


def test_the_age_of_a_file_is_told_and_no_probe_is_left(fs: SystemFs, tmp_path: Path) -> None:
    fs.create(f"{tmp_path}/new", b"")
    fs.create(f"{tmp_path}/old", b"")
    os.utime(tmp_path / "old", (time.time() - 500, time.time() - 500))
    assert 0 <= fs.age(f"{tmp_path}/new", str(tmp_path)) < 100
    assert 400 < fs.age(f"{tmp_path}/old", str(tmp_path)) < 600
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]


def test_just_the_old_and_hidden_files_are_older(fs: SystemFs, tmp_path: Path) -> None:
    for name in ("seen", ".old", ".new"):
        fs.create(f"{tmp_path}/{name}", b"")
    fs.mkdir(f"{tmp_path}/.directory")
    for name in ("seen", ".old", ".directory"):
        os.utime(tmp_path / name, (time.time() - 500, time.time() - 500))
    assert fs.older(str(tmp_path), seconds=100, hidden=True) == [f"{tmp_path}/.old"]
    assert fs.older(str(tmp_path), seconds=100, hidden=False) == [f"{tmp_path}/seen"]
    assert fs.older(f"{tmp_path}/missing", seconds=100, hidden=True) == []


def test_no_file_stays_open(fs: SystemFs, tmp_path: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    fs.create(f"{tmp_path}/a", b"a")
    fs.append(f"{tmp_path}/a", b"a")
    fs.read(f"{tmp_path}/a")
    fs.read_range(f"{tmp_path}/a", 0, 1)
    fs.names(str(tmp_path))
    fs.sync_dir(str(tmp_path))
    fs.age(f"{tmp_path}/a", str(tmp_path))
    with pytest.raises(OSError):
        fs.read(str(tmp_path))
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_directory_that_was_synced_stays_open_where_it_is_kept_and_the_one_in_its_place_is_synced(
    tmp_path: Path,
) -> None:
    fs = SystemFs(remote=False, keeps=True)
    before = len(os.listdir("/proc/self/fd"))
    directory = str(tmp_path / "a")
    fs.mkdir(directory)
    for _ in range(3):
        fs.sync_dir(directory)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    os.rmdir(directory)
    with pytest.raises(FileNotFoundError):
        fs.sync_dir(directory)
    fs.mkdir(directory)
    fs.sync_dir(directory)
    for number in range(100):
        fs.mkdir(f"{tmp_path}/{number}")
        fs.sync_dir(f"{tmp_path}/{number}")
    assert len(os.listdir("/proc/self/fd")) == before + world.KEPT_MAX
    for fd in fs._kept.values():
        os.close(fd)


def test_of_a_remote_file_system_no_directory_is_kept(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    SystemFs(remote=True, keeps=True).sync_dir(str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_clock_tells_the_time_and_does_not_go_back() -> None:
    clock = SystemClock()
    assert abs(clock.now() - time.time()) < 60
    assert clock.monotonic() <= clock.monotonic()


# -- processes ---------------------------------------------------------------------------------------


def test_the_start_of_a_live_process_stays_and_tells_it_from_others() -> None:
    with subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL) as child:
        try:
            start = world.process_start(child.pid)
            assert start > 0
            assert start == world.process_start(child.pid)
            assert start >= world.process_start(os.getpid()) > 0
        finally:
            child.kill()
    assert world.process_start(child.pid) != start


def test_a_zombie_has_ended() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{child.pid}/stat").exists()
        assert world.process_start(child.pid) == 0


def test_a_process_that_never_was_has_ended() -> None:
    assert world.process_start(2**22 + 1) == 0


def test_a_process_with_a_hostile_name_has_a_start(tmp_path: Path) -> None:
    program = tmp_path / ") Z 1 (\n"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "1000"], executable=program) as child:
        try:
            name = Path(f"/proc/{child.pid}/comm")
            wait_until(lambda: b") Z" in name.read_bytes(), f"the name is {name.read_bytes()!r}")
            assert world.process_start(child.pid) > 0
        finally:
            child.kill()


# -- this host ---------------------------------------------------------------------------------------


def test_the_host_has_a_name_without_dots() -> None:
    assert world.hostname()
    assert "." not in world.hostname()


def test_the_boot_does_not_change() -> None:
    assert world.boot_id() == world.boot_id() != ""


def test_the_file_system_of_a_path_is_that_of_its_nearest_mount() -> None:
    assert world.file_system("/proc/self/stat") == world.file_system("/proc")
    assert world.file_system("/proc")[0] == "proc"
    assert world.file_system("/")[0] != ""
    assert not world.is_remote("/proc")


def test_the_file_system_is_that_behind_a_link_and_of_a_name_that_is_not_there_yet(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/proc")
    assert world.file_system(str(tmp_path / "link"))[0] == "proc"
    assert world.file_system(str(tmp_path / "not" / "yet")) == world.file_system(str(tmp_path))


def test_a_file_system_may_be_called_remote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASEQ_ASSUME_REMOTE", "1")
    assert world.is_remote("/proc")


def test_what_turns_stale_is_opened_once_more() -> None:
    refusals = [errno.ESTALE]

    @world.again_where_stale
    def read(path: str) -> str:
        if refusals:
            raise OSError(refusals.pop(), "", path)
        return path

    assert read("a") == "a"
    for errors in ([errno.ESTALE, errno.ESTALE], [errno.EIO]):
        refusals.extend(errors)
        with pytest.raises(OSError) as raised:
            read("a")
        assert raised.value.errno == errors[0]
        refusals.clear()


def test_an_absent_directory_is_believed_only_once_the_one_above_was_opened(tmp_path: Path) -> None:
    """An NFS client that has looked for it before believes for a minute that it is not there."""

    class Stale(SystemFs):
        def _refresh(self, directory: str) -> None:
            super()._refresh(directory)
            if directory == str(tmp_path):
                (tmp_path / "made" / "deep").mkdir(parents=True)
                (tmp_path / "made" / "deep" / "file").write_text("x")

    assert Stale(remote=True).names(f"{tmp_path}/made/deep") == ["file"]
    for fs in (SystemFs(remote=True), SystemFs(remote=False)):
        with pytest.raises(FileNotFoundError):
            fs.names(f"{tmp_path}/none/deep")


def test_a_file_in_a_directory_that_another_client_has_made_is_read(tmp_path: Path) -> None:
    class Stale(SystemFs):
        def _refresh(self, directory: str) -> None:
            super()._refresh(directory)
            if directory == str(tmp_path):
                (tmp_path / "made").mkdir()
                (tmp_path / "made" / "file").write_bytes(b"x")

    assert Stale(remote=True).read(f"{tmp_path}/made/file") == b"x"
