"""Baselines without any neural network, for text: the majority answer, TF-IDF with logistic regression, a number rule.

    for name, predict in baselines(train): replies = predict(examples)

Which of them fit is read off the train rows: closed answers (labels), records of closed fields, numbers. Texts are
answered in the form that the rows' scorers read. Scores nothing (`synth.scoring`), and sees no test row while fitting.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from synth.example import Example, media_parts, text_of

MOST_LABELS = 50  # more right answers than these are no closed set
REPEATS = 4  # rows per right answer, on average, from which answers count as closed
FEWEST = 10  # train rows
MOST_TRAIN = 5000
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?")

Replies = Callable[[Sequence[Example]], list[str]]


class Baseline(NamedTuple):
    """A fitted baseline. `id` is its system's, `label` what it is called."""

    id: str
    label: str
    replies: Replies


def baselines(train: Sequence[Example]) -> list[Baseline]:
    """Those that fit rows like these; [] for pictures and sound, free text, or too few rows."""
    rows = [row for row in train[:MOST_TRAIN] if row.answer is not None]
    if len(rows) < FEWEST or any(media_parts(row) for row in rows):
        return []
    answers = [row.answer or "" for row in rows]
    records = [_record(answer) for answer in answers]
    if all(record is not None for record in records):
        return _of_records(rows, [record for record in records if record is not None])
    if _closed(answers):
        learned = _classifier([text_of(row) for row in rows], answers)
        return [
            Baseline("baseline-majority", "Majority answer", _always(_commonest(answers))),
            Baseline(
                "baseline-tfidf", "TF-IDF + logistic regression", lambda asked: learned([text_of(one) for one in asked])
            ),
        ]
    if sum(_NUMBER.fullmatch(answer.strip()) is not None for answer in answers) > 0.9 * len(answers):
        return [Baseline("baseline-number", "Number rule", _number_rule(rows))]
    return []


def _closed(answers: Sequence[str]) -> bool:
    kinds = len(set(answers))
    return 2 <= kinds <= min(MOST_LABELS, len(answers) / REPEATS)


def _commonest(answers: Sequence[str]) -> str:
    return Counter(answers).most_common(1)[0][0]


def _always(answer: str) -> Replies:
    return lambda asked: [answer for _ in asked]


def _classifier(texts: Sequence[str], labels: Sequence[str]) -> Callable[[Sequence[str]], list[str]]:
    """Words and pairs of words, weighted by TF-IDF, into a logistic regression with balanced classes."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    if len(set(labels)) < 2:
        only = labels[0]
        return lambda asked: [only for _ in asked]
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"),
        LogisticRegression(C=10.0, max_iter=1000, class_weight="balanced"),
    )
    model.fit(list(texts), list(labels))
    return lambda asked: [str(label) for label in model.predict(list(asked))]


def _record(answer: str) -> dict[str, Any] | None:
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _of_records(rows: Sequence[Example], records: Sequence[dict[str, Any]]) -> list[Baseline]:
    """Each closed field classified by its own model, every other field as its commonest value."""
    texts = [text_of(row) for row in rows]
    written = {
        key: [json.dumps(record.get(key), ensure_ascii=False) for record in records]
        for key in dict.fromkeys(key for record in records for key in record)
    }
    closed = {key: _classifier(texts, values) for key, values in written.items() if _closed(values)}
    usual = {key: _commonest(values) for key, values in written.items()}

    def replies(asked: Sequence[Example], learned: bool) -> list[str]:
        texts = [text_of(one) for one in asked]
        columns = {
            key: closed[key](texts) if learned and key in closed else [usual[key]] * len(texts) for key in written
        }
        return [
            json.dumps({key: json.loads(values[at]) for key, values in columns.items()}, ensure_ascii=False)
            for at in range(len(texts))
        ]

    found = [Baseline("baseline-majority", "Majority record", lambda asked: replies(asked, False))]
    if closed:
        label = f"TF-IDF + logistic regression ({len(closed)} of {len(written)} fields)"
        found.append(Baseline("baseline-tfidf", label, lambda asked: replies(asked, True)))
    return found


def _numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in _NUMBER.findall(text)]


RULES: dict[str, Callable[[list[float]], float]] = {
    "the first number": lambda found: found[0],
    "the last number": lambda found: found[-1],
    "the largest number": max,
    "the sum of the numbers": sum,
    "the product of the first two numbers": lambda found: found[0] * found[1] if len(found) > 1 else found[0],
}


def _number_rule(rows: Sequence[Example]) -> Replies:
    """Whichever of five fixed rules is right most often on the train rows."""
    known = [
        (_numbers(text_of(row)), float((row.answer or "0").strip().replace(",", ""))) for row in rows if _plain(row)
    ]

    def right(rule: Callable[[list[float]], float]) -> int:
        return sum(bool(found) and abs(rule(found) - gold) < 1e-9 for found, gold in known)

    best = max(RULES.values(), key=right)

    def replies(asked: Sequence[Example]) -> list[str]:
        found = [_numbers(text_of(one)) for one in asked]
        return [f"Answer: {best(numbers):g}" if numbers else "" for numbers in found]

    return replies


def _plain(row: Example) -> bool:
    return _NUMBER.fullmatch((row.answer or "").strip()) is not None
