"""Every kind of Slurm answers alike: the mock, and a real cluster of several nodes on one host."""
