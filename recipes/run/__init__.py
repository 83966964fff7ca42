"""One training as a directory: its files, checkpoints and turn."""
