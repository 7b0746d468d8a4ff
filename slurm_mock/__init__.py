"""A small Slurm on one machine: a cluster is a directory, its `bin/` holds the commands for PATH.

Three things are kept apart. Text and argv <-> values: `hostlist`, `units`, `grammar`, `request`, `format`.
The cluster's jobs and nodes as a directory: `cluster`, `records`; the controller (`ctld`) is its only writer,
commands that show something read it. Launching: `slurmd` (one daemon per node) forks a `stepd` per batch script
and step, which owns the processes.

Behaviour follows Slurm 22.05 as measured on a real cluster; if the two differ, this package is wrong.
"""
