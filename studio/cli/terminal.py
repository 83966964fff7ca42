"""What the command line shows while it works: one line of progress with rate and ETA, and plain tables.

Progress goes to stderr, so that stdout stays for results and for machines.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from studio.cli.clean import clean
from synth.progress import Progress


def duration(seconds: float) -> str:
    """`75` -> ``1:15``; hours when there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def describe(progress: Progress) -> str:
    """A phase in one line: name, done/total, rate, ETA, note."""
    total = f"/{progress.total}" if progress.total is not None else ""
    parts = [f"{progress.phase}: {progress.done}{total} {progress.unit}"]
    if progress.done:
        parts.append(f"{progress.rate:.3g}/s")
    if progress.done == progress.total:
        parts.append(f"took {duration(progress.seconds)}")
    elif progress.eta_sec is not None:
        parts.append(f"ETA {duration(progress.eta_sec)}")
    if progress.note:
        parts.append(progress.note)
    return " · ".join(parts)


class ProgressLine:
    """A ProgressFn for terminals: rewrites one line; on a pipe it prints only the end of each phase."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()

    def __call__(self, progress: Progress) -> None:
        ended = progress.done == progress.total
        if self._live:
            raw = getattr(sys.stderr, "raw", sys.stderr.write)
            raw(f"\r\033[K{clean(describe(progress))[:160]}" + ("\n" if ended else ""))
            sys.stderr.flush()
        elif ended:
            sys.stderr.write(describe(progress) + "\n")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell; the first is left-aligned, the others right-aligned."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join([line(header), "  ".join("-" * w for w in widths), *map(line, rows)])
