"""The shared directory: the only code that creates, moves or removes what is in it."""
