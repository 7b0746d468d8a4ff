"""leaseq from Python: plain functions for what commands do, and an Executor. `import leaseq` gives all of it."""
