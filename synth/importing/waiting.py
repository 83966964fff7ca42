"""Rows that were kept and have no split yet: held back until all are there, so that splits get exact numbers.

Rows that say nearly the same go into one split, unless that is switched off. Beyond MAX_EXACT rows nothing is held back
any longer; rows then go by a hash of the words they begin with. How rows are shared out is in `splits`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from synth.curation.alike import alike, wording
from synth.curation.runs import Text, read_text
from synth.example import Example, Message, Split, TextPart, media_parts, text_of
from synth.importing.examples import answered
from synth.importing.paths import at
from synth.importing.splits import hashed_sizes, joined, share_out, split_of

MAX_EXACT = 20_000
"""Rows without a split of their own up to which they are shared out exactly."""
NEAR_DUPLICATES = "near_duplicates"
"""The note of a dataset's card that holds `NearDuplicates`."""
MOST_TOGETHER, MOST_SHARE = 50, 0.1
"""Rows of one group of near-duplicates that are kept together: so many, or this share of all. A larger group is one
text with gaps that are filled in, and no split could be without it."""


LEAST_WORDS = 4
"""Words of the user below which a conversation has only been greeted."""


class Placed(NamedTuple):
    """A row with its split, why it is there, and the user's text where it was read already."""

    example: Example
    cause: str
    text: Text | None = None


class NearDuplicates(NamedTuple):
    """Rows that say nearly the same as others.

    Attributes:
        looked_for: "near" (see `curation.alike`), "wording" (equal but for case and punctuation), "" (switched off).
        groups, rows: kept in one split each.
        apart: rows of groups so large that they are in several splits.
    """

    looked_for: str = ""
    groups: int = 0
    rows: int = 0
    apart: int = 0

    def sentences(self) -> Iterator[str]:
        """For the report."""
        if self.rows:
            yield (
                f"{self.rows:,} rows say nearly the same as another one (numbers included); each of their "
                f"{self.groups:,} groups was kept in one split"
            )
        if self.apart:
            yield (
                f"{self.apart:,} rows differ from very many others in a few words only: they could not be kept in one "
                "split, so the test has rows that training nearly shows"
            )
        if self.looked_for == "wording":
            yield (
                "rows with the same words were kept in one split; rows that say nearly the same were not looked for "
                f"(only among up to {MAX_EXACT:,} rows, and not among preference pairs or judged answers): "
                "`smolstudio data curate` finds them"
            )


def continued(examples: Sequence[Example], most: float) -> list[list[int]]:
    """Places of rows of which one begins with all that another says, as the requests of one conversation do.

    What more than `most` rows begin with is a greeting, and no conversation. System turns may differ.
    """
    whole: dict[int, int] = {}
    for place, example in enumerate(examples):
        whole.setdefault(hash((_digest(example.prompt), "assistant", example.target)), place)
    after: dict[int, list[int]] = {}
    for place, example in enumerate(examples):
        said = 0
        for message in example.prompt[:-1]:
            said = _digest([message], said)
            if message.role == "assistant" and (first := whole.get(said, place)) != place:
                after.setdefault(first, [first]).append(place)
    return [group for group in after.values() if len(group) <= most]


def _digest(messages: Sequence[Message], before: int = 0) -> int:
    for message in messages:
        if message.role != "system":
            before = hash((before, message.role, message.text))
    return before


def beginning(prompt: Sequence[Message]) -> str:
    """The words of the user by which a row's split is drawn where rows are not looked at beside each other.

    Those of the first turn, which all requests of a growing conversation share; and those after it while what came so
    far is a greeting, with which half of all conversations may begin.
    """
    said: list[str] = []
    words = 0
    for message in prompt:
        if message.role == "user":
            said.append(wording(message.text))
            words += said[-1].count(" ") + 1
            if words >= LEAST_WORDS or any(not isinstance(part, TextPart) for part in message.content):
                break
            words += len(_CJK.findall(said[-1]))
            if words >= LEAST_WORDS:
                break
    return "\n".join(said)


_CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af]")  # written without spaces between words


class _Row(NamedTuple):
    example: Example
    row: Mapping[str, Any]
    grouped: bool


class Waiting:
    """Holds rows back.

    Args:
        unit: what a person calls that which keeps rows together.
        group: the chosen key or "".
        together: whether near-duplicates go into one split.
    """

    def __init__(self, shares: Mapping[Split, float], unit: str, group: str, together: bool = True) -> None:
        self.shares, self.unit, self.group, self.together = shares, unit, group, together
        self.exact, self.near = True, NearDuplicates()
        self._rows: list[_Row] = []
        self._groups: list[list[int]] | None = None
        self._continued: list[list[int]] = []
        self._texts: dict[int, Text] = {}
        self._contradicting = 0
        self._chats = 0  # rows whose conversation cannot be told by its first words

    def add(self, example: Example, row: Mapping[str, Any], grouped: bool) -> Iterator[Placed]:
        """Take a row; those that need to wait no longer come out."""
        self._rows.append(_Row(example, row, grouped))
        self.exact = self.exact and len(self._rows) <= MAX_EXACT
        if not self.exact:
            yield from self._by_hash()

    def hashed(self, template: str, key: str, prompt: Sequence[Message], grouped: bool) -> tuple[Split, str]:
        """Split and cause of a row that cannot wait, and after which none does: of preference pairs and judged answers
        several may share a prompt, and which of them stay depends on their split. `key` is the prompt's id.
        """
        self.exact = False
        if grouped:
            return split_of(template, self.shares), f"by a hash of {self.group or 'their group'}"
        if template != key or not self.together:
            return split_of(template, self.shares), f"by a hash of their {self.unit}"
        if not self.near.looked_for:
            self.near = NearDuplicates("wording")
        said = beginning(prompt)
        self._chats += "\n" in said
        return split_of(said, self.shares), "by a hash of their wording"

    def _by_hash(self) -> Iterator[Placed]:
        rows, self._rows = self._rows, []
        for example, _, grouped in rows:
            split, cause = self.hashed(example.template, example.id, example.prompt, grouped)
            yield _placed(example, split, cause)

    def close(self) -> Iterator[Placed]:
        """All rows are there: those that still wait, with their splits, in the order in which they came."""
        if not self.exact:
            yield from self._by_hash()
            return
        near = {place for group in self._near_groups() for place in group}
        later = {place for group in self._continued for place in group}
        drawn = self._drawn([row.example.template for row in self._rows])
        for place, ((example, _, grouped), split) in enumerate(zip(self._rows, drawn, strict=True)):
            cause = f"with the rows of one {self.group or 'group'} together" if grouped else "by exact shares"
            if place in near and not grouped:
                cause = "with rows that say nearly the same"
            elif place in later and not grouped:
                cause = "with the rows of one conversation together"
            yield _placed(example, split, cause, self._texts.get(place))

    def sentences(self) -> Iterator[str]:
        """For the report."""
        yield from self.near.sentences()
        if self._contradicting:
            yield (
                f"{self._contradicting:,} rows say the same as another one but for case and punctuation, and have "
                "another answer: decide which is right in the file"
            )
        if self._chats:
            yield (
                f"{self._chats:,} rows of several turns begin with fewer than {LEAST_WORDS} words, and went by a hash "
                "of these and the next: where they are the growing requests of one conversation, they may be in "
                "several splits; --group-by KEY (the key that names the conversation) keeps them in one"
            )

    def _near_groups(self) -> list[list[int]]:
        """Places of rows that say nearly the same; those with media are told apart by their media."""
        if self._groups is not None or not self.together or not self._rows:
            return self._groups or []
        for place, row in enumerate(self._rows):
            if not media_parts(row.example):
                self._texts[place] = read_text(text_of(row.example))
        places = list(self._texts)
        groups = alike(list(self._texts.values()))
        most = max(MOST_TOGETHER, MOST_SHARE * len(self._rows))
        found = [[places[place] for place in group] for group in groups]
        self._groups = [group for group in found if len(group) <= most]
        self._continued = continued([row.example for row in self._rows], most)
        self._contradicting = sum(map(self._contradictions, self._groups))
        rows = sum(map(len, self._groups))
        apart = sum(map(len, found)) - rows
        self.near = NearDuplicates("near", len(self._groups), rows, apart)
        return self._groups

    def _contradictions(self, group: Sequence[int]) -> int:
        """Rows of a group with the words of another one of it (case and punctuation aside) and another answer."""
        answers: dict[str, list[str]] = {}
        for example in (self._rows[place].example for place in group):
            answers.setdefault(wording(text_of(example)), []).append(answered(example))
        return sum(len(said) for said in answers.values() if len(set(said)) > 1)

    def _drawn(self, keys: list[str]) -> list[Split]:
        """The split of each row; rows of one key, and near-duplicates with all that share their keys, together."""
        labels = [row.example.answer or row.example.target for row in self._rows]
        return share_out(joined(keys, [*self._near_groups(), *self._continued]), labels, self.shares) if keys else []

    def sizes(self, column: str, counts: Mapping[str, int]) -> dict[str, int]:
        """Rows that each split would get if the rows of one value of the column were kept together."""
        if not self.exact or not self._rows:
            return hashed_sizes(counts, self.shares)
        path = tuple(column.split("."))
        values = [at(row.row, path) for row in self._rows]
        keys = [row.example.template if v in (None, "") else str(v) for v, row in zip(values, self._rows, strict=True)]
        sizes: dict[str, int] = dict.fromkeys(self.shares, 0)
        for split in self._drawn(keys):
            sizes[split] += 1
        return sizes


def _placed(example: Example, split: Split, cause: str, text: Text | None = None) -> Placed:
    return Placed(example if example.split == split else example.model_copy(update={"split": split}), cause, text)
