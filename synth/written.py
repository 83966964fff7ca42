"""Test rows that people of the project wrote by hand: a line of JSON each, which a module beside the file reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from synth.example import Example, Origin, make_example, user


def written_rows(
    file: Path,
    scorer: str,
    answer: Callable[[Mapping[str, Any]], str],
    source: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda found: {},
) -> list[Example]:
    """The lines' `text` with the `answer` of each, in the split test_real; each is a text and a cluster of its own."""
    rows = []
    for number, found in enumerate(map(json.loads, file.read_text("utf-8").splitlines())):
        gold = answer(found)
        rows.append(
            make_example(
                (user(found["text"]),),
                gold,
                answer=gold,
                split="test_real",
                family="written",
                template=f"written/{number}",
                scorer=scorer,
                origin=Origin(kind="hand", by=file.name),
                source=dict(source(found)),
            )
        )
    return rows
