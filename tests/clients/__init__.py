"""Programs of others that drive a Slurm, each as its users run it, on the mock."""
