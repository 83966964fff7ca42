"""Messages to a practice that people of the project wrote by hand: the rows that decide, never trained on."""

from __future__ import annotations

from pathlib import Path

from synth.example import Example
from synth.media import AddMedia
from synth.scoring.names import LABEL
from synth.written import written_rows

FILE = Path(__file__).with_name("written.jsonl")
SAID = "Messages of patients written by hand, in the manner of ordinary people."


def real_rows(_add_media: AddMedia) -> list[Example]:
    """The hand-written rows, of the split test_real."""
    return written_rows(FILE, LABEL, lambda found: str(found["urgency"]))
