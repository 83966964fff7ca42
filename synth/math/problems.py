"""One word problem: draw numbers, solve, word it. Bad draws raise `Unfit` with the reason that is counted."""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

from synth.math.family import Domain, Family, Unfit, Values, Work, show, show_clock
from synth.math.working import Number

MAX_WORKING = 400
"""Characters of a worked solution: longer ones (products of wide numbers with cents) teach little for their cost."""
_SENTENCE = re.compile(r"(?<=[.?!]) ")
_NUMBERS = re.compile(r"\d+:\d+|\d+(?:\.\d+)?")


class Problem(NamedTuple):
    """A rendered problem. `answer` is the short gold; `lines` the worked solution without the answer line."""

    text: str
    lines: list[str]
    answer: str
    distractor: bool


def draw_values(family: Family, size: int, rng: Random) -> Values:
    """Parameters of size 1 to 3 and what is derived from them."""
    from synth.math.family import KINDS

    values = {slot: KINDS[kind](rng, size) for slot, kind in family.params.items()}
    values.update(family.derived(values))
    return values


def pose(family: Family, domain: Domain, values: Values, template: str, distract: bool, rng: Random) -> Problem:
    """Solve and word the problem. Raises Unfit when a constraint fails or the wording would be ambiguous."""
    for constraint in family.constraints:
        if not constraint.holds(values):
            raise Unfit(constraint.reason)
    work = Work()
    result = family.solve(work, values)
    if sum(map(len, work.lines)) > MAX_WORKING:
        raise Unfit("the worked solution is too long")
    answer = show_clock(result) if family.clock_answer else show(result)
    text = template.format_map({**_words(domain, rng), **_shown(family, values)})
    if distract:
        text = _with_distractor(text, domain, answer, rng)
    if answer in _NUMBERS.findall(text):
        raise Unfit("the answer already stands in the question")
    return Problem(text, work.lines, answer, distract)


def _shown(family: Family, values: Values) -> dict[str, str]:
    return {slot: show_clock(value) if slot in family.clocks else show(value) for slot, value in values.items()}


def _words(domain: Domain, rng: Random) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for slot, words in domain.words.items():
        word = words[int(rng.random() * len(words))]
        while word in chosen.values():
            word = words[int(rng.random() * len(words))]
        chosen[slot] = word
    return chosen


def _with_distractor(text: str, domain: Domain, answer: str, rng: Random) -> str:
    """Put a sentence with a number that does not matter before one of the sentences."""
    used = {*_NUMBERS.findall(text), answer}
    number = str(2 + int(rng.random() * 59))
    if number in used:
        raise Unfit("the distractor repeats a number of the problem")
    clause = domain.distractors[int(rng.random() * len(domain.distractors))].format(d=number)
    starts = [0, *(match.end() for match in _SENTENCE.finditer(text))]
    place = starts[int(rng.random() * len(starts))]
    return f"{text[:place]}{clause} {text[place:]}"


def plain(values: Values) -> dict[str, int | str]:
    """Values as JSON holds them: whole numbers, or text with two decimals."""
    return {slot: value if isinstance(value, int) else show(value) for slot, value in values.items()}


def key_of(family: Family, values: Values) -> str:
    """What makes two problems the same but for their wording: the family and its drawn numbers."""
    numbers: list[Number] = [values[slot] for slot in family.params]
    return f"{family.name} {numbers}"
