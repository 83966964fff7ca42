"""What an import counts on its way and says at the end: places of choices, several answers, words for nothing.

Refuses one thing: choices that seem to be counted from 1. Decides nothing about single rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from synth.errors import DataError
from synth.example import Example
from synth.importing.answers import LONGEST_WORD, stands_for_nothing
from synth.importing.compose import Fields
from synth.importing.marks import foreign
from synth.importing.values import BEYOND
from synth.scoring import names
from synth.scoring.label import variants_notes
from synth.task import TaskCard


class Remarks:
    """Counts over rows that are kept."""

    def __init__(self) -> None:
        self.ungraded = self.several = self.marked = self.whole = self.contradicting = 0
        self.places: set[int] = set()  # of right choices, where a number told them
        self.words: Counter[str] = Counter()
        self.given: Counter[str] = Counter()
        self.foreign: Counter[str] = Counter()

    def read(self, fields: Fields) -> None:
        """A row that was put together."""
        if fields.place is not None:
            self.places.add(fields.place)
        answer = fields.answers[0] if fields.answers else ""
        if len(answer) <= LONGEST_WORD:
            if stands_for_nothing(answer):
                self.words[answer.strip()] += 1
            self.whole += answer.endswith(".0") and answer[:-2].isdecimal()
        if fields.given and stands_for_nothing(fields.given):
            self.given[fields.given.strip()] += 1
        if mark := foreign(fields.prompt):
            self.foreign[mark[:40]] += 1
        self.several += fields.several
        self.marked += fields.marked

    def kept(self, example: Example) -> None:
        """A row that has its split."""
        self.ungraded += example.scorer == names.FREE_TEXT

    def check(self, layout: str, reasons: Mapping[str, int]) -> None:
        """Raises DataError where the choices seem to be counted from 1, for which every kept row would be wrong."""
        if self.places and 0 not in self.places and BEYOND in reasons:
            raise DataError(
                f"The right choices of {layout} seem to be counted from 1: none is 0, and "
                f"{reasons[BEYOND]:,} rows name the place after the last choice.",
                "Write the letter (A, B, …) or the text of the right choice instead of its number, or count from 0.",
                "data.choices",
            )

    def notes(self) -> Iterator[str]:
        """For the report."""
        if self.places:
            yield "numbers of right choices were read as places counted from 0"
        if self.contradicting:
            yield (
                f"{self.contradicting:,} of the rows set aside ask what an earlier row asks and answer otherwise; the "
                "first answer was kept, right or wrong: decide which is right in the file"
            )
        if self.several:
            yield (
                f"{self.several:,} rows have a list of answers: each counts as right, and only the first is learned. "
                "Where they belong together (labels of one text), write them as one text"
            )
        if self.marked:
            yield (
                f"the texts of {self.marked:,} rows hold marks of who speaks (Human:, ### Assistant:, <|user|>, "
                "<|im_start|>user …), and were taken apart into turns by them"
            )
        if self.foreign:
            said = ", ".join(f"'{mark}' ({rows:,})" for mark, rows in self.foreign.most_common(3))
            yield (
                f"{self.foreign.total():,} rows hold marks of pictures, recordings or videos that are read as words: "
                f"{said}; name the files in `images` or `audio`, and write <image> or <audio> where each stands"
            )
        if self.whole:
            yield (
                f"in {self.whole:,} rows the answer is a whole number with .0, as programs write those of columns with "
                "empty cells; it was kept as it is"
            )
        for counts, what in ((self.words, "the answer is"), (self.given, "the input is")):
            if counts:
                said = ", ".join(f"'{word}' ({rows:,})" for word, rows in counts.most_common(5))
                yield (
                    f"in {counts.total():,} rows {what} a word that programs write for an empty cell, kept as it is: "
                    f"{said}; leave the cell empty where there is none"
                )

    def closing_notes(self, task: TaskCard) -> Iterator[str]:
        """For the report, when all rows are kept."""
        yield from variants_notes(list(task.labels))
        if self.ungraded:
            yield (
                f"{self.ungraded:,} rows have long answers that no rule can grade: they can be trained on, but only a "
                "judge model or a person can say which system answers them better"
            )
