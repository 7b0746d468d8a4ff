"""The runner of one node: claims tasks, starts them, records how they ended. Standard library only."""
