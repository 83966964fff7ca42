"""Messages to a practice that people of the project wrote by hand: the rows that decide, never trained on."""

from __future__ import annotations

import json
from pathlib import Path

from synth.example import Example, Origin, make_example, user
from synth.media import AddMedia
from synth.scoring.names import LABEL

FILE = Path(__file__).with_name("written.jsonl")
SAID = "Messages of patients written by hand, in the manner of ordinary people."


def real_rows(_add_media: AddMedia) -> list[Example]:
    """The hand-written rows, of the split test_real."""
    return [
        make_example(
            (user(found["text"]),),
            found["urgency"],
            answer=found["urgency"],
            split="test_real",
            family="written",
            template=f"written/{number}",  # each is a text of its own
            scorer=LABEL,
            origin=Origin(kind="hand", by="written.jsonl"),
        )
        for number, found in enumerate(map(json.loads, FILE.read_text("utf-8").splitlines()))
    ]
