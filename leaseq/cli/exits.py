"""The exit codes of the command line itself. Those of errors stand in `leaseq.errors`, those of tasks in `State`."""

NO_RUNNER = 3
"""`daemon status`: no runner is alive on this host."""
BUG = 70
OVER = 124
"""The time is over for which something was waited for."""
INTERRUPTED = 130
"""Ctrl-C; what was watched goes on."""
PIPE = 141
"""The reader of the output went away."""
