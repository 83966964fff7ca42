"""The `smolstudio` command. Each module holds one group of commands; nothing heavy is imported before it is needed."""

from __future__ import annotations

import logging
import os
import sys
import warnings

import typer

from studio.cli import (
    cascade,
    compare,
    crossval,
    data,
    demo,
    documents,
    launch_script,
    machine,
    models,
    pipeline,
    push,
    runs,
    storage,
    sweep,
    voices,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Make a small model for a narrow job, and prove whether it beats prompting a large one.",
)
demo.add(app)
data.add(app)
models.add(app)
voices.add(app)
runs.add(app)
push.add(app)
storage.add(app)
crossval.add(app)
sweep.add(app)
launch_script.add(app)
compare.add(app)
cascade.add(app)
documents.add(app)
pipeline.add(app)
machine.add(app)


def main() -> None:
    """Entry point: user errors become one sentence on stderr and exit code 1, Ctrl-C exit code 130."""
    from studio.cli.clean import install
    from studio.cli.options import publish_made
    from synth.errors import UserError
    from synth.extras import missing_extra

    install()
    # Advice from libraries to their own developers would fall into our progress line.
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    # Torch's threads burn processor time while they wait for each other. Beside four busy loops on two cores, small
    # layers ran 1.2 times a second instead of 71; with threads that soon sleep 31 times. Alone that costs a twentieth:
    # the text demo trains at 5,672 instead of 5,954 tokens a second (and at 4,819 where they sleep at once).
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for bars in ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS"):  # libraries' bars; ours is `terminal.ProgressLine`
        os.environ.setdefault(bars, "1")
    try:
        try:
            app()
        finally:
            publish_made()
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if (missing := missing_extra(error)) is None:
            raise
        print(f"Error: {missing}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # whoever read our output, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        remedy = "Look at that path, its permissions and the room on its disk, and start again."
        print(f"Error: The disk or system refused{where}: {error.strerror or error}. {remedy}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
