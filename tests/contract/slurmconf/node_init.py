"""The first process of a node: mounts what is the node's own, starts a daemon, then reaps orphans for ever.

Run inside new UTS, PID and mount namespaces as

    node_init.py HOSTNAME SOURCE=TARGET... -- DAEMON ARG...

The mounts are done in the given order. DAEMON goes to the background by itself and may die without
ending the node; killing this process ends everything in the node, like a power cut.
"""

import os
import signal
import socket
import subprocess
import sys


def main(arguments: list[str]) -> None:
    """The node is set up and its daemon started; returns only by being killed."""
    separator = arguments.index("--")
    hostname, *mounts = arguments[:separator]
    socket.sethostname(hostname)
    for mount in mounts:
        source, target = mount.split("=", 1)
        subprocess.run(["mount", "--rbind", source, target], check=True)
    os.chdir("/")
    subprocess.run(arguments[separator + 1 :], check=True)
    reap_forever()


def reap_forever() -> None:
    """No zombie stays: every orphan of the node becomes a child of its first process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        reap_ended()
        signal.sigwait({signal.SIGCHLD})


def reap_ended() -> None:
    """All children that have ended by now are reaped."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    main(sys.argv[1:])
