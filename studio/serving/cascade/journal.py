"""The journal of a cascade: two files of requests with their answers, which `smolstudio data import` reads.

    large.jsonl    what was handed on: the large model's answers, the rows to learn next
    small.jsonl    what the small model answered by itself: its own words, to be looked at before anybody learns them

Lines are those of `smolstudio record` with `cascade` beside them. An unsure answer that the large model did not give
stands in large.jsonl with an `error`, so that no import takes it for right.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from studio.serving.traffic import Traffic, secrets_in
from synth.context import usd_in
from synth.storage import JsonDict, read_jsonl

Kinds = Literal["small", "large"]


class Kept:
    """Both files under one writer. Raises StorageError where another server writes them."""

    def __init__(self, folder: Path, workspace: Path) -> None:
        self._files = {kind: Traffic(folder / f"{kind}.jsonl", workspace) for kind in ("small", "large")}

    def spent_usd(self) -> float:
        """What the large side had cost when the last line was written; lines that say no sum are passed over."""
        rows = ((line.value or {}).get("cascade") for line in read_jsonl(self._files["large"].path))
        return max((usd_in(row, "spent_usd") or 0.0 for row in rows if isinstance(row, dict)), default=0.0)

    def write(
        self,
        request: JsonDict,
        response: JsonDict,
        who: Kinds,
        facts: JsonDict,
        *,
        seconds: float,
        headers: Sequence[tuple[str, str]],
        usd: float | None,
        spent_usd: float | None,
    ) -> None:
        """Append an exchange. Raises StorageError."""
        failed = facts.get("large_failed")
        self._files["large" if who == "large" or failed else "small"].write(
            request,
            response,
            status=200,
            seconds=seconds,
            secrets=secrets_in(headers, ""),
            conversation=dict(headers).get("x-conversation-id", ""),
            usd=usd,
            more={"cascade": {**facts, "spent_usd": spent_usd}}
            | ({"error": f"the large model did not answer: {failed}"} if failed else {}),
        )

    def close(self) -> None:
        """Close both."""
        for one in self._files.values():
            one.close()
