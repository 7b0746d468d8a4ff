"""leaseq: leases that outlive a session, and tasks that outlive everything else."""

__version__ = "0.1.0"
