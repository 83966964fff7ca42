"""Error rates of transcripts: by words (`wer`) or by characters (`cer`). Rates pool edits, never means of rows.

A language that is written without spaces has no words to count, so `wer` counts its characters. Texts are compared as
`synth.scoring.normalise` writes them.
"""

from __future__ import annotations

from synth.example import Example
from synth.scoring import names
from synth.scoring.normalise import UNSPACED, language_of, normalised, normaliser_name
from synth.scoring.rule import Metric, Score, ScoreRule


def grade_words(reply: str, row: Example) -> Score:
    """1 - word error rate of the row (character error rate where its language has no spaces)."""
    return error_rate(reply, row, by_words=language_of(row) not in UNSPACED)


def grade_characters(reply: str, row: Example) -> Score:
    """1 - character error rate of the row."""
    return error_rate(reply, row, by_words=False)


def error_rate(reply: str, row: Example, by_words: bool) -> Score:
    """Edits between the normalised texts. A reply that is the gold has none, whatever they are."""
    language, answer = language_of(row), row.answer or ""
    read = reply.strip()
    said, gold = normalised(read, language), normalised(answer, language)
    edits, ref_units = edit_count(gold, said, by_words)
    if not ref_units and answer.strip() and not read:
        edits = 1  # a gold of signs alone is not silence
    kind = "words" if by_words else "characters"
    readable = bool(read)
    if not ref_units:  # silence: every unit said is an insertion
        return Score(float(not edits), read, f"{edits} inserted into silence", None, readable, edits, 0)
    return Score(1 - edits / ref_units, read, f"{edits} edits of {ref_units} {kind}", None, readable, edits, ref_units)


def edit_count(gold: str, said: str, by_words: bool) -> tuple[int, int]:
    """Fewest substitutions, deletions and insertions, and the units of gold. Texts are normalised already."""
    from rapidfuzz.distance import Levenshtein

    gold_units: list[str] | str = gold.split() if by_words else gold
    said_units: list[str] | str = said.split() if by_words else said
    return Levenshtein.distance(gold_units, said_units), len(gold_units)


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
