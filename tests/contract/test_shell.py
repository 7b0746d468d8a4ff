"""A terminal on a lease: opened, lost, found again, and what is inside."""

from __future__ import annotations

import subprocess

import pytest

from tests.contract.clusters import run
from tests.contract.site import LEASEQ, Site, umask


def test_add_ends_in_a_shell_that_a_lost_terminal_leaves_intact(site: Site) -> None:
    first = site.terminal("add", "-N2", "-p", "gpu", "--gres=gpu:2", "-t", "0:30:00")
    first.expect("# ")
    first.type("echo on-$(hostname)-with-$CUDA_VISIBLE_DEVICES; cat\n")
    first.expect("on-node1-with-0,1")
    first.type("still-here\n")
    first.expect("still-here")
    first.kill()
    second = site.terminal("shell")
    second.expect("still-here")
    second.type("\x04")
    second.expect("# ")
    second.type("exit 7\n")
    assert second.end() == 7
    assert "goes on" in second.seen
    assert site.squeue("-o", "%T") == ["RUNNING"]


def test_sessions_of_one_lease_are_apart_and_on_the_node_that_was_named(site: Site) -> None:
    lease = site.add("-N2")
    other = site.terminal("shell", "--lease", lease, "--node", "node2", "--session", "notes")
    other.expect("# ")
    other.type("echo I-am-$(hostname)\n")
    other.expect("I-am-node2")
    main = site.terminal("shell", "--node", "node1")
    main.expect("# ")
    main.type("echo I-am-$(hostname)\n")
    main.expect("I-am-node1")
    main.type("exit\n")
    assert main.end() == 0
    other.type("exit 3\n")
    assert other.end() == 3


def test_a_command_gives_its_output_and_exit_code(site: Site) -> None:
    lease = site.add("-N2", "--gres=gpu:1")
    done = site.leaseq("shell", "--node", "node2", "--", "bash", "-c", "echo $(hostname) $LEASEQ_LEASE; exit 9")
    assert done.returncode == 9
    assert done.stdout == f"node2 {lease}\n"


def test_words_reach_a_command_as_they_were_typed(site: Site) -> None:
    site.add("-N1")
    words = ["a b", "$HOME", "it's", '"', "*", "--", "", "é"]
    printed = site.leaseq("shell", "--", "printf", "%s|", *words).stdout
    assert printed == "".join(f"{word}|" for word in words)


def test_a_plain_shell_ends_with_its_terminal(site: Site) -> None:
    site.add("-N1")
    terminal = site.terminal("shell", "--plain")
    terminal.expect("# ")
    terminal.type("echo plain-$((1 + 1)); echo tmux-$TMUX-; exit 4\n")
    terminal.expect("plain-2")
    terminal.expect("tmux--")
    assert terminal.end() == 4


def test_a_shell_without_a_terminal_reads_its_input(site: Site) -> None:
    site.add("-N1")
    done = run([*LEASEQ, "shell"], site.env, cwd=site.directory, stdin="echo from-$(hostname)\nexit 6\n")
    assert "from-node1" in done.stdout
    assert done.returncode == 6


def test_a_plain_shell_carries_any_bytes_both_ways(site: Site) -> None:
    """As the proxy command of another program needs it."""
    site.add("-N1")
    words, data = [*LEASEQ, "shell", "--plain", "--", "sh", "-c", "cat; exit 7"], bytes(range(256)) * 4096
    done = subprocess.run(
        words, env=site.env, cwd=site.directory, input=data, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 7, done.stderr
    assert done.stdout == data


def test_an_srun_typed_in_a_shell_spans_the_lease(site: Site) -> None:
    site.add("-N2", "--mem-per-cpu=10")
    done = site.leaseq("shell", "--", "srun", "--overlap", "-N2", "-n2", "hostname")
    assert sorted(done.stdout.split()) == ["node1", "node2"], done.stderr


def test_which_lease_is_asked_where_there_are_several_and_refused_without_a_terminal(site: Site) -> None:
    one, two = site.add("-N1"), site.add("-N1")
    (site.home / "index.json").unlink()  # no lease is chosen
    done = site.leaseq("shell", "--", "true")
    assert done.returncode == 2
    assert one in done.stderr
    assert two in done.stderr
    terminal = site.terminal("shell", "--", "sh", "-c", "echo chose-$LEASEQ_LEASE")
    terminal.expect("which lease?")
    terminal.type("2\n")
    terminal.expect("chose-")
    assert terminal.end() == 0


def test_a_node_or_lease_that_is_not_there_is_named(site: Site) -> None:
    lease = site.add("-N1")
    done = site.leaseq("shell", "--node", "node9", "--", "true")
    assert done.returncode == 2
    assert "node9 is no node of lease" in done.stderr
    assert site.leaseq("shell", "--lease", "4711", "--", "true").returncode == 2
    site.release(lease)
    ended = site.leaseq("shell", "--lease", lease, "--", "true")
    assert ended.returncode == 2
    assert "has ended" in ended.stderr


def test_every_kind_of_shell_has_the_umask_of_whoever_opens_it(site: Site) -> None:
    with umask(0o022):
        site.add("-N1")
    with umask(0o027):
        assert site.ok("shell", "--", "sh", "-c", "umask") == "0027"
        made = site.ok("shell", "--", "sh", "-c", "touch made; stat -c %a made")
        assert made == "640"
        plain = site.terminal("shell", "--plain")
        session = site.terminal("shell")
    for terminal in (plain, session):
        terminal.expect("# ")
        terminal.type("echo mask-$(umask)-\n")
        terminal.expect("mask-0027-")
        terminal.type("exit\n")  # a session that has ended need not have shown its last words
        assert terminal.end() == 0


def test_a_terminal_that_the_node_does_not_know_gets_its_session(site: Site) -> None:
    site.add("-N1")
    terminal = site.terminal("shell", TERM="xterm-ghostty")
    terminal.expect("# ")
    terminal.type("exit 3\n")
    assert terminal.end() == 3
    assert "does not know the terminal xterm-ghostty" in terminal.seen
    dumb = site.terminal("shell", TERM="dumb")
    assert dumb.end() != 0
    assert "leaseq shell --plain" in dumb.seen


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["--plain", "--session=main"])
def test_an_open_shell_is_told_before_the_time_limit_and_of_it_afterwards(site: Site, kind: str) -> None:
    lease = site.add("-N1", "-t", "1")
    terminal = site.terminal("shell", kind)
    terminal.expect(f"lease {lease} ends in ")
    terminal.end(seconds_max=240)
    assert f"lease {lease} has ended: time limit" in terminal.seen
    assert "goes on" not in terminal.seen


def test_a_shell_whose_lease_was_released_elsewhere_says_so(site: Site) -> None:
    lease = site.add("-N1")
    terminal = site.terminal("shell")
    terminal.expect("# ")
    site.ok("lease", "release", lease, "--yes")
    terminal.end(seconds_max=90)
    assert "goes on" not in terminal.seen
    assert f"lease {lease} has ended: released" in terminal.seen or f"lease {lease} is ending" in terminal.seen


def test_what_became_of_a_lease_is_not_known_where_slurm_does_not_answer(site: Site) -> None:
    lease = site.add("-N1")
    broken = site.directory / "broken"
    broken.mkdir()
    terminal = site.terminal("shell", PATH=f"{broken}:{site.env['PATH']}")
    terminal.expect("# ")
    (broken / "squeue").write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2\nexit 1\n")
    (broken / "squeue").chmod(0o755)
    for kept in site.home.glob("cache/**/squeue.json"):
        kept.unlink()  # an answer of the last second would do
    terminal.type("exit\n")
    terminal.end(seconds_max=60)
    assert f"whether lease {lease} goes on is not known" in terminal.seen
