"""Complaints that people of the project wrote by hand, with their issues: the rows that decide, never trained on.

They are in the manner of reviews, mails and tickets, in seven languages, and share no sentence with the phrase banks.
"""

from __future__ import annotations

import json
from pathlib import Path

from synth.example import Example, Origin, make_example, user
from synth.extraction.schema import Issue
from synth.media import AddMedia
from synth.scoring.names import FIELDS

FILE = Path(__file__).with_name("written.jsonl")
SAID = "Complaints, reviews and bug reports written by hand in seven languages, in the manner of ordinary people."


def real_rows(_add_media: AddMedia) -> list[Example]:
    """The hand-written rows, of the split test_real."""
    rows = []
    for number, line in enumerate(FILE.read_text("utf-8").splitlines()):
        found = json.loads(line)
        answer = Issue.model_validate(found["answer"]).as_json()
        rows.append(
            make_example(
                (user(found["text"]),),
                answer,
                answer=answer,
                split="test_real",
                family="written",
                template=f"written/{number}",  # each is a text of its own
                scorer=FIELDS,
                origin=Origin(kind="hand", by="written.jsonl"),
                source={"language": found["lang"]},
            )
        )
    return rows
