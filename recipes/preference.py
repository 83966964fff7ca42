"""Preference pairs from a verifier: a model's own wrong answers against right ones.

The tuned model answers training prompts, greedily and sampled; `synth.verify` says which answers are right. A wrong
answer that can still be parsed becomes `rejected`, the model's own right answer (or the row's target) `chosen`.
Pairs are ordinary dataset rows with a `rejected` field. Works for every modality through a `Generate` callable; it
does not load models and does not train.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from recipes.recipe import Recipe
from recipes.rows import target_text
from recipes.run import Run
from recipes.sampling import Answer, Generate
from synth import verify
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.errors import DataError, RunError
from synth.example import Example, Message, Part, TextPart, media_parts
from synth.progress import Meter, ProgressFn, silent
from synth.storage import atomic_dir
from synth.verify import Verdict

PAIRS = "pairs"
LOOKED_AT = 100  # rows, to see whether a dataset has rejected answers
PROMPTS_TRIED = 500  # at most: a strong model errs on every eighth or so, sampled three times
WAVE = 128  # prompts answered before looking whether there are pairs enough


class Pairs(NamedTuple):
    """Rows with a pair, rows that gave none with the reason, and how many single answers were right, wrong …"""

    rows: list[Example]
    unusable: list[tuple[Example, str]]
    answers: dict[str, int]

    @property
    def reasons(self) -> dict[str, int]:
        """How many prompts gave no pair, by reason."""
        return dict(Counter(reason for _, reason in self.unusable))


Judge = Callable[[Example, str], Verdict | None]


def judge(example: Example, text: str) -> Verdict | None:
    """Is `text` right for the row? None when it cannot be parsed as an answer at all.

    Raises DataError for a row whose scorer or gold answer allows no check by rule.
    """
    gold = example.answer if example.answer is not None else example.target
    try:
        rule = _RULES[example.scorer]
    except KeyError:
        message = f"Rows with the scorer '{example.scorer}' cannot be checked by rule."
        raise DataError(message, f"Pairs can be mined for: {', '.join(_RULES)}.", "data.unverifiable") from None
    return rule(text, gold)


def _number(text: str, gold: str) -> Verdict | None:
    answer = verify.final_answer(text)
    if verify.number(gold) is None and verify.clock(gold) is None:
        return _text(answer, gold)
    parsed = verify.clock(answer) if ":" in gold else verify.number(answer)
    return None if parsed is None else verify.same_number(answer, gold)


def _close_number(text: str, gold: str) -> Verdict | None:
    answer = verify.final_answer(text)
    if verify.number(gold) is None:
        return _text(answer, gold)
    return None if verify.number(answer) is None else verify.same_number(answer, gold, tolerance=0.05)


def _fields(text: str, gold: str) -> Verdict | None:
    return None if verify.parse_fields(text) is None else verify.same_fields(text, gold)


def _choice(text: str, gold: str) -> Verdict | None:
    verdict = verify.same_choice(text, gold)
    return None if verdict.reason.startswith("no choice") else verdict


def _final_text(text: str, gold: str) -> Verdict | None:
    return _text(verify.final_answer(text) if "answer" in text.lower() else text, gold)


def _text(text: str, gold: str) -> Verdict | None:
    return verify.same_text(text, gold) if text.strip() else None


# Keys of the evaluation's scorers; a preference needs right or wrong, so graded scorers are read strictly here.
_RULES: dict[str, Callable[[str, str], Verdict | None]] = {
    "math": _number,
    "exact": _final_text,
    "json": _fields,
    "fields": _fields,
    "relaxed": _close_number,
    "anls": _final_text,
    "vqa": _final_text,
    "wer": _text,
    "choice": _choice,
}


def pair_dataset(run: Run, recipe: Recipe, generator: Callable[[Sequence[Example]], Generate]) -> DatasetDir:
    """The run's dataset itself when it has rejected answers, else pairs mined once for this run, in its `pairs/`.

    `generator(prompts)` loads the model that answers. Prompts of `val`, which it has not learned, are tried first.
    Raises DataError without a usable pair, RunError when the pairs of an earlier sitting were changed.
    """
    dataset, split = run.dataset(), recipe.data.train_split
    if any(example.rejected is not None for example in islice(dataset.examples(split), LOOKED_AT)):
        return dataset
    folder = run.path / PAIRS
    if folder.is_dir():
        mined = DatasetDir(folder)
        if faults := mined.verify():
            raise RunError(f"The pairs of {run.id} changed: {'; '.join(faults)}.", "Start a new run.", "run.changed")
        return mined
    run.emit("phase", name="mining")
    prompts = list(islice((e for s in dict.fromkeys(("val", split)) for e in dataset.examples(s)), PROMPTS_TRIED))
    pairs = mine_pairs(
        prompts,
        generator(prompts),
        samples=recipe.dpo.num_generations,
        max_pairs=recipe.dpo.max_pairs,
        target_of=lambda example: target_text(example, recipe.data.target),
        on_progress=lambda progress: run.emit("progress", **progress._asdict()),
    )
    run.emit("pairs", pairs=len(pairs.rows), without=pairs.reasons, answers=pairs.answers)
    return write_pairs(folder, pairs, dataset)


def mine_pairs(
    examples: Sequence[Example],
    generate: Generate,
    *,
    samples: int = 4,
    max_pairs: int | None = None,
    judge: Judge = judge,
    target_of: Callable[[Example], str] = lambda example: example.target,
    on_progress: ProgressFn = silent,
) -> Pairs:
    """Answer prompts in order, `samples` times each (the first greedily), until there are `max_pairs` pairs.

    Without a right answer of its own, the model is given `target_of(row)`. A prompt gives at most one pair.
    Reasons for none: every answer right; no wrong answer could be parsed.
    """
    rows: list[Example] = []
    unusable: list[tuple[Example, str]] = []
    answers: Counter[str] = Counter()
    meter = Meter("mining pairs", len(examples), "prompts", on_progress)
    for start in range(0, len(examples), WAVE):
        wave = examples[start : start + WAVE]
        for example, given in zip(wave, generate(wave, samples), strict=True):
            row, reason = _pair(example, target_of(example), given, judge, answers)
            if row is not None and max_pairs is not None and len(rows) >= max_pairs:
                row, reason = None, "enough pairs already"
            if row is None:
                unusable.append((example, reason))
            else:
                rows.append(row)
        meter.update(start + len(wave), note=f"{len(rows)} pairs")
        if max_pairs is not None and len(rows) >= max_pairs:
            break
    return Pairs(rows, unusable, dict(answers))


def _pair(
    example: Example, target: str, given: Sequence[Answer], judge: Judge, answers: Counter[str]
) -> tuple[Example | None, str]:
    right: list[str] = []
    wrong: list[str] = []
    for answer in given:
        verdict = judge(example, answer.text) if answer.finished else None
        kind = "right" if verdict else "wrong" if verdict is not None else "unparseable" if answer.finished else "cut"
        answers[kind] += 1
        if verdict is not None:
            (right if verdict else wrong).append(answer.text)
    if not wrong:
        return None, "no wrong answer could be parsed" if len(right) < len(given) else "every answer right"
    # The mistake made most often; ties go to the earliest, so that the greedy answer comes first.
    rejected = Counter(wrong).most_common(1)[0][0]
    chosen = right[0] if right else target
    mined = {"chosen": "own answer" if right else "target", "right": len(right), "wrong": len(wrong), "of": len(given)}
    changes = {"target": chosen, "rejected": rejected, "source": {**example.source, "pair": mined}}
    return example.model_copy(update=changes), ""


def write_pairs(target: Path, pairs: Pairs, origin: DatasetDir, val_fraction: float = 0.1) -> DatasetDir:
    """Save pairs as a dataset folder with its media; every tenth pair or so becomes `val`, `val_fraction` of them.

    Prompts that gave no pair are its rejected rows. Raises DataError when there is no pair at all.
    """
    if not pairs.rows:
        reasons = ", ".join(f"{count} × {reason}" for reason, count in pairs.reasons.items()) or "no prompts"
        remedy = "Raise dpo.temperature or dpo.num_generations, or give harder rows."
        message = f"No preference pairs came out of {len(pairs.unusable)} prompts ({reasons})."
        raise DataError(message, remedy, "data.no_pairs")
    every = round(1 / val_fraction) if val_fraction else 0
    with atomic_dir(target) as folder:
        writer = DatasetWriter(folder)
        for number, row in enumerate(pairs.rows, start=1):
            split = "val" if every and number % every == 0 else "train"
            writer.keep(_with_media(row, origin, writer).model_copy(update={"split": split}))
        for example, reason in pairs.unusable:
            writer.reject(example, reason)
        notes = {"from_dataset": origin.name, "answers": pairs.answers}
        card = Card(name=target.name, modality=origin.card.modality, generator="preference", notes=notes)
        writer.finish(card.model_copy(update={"created": datetime.now(UTC).isoformat(timespec="seconds")}))
    return DatasetDir(target)


def _with_media(row: Example, origin: DatasetDir, writer: DatasetWriter) -> Example:
    if not media_parts(row):
        return row
    prompt = tuple(Message(role=m.role, content=tuple(_copied(m, origin, writer))) for m in row.prompt)
    return row.model_copy(update={"prompt": prompt})


def _copied(message: Message, origin: DatasetDir, writer: DatasetWriter) -> Iterator[Part]:
    for part in message.content:
        if isinstance(part, TextPart):
            yield part
            continue
        source = origin.media_path(part.path)
        yield part.model_copy(update={"path": writer.add_media(source.read_bytes(), source.suffix)})
