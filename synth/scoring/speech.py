"""Error rates of transcripts: by words (`wer`) or by characters (`cer`). Rates pool edits, never means of rows."""

from __future__ import annotations

import functools
from collections.abc import Callable

from synth.example import Example
from synth.scoring import names
from synth.scoring.rule import Metric, Score, ScoreRule


@functools.cache
def normaliser() -> Callable[[str], str]:
    """Whisper's basic text normaliser: lower case, no punctuation or brackets, single spaces."""
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer

    return BasicTextNormalizer()  # type: ignore[no-any-return]


def normaliser_name() -> str:
    """Name and version for the report."""
    from importlib.metadata import version

    return f"Whisper BasicTextNormalizer, transformers {version('transformers')}"


def grade_words(reply: str, row: Example) -> Score:
    """1 - word error rate of the row."""
    return _error_rate(reply, row, words=True)


def grade_characters(reply: str, row: Example) -> Score:
    """1 - character error rate of the row."""
    return _error_rate(reply, row, words=False)


def _error_rate(reply: str, row: Example, *, words: bool) -> Score:
    import jiwer

    clean = normaliser()
    said, gold = clean(reply).strip(), clean(row.answer or "").strip()
    readable = bool(reply.strip())
    units = len(gold.split()) if words else len(gold)
    if not units:  # silence: every unit said is an insertion
        edits = len(said.split()) if words else len(said)
        why = f"{edits} inserted into silence"
        return Score(float(not edits), said, why, edits=edits, ref_units=0, readable=readable)
    output = jiwer.process_words(gold, said) if words else jiwer.process_characters(gold, said)
    edits = output.substitutions + output.deletions + output.insertions
    why = f"{edits} edits of {units} {'words' if words else 'characters'}"
    return Score(1 - edits / units, said, why, edits=edits, ref_units=units, readable=readable)


WER_RULE = ScoreRule(
    names.WER,
    grade_words,
    Metric("wer", "word error rate", "words", lower_is_better=True, pools_edits=True),
    shape="transcript",
    normaliser=normaliser_name,
)
CER_RULE = ScoreRule(
    names.CER,
    grade_characters,
    Metric("cer", "character error rate", "characters", lower_is_better=True, pools_edits=True),
    shape="transcript",
    normaliser=normaliser_name,
)
