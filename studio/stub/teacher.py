"""The stub as a teacher of pipelines: answers that look like those of a model that does what it is asked, mostly.

It reads the request by its form: a list that is asked for, labels to choose from, a text between <text> tags, JSON keys
that are named. A share `skill` of the answers is right; the others are wrong in a way that checks must find. Texts
begin with "[stub]" and are nonsense: they show that a pipeline works, and nothing about the quality of rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from studio.stub.answers import draw

MARK = "[stub]"
NOUNS = [
    "invoice",
    "delivery",
    "garden",
    "kitchen",
    "bridge",
    "letter",
    "window",
    "market",
    "train",
    "doctor",
    "camera",
    "river",
    "printer",
    "carpet",
    "engine",
    "ticket",
    "harbour",
    "blanket",
    "lantern",
    "orchard",
    "pillow",
    "saddle",
    "teapot",
    "violin",
    "wallet",
    "anchor",
    "basket",
    "candle",
    "drawer",
    "elevator",
]
VERBS = [
    "arrived",
    "broke",
    "stayed",
    "waited",
    "changed",
    "moved",
    "ended",
    "began",
    "returned",
    "stopped",
    "opened",
    "failed",
]
PLACES = [
    "at home",
    "in town",
    "near the station",
    "by the lake",
    "on the second floor",
    "behind the shop",
    "at work",
    "abroad",
]
LABELS = re.compile(r"(?:labels?|answers?)[^:\n]*: ([^\n?]+)\?", re.IGNORECASE)
TEXT = re.compile(r"<text>\n?(.*?)\n?</text>", re.DOTALL)
NUMBERED = re.compile(r"^\[(\d+)\] (.*)$", re.MULTILINE)
SENTENCE = re.compile(r"[^.!?\n][^.!?\n]{20,}[.!?]")


def teach(asked: str, skill: float, *key: object) -> str | None:
    """The answer to a teacher's task; None for a request of another form. `key`: what the draws depend on."""
    able = draw("skill", asked, *key) < skill
    for form, answer in FORMS:
        if form.search(asked):
            return answer(asked, able, draw("words", asked, *key))
    return None


def _pick(options: list[str] | tuple[str, ...], mark: float, *key: object) -> str:
    return options[int(draw(mark, *key) * len(options))]


def _sentence(mark: float, number: int) -> str:
    first, second = _pick(NOUNS, mark, number, "a"), _pick(NOUNS, mark, number, "b")
    return f"The {first} and the {second} {_pick(VERBS, mark, number)} {_pick(PLACES, mark, number)}."


def cue(label: str) -> str:
    """A word that stands for a label without naming it."""
    return "mark" + "".join("abcdefghij"[int(draw("cue", label, place) * 10)] for place in range(5))


def _list(asked: str, able: bool, mark: float) -> str:
    found = re.search(r"list (\d+)", asked, re.IGNORECASE)
    count = int(found.group(1)) if found else 8
    lines = [f"{_pick(NOUNS, mark, n)} and {_pick(NOUNS, mark, n, 2)} {_pick(PLACES, mark, n)}" for n in range(count)]
    return "\n".join(f"{n}. {line}" for n, line in enumerate(lines, 1))


def _choose(asked: str, able: bool, mark: float) -> str:
    """yes where that is offered; the label whose cue stands in the text; else one that the text alone decides."""
    offered = LABELS.findall(asked)[-1]
    labels = sorted(label.strip() for label in re.split(r",| or ", offered) if label.strip())
    basis = TEXT.findall(asked)[-1] if TEXT.search(asked) else asked
    by_cue = next((label for label in labels if cue(label) in asked), _pick(labels, draw(basis)))
    right = "yes" if "yes" in labels else by_cue
    wrong = [label for label in labels if label != right]
    return right if able or not wrong else _pick(wrong, mark)


def _label_text(asked: str, able: bool, mark: float) -> str:
    found = re.search(r"label: ([^\n]+)", asked)
    label = found.group(1).strip() if found else ""
    return f"{MARK} {_sentence(mark, 1)} {cue(label) if able else 'unclear'} {_sentence(mark, 2)}"


def _source(asked: str) -> str:
    return str(TEXT.findall(asked)[-1])


def _question(asked: str, able: bool, mark: float) -> str:
    sentences = NUMBERED.findall(_source(asked))
    whole = [number for number, sentence in sentences if SENTENCE.search(sentence)]
    number = int(_pick(whole or ["1"], mark))
    answer = " ".join(dict(sentences).get(str(number), _source(asked)).split()[:6])
    said = number if able else len(sentences) + 1
    return json.dumps({"sentence": said, "question": f"{MARK} What is said of “{answer}”?", "answer": answer})


def _picture_question(asked: str, able: bool, mark: float) -> str:
    thing = _pick(NOUNS, mark)
    return json.dumps({"question": f"{MARK} Where is the {thing}?", "answer": "here"} if able else {"text": thing})


def _rewrite(asked: str, able: bool, mark: float) -> str:
    """All words of the source with others between them; without skill, the first third is left out."""
    words = _source(asked).split()
    kept = words if able else words[len(words) // 3 :]
    said = []
    for place, word in enumerate(kept):
        said.append(word)
        if place % 3 == 2 and not word[:1].isupper():  # a name stays whole
            said.append(_pick(NOUNS, mark, place))
    return f"{MARK} In other words: {' '.join(said)}"


def _winner(asked: str, able: bool, mark: float) -> str:
    """The longer text; without skill, whichever comes first."""
    found = re.search(r'\{"purpose".*\}', asked, re.DOTALL)
    texts = json.loads(found.group(0)) if found else {}
    longer = "A" if len(texts.get("text_A", "")) >= len(texts.get("text_B", "")) else "B"
    return json.dumps({"winner": longer if able else "A"})


def _points(asked: str, able: bool, mark: float) -> str:
    return str(3 + int(mark * 3) if able else int(mark * 3))


def _harder(asked: str, able: bool, mark: float) -> str:
    return f"{MARK} {_source(asked)} And if {_sentence(mark, 1).lower()[:-1]}, too?"


Form = tuple[re.Pattern[str], Callable[[str, bool, float], str]]
FORMS: tuple[Form, ...] = (
    (re.compile(r"text_A.*text_B", re.DOTALL), _winner),
    (re.compile(r"\"sentence\"", re.IGNORECASE), _question),
    (re.compile(r"\"question\": .*\"answer\""), _picture_question),
    (re.compile(r"0 to 5", re.IGNORECASE), _points),
    (re.compile(r"^list \d+", re.IGNORECASE | re.MULTILINE), _list),
    (re.compile(r"Its right label: ", re.IGNORECASE), _label_text),
    (LABELS, _choose),
    (re.compile(r"harder.*<text>", re.IGNORECASE | re.DOTALL), _harder),
    (TEXT, _rewrite),
)
"""Forms of requests in the order in which they are looked for, and who answers them."""
