"""Product texts that people of the project wrote by hand: the rows that decide, never trained on."""

from __future__ import annotations

import json
from pathlib import Path

from synth.attributes.generator import Product
from synth.example import Example, Origin, make_example, user
from synth.media import AddMedia
from synth.scoring.names import FIELDS

FILE = Path(__file__).with_name("written.jsonl")
SAID = "Product texts written by hand, in the manner of shops and of people who sell what they have."


def real_rows(_add_media: AddMedia) -> list[Example]:
    """The hand-written rows, of the split test_real; a line holds the values in the order of the keys."""
    rows = []
    for number, found in enumerate(map(json.loads, FILE.read_text("utf-8").splitlines())):
        answer = Product(*found["answer"]).as_json()
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
            )
        )
    return rows
