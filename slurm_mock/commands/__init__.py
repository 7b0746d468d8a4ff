"""The commands, one module each with `main(client, argv) -> exit code`."""
