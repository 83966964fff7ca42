"""How right is a reply? One function per kind of task, chosen by the row (`Example.scorer`) or by the plan.

Pure functions of (reply, example). A score is 0..1, or None for "cannot be scored", which is never counted as 0.
For wer and cer the row keeps edits and reference units, because a corpus rate is a ratio of sums.
It does not aggregate: see `evaluate.stats.certainty`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import NamedTuple

from synth.errors import DataError, did_you_mean
from synth.example import Example
from synth.scoring import verify
from synth.scoring.records import match_records

TOLERANCE = 0.05  # relaxed accuracy of ChartQA (arXiv 2203.10244)
ANLS_FLOOR = 0.5  # ANLS threshold of ST-VQA (arXiv 1905.13648)
VQA_AGREEMENT = 3  # VQA accuracy min(1, matches / 3) (arXiv 1505.00468)


class Score(NamedTuple):
    """Value in 0..1 or None (unscored), the answer that was read, one sentence why.

    `format_fault`: scored 0, though the right answer stands in the reply. `edits`/`ref_units` for wer and cer only.
    """

    value: float | None
    answer: str = ""
    why: str = ""
    format_fault: bool = False
    edits: int | None = None
    ref_units: int | None = None


Scorer = Callable[[str, Example], Score]


def golds(example: Example) -> list[str]:
    """All accepted answers: `source["answers"]` where annotators differ, else the one answer."""
    several = example.source.get("answers")
    if isinstance(several, list) and several:
        return [str(answer) for answer in several]
    return [] if example.answer is None else [example.answer]


def concluded(reply: str) -> str:
    """What follows the last `Answer:` mark, else the whole reply."""
    return verify.final_answer(reply) if _MARK.search(reply) else reply.strip()


_MARK = re.compile(r"\banswer\s*(?:\*\*)?\s*(?::|=|\bis\b)|####|\\boxed\{", re.IGNORECASE)


def score_math(reply: str, example: Example) -> Score:
    """The final number against gold, exactly; a plain float reading is the cross-check, named when it disagrees."""
    gold = example.answer or ""
    if verify.number(gold) is None and verify.clock(gold) is None:
        return score_exact(reply, example)
    answer = verify.final_answer(reply)
    verdict = verify.same_number(answer, gold)
    why = verdict.reason
    plain, plain_gold = _plain_number(answer), _plain_number(gold)
    if plain is not None and plain_gold is not None:
        agrees = abs(plain - plain_gold) <= 1e-9 * max(1.0, abs(plain_gold))
        if agrees != verdict.ok:
            why += f" (cross-check differs: read plainly, {plain:g} against {plain_gold:g})"
    return Score(float(verdict.ok), answer, why, not verdict.ok and _number_within(reply, answer, gold))


def _plain_number(text: str) -> float | None:
    """The only number in a text by the simplest reading (digits, commas dropped), else None."""
    found = re.findall(r"-?\d+(?:\.\d+)?", text.replace(",", ""))
    return float(found[0]) if len(found) == 1 else None


def _number_within(reply: str, answer: str, gold: str) -> bool:
    """Whether gold is one of several numbers of the answer, or of an unmarked last line."""
    wanted = verify.number(gold)
    lines = [line for line in reply.splitlines() if line.strip()]
    searched = answer if _MARK.search(reply) or not lines else lines[-1]
    return wanted is not None and wanted in verify.numbers(searched)


def score_exact(reply: str, example: Example) -> Score:
    """Equal to gold apart from case, outer punctuation and white space."""
    answer = concluded(reply)
    verdicts = [verify.same_text(answer, gold) for gold in golds(example)]
    if any(verdicts):
        return Score(1.0, answer, "equal")
    # Not in the whole reply: the working before a marked answer names whatever was looked at.
    said = " " + verify.fold(re.sub(r"[^\w.%-]+", " ", answer)) + " "
    inside = any(f" {verify.fold(gold)} " in said for gold in golds(example) if verify.fold(gold))
    return Score(0.0, answer, verdicts[0].reason, inside)


def score_choice(reply: str, example: Example) -> Score:
    """The chosen letter."""
    verdict = verify.same_choice(reply, example.answer or "")
    named = re.search(rf"\b{re.escape((example.answer or '').strip(' ().'))}\b", reply)
    unread = not verdict.ok and verdict.reason.startswith("no choice")
    return Score(float(verdict.ok), verify.final_answer(reply), verdict.reason, unread and named is not None)


def score_json(reply: str, example: Example) -> Score:
    """The whole record right, or nothing; the order of list items does not matter."""
    part = score_fields(reply, example)
    return part if part.value is None else part._replace(value=float(part.value == 1.0))


def score_fields(reply: str, example: Example) -> Score:
    """F1 over fields, list items matched optimally. A reply without any record scores 0."""
    answer = reply.strip()
    try:
        match = match_records(answer, example.answer or "")
    except ValueError as error:
        return Score(None, answer, str(error))
    if match is None:
        return Score(0.0, answer, "no JSON object and no key: value lines in the reply")
    why = f"{match.right:g} of {match.expected} fields right, {match.given} given"
    return Score(match.f1, answer, why)


def score_relaxed(reply: str, example: Example) -> Score:
    """Numbers within 5 % of gold; a gold of 0 and anything that is no number must be equal as text."""
    gold = example.answer or ""
    wanted = verify.number(gold)
    if wanted is None or wanted == 0 or verify.number(concluded(reply)) is None:
        return score_exact(reply, example)
    answer = verify.final_answer(reply)
    verdict = verify.same_number(answer, gold, TOLERANCE)
    return Score(float(verdict.ok), answer, verdict.reason, not verdict.ok and _number_within(reply, answer, gold))


def score_anls(reply: str, example: Example) -> Score:
    """1 - normalised Levenshtein distance to the nearest gold; 0 below 0.5."""
    from rapidfuzz.distance import Levenshtein

    answer = concluded(reply)
    near = max(Levenshtein.normalized_similarity(verify.fold(answer), verify.fold(gold)) for gold in golds(example))
    value = near if near >= ANLS_FLOOR else 0.0
    inside = value == 0.0 and score_exact(reply, example).format_fault
    return Score(value, answer, f"similarity {near:.2f}", inside)


def score_vqa(reply: str, example: Example) -> Score:
    """min(1, annotators who gave this answer / 3); with fewer than three annotators, any of them is enough."""
    answer = _vqa_form(concluded(reply))
    matches = sum(_vqa_form(gold) == answer for gold in golds(example))
    needed = min(VQA_AGREEMENT, len(golds(example)))
    return Score(min(1.0, matches / needed), answer, f"{matches} of {len(golds(example))} annotators agree")


def _vqa_form(text: str) -> str:
    words = re.sub(r"[^\w\s.%'-]", " ", verify.fold(text)).split()
    return " ".join(word for word in words if word not in ("a", "an", "the"))


@functools.cache
def normaliser() -> Callable[[str], str]:
    """Whisper's basic text normaliser: lower case, no punctuation or brackets, single spaces."""
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer

    return BasicTextNormalizer()  # type: ignore[no-any-return]


def normaliser_name() -> str:
    """Name and version for the report."""
    from importlib.metadata import version

    return f"Whisper BasicTextNormalizer, transformers {version('transformers')}"


def score_wer(reply: str, example: Example) -> Score:
    """1 - word error rate of the row; aggregate edits and ref_units, not these values."""
    return _error_rate(reply, example, words=True)


def score_cer(reply: str, example: Example) -> Score:
    """1 - character error rate of the row; aggregate edits and ref_units, not these values."""
    return _error_rate(reply, example, words=False)


def _error_rate(reply: str, example: Example, *, words: bool) -> Score:
    import jiwer

    clean = normaliser()
    said, gold = clean(reply).strip(), clean(example.answer or "").strip()
    units = len(gold.split()) if words else len(gold)
    if not units:  # silence: every unit said is an insertion
        edits = len(said.split()) if words else len(said)
        return Score(float(not edits), said, f"{edits} inserted into silence", edits=edits, ref_units=0)
    output = jiwer.process_words(gold, said) if words else jiwer.process_characters(gold, said)
    edits = output.substitutions + output.deletions + output.insertions
    why = f"{edits} edits of {units} {'words' if words else 'characters'}"
    return Score(1 - edits / units, said, why, edits=edits, ref_units=units)


SCORERS: dict[str, Scorer] = {
    "math": score_math,
    "exact": score_exact,
    "json": score_json,
    "fields": score_fields,
    "choice": score_choice,
    "relaxed": score_relaxed,
    "anls": score_anls,
    "vqa": score_vqa,
    "wer": score_wer,
    "cer": score_cer,
}
METRICS = {
    "math": "accuracy",
    "exact": "accuracy",
    "json": "accuracy",
    "choice": "accuracy",
    "fields": "f1",
    "relaxed": "relaxed accuracy",
}
"""What the mean of a scorer's values is called; the scorer's own name where none is given."""


def metric_name(scorers: set[str]) -> str:
    """Name of the metric over rows that these scorers scored."""
    names = {METRICS.get(scorer, scorer) for scorer in scorers}
    return names.pop() if len(names) == 1 else "mean score"


def known_scorer(name: str) -> Scorer:
    """The scorer of that name. Raises DataError, with the nearest name, when there is none."""
    if name not in SCORERS:
        hint = did_you_mean(name, list(SCORERS))
        raise DataError(f"There is no scorer '{name}'{hint}.", f"Known: {', '.join(SCORERS)}.", "scorer.unknown")
    return SCORERS[name]


def score_reply(reply: str, example: Example, scorer: str = "auto") -> Score:
    """Score one reply with the row's own scorer or the named one. Raises DataError for an unknown scorer."""
    chosen = known_scorer(example.scorer if scorer == "auto" else scorer)
    return chosen(reply, example) if golds(example) else Score(None, "", "the row has no gold answer")
