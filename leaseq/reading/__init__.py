"""One look at the shared directory: what is where, and what that means. Changes nothing."""
