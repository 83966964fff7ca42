"""What flows through a pipeline: a candidate with named fields and the record of how it came to be.

Candidates are never changed; a step answers with a new one, or with the candidate and why it was rejected.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from synth.storage import JsonDict, sha256_bytes


def seed_id(*content: Any) -> str:
    """16 hex digits that depend on nothing but the content of a seed."""
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, default=str)
    return sha256_bytes(text.encode("utf-8", "replace"))[:16]


class Candidate(NamedTuple):
    """A row on its way.

    Attributes:
        seed: the id of the seed that it comes from.
        fields: what prompts and steps may use, by name.
        lineage: what each step says of it, in their order: the prompt that was asked, the answer, a check's finding.
        given: the user brought it; it is no yield of the teacher and counts for no target.
    """

    seed: str
    fields: Mapping[str, Any]
    lineage: tuple[JsonDict, ...] = ()
    given: bool = False

    def having(self, /, **fields: Any) -> Candidate:
        """The candidate with these fields too, or changed."""
        return self._replace(fields={**self.fields, **fields})

    def noting(self, step: str, /, **note: Any) -> Candidate:
        """The candidate with one more entry in its lineage."""
        return self._replace(lineage=(*self.lineage, {**note, "step": step}))

    def text(self, field: str) -> str:
        """A field as text; "" where it is missing."""
        value = self.fields.get(field, "")
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def asked(self) -> bool:
        """Whether a teacher was asked about it: one that was not has cost nothing."""
        return any("answers" in note for note in self.lineage)

    def rejected(self, reason: str, detail: str = "") -> Rejected:
        """This candidate as one that is out. `reason` is counted as it stands: short and general."""
        return Rejected(self, reason, detail)

    def record(self) -> JsonDict:
        """The candidate as JSON, for files of rejected ones."""
        fields = {name: value for name, value in self.fields.items() if not name.startswith("_")}
        return {"seed": self.seed, "fields": fields, "lineage": list(self.lineage)}


class Rejected(NamedTuple):
    """A candidate that is out, why in a few words that can be counted, and in one sentence about this one."""

    candidate: Candidate
    reason: str
    detail: str = ""


Outcome = Candidate | Rejected
