"""Complaints that people of the project wrote by hand, with their issues: the rows that decide, never trained on.

They are in the manner of reviews, mails and tickets, in seven languages, and share no sentence with the phrase banks.
"""

from __future__ import annotations

from pathlib import Path

from synth.example import Example
from synth.extraction.schema import Issue
from synth.media import AddMedia
from synth.scoring.names import FIELDS
from synth.written import written_rows

FILE = Path(__file__).with_name("written.jsonl")
SAID = "Complaints, reviews and bug reports written by hand in seven languages, in the manner of ordinary people."


def real_rows(_add_media: AddMedia) -> list[Example]:
    """The hand-written rows, of the split test_real."""
    return written_rows(
        FILE,
        FIELDS,
        lambda found: Issue.model_validate(found["answer"]).as_json(),
        lambda found: {"language": found["lang"]},
    )
