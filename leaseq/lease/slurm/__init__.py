"""Leases that are Slurm jobs: asking Slurm, its scripts, its answers."""
