"""`python -m studio` is the `smolstudio` command, and so is what pip installs under that name."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point; Ctrl+C ends it quietly, also while the command itself is imported."""
    try:
        from studio.cli import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
