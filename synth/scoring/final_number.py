"""The number or time of day that a reply concludes with, not the last one on the page.

Passages are tried in the order of `synth.scoring.answers`: what the reply marks as its answer, a value that stands
alone at its beginning or end, the value in bold or after the last verb of the last line that has numbers. Where a
passage names several different values, nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from synth.scoring.answers import SENTENCE_END, bold, lines, marked
from synth.scoring.numerals import Quantity, clean, clock, clock_spans, quantities, spelled_out


class FinalNumber(NamedTuple):
    """The passage that was read; its quantity, or None where it states none or several different ones."""

    text: str
    quantity: Quantity | None


_ASIDE = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_CLAUSE_END = re.compile(
    r"(?<=[^\d\s.])[.!?](?=\s|$)|(?<=\d)[.!?](?=\s+[^\W\d_]|\s*$)|;|\n|\s[—–-]\s(?=[^\W\d_]{2})"
    r"|,?\s+(?:because|since|although|even though|which(?! (?:is|equals|makes|gives|means|comes)\b)"
    r"|so that|given that|where)\b|,\s+as\b",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"(?:about|around|approximately|approx\.?|roughly|exactly|precisely|just|only|simply|a total of|equal to|equals|"
    r"is|are|it'?s|that'?s|therefore|thus|hence|so|the|i get|[\w']{1,3}\s*(?==)|[=≈~:\s$(\[{,*_])*",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"=|≈|\b(?:is|are|was|were|be|equals?|costs?|gives?|gets?|got|makes?|leaves?|left with|remains?|"
    r"total(?:s|ing)?(?! of\b)|come[s]? to|amounts? to|has|have|had|pays?|paid|needs?|takes?|took|earns?|"
    r"earned|saves?|saved|spends?|spent|keeps?|sells?|sold|"
    r"therefore|so|shows?|indicates?|displays?|reads?|round(?:s|ed|ing)? (?:up |down |off )?to|"
    r"contains?|reach(?:es)?|ends? (?:up )?(?:at|with)|lasts?|weighs?|measures?|"
    r"(?:remainder|sum|difference|product|average|result|profit|loss|discount|balance) of)\b"
    r"|\btotal of\b|\b(?:it|that)'s\b",
    re.IGNORECASE,
)
_QUALIFIES = re.compile(
    r"\s*(?:[\w'-]+\s+){0,4}?(?:for|in(?! (?:total|all)\b)|after|per|from|on(?! average\b)|at|"
    r"out of|of|with|over|each|every|within|during|by|when|if|to(?= [a-z])|"
    r"between|among|than|plus tax|left over)\b[^,;]*",
    re.IGNORECASE,
)
_AND = re.compile(r"\b(?:and|but|while)\b", re.IGNORECASE)
_NO_VALUE = re.compile(
    r"\b(?:bigger|greater|more|less|smaller|larger|lower|higher|fewer|other) than\s*\S{0,2}$|\bat (?:least|most)\s*$"
    r"|\bnot\s*$|\b(?:step|question|part|case|option|section)\s*$|(?:(?<=\s)[<>]=?|[≤≥±])\s*[$€£]?$",
    re.IGNORECASE,
)
_AFTERTHOUGHT = re.compile(
    r"(?i)[\s*_#>-]*(?:\(?(?:check|verification|verify|double[- ]check|note|proof|hint|tip|remark|confidence)\b"
    r"|let me know|would you|hope |feel free|if you|i hope|please )"
)
_EXPLANATION = re.compile(
    r"(?im)^[ \t*_#>-]{0,30}(?:explanation|reasoning|because|here'?s (?:why|how)|this is because|step[- ]by[- ]step"
    r"|working|justification|rationale|why|how (?:i|we|it))\b"
)
_SUBORDINATE = re.compile(
    r"(?i)\s*(?:since|as|because|if|after|when|with|given|for|at|in|out of|of|from|while|although)\b"
)
_COUNTED = re.compile(r"(\d{1,2})[.)]\s+(?=\S)")
_SPOKEN_WORDS = 8  # so few words that a number word in them is the answer, not the pronoun "one"


def final_number(reply: str, european: bool = False) -> FinalNumber:
    """The number that `reply` concludes with."""
    for passage in marked(reply):
        found = stated_quantity(passage, european)
        if found.quantity is not None or len(quantities(clean(found.text), european)) > 1:
            return found
    return _unmarked(_before_explanation(reply), european)


def final_clock(reply: str) -> tuple[str, int | None]:
    """The passage and the time of day, in minutes after midnight, that `reply` concludes with."""
    passages = [_clause(clean(text)) for text in marked(reply)] + list(reversed(lines(_before_explanation(reply))))
    for passage in passages:
        if (minutes := clock(passage)) is not None:
            return passage, minutes
        spans = clock_spans(clean(passage))
        if spans:
            last = clean(passage)[spans[-1][0] :]
            return last, clock(last)
    return (passages[0] if passages else ""), None


def stated_quantity(passage: str, european: bool = False) -> FinalNumber:
    """The one value that a passage states in its first clause."""
    clause = _clause(clean(passage))
    found = quantities(clause, european)
    if not found:
        clause = spelled_out(clause)
        found = quantities(clause, european)
    return FinalNumber(clause.strip(), _the_one(found, clause, european))


def _before_explanation(reply: str) -> str:
    """What stands before an explanation that follows the answer; the whole reply where nothing does."""
    match = _EXPLANATION.search(reply)
    before = reply[: match.start()] if match else ""
    return before if quantities(clean(before)) or clock(before) is not None else reply


def _clause(text: str) -> str:
    """The first clause of a passage that holds a number, else the first."""
    parts = [part.strip() for part in _CLAUSE_END.split(text.strip()) if part.strip(" *_.:$")]
    return next((part for part in parts if re.search(r"\d", part)), parts[0] if parts else "")


def _the_one(found: Sequence[Quantity], clause: str, european: bool) -> Quantity | None:
    """The quantity that a clause is about: its only one, the result of its equation, or the one after its verb."""
    arrow = re.split(r"→|⇒|⟹|\\(?:long)?[rR]ightarrow|\\implies", clause)
    if len(found) > 1 and len(arrow) > 1 and (concluded := quantities(arrow[-1], european)):
        clause, found = arrow[-1], concluded  # `10/80 = 0.125 → 12.5 %`
    if len(found) > 1:
        bare = _ASIDE.sub(lambda match: " " * len(match.group(0)), clause)
        outside = [one for one in found if bare[one.start : one.end].strip()]
        clause, found = (bare, outside) if outside else (clause, found)
    if "=" in clause and len(found) > 1:
        sides = [quantities(side, european) for side in re.split(r"=|≈", clause)]
        for side in (sides[-1], sides[0]):
            if side and _alike(side):
                return _with_unit(side)
        found, clause = sides[-1], re.split(r"=|≈", clause)[-1]
    found = [one for one in found if not _NO_VALUE.search(clause[max(0, one.start - 40) : one.start])]
    if not found:
        return None
    if _alike(found):
        return _with_unit(found)
    for at in [match.end() for match in reversed(list(_VERB.finditer(clause)))] + [0]:
        after = [one for one in found if one.start >= at]
        between = clause[at : after[0].start] if after else ""
        if after and len(between.split()) <= 3 and not (_QUALIFIES.match(between) or _AND.search(between)):
            rest = after[1:]
            if not rest or _QUALIFIES.fullmatch(clause[after[0].end : rest[0].start].rstrip(" $€£")):
                return after[0]
    return None


def _alike(found: Sequence[Quantity]) -> bool:
    """Whether all quantities say the same: `75%, or 0.75`, `90 minutes (1.5 hours)`."""
    return len({one.value for one in found}) == 1 or len({one.in_base for one in found}) == 1


def _with_unit(found: Sequence[Quantity]) -> Quantity:
    """Of quantities that say the same the first that names its unit: of `0.125 = 12.5 %` the latter."""
    return next((one for one in found if one.unit is not None), found[0])


def _steps(parts: list[str]) -> list[str]:
    """Lines without the numbers that count them, where they are counted from 1."""
    counted = [_COUNTED.match(line) for line in parts]
    if {"1", "2"} <= {match[1] for match in counted if match}:
        return [line[match.end() :] if match else line for line, match in zip(parts, counted, strict=True)]
    return parts


def _unmarked(reply: str, european: bool) -> FinalNumber:
    parts = _steps(lines(reply))
    if not parts:
        return FinalNumber("", None)
    first, last = _standing_alone(_sentences(parts[0])[0], european), _standing_alone(parts[-1], european)
    if first.quantity and (last.quantity is None or last.quantity.value == first.quantity.value):
        return first
    if last.quantity:
        return last
    kept = [line for line in parts if not _AFTERTHOUGHT.match(line)] or parts
    for line in reversed(kept):
        found = _of_line(line, european)
        if found is not None:
            return found
    return FinalNumber(parts[-1], None)


def _standing_alone(line: str, european: bool) -> FinalNumber:
    """A line that is nothing but a value: `about $40`, `12 apples`, `x = 12`."""
    text = clean(line).strip().rstrip(".!* ")
    found = quantities(text, european)
    if not found and len(text.split()) <= _SPOKEN_WORDS:
        text = spelled_out(text)
        found = quantities(text, european)
    if not found or not _alike(found) or text.count("=") > 1:
        return FinalNumber(text, None)
    lead, rest = text[: found[0].start], text[found[-1].end :]
    alone = _LEAD.fullmatch(lead) is not None and len(rest.split()) <= 4 and not re.search(r"[.:;=+*/]", rest)
    return FinalNumber(text, _with_unit(found) if alone else None)


def _of_line(line: str, european: bool) -> FinalNumber | None:
    """The value of a line: its last in bold, else that of its last sentence with a number; None without any."""
    strong = [(text, stated_quantity(text, european)) for text in bold(line)]
    if len({found.quantity.value for _, found in strong if found.quantity}) > 1:  # all figures in bold: read the words
        plain = [found for sentence in reversed(_sentences(line)) if (found := _of_sentence(sentence, european))]
        if plain and plain[0].quantity:
            return plain[0]
    for text, found in strong:
        tail = line[line.rfind(text) + len(text) :]
        if found.quantity is not None and not re.search(r"[=≈]\D{0,4}\d", tail):
            return found
    sentences = (_of_sentence(sentence, european) for sentence in reversed(_sentences(line)))
    return next((found for found in sentences if found is not None), None)


def _of_sentence(sentence: str, european: bool) -> FinalNumber | None:
    """The value that a sentence states; None where it holds no number."""
    text = _main_clause(clean(sentence))
    values = quantities(text, european)
    if not values and len(text.split()) <= _SPOKEN_WORDS:
        text = spelled_out(text)
        values = quantities(text, european)
    return FinalNumber(text.strip(), _the_one(values, text, european)) if values else None


def _main_clause(sentence: str) -> str:
    """Without a clause of reasons or conditions before or after it, where a number is left."""
    before, comma, after = sentence.partition(", ")
    if comma and _SUBORDINATE.match(before) and re.search(r"\d", after):
        return after
    return _clause(sentence)


def _sentences(line: str) -> list[str]:
    """Sentences; a point between digits or after an initial ends none."""
    parts = SENTENCE_END.split(line)
    return [part for part in parts if part.strip()] or [line]
