"""Checks of one candidate at a time: each keeps it or names a reason that can be counted."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import Field

from synth.languages import code, detect
from synth.pipeline.candidate import Candidate, Outcome
from synth.pipeline.sentences import figures, sentences
from synth.pipeline.step import Env, Settings, each, field_of
from synth.pipeline.steps.spread import own_examples
from synth.scoring.verify import fold

WORD = re.compile(r"[^\W\d_]{4,}")
HALF = 0.5
WHOLE_CHARS = 20  # a shorter example may stand in another text by chance
NUMBERED = re.compile(r"\[?(\d{1,3})\]?")
NAME = re.compile(
    r"(?<![.!?:\n“\"(#]\s)(?<!^[*>-]\s)(?<!^)\b[A-ZÄÖÜÉ][\w'’-]+(?:(?:[^\S\n]|\n(?!\s*\n))+[A-ZÄÖÜÉ][\w'’-]+)*",
    re.MULTILINE,
)
"""Words with a capital within a sentence; the first one of a sentence, heading or item says nothing."""


class Length(Settings):
    """Limits of a text."""

    field: str
    min_chars: int = Field(default=1, ge=0)
    max_chars: int = Field(default=4000, ge=1)
    min_words: int = Field(default=1, ge=0)


def _length(candidate: Candidate, settings: Length, step: str) -> Outcome:
    text = str(field_of(candidate, settings.field))
    if len(text) < settings.min_chars or len(text.split()) < settings.min_words:
        return candidate.rejected(f"{settings.field} is too short")
    return candidate if len(text) <= settings.max_chars else candidate.rejected(f"{settings.field} is too long")


class Same(Settings):
    """Two fields that must agree."""

    field: str
    other: str


def _same(candidate: Candidate, settings: Same, step: str) -> Outcome:
    """Equal but for case, white space and closing punctuation."""
    one, other = str(field_of(candidate, settings.field)), str(field_of(candidate, settings.other))
    noted = candidate.noting(step, **{settings.field: one, settings.other: other})
    if fold(one) == fold(other):
        return noted
    return noted.rejected(f"{settings.field} and {settings.other} disagree", f"{one[:60]} / {other[:60]}")


class Equals(Settings):
    """A field and the value that it must have."""

    field: str
    value: str


def _equals(candidate: Candidate, settings: Equals, step: str) -> Outcome:
    found = str(field_of(candidate, settings.field))
    noted = candidate.noting(step, **{settings.field: found})
    if fold(found) == fold(settings.value):
        return noted
    return noted.rejected(f"{settings.field} is not '{settings.value}'", found[:200])


class Agreement(Settings):
    """Two fields that are compared; candidates stay either way."""

    field: str
    other: str
    into: str = "agreement"


def _agreement(candidate: Candidate, settings: Agreement, step: str) -> Outcome:
    """`agrees`, `disagrees`, or `unknown` where the first field is missing."""
    one, other = candidate.text(settings.field), str(field_of(candidate, settings.other))
    found = "unknown" if not one else "agrees" if fold(one) == fold(other) else "disagrees"
    return candidate.having(**{settings.into: found}).noting(step, was=one, now=other)


class Threshold(Settings):
    """Limits of a number."""

    field: str
    at_least: float = float("-inf")
    at_most: float = float("inf")


def _threshold(candidate: Candidate, settings: Threshold, step: str) -> Outcome:
    value = float(field_of(candidate, settings.field))
    noted = candidate.noting(step, **{settings.field: value})
    if value < settings.at_least:
        return noted.rejected(f"{settings.field} is below {settings.at_least:g}")
    return noted if value <= settings.at_most else noted.rejected(f"{settings.field} is above {settings.at_most:g}")


class Quoted(Settings):
    """A quotation and its source."""

    field: str = Field(default="quote", description="Its words, or the number of its sentence by the filter `numbered`")
    source: str = "text"
    min_chars: int = Field(default=12, ge=1, description="A shorter quotation proves nothing")
    proves: str = Field(
        default="",
        description="Field with an answer, whose figures must stand in the quotation; where they do not, or no word of "
        "it does, the sentence is taken that holds them",
    )


def _quoted(candidate: Candidate, settings: Quoted, step: str) -> Outcome:
    """The quotation must stand in the source, white space and typographic quotes aside; where, is kept."""
    source, quote = str(field_of(candidate, settings.source)), str(field_of(candidate, settings.field)).strip()
    number = NUMBERED.fullmatch(quote)
    wanted = quote.strip("\"'“”‘’… ").rstrip(".")
    if number is None and len(wanted) < settings.min_chars:
        return candidate.rejected("the quotation is too short")
    place = _sentence(source, int(number.group(1))) if number else _place(source, wanted)
    if place is None:
        return candidate.rejected("the quotation does not stand in the source", quote[:200])
    if settings.proves:
        named, answer = place, str(field_of(candidate, settings.proves))
        place = _proof(source, named, answer)
        if place is None:
            return candidate.rejected("figures of the answer do not stand in the quotation", source[slice(*named)])
    verified = source[slice(*place)]
    if len(verified) < settings.min_chars:
        return candidate.rejected("the quotation is too short", verified)
    start = int(candidate.fields.get("start", 0))
    span = {"quote_start": start + place[0], "quote_end": start + place[1]}
    return candidate.having(**span, **{settings.field: verified}).noting(step, said=quote, quote=verified, **span)


Place = tuple[int, int]


def _sentence(source: str, number: int) -> Place | None:
    """Where the sentence of that number stands."""
    found = sentences(source)
    return found[number - 1] if 1 <= number <= len(found) else None


def _place(source: str, wanted: str) -> Place | None:
    """Where these words stand; `_plain` changes no length, so places in the source are right."""
    found = re.search(r"\s+".join(re.escape(word) for word in _plain(wanted).split()), _plain(source))
    return found.span() if found else None


def _proof(source: str, named: Place, answer: str) -> Place | None:
    """The place that was named where it holds the answer's figures and a word of it; else the sentence that does.

    Small models answer rightly and name any sentence. None where the answer's figures stand in no sentence with half of
    its words; words alone decide nothing against what was named, as an answer may be in other words.
    """
    numbers, words = set(figures(answer)), set(WORD.findall(fold(answer)))

    def share(place: Place) -> float:
        said = source[slice(*place)]
        if not numbers <= set(figures(said)):
            return -1.0
        return len(words & set(WORD.findall(fold(said)))) / len(words) if words else 1.0

    if share(named) > 0:
        return named
    best = max(sentences(source), key=share)
    return best if share(best) >= HALF else named if share(named) == 0 else None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _plain(text: str) -> str:
    return text.translate(str.maketrans("“”„‘’–—\u00a0", '"""\'\'-- '))


class Faithful(Settings):
    """A rewritten text and its source."""

    field: str = "rewritten"
    source: str = "text"
    numbers: float = Field(default=1.0, ge=0, le=1, description="Share of the source's numbers that must survive")
    names: float = Field(default=0.7, ge=0, le=1, description="Share of the source's names that must survive")
    new_numbers: int = Field(default=0, ge=0, description="Most numbers that the source does not have")
    max_copied: float = Field(default=0.9, ge=0, le=1, description="Above this likeness it is a copy, not a rewriting")


def _faithful(candidate: Candidate, settings: Faithful, step: str) -> Outcome:
    """Numbers and names of the source survive and no number is made up; numbers of a list's items do not count."""
    from rapidfuzz.fuzz import ratio

    source, text = str(field_of(candidate, settings.source)), str(field_of(candidate, settings.field))
    theirs, ours = set(figures(source)), set(figures(re.sub(r"(?m)^\s*\d{1,2}[.)]\s", "", text)))
    names, told = {fold(_one_line(name)) for name in NAME.findall(source)}, fold(_one_line(text))
    lost = sorted(name for name in names if name not in told)
    kept_numbers = len(theirs & ours) / len(theirs) if theirs else 1.0
    kept_names = 1 - len(lost) / len(names) if names else 1.0
    noted = candidate.noting(step, numbers=round(kept_numbers, 3), names=round(kept_names, 3))
    if kept_numbers < settings.numbers:
        return noted.rejected("numbers of the source are lost", ", ".join(sorted(theirs - ours))[:200])
    if len(ours - theirs) > settings.new_numbers:
        return noted.rejected("numbers that the source does not have", ", ".join(sorted(ours - theirs))[:200])
    if kept_names < settings.names:
        return noted.rejected("names of the source are lost", ", ".join(lost)[:200])
    return noted.rejected("a copy of the source") if ratio(source, text) / 100 > settings.max_copied else noted


class Language(Settings):
    """A text and the language it must be in."""

    field: str
    language: str = Field(default="language", description="Field that holds the language: its ISO 639-1 code or name")


def _language(candidate: Candidate, settings: Language, step: str) -> Outcome:
    text, wanted = str(field_of(candidate, settings.field)), str(field_of(candidate, settings.language))
    found = detect(text)
    noted = candidate.noting(step, wanted=wanted, found=found)
    if code(found) == code(wanted):
        return noted
    return noted.rejected("in another language", f"{found} instead of {wanted}")


class Untagged(Settings):
    """A text and the label that it must not be marked with."""

    field: str
    label: str = Field(default="label", description="Field with the label")


def _untagged(candidate: Candidate, settings: Untagged, step: str) -> Outcome:
    """A label set apart from the text, before or after it, tells a model what to answer; in a sentence it may stand."""
    text, label = str(field_of(candidate, settings.field)), re.escape(str(field_of(candidate, settings.label)))
    before = rf"^\W*(?:label\W+)?{label}\W*(?:\n|[:–—-]\s)|^\W*[(\[]{label}[)\]]"
    after = rf"(?:[(\[\n]\s*|[.!?]\W*\s|\blabel\W{{1,3}}){label}\W*$"
    found = re.search(rf"{before}|{after}", text, re.IGNORECASE)
    return candidate.rejected("the text is marked with its label", text[-200:]) if found else candidate


class Unlike(Settings):
    """A text and the user's examples."""

    field: str
    path: str = Field(default="", description="The user's examples; none without a file")
    most: float = Field(
        default=0.85, ge=0, le=1, description="Likeness (share of characters) from which a text is a copy"
    )


def unlike(stream: Iterator[Candidate], settings: Unlike, env: Env) -> Iterator[Outcome]:
    """Copies of examples are out, so that no example that training shows returns in a test split.

    A text is one whose whole or one of whose lines is nearly an example, or that holds one word for word.
    """
    from rapidfuzz.fuzz import ratio
    from rapidfuzz.process import extractOne

    own = own_examples(settings.path)
    rows = [*own.shown, *(row for row, _ in own.refused)]
    known = [fold(str(row["text"])) for row in rows if row.get("text")]
    long = [text for text in known if len(text) >= WHOLE_CHARS]
    for candidate in stream:
        text = str(field_of(candidate, settings.field))
        parts = [fold(text), *(line for line in map(fold, text.splitlines()) if len(line) >= WHOLE_CHARS)]
        found = next((one for one in long if one in parts[0]), "")
        for part in parts if known and not found else ():
            best = extractOne(part, known, scorer=ratio, score_cutoff=100 * settings.most)
            found = found or (known[best[2]] if best else "")
        yield candidate.rejected("a copy of an example", found[:200]) if found else candidate


length, same, threshold = each(_length), each(_same), each(_threshold)
equals, agreement, untagged = each(_equals), each(_agreement), each(_untagged)
quoted, faithful, language = each(_quoted), each(_faithful), each(_language)
