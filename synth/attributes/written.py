"""Product texts that people of the project wrote by hand: the rows that decide, never trained on."""

from __future__ import annotations

from pathlib import Path

from synth.attributes.generator import Product
from synth.example import Example
from synth.media import AddMedia
from synth.scoring.names import FIELDS
from synth.written import written_rows

FILE = Path(__file__).with_name("written.jsonl")
SAID = "Product texts written by hand, in the manner of shops and of people who sell what they have."


def real_rows(_add_media: AddMedia) -> list[Example]:
    """The hand-written rows, of the split test_real; a line holds the values in the order of the keys."""
    return written_rows(FILE, FIELDS, lambda found: Product(*found["answer"]).as_json())
