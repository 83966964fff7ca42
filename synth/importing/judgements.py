"""Judgements of answers: labels and thumbs as true or false, and what a column of feedback means for its whole file.

Feedback beside answers is a judgement when all of its values are of a known vocabulary of two. A bad answer is never
learned as a good one: where the values are not so clear, the import is refused. Reads rows, and changes none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from synth.errors import DataError
from synth.importing.paths import Paths, at
from synth.importing.values import BadRow, judged, missing

FEEDBACK = frozenset(
    (
        *("feedback", "user_feedback", "human_feedback", "rating", "user_rating", "score", "user_score", "reward"),
        *("thumb", "thumbs", "thumbs_up", "vote", "reaction", "judgement", "judgment", "verdict", "quality", "label"),
        *("correct", "is_correct", "is_good", "liked", "approved", "helpful", "is_helpful", "desirable"),
    )
)
"""Names of keys whose values may judge the answer."""
_INSIDE = ("value", "type", "sentiment", "thumb", "thumbs")  # of an object under one of these names
_CLASSES = {"positive": True, "negative": False, "pos": True, "neg": False}  # under `label`, names of classes
_WORDS = {
    **_CLASSES,
    **dict.fromkeys(("up", "thumbs_up", "thumbsup", "thumb_up", "upvote", "like", "liked", "good", "+1", "👍"), True),
    **dict.fromkeys(("down", "thumbs_down", "thumbsdown", "thumb_down", "downvote", "dislike", "disliked"), False),
    **dict.fromkeys(("bad", "-1", "-1.0", "👎"), False),
    **dict.fromkeys(("correct", "right", "accept", "accepted", "approved", "pass", "passed", "helpful"), True),
    **dict.fromkeys(("incorrect", "wrong", "reject", "rejected", "fail", "failed", "unhelpful", "not_helpful"), False),
}
_ASKING = ("correct", "is_correct", "is_good", "liked", "approved", "helpful", "is_helpful", "desirable", "thumbs_up")
"""Names that ask what yes and no answer; elsewhere these may be classes."""
_YES = {"yes": True, "y": True, "no": False, "n": False}


def is_feedback(name: Any) -> bool:
    """Whether a key's name says that its value may judge the answer."""
    return str(name).strip().casefold().removeprefix("messages[].").replace("-", "_").replace(" ", "_") in FEEDBACK


def says_bad(name: Any, value: Any) -> bool:
    """Whether a key beside one turn says in a word that the turn is bad; numbers may be of any scale."""
    if not is_feedback(name) or not (value is False or (isinstance(value, str) and _number(value) is None)):
        return False
    try:
        return not verdict(value, str(name).strip().casefold())
    except BadRow:
        return False


CUT_OFF = "the answer was cut off"
ENDS = ("finish_reason", "finishReason", "done_reason", "stop_reason", "native_finish_reason")
"""Keys that say why an answer ended."""
_TOO_EARLY = ("length", "max_tokens", "max_output_tokens", "content_filter", "safety")


_NOT_LEARNED = (("weight",), ("train",), ("trainable",), ("learn",))


def ended_too_early(key: str, value: Any) -> bool:
    """Whether a key beside an answer says that it is not whole."""
    return key in ENDS and str(value).strip().casefold() in _TOO_EARLY


def verdicts(row: Mapping[str, Any], left: Iterable[tuple[str, Paths]]) -> tuple[Paths, ...]:
    """Paths among the keys that play no part by which whoever wrote the row may say that it is no example."""
    by_prodigy = not {"_task_hash", "_input_hash"}.isdisjoint(row)
    return tuple(
        path
        for _, path in left
        if path[-1] in ENDS or path in _NOT_LEARNED or path == ("status",) or (by_prodigy and path == ("answer",))
    )


def no_example(row: Mapping[str, Any], paths: Iterable[Paths]) -> str:
    """Why a row is no example by the word of its annotator or endpoint; "" if it is one."""
    for path in paths:
        value = at(row, path)
        if ended_too_early(path[-1], value):
            return CUT_OFF
        if path in _NOT_LEARNED and str(value).strip().casefold() in ("0", "0.0", "false"):
            return f"its '{path[0]}' says that it is not to be learned"
        if path == ("answer",) and value in ("reject", "ignore"):
            return f"its annotator answered '{value}' in Prodigy"
        if path == ("status",) and str(value).strip().casefold() == "discarded":  # Argilla's
            return "its status is 'discarded'"
    return ""


Use = Literal["judge", "leave_out_bad", "ignore"]


def verdict(value: Any, name: str = "") -> bool:
    """Whether a value under a key of this name says good or bad. Raises BadRow for what says neither."""
    word = str(value).strip().lower()
    word = word if word[:1] == "-" else re.sub(r"[\s-]+", "_", word)
    if word in _WORDS and not (name == "label" and word in _CLASSES):
        return _WORDS[word]
    if word in _YES and name in _ASKING:
        return _YES[word]
    return judged(value)


def paths_of(row: Mapping[str, Any], left: Iterable[tuple[str, Paths]]) -> tuple[Paths, ...]:
    """Paths of feedback among the keys that play no part, also in objects under them."""
    return tuple(path for _, path in left for path in _within(path, at(row, path), 2))


def _within(path: Paths, value: Any, depth: int) -> Iterator[Paths]:
    if isinstance(value, dict):
        for key, item in value.items() if depth else ():
            yield from _within((*path, key), item, depth - 1)
    elif not missing(value):
        inside = str(path[-1]).strip().casefold() in _INSIDE and is_feedback(path[-2:][0])
        if is_feedback(path[-1]) or inside:
            yield path


class _Column(NamedTuple):
    """What a column of feedback is used for, and what the report says of it."""

    use: Use
    note: str = ""


class Judgements:
    """Columns of feedback, each read once as a whole when its first value comes.

    Args:
        trainable: whether bad answers can be learned from (by KTO); if not, they are left out.
    """

    def __init__(self, trainable: bool) -> None:
        self.trainable = trainable
        self._labels: set[float] = set()
        self._columns: dict[Paths, _Column] = {}

    def of(
        self, row: Mapping[str, Any], paths: Iterable[Paths], every: Callable[[], Iterable[Mapping[str, Any]]]
    ) -> bool | None:
        """The judgement of a row, None for none; `every` reads all rows. Raises BadRow for a bad one that is left out.

        Raises DataError where a column says of some answers that they are bad, and of others nothing that is known.
        """
        found = set()
        for path in paths:
            if path not in self._columns:
                self._columns[path] = self._read(path, every())
            column = self._columns[path]
            if column.use == "ignore":
                continue
            good = verdict(at(row, path), str(path[-1]).casefold())
            if not good and column.use == "leave_out_bad":
                raise BadRow(f"the answer is judged as bad by '{'.'.join(map(str, path))}'")
            if column.use == "judge":
                found.add(good)
        if len(found) > 1:
            raise BadRow("the answer is judged as good by one key, and as bad by another")
        return next(iter(found), None)

    def label(self, value: Any) -> None:
        """Remember the label of a row that says itself what its label is."""
        number = _number(value)
        if number is not None and len(self._labels) < 100:
            self._labels.add(number)

    def check_labels(self) -> None:
        """Raises DataError where labels are numbers that are no judgement: a scale, or -1, 0 and 1."""
        if self._labels <= {0, 1} or self._labels <= {-1, 1}:
            return
        seen = ", ".join(f"{number:g}" for number in sorted(self._labels)[:6])
        raise DataError(
            f"The labels of the answers are {seen}: which of them say that an answer is bad is not known.",
            "Write each label as true or false; or rename the column where it does not judge the answer.",
            "data.judgements",
        )

    def used(self, paths: Iterable[Paths]) -> list[Paths]:
        """Those of these columns that are read as judgements."""
        return [path for path in paths if self._columns[path].use != "ignore"]

    def notes(self) -> list[str]:
        """For the report."""
        return [column.note for column in self._columns.values() if column.note]

    def _read(self, path: Paths, every: Iterable[Mapping[str, Any]]) -> _Column:
        key, said = ".".join(map(str, path)), _Values(str(path[-1]).casefold())
        for row in every:
            said.see(at(row, path), row)
        if said.known and said.repeated == said.known:
            return _Column("ignore")  # the answer once more, as the name of its class
        if said.scale:
            note = f"numbers of '{key}' were not read as judgements: answers are learned whatever they are"
            return _Column("ignore", note)
        if not said.bad:
            return _Column("ignore")
        if said.others or said.numbers >= {-1, 0}:
            seen = ", ".join(f"'{value}'" for value in said.others or ["0", "-1"])
            raise DataError(
                f"'{key}' says of {said.bad:,} answers that they are bad, but not all of its values are a judgement: "
                f"{seen}. Bad answers would be learned as good ones.",
                f"Write every '{key}' as up or down (or leave it empty); or map the columns (--map question=… --map "
                f"answer=… or --map messages=…, with --map label={key}), which sets other rows aside; or rename it.",
                "data.judgements",
            )
        counts = f"{said.good:,} good, {said.bad:,} bad"
        if not said.none and self.trainable:
            return _Column("judge", f"'{key}' was read as the judgement of each answer (KTO): {counts}")
        return _Column(
            "leave_out_bad",
            f"'{key}' judges some of the answers: {counts}, {said.none:,} not judged; the bad ones were set aside",
        )


class _Values:
    """Values of a column: how many say good, bad or nothing, and some that are no judgement."""

    def __init__(self, name: str) -> None:
        self.name, self.good, self.bad, self.none = name, 0, 0, 0
        self.known = self.repeated = 0  # values, and those that another key of their row has too
        self.others: list[str] = []
        self.numbers: set[float] = set()
        self._words = False

    def see(self, value: Any, row: Mapping[str, Any]) -> None:
        if missing(value):
            self.none += 1
            return
        self.known += 1
        word = str(value).strip().casefold()
        self.repeated += any(
            isinstance(other, str) and other.strip().casefold() == word
            for key, other in row.items()
            if not is_feedback(key)
        )
        number = _number(value)
        if number is None:
            self._words = True
        elif len(self.numbers) < 100:
            self.numbers.add(number)
        try:
            good = verdict(value, self.name)
        except BadRow:
            self.others += [str(value)[:40]] if len(self.others) < 3 else []
        else:
            self.good, self.bad = self.good + good, self.bad + (not good)

    @property
    def scale(self) -> bool:
        """Whether the values are numbers of more than two kinds, as stars and points are."""
        return not self._words and not self.numbers <= {-1, 0, 1}


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number == number else None
