"""A chosen letter, as multiple-choice questions want it.

A letter in a sentence is read only where it is not the word "I" or "A"; two letters are no answer; the text of an
option stands for its letter when the question lists its options.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from synth.example import Example, text_of
from synth.scoring import exact, names
from synth.scoring.answers import bold, is_bare, lines, marked, plain, said_last
from synth.scoring.rule import Metric, Score, ScoreRule, best, golds
from synth.scoring.verify import fold, quote

_OPTION = re.compile(r"(?:^|\s)[(\[]?([A-Z])[).:\]]\s+(\S.*?)(?=\s+[(\[]?[A-Z][).:\]]\s+\S|\s*\n|\s*\Z)")
_ALONE = re.compile(r"\W*(?:(?:option|choice|answer|letter|it is|it's)\W+)?[(\[]?([A-Za-z])\W*", re.IGNORECASE)
_LEADING = re.compile(
    r"[\s(\[*_\"'$\\]*(?:(?:option|choice|answer)\s+)?[(\[]?([A-Za-z])\s*(?:[).:\]]|\s[—–-]\s)(?!\w*[.)])", re.I
)
_TOKEN = re.compile(r"(?<![\w'.-])([(\[*_\"'`]{0,4})([A-Z])(?![\w'+#-])")
_VERB_AFTER = re.compile(
    r"\s*(?:[).:\]*,;\"'`!?]|$|(?:is|are|was|because|since|and|or|as|would|seems|fits|matches|best)\b|[—–-])"
)
_NAMES_LETTER = re.compile(r"\b(?:option|choice|answer|letter|choose|chose|pick|select|is|with|be)\W*$", re.IGNORECASE)
_DENIED_AFTER = re.compile(
    r"(?:(?:,|,? (?:and|or|nor))\W{1,3}[A-Z]\b)*"
    r"\W{0,4}\s*(?:is|are|was|can be|cannot|can't|isn't|aren't|does|do|fails?)\s+(?:\w+\s+)?"
    r"(?:wrong|incorrect|not|false|n't|eliminated|ruled)"
)
_IS_RIGHT = re.compile(r"(?<![\w'])\(?([A-Z])(?:[).:][^.;,]{0,60}?)? is (?:the |most )?(?:right|correct|best)\b")
_CONCLUDES = re.compile(
    r"(?i:\b(?:leaves|left with|therefore|thus|hence|must be|go(?:ing)? with|so,? it(?:['’]s| is)))"
    r"(?! not\b)\W([^.;,]*)"
)
_REASON = re.compile(r"[;\n]|\.\s|,?\s(?:because|since|as|while|whereas|given)\b", re.IGNORECASE)
_TICKED = re.compile(r"[✅✔☑]")
_TURN = re.compile(
    r"(?i)\b(?:actually,? wait|wait|on second thoughts?|scratch that|correction|let me correct)\b[^\w\n]"
)
_BECAUSE = re.compile(r"(?i),?\s(?:because|since|given that)\b")
_DENIED_BEFORE = re.compile(
    r"\b(?:not|isn't|rather than|instead of|eliminate|exclude|rule out|ruling out|than|neither|nor"
    r"|except(?: for)?|(?:all|any\w*|every\w*|each) but)\W*(?:option\W*)?$",
    re.IGNORECASE,
)


def grade(reply: str, row: Example) -> Score:
    """The chosen letter against gold; a gold that is no letter is compared as text."""
    return best([_grade(reply, gold, text_of(row)) for gold in golds(row)])


def _grade(reply: str, gold: str, question: str) -> Score:
    letter = re.fullmatch(r"\W*([A-Za-z])\W*", gold)
    if letter is None:
        return exact.grade_against(reply, [gold])
    wanted = letter.group(1).upper()
    found = read(reply, options(question))
    if len(found) != 1:
        why = f"several letters: {', '.join(found)}" if found else f"no choice letter in {quote(reply)}"
        return Score(0.0, "", why, readable=False)
    ok = found[0] == wanted
    return Score(float(ok), found[0], "equal" if ok else f"{found[0]} is not {wanted}")


def options(question: str) -> dict[str, str]:
    """Letter → text of the options that a question lists; empty without at least A and B."""
    found: dict[str, str] = {}
    for match in _OPTION.finditer(question):
        found.setdefault(match.group(1), match.group(2).strip())
    return found if {"A", "B"} <= found.keys() else {}


def read(reply: str, listed: Mapping[str, str]) -> list[str]:
    """The letters that the reply names where it states its answer: one is a choice, none or two are not."""
    turned = list(_TURN.finditer(reply))
    if turned and (second := read(reply[turned[-1].end() :], listed)):  # a first try that the reply takes back
        return second
    ticked = [line for line in lines(reply) if _TICKED.search(line)]
    if len(ticked) == 1 and len(lines(reply)) > 1 and len(found := _letters(ticked[0], listed)) == 1:
        return found
    explicit = marked(reply)
    if explicit:
        clause = _REASON.split(explicit[0], maxsplit=1)[0]
        found = _letters(clause, listed) or _by_text(clause, listed)
        if found:
            return found
    found = _said_right(reply, listed)
    if found:
        return found
    parts = lines(reply)
    for passage in [*(line for line in parts[:1] + parts[-1:] if is_bare(line) or _LEADING.match(line)), *bold(reply)]:
        found = _letters(passage, listed) or _by_text(passage, listed)
        if len(found) == 1:
            return found
    for passage in [*parts[-1:], reply]:
        found = _letters(passage, listed)
        if len(found) > 1 and len(claim := _letters(_BECAUSE.split(passage, maxsplit=1)[0], listed)) == 1:
            return claim
        if found:
            return found
    return _by_text(reply, listed)


def _said_right(reply: str, listed: Mapping[str, str]) -> list[str]:
    """Letters that a sentence calls right (`C) three is the right answer`) or concludes with (`that leaves C`)."""
    text = re.sub(r"\s+", " ", plain(reply))
    called = [
        match
        for match in _IS_RIGHT.finditer(text)
        if not _DENIED_BEFORE.search(text[max(0, match.start() - 60) : match.start()])
    ]
    if called:
        return list(dict.fromkeys(match.group(1) for match in called))
    concluding = list(_CONCLUDES.finditer(text))
    return _letters(concluding[-1].group(1), listed) if concluding else []


def _letters(passage: str, listed: Mapping[str, str]) -> list[str]:
    """Letters that a passage names, in order, each once; those that it denies left out."""
    text = plain(passage).replace("’", "'").strip()
    text = re.sub(r"\s+", " ", text)
    allowed = set(listed) or {chr(code) for code in range(ord("A"), ord("K"))}
    alone = _ALONE.fullmatch(text)
    if alone is not None:
        return [alone.group(1).upper()] if alone.group(1).upper() in allowed | {"I"} else []
    found = []
    leading = _LEADING.match(text)
    if leading is not None and leading.group(1).upper() in allowed:
        found.append(leading.group(1).upper())
    for match in _TOKEN.finditer(text):
        letter, before, after = (
            match.group(2),
            text[max(0, match.start() - 60) : match.start()],
            text[match.end() : match.end() + 60],
        )
        if letter not in allowed or _DENIED_AFTER.match(after) or _DENIED_BEFORE.search(before):
            continue
        if letter in "AI" and not _is_letter(letter, match.group(1), before, after):
            continue
        found.append(letter)
    return list(dict.fromkeys(found))


def _is_letter(letter: str, opening: str, before: str, after: str) -> bool:
    """Whether an "A" or "I" is a letter rather than a word."""
    bracketed = bool(re.search(r"[(\[*\"'`]$", opening)) and bool(re.match(r"[)\]*\"'`:.]", after))
    if letter == "I":
        return bracketed or bool(_NAMES_LETTER.search(before) and re.match(r"\s*(?:[.,;:)]|$)", after))
    starts = re.search(r"(?:^|[.!?:]\s*)$", before) is not None
    return (
        bracketed or _VERB_AFTER.match(after) is not None or (not starts and _NAMES_LETTER.search(before) is not None)
    )


def _by_text(passage: str, listed: Mapping[str, str]) -> list[str]:
    """Letters of the options whose text a passage is, or whose text alone it holds."""
    said = [fold(plain(text)) for text in (passage, said_last(passage))]
    same = [letter for letter, text in listed.items() if fold(text) in said]
    if same:
        return same[:1]
    held = []
    for letter, text in listed.items():
        found = re.search(rf"(?<!\w){re.escape(fold(text))}(?!\w)", said[0]) if len(text) > 1 else None
        if found and not _DENIED_BEFORE.search(said[0][max(0, found.start() - 60) : found.start()]):
            held.append(letter)
    return held


def _fits(gold: str) -> bool:
    return re.fullmatch(r"[A-H]", gold) is not None


RULE = ScoreRule(names.CHOICE, grade, Metric("accuracy", "accuracy"), fits=_fits)
