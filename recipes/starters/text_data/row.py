"""One generated row and the helpers all text families share; knows nothing of models or files."""

import random
from collections.abc import Sequence
from typing import Literal, NamedTuple

from synth.scoring.names import EXACT, MATH

FIRST = [
    "Ava",
    "Ben",
    "Cleo",
    "Dan",
    "Eli",
    "Fay",
    "Gus",
    "Hana",
    "Ivan",
    "Jo",
    "Kai",
    "Lena",
    "Max",
    "Nia",
    "Omar",
    "Pia",
    "Quin",
    "Rosa",
    "Sam",
    "Tia",
    "Uma",
    "Viktor",
    "Wen",
    "Yara",
    "Zane",
    "Alice",
    "Boris",
    "Carmen",
    "David",
    "Elena",
    "Farid",
    "Grace",
    "Henry",
    "Ines",
    "Jack",
    "Karim",
    "Laura",
    "Mona",
    "Noah",
    "Olga",
    "Peter",
    "Ruth",
    "Simon",
    "Tara",
]
THINGS = [
    "apples",
    "books",
    "cards",
    "coins",
    "eggs",
    "flowers",
    "games",
    "hats",
    "keys",
    "lemons",
    "marbles",
    "nuts",
    "pens",
    "rings",
    "shells",
    "stamps",
    "toys",
    "cups",
    "plums",
    "pears",
    "buttons",
    "candles",
    "stickers",
    "bricks",
    "balls",
    "pencils",
    "photos",
    "seeds",
    "ribbons",
    "tickets",
    "bottles",
    "oranges",
    "cookies",
    "beads",
    "leaves",
    "stones",
    "feathers",
    "badges",
    "spoons",
    "scarves",
]
_ONSETS = [
    "b",
    "c",
    "d",
    "f",
    "g",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "w",
    "z",
    "br",
    "cr",
    "dr",
    "fl",
    "gr",
    "kl",
    "pl",
    "sh",
    "st",
    "th",
    "tr",
]
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "oo"]
_CODAS = ["", "", "", "n", "r", "s", "l", "m", "t", "nd", "x", "ck"]
SYSTEMS = (
    "You are a careful calculator. Show your working.",
    "You solve short problems. Show each step, then give the answer.",
    "Answer the question. Write the steps on their own lines.",
    "You are a helpful assistant.",
    "Be brief and exact.",
)

Role = Literal["system", "user", "assistant"]


class Row(NamedTuple):
    """A prompt (role, text) list and the reply to learn; `answer` is the short gold that `scorer` compares."""

    prompt: tuple[tuple[Role, str], ...]
    target: str
    answer: str
    scorer: str
    family: str
    template: str


class Choice(NamedTuple):
    """A drawn text and its place in the list, which becomes part of the template id."""

    text: str
    place: int


def pick(rng: random.Random, texts: Sequence[str]) -> Choice:
    """Draw one of `texts`; the index makes a template id."""
    index = rng.randrange(len(texts))
    return Choice(texts[index], index)


def two(rng: random.Random, words: Sequence[str]) -> tuple[str, str]:
    """Two different words."""
    first, second = rng.sample(words, 2)
    return first, second


def invented_word(rng: random.Random, syllables: int = 2) -> str:
    """A pronounceable word that is in no dictionary, so that copying cannot be done by memory."""
    return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables)) + rng.choice(_CODAS)


def invented_name(rng: random.Random) -> str:
    """A known first name or, as often, an invented one."""
    return rng.choice(FIRST) if rng.random() < 0.5 else invented_word(rng).capitalize()


def calculation(question: str, lines: Sequence[str], answer: str, family: str, template: str) -> Row:
    """A row whose reply is worked lines and `Answer: X`."""
    target = "\n".join([*lines, f"Answer: {answer}"])
    return Row((("user", question),), target, answer, MATH, family, f"{family}/{template}")


def literal(
    question: str, target: str, family: str, template: str, answer: str | None = None, scorer: str = EXACT
) -> Row:
    """A row whose reply is compared as text, JSON or fields; the answer is the reply itself unless given."""
    gold = target if answer is None else answer
    return Row((("user", question),), target, gold, scorer, family, f"{family}/{template}")
