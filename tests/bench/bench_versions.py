"""Are extracts of two versions of a file kept together? This documentation now and COMMITS ago, beside other texts.

PYTHONPATH=. python tests/bench/bench_versions.py 150 .venv/lib      # METADATA of the packages below that folder
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import product
from pathlib import Path

from synth.curation.alike import alike, overlapping
from synth.curation.runs import read_text
from synth.documents.extracts import Extract, extracts

CHARS, BLOCK = 1000, 20


def git(*asked: str) -> str:
    """What git answers; nothing where it fails."""
    return subprocess.run(["git", *asked], capture_output=True, text=True).stdout


def lay_out(folder: Path, commits: int, others: Path) -> int:
    """Texts into a folder, the older version of each page that changed as `old-…`; how many those are."""
    before, changed = git("rev-list", "--first-parent", "HEAD").split()[commits], 0
    for page in Path("docs").glob("*.md"):
        text, old = page.read_text("utf-8"), git("show", f"{before}:{page}")
        (folder / f"now-{page.name}").write_text(text, "utf-8")
        if old and old != text:
            (folder / f"old-{page.name}").write_text(old, "utf-8")
            changed += 1
    for number, file in enumerate(others.rglob("*.dist-info/METADATA")):
        (folder / f"other-{number}.md").write_text(file.read_text("utf-8", "replace"), "utf-8")
    return changed


def shared(one: str, other: str) -> float:
    """Share of the shorter text's characters that stand in the other in pieces of BLOCK or more."""
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size >= BLOCK) / min(len(one), len(other))


def together(groups: Sequence[Sequence[int]]) -> dict[int, int]:
    """Place → its group."""
    return {place: number for number, group in enumerate(groups) for place in group}


def main() -> None:
    """A line for each share."""
    with tempfile.TemporaryDirectory() as name:
        changed = lay_out(Path(name), int(sys.argv[1]), Path(sys.argv[2]))
        found = list({one.text: one for one in extracts(Path(name), CHARS)}.values())
    texts = [read_text(one.text) for one in found]
    ours, same_numbers = together(overlapping(texts)), together(alike(texts))
    print(f"{changed} pages changed; {len(found)} extracts")

    def of(version: str) -> list[tuple[int, Extract]]:
        return [(place, one) for place, one in enumerate(found) if one.document.startswith(version)]

    pairs = [
        (i, j, shared(one.text, other.text))
        for (i, one), (j, other) in product(of("old-"), of("now-"))
        if one.document[4:] == other.document[4:]
    ]
    for least, most in ((0.9, 1.1), (0.7, 1.1), (0.5, 1.1), (0.0, 0.3)):
        here = [(i, j) for i, j, share in pairs if least <= share < most]
        kept, few = (sum(g.get(i, -1) == g.get(j, -2) for i, j in here) for g in (ours, same_numbers))
        print(f"{least:.0%} or more, under {most:.0%}: {len(here)} pairs, together {kept}, by equal numbers {few}")


if __name__ == "__main__":
    main()
