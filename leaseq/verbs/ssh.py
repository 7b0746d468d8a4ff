"""ssh into a node of a lease: a private sshd that speaks through `leaseq shell`, with keys and settings of its own.

No port is opened and nobody else is let in: the server reads its client from a pipe, and takes one key.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Sequence

from leaseq import programs
from leaseq.dataclass import dataclass
from leaseq.errors import Unavailable
from leaseq.installation import interpreter, main_file
from leaseq.layout import Home
from leaseq.models import Lease
from leaseq.protocol import files
from leaseq.verbs.access import Access

ALIAS = "leaseq"
"""The name under which every node's server is known: they all have one key."""
SERVER = """\
# Made by leaseq: a server for one connection, which comes by a pipe.
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
PrintMotd no
X11Forwarding no
AllowTcpForwarding yes
Subsystem sftp internal-sftp
ForceCommand {directory}/session
"""
SERVE = """\
#!/bin/bash
# Made by leaseq: what stands at the other end of `ssh`. What it is started with is what each session gets.
umask 077
sshd=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v sshd) ||
    {{ echo "leaseq: there is no sshd on $(uname -n)" >&2; exit 127; }}
kept=$(mktemp "${{TMPDIR:-/tmp}}/leaseq-ssh.XXXXXX") || exit 1
trap 'rm -f "$kept"' EXIT
env -0 >"$kept"
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
find "${{TMPDIR:-/tmp}}" -maxdepth 1 -name 'leaseq-ssh.??????' -user "$(id -u)" -mtime +1 -delete 2>/dev/null
"$sshd" -i -f {directory}/sshd_config -o "SetEnv=LEASEQ_SSH_KEPT=$kept"
code=$?
[ $code = 255 ] || exit $code
exit 0  # the client has gone: no failure of this end
"""
SESSION = """\
#!/bin/bash
# Made by leaseq: a session of ssh, with the environment of the lease's node.
while IFS= read -r -d '' pair; do
    case $pair in
        SSH_*|TERM=*|PWD=*|OLDPWD=*|SHLVL=*|_=*|LEASEQ_SSH_KEPT=*) ;;
        [A-Za-z_]*) export "$pair" 2>/dev/null ;;
    esac
done <"$LEASEQ_SSH_KEPT"
unset LEASEQ_SSH_KEPT
case $SSH_ORIGINAL_COMMAND in
    '') exec "${{SHELL:-/bin/bash}}" -l ;;
    internal-sftp) exec "$(ls /usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server /usr/lib/ssh/sftp-server \\
        /usr/libexec/sftp-server 2>/dev/null | head -n1)" ;;
    *) exec "${{SHELL:-/bin/bash}}" -c "$SSH_ORIGINAL_COMMAND" ;;
esac
"""


@dataclass(frozen=True)
class Entry:
    """A host as ssh's settings name it."""

    host: str
    lease: str
    node: str
    """Empty: the lease's first that has a runner."""


def directory_of(home: Home) -> str:
    return f"{home.root}/ssh"


def prepare(access: Access) -> str:
    """The keys and the settings are there, and nobody else's; the directory. Raises Unavailable."""
    access.make_home()
    directory = directory_of(access.home)
    access.fs.mkdir(directory)
    for key in ("key", "host_key"):
        _make_key(f"{directory}/{key}")
    with open(f"{directory}/key.pub", "rb") as own, open(f"{directory}/host_key.pub", "rb") as server:
        texts = {"authorized_keys": own.read(), "known_hosts": ALIAS.encode() + b" " + server.read()}
    texts["sshd_config"] = SERVER.format(directory=directory).encode()
    quoted = shlex.quote(directory)
    for name, text in (("serve", SERVE), ("session", SESSION)):
        texts[name] = text.format(directory=quoted).encode()
    for name, data in texts.items():
        if name == "authorized_keys" and os.path.exists(f"{directory}/{name}"):
            continue  # a person may have added a key of a laptop's
        files.replace_file(access.fs, f"{directory}/{name}", data)
    for name in ("serve", "session"):
        os.chmod(f"{directory}/{name}", 0o700)
    return directory


def _make_key(path: str) -> None:
    if os.path.exists(path) and os.path.exists(f"{path}.pub"):
        return
    try:
        words = [programs.path_of("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "leaseq", "-f", path]
        subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(f"a key could not be made: {error}", hint="ssh-keygen makes it; OpenSSH has it") from None


def entries(record: Lease, nodes: tuple[str, ...]) -> list[Entry]:
    """The lease's first node that has a runner, and each node by its name."""
    called = record.name or record.id.replace(":", "-")
    first = Entry(f"leaseq-{called}", record.id, "")
    return [first, *(Entry(f"leaseq-{called}-{node}", record.id, node) for node in nodes if len(nodes) > 1)]


def text_of(access: Access, entry: Entry, *, user: str, login: str = "") -> str:
    """The host for a file of ssh's settings. login: the host through which a laptop comes; empty: it is here."""
    directory = directory_of(access.home)
    node = f" --node {entry.node}" if entry.node else ""
    leaseq = f"{shlex.quote(interpreter())} -E {shlex.quote(main_file())}"
    line = f"env LEASEQ_HOME={shlex.quote(access.home.root)} {leaseq} shell --lease {entry.lease}{node} --plain -- "
    line += shlex.quote(f"{directory}/serve")
    keys = "~/.ssh/leaseq" if login else directory
    proxy = f"ssh {login} {shlex.quote(line)}" if login else line
    return (
        f"Host {entry.host}\n"
        f"    User {user}\n"
        f"    HostKeyAlias {ALIAS}\n"
        f'    IdentityFile "{keys}/key"\n'
        "    IdentitiesOnly yes\n"
        f'    UserKnownHostsFile "{keys}/known_hosts"\n'
        "    StrictHostKeyChecking yes\n"
        f"    ProxyCommand {proxy.replace('%', '%%')}\n"
    )


def keep(access: Access, found: Sequence[Entry], *, user: str) -> str:
    """The home's own settings for ssh name these hosts, beside those that they named before; their path."""
    path = f"{directory_of(access.home)}/config"
    try:
        with open(path, encoding="utf-8") as file:
            before = file.read()
    except FileNotFoundError:
        before = ""
    known = {match[1]: match[0] for match in re.finditer(r"^Host (\S+)\n(?:    .*\n)*", before, re.M)}
    known.update((each.host, text_of(access, each, user=user)) for each in found)
    files.replace_file(access.fs, path, "".join(known.values()).encode())
    return path
