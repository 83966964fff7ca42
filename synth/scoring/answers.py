"""What a reply concludes: the text of its final answer, without what the model thought aloud before."""

from __future__ import annotations

import re

from synth.scoring.numerals import CLOCK, MAX_CHARS, NUMBER, clean, clock, numbers, value_of

MARK = re.compile(r"\banswer\s*(?:\*\*)?\s*(?::|=|\bis\b)|####|\\boxed\{", re.IGNORECASE)
_THINKING = re.compile(r"<(think|thinking|thought|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_CLOSED = re.compile(r".*</(?:think|thinking|thought|reasoning)>", re.DOTALL | re.IGNORECASE)


def without_thinking(reply: str) -> str:
    """The reply without `<think>…</think>`; what follows an unclosed mark is thinking, and so is what precedes a close.

    Templates that open the mark in the prompt leave only its end in the reply.
    """
    return _CLOSED.sub("", _THINKING.sub("", reply)) if "<" in reply else reply


def concluded(reply: str) -> str:
    """What follows the last `Answer:` mark, else the whole reply."""
    return final_answer(reply) if MARK.search(reply) else reply.strip()


_ANSWER = re.compile(
    r"(?:\banswer\s*(?:\*\*)?\s*(?::|=|\bis\b:?)|####|\\boxed(?=\{))[*\s]*(?P<text>[^\n]*)", re.IGNORECASE
)


def final_answer(text: str) -> str:
    """What a worked answer concludes: the text after the last `Answer:` (or `answer is`, `####`, `\\boxed`).

    Without such a mark: the last number, and without a number the last line that is not empty. May be "".
    """
    text = text[-MAX_CHARS:].strip()
    marked = [match for match in _ANSWER.finditer(text) if match.group("text").strip(" *.$\\{}")]
    if marked:
        line = marked[-1].group("text")
        if marked[-1].group(0).startswith("\\boxed"):
            line = "\\boxed" + line
        return _tidy(clean(line))
    clock_marks = list(CLOCK.finditer(text))
    number_marks = [match for match in NUMBER.finditer(clean(text)) if value_of(match) is not None]
    if clock_marks and (not number_marks or ":" in clock_marks[-1].group(0)):
        tail = text[clock_marks[-1].start() :]
        if clock(tail) is not None and len(numbers(tail)) <= 2:
            return _tidy(clock_marks[-1].group(0))
    if number_marks:
        return _tidy(number_marks[-1].group(0))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _tidy(lines[-1]) if lines else ""


def _tidy(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().strip("{}").rstrip(".!,; ").strip()
