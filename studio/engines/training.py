"""The local worker of a training: `python -m studio.engines.training RUN_DIR [--resume | --check]`.

It waits for its turn and then does what `python -m recipes` does; the turn is the engine's affair, the training is not.
"""

from __future__ import annotations

import sys

from recipes.__main__ import main
from studio.engines.turns import turn

if __name__ == "__main__":
    sys.exit(main(turn=turn))
