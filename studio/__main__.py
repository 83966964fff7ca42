"""`python -m studio` is the `smolstudio` command."""

from studio.cli import main

main()
