"""Problems of the three domains as ordinary people would ask them, written by hand: test rows, never trained on.

Their sentences share no phrasing with the templates. `reckoning` in the file is how the answer comes about, so that a
test can work it out again; the answers that are times of day were worked out by hand.
"""

from __future__ import annotations

import json
from pathlib import Path

from synth.example import Example, Origin, make_example, prompt_id, user
from synth.media import AddMedia
from synth.scoring.names import MATH

FILE = Path(__file__).with_name("written.jsonl")
SAID = "Word problems written by hand, in the wording of ordinary people."


def real_rows(_add_media: AddMedia) -> list[Example]:
    """The hand-written rows, of the split test_real; each is a wording of its own, so that each is its own cluster."""
    rows = []
    for line in FILE.read_text("utf-8").splitlines():
        found = json.loads(line)
        prompt = (user(found["question"]),)
        rows.append(
            make_example(
                prompt,
                f"Answer: {found['answer']}",
                answer=found["answer"],
                split="test_real",
                family=found["domain"],
                template=f"written/{prompt_id(prompt)[:16]}",
                scorer=MATH,
                origin=Origin(kind="hand", by=FILE.name),
                source={"reckoning": found["reckoning"]},
            )
        )
    return rows
