"""This host only: the node-local directory, the keeper, processes, GPUs. Never the lease directory."""
