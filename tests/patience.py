"""How long a test waits for what must come: a deadline, not a pause, that holds on a busy machine."""

PATIENCE_SECONDS = 60.0
