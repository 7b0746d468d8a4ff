"""Where leases come from: this host, or Slurm."""
