"""ssh, rsync, sftp and forwarded ports into a lease's allocation, by OpenSSH's own programs."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.contract.site import LEASEQ, Site
from tests.patience import PATIENCE_SECONDS, wait_until

HAS_SSH = all(map(shutil.which, ("ssh", "ssh-keygen", "sftp"))) and Path("/usr/sbin/sshd").exists()
pytestmark = pytest.mark.skipif(not HAS_SSH, reason="needs openssh-client and openssh-server")


class Ssh:
    """ssh with the settings that leaseq prints for a lease, and no others."""

    def __init__(self, site: Site, lease: str) -> None:
        self.site = site
        self.settings = site.directory / "ssh_settings"
        self.settings.write_text(site.ok("ssh-config", "--lease", lease))
        self.hosts = [line.split()[1] for line in self.settings.read_text().splitlines() if line.startswith("Host ")]

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        program, *rest = words
        return subprocess.run(
            [program, "-F", str(self.settings), *rest],
            env=self.site.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )


def test_ssh_runs_inside_the_allocation_on_the_node_that_is_named(site: Site) -> None:
    lease = site.add("-N2", "--gres=gpu:2", "--name", "dev")
    ssh = Ssh(site, lease)
    assert ssh.hosts == ["leaseq-dev", "leaseq-dev-node1", "leaseq-dev-node2"]
    done = ssh.run("ssh", "leaseq-dev-node2", 'echo $(hostname) $LEASEQ_LEASE $CUDA_VISIBLE_DEVICES "$A"; exit 9')
    assert (done.returncode, done.stdout) == (9, f"node2 {lease} 0,1 \n"), done
    first = ssh.run("ssh", "leaseq-dev", "cat; echo $SLURM_JOB_ID", stdin="through and through\n")
    assert first.stdout.splitlines() == ["through and through", site.squeue("-o", "%i")[0]]


def test_files_go_both_ways(site: Site) -> None:
    lease = site.add("-N1")
    ssh = Ssh(site, lease)
    data = os.urandom(300_000)
    here, there, back = (site.directory / name for name in ("here", "there", "back"))
    here.write_bytes(data)
    done = ssh.run("sftp", "-b", "-", ssh.hosts[0], stdin=f"put {here} {there}\nget {there} {back}\n")
    assert done.returncode == 0, done
    assert there.read_bytes() == back.read_bytes() == data
    if shutil.which("rsync"):
        there.unlink()
        words = ["rsync", "-e", f"ssh -F {ssh.settings}", str(here), f"{ssh.hosts[0]}:{there}"]
        subprocess.run(words, env=site.env, check=True, timeout=PATIENCE_SECONDS)
        assert there.read_bytes() == data


def test_nobody_else_gets_in_and_what_is_kept_is_private(site: Site, tmp_path: Path) -> None:
    lease = site.add("-N1")
    ssh = Ssh(site, lease)
    directory = Path(site.env["LEASEQ_HOME"]) / "ssh"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert all(not stat.S_IMODE(each.stat().st_mode) & 0o077 for each in directory.iterdir() if each.suffix != ".pub")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    text = ssh.settings.read_text()
    ssh.settings.write_text(text.replace(f'IdentityFile "{directory}/key"', f'IdentityFile "{tmp_path}/other"'))
    refused = ssh.run("ssh", "-o", "BatchMode=yes", ssh.hosts[0], "true")
    assert refused.returncode == 255 and "Permission denied" in refused.stderr
    ssh.settings.write_text(text)
    (directory / "known_hosts").write_text(f"leaseq {(tmp_path / 'other.pub').read_text()}")
    assert "HOST IDENTIFICATION HAS CHANGED" in ssh.run("ssh", ssh.hosts[0], "true").stderr


def test_a_port_of_a_node_is_brought_here_until_it_is_told_to_stop(site: Site) -> None:
    lease = site.add("-N2", "--gres=gpu:1")
    (site.directory / "page").mkdir()
    (site.directory / "page" / "index.html").write_text("from the node\n")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    server = ["python3", "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", f"{site.directory}/page"]
    task = site.ok("submit", "--lease", lease, "--node", "node2", "-c1", "--", *server).strip()
    wait_until(lambda: f'"{task}"' in site.ok("tasks", "--lease", lease, "--state", "running", "--json"), "the server")
    here = port + 1 if port < 65000 else port - 1
    words = [*LEASEQ, "forward", str(port), "--lease", lease, "--node", "node2", "--here", str(here)]
    forward = subprocess.Popen(words, env=site.env, stderr=subprocess.PIPE, text=True)

    def fetched() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{here}/", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    try:
        wait_until(lambda: fetched() == "from the node\n", "the page of the node")
    finally:
        forward.send_signal(signal.SIGINT)
        said = forward.communicate(timeout=PATIENCE_SECONDS)[1]
    assert f"http://127.0.0.1:{here} is port {port} of the node" in said and "ssh -N -L" in said
    wait_until(lambda: fetched() == "", "the port to be closed")


def test_a_port_is_said_to_be_here_once_it_is_and_of_a_node_that_there_is(site: Site) -> None:
    lease = site.add("-N1")
    programs = site.directory / "bin"
    programs.mkdir()
    (programs / "ssh").write_text("#!/bin/sh\nexit 255\n")
    (programs / "ssh").chmod(0o755)
    vain = site.leaseq("forward", "8888", "--lease", lease, PATH=f"{programs}:{site.env['PATH']}")
    assert vain.returncode == 255 and "connecting to" in vain.stderr and "http" not in vain.stderr
    strange = site.leaseq("forward", "8888", "--lease", lease, "--node", "node3")
    assert strange.returncode == 2 and "node3 is no node of that lease" in strange.stderr


def test_settings_are_installed_once_and_beside_what_is_there(site: Site, tmp_path: Path) -> None:
    lease = site.add("-N1", "--name", "dev")
    own = tmp_path / ".ssh" / "config"
    own.parent.mkdir(mode=0o700)
    own.symlink_to(tmp_path / "dotfile")
    own.write_text("Host other\n    HostName other.example.org\n")
    for _ in range(2):
        site.ok("ssh-config", "--lease", lease, "--install", HOME=str(tmp_path))
    text = own.read_text()
    assert own.is_symlink(), "it is kept elsewhere"
    assert text.count("Include") == 1 and text.endswith("Host other\n    HostName other.example.org\n")
    assert stat.S_IMODE(own.stat().st_mode) == 0o600
    included = Path(text.splitlines()[0].removeprefix('Include "').removesuffix('"'))
    assert included.read_text().count("Host leaseq-dev\n") == 1
    laptop = site.leaseq("ssh-config", "--lease", lease, "--laptop", "me@login.example.org")
    assert "ProxyCommand ssh me@login.example.org 'env LEASEQ_HOME=" in laptop.stdout
    assert "scp me@login.example.org:" in laptop.stderr
    for wrong in (("ssh-config", "--laptop", "-oProxyCommand=x"), ("forward", "web"), ("forward", "99999")):
        assert site.leaseq(*wrong).returncode == 2, wrong
