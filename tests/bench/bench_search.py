"""Does search find a section of the documentation by its heading? `python tests/bench/bench_search.py`

Every section of docs/*.md of 300 characters or more, without its heading, is an extract; each heading is a query.
Printed for words (BM25), meaning (embeddings) and both: how often the section comes first and among the first five.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from synth.documents.extracts import Extract
from synth.documents.search import Index

DOCS = Path(__file__).resolve().parents[2] / "docs"


def sections() -> list[tuple[str, Extract]]:
    """Heading and section, over all pages."""
    found = []
    for page in sorted(DOCS.glob("*.md")):
        for part in re.split(r"^#+ ", page.read_text(), flags=re.MULTILINE)[1:]:
            heading, _, text = part.partition("\n")
            if len(text.strip()) >= 300:
                found.append((heading.strip(), Extract(text.strip()[:2000], page.name, 0, 0, len(text))))
    return found


def main() -> None:
    """Print hits for each way."""
    known = sections()
    index = Index([extract for _, extract in known])
    for by in ("words", "meaning", "both"):
        ranks, began = [], time.process_time()
        for heading, extract in known:
            best = index.search(heading, 5, by)
            ranks.append(best.index(extract) if extract in best else None)
        seconds = (time.process_time() - began) / len(known)
        first, five = ranks.count(0), sum(rank is not None for rank in ranks)
        found = f"first {first / len(known):.0%}, among five {five / len(known):.0%}"
        print(f"{by}: {len(known)} headings, {found}, {1000 * seconds:.1f} ms a query")


if __name__ == "__main__":
    main()
