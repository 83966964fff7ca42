"""Preference pairs from a verifier: a model's own wrong answers against right ones.

The tuned model answers training prompts, greedily and sampled; the scorer of each row says which answers are right.
A wrong answer that can still be parsed becomes `rejected`; `chosen` is the right answer nearest to it, the model's
own or the row's target. Pairs are ordinary dataset rows with a `rejected` field. Works for every modality through a
`Generate` callable; it does not load models and does not train.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice, takewhile, zip_longest
from pathlib import Path
from typing import NamedTuple

from recipes.decode.sampling import Answer, Generate
from recipes.recipe.schema import Recipe
from recipes.run.directory import Run
from recipes.train.ranks import ranks
from recipes.train.rows import with_training_target
from recipes.train.work import drawn
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.errors import DataError, RunError
from synth.example import Example, Message, Part, TextPart, media_parts
from synth.math.working import false_lines
from synth.progress import Meter, ProgressFn, silent
from synth.scoring.scorers import SCORERS
from synth.scoring.verify import Verdict
from synth.storage import atomic_dir

PAIRS = "pairs"
LOOKED_AT = 100  # rows, to see whether a dataset has rejected answers
PROMPTS_TRIED = 500  # at most: a tuned starter errs on every eighth or so
LEAST_WAVE, WAVE = 32, 128  # prompts answered before looking whether there are pairs enough
VAL_SHARE = 0.1  # of mined pairs, for the validation loss


class Pairs(NamedTuple):
    """Rows with a pair, rows that gave none with the reason, and how many single answers were right, wrong …"""

    rows: list[Example]
    unusable: list[tuple[Example, str]]
    answers: dict[str, int]

    @property
    def reasons(self) -> dict[str, int]:
        """How many prompts gave no pair, by reason."""
        return dict(Counter(reason for _, reason in self.unusable))


class Selected(NamedTuple):
    """Rows with a rejected answer: those to learn from, and those of the validation loss."""

    train_rows: list[Example]
    eval_rows: list[Example]


Judge = Callable[[Example, str], Verdict | None]


def judge(example: Example, text: str) -> Verdict | None:
    """Is `text` right for the row? None when it cannot be parsed as an answer at all.

    Raises DataError for a row whose scorer allows no check by rule.
    """
    if not checkable(example):
        message = f"Rows with the scorer '{example.scorer}' cannot be checked by rule."
        known = ", ".join(key for key, rule in SCORERS.items() if rule.checkable)
        raise DataError(message, f"Choose rows with one of these scorers: {known}.", "data.unverifiable")
    return SCORERS[example.scorer].verdict(text, example)


def checkable(example: Example) -> bool:
    """Whether a rule can tell right from wrong for the row."""
    return example.scorer in SCORERS and SCORERS[example.scorer].checkable


def is_right(example: Example, answer: Answer) -> bool:
    """Whether an answer ended by itself and is right."""
    return answer.finished and bool(judge(example, answer.text))


def pair_dataset(run: Run, recipe: Recipe, generator: Callable[[Sequence[Example]], Generate]) -> DatasetDir:
    """The run's dataset itself when it has rejected answers, else pairs mined once for this run, in its `pairs/`.

    `generator(prompts)` loads the model that answers. Raises DataError without a usable pair, RunError when the pairs
    of an earlier session were changed.
    """
    dataset, split = run.dataset(), recipe.data.train_split
    if any(example.rejected is not None for example in islice(dataset.examples(split), LOOKED_AT)):
        return dataset
    with ranks().first():
        return _mined_once(run, recipe, dataset, generator)


def _mined_once(
    run: Run, recipe: Recipe, dataset: DatasetDir, generator: Callable[[Sequence[Example]], Generate]
) -> DatasetDir:
    folder = run.path / PAIRS
    if folder.is_dir():
        mined = DatasetDir(folder)
        if faults := mined.verify():
            raise RunError(f"The pairs of {run.id} changed: {'; '.join(faults)}.", "Start a new run.", "run.changed")
        return mined
    run.emit("phase", name="mining")
    prompts = prompts_to_mine(dataset, recipe)
    pairs = mine_pairs(
        prompts,
        generator(prompts),
        samples=recipe.dpo.num_generations,
        max_pairs=recipe.dpo.max_pairs,
        on_progress=lambda progress: run.emit("progress", **progress._asdict()),
    )
    run.emit("pairs", pairs=len(pairs.rows), without=pairs.reasons, answers=pairs.answers)
    return write_pairs(folder, pairs, dataset, VAL_SHARE if recipe.eval_steps else 0.0)


def mined(pairs: DatasetDir, run: Run) -> bool:
    """Whether pairs were mined for this run, and are not the user's own."""
    return pairs.path == run.path / PAIRS


def select(pairs: DatasetDir, recipe: Recipe) -> Selected:
    """Rows to train on, families in turn, `dpo.max_pairs` at most, and rows to watch if the recipe does.

    Raises DataError when there is nothing to learn.
    """
    data = recipe.data
    train_rows = in_turns(e for e in pairs.examples(data.train_split) if e.rejected is not None)[: recipe.dpo.max_pairs]
    if not train_rows:
        raise DataError(f"No row of {pairs.name} has a rejected answer.", "Check data.train_split.", "data.no_pairs")
    if not (data.val_split and recipe.eval_steps):
        return Selected(train_rows, [])
    eval_rows = drawn(pairs, data.val_split, data.max_val_examples, recipe.seed)
    return Selected(train_rows, [e for e in eval_rows if e.rejected is not None])


def prompts_to_mine(dataset: DatasetDir, recipe: Recipe) -> list[Example]:
    """Rows whose prompts are tried, families in turn, with what the recipe teaches as their target.

    First rows of `val` that nothing else looks at, because the model has not learned them; then rows to learn from. The
    rows that validation watches stay out, or it could not tell what the tuning does.
    """
    data = recipe.data
    watched = drawn(dataset, "val", data.max_val_examples, recipe.seed) if data.val_split == "val" else []
    taken = {example.id for example in watched}
    spare = [] if data.train_split == "val" else (e for e in dataset.examples("val") if e.id not in taken)
    found = [*in_turns(spare), *in_turns(dataset.examples(data.train_split))]
    return [with_training_target(example, data.target) for example in dataset.to_measure(found[:PROMPTS_TRIED])]


def in_turns(examples: Iterable[Example]) -> list[Example]:
    """Rows with the families taking turns, each in its own order, so that any beginning holds something of each."""
    families: defaultdict[str, list[Example]] = defaultdict(list)
    for example in examples:
        families[example.family].append(example)
    return [example for turn in zip_longest(*families.values()) for example in turn if example is not None]


def mine_pairs(
    examples: Sequence[Example],
    generate: Generate,
    *,
    samples: int = 4,
    max_pairs: int | None = None,
    judge: Judge = judge,
    on_progress: ProgressFn = silent,
) -> Pairs:
    """Answer prompts, `samples` times each (the first greedily), until there are `max_pairs` pairs.

    With `max_pairs`, prompts that are answered wrong greedily come first: use is greedy, and a prompt that is answered
    right already has nothing to fix. The row's target is a right answer too. A prompt gives at most one pair.
    Reasons for none: every answer right; no wrong answer could be parsed.
    """
    if max_pairs is not None:
        examples = _wrong_first(examples, generate, judge, max_pairs, on_progress)
    rows: list[Example] = []
    unusable: list[tuple[Example, str]] = []
    answers: Counter[str] = Counter()
    meter = Meter("mining pairs", len(examples), "prompts", on_progress)
    at_once = _at_once(max_pairs)
    for start in range(0, len(examples), at_once):
        wave = examples[start : start + at_once]
        for example, given in zip(wave, generate(wave, samples), strict=True):
            row, reason = _pair(example, given, judge, answers)
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


def _wrong_first(
    examples: Sequence[Example], generate: Generate, judge: Judge, enough: int, on_progress: ProgressFn
) -> list[Example]:
    """Prompts with a wrong greedy answer, then others, each in order; it looks no further than `enough` wrong ones."""
    wrong: list[Example] = []
    others: list[Example] = []
    meter = Meter("looking for mistakes", len(examples), "prompts", on_progress)
    at_once = _at_once(enough)
    for start in range(0, len(examples), at_once):
        wave = examples[start : start + at_once]
        for example, (greedy, *_) in zip(wave, generate(wave, 1), strict=True):
            (wrong if _kind(example, greedy, judge) == "wrong" else others).append(example)
        meter.update(start + len(wave), note=f"{len(wrong)} mistakes")
        if len(wrong) >= enough:
            break
    return wrong + others


def _at_once(enough: int | None) -> int:
    """Prompts of a wave: twice as many as pairs are wanted, so that few pairs do not cost hundreds of answers."""
    return WAVE if enough is None else min(WAVE, max(LEAST_WAVE, 2 * enough))


def _kind(example: Example, answer: Answer, judge: Judge) -> str:
    """right, wrong, unparseable, or cut: not ended at the token limit."""
    if not answer.finished:
        return "cut"
    verdict = judge(example, answer.text)
    return "unparseable" if verdict is None else "right" if verdict else "wrong"


def _pair(example: Example, given: Sequence[Answer], judge: Judge, answers: Counter[str]) -> tuple[Example | None, str]:
    kinds = [_kind(example, answer, judge) for answer in given]
    answers.update(kinds)
    right, wrong = (
        [answer.text for answer, kind in zip(given, kinds, strict=True) if kind == wanted]
        for wanted in ("right", "wrong")
    )
    if not wrong:
        return None, "no wrong answer could be parsed" if len(right) < len(given) else "every answer right"
    # The mistake made most often; ties go to the earliest, so that the greedy answer comes first.
    rejected = Counter(wrong).most_common(1)[0][0]
    # The nearest right answer differs from it in the mistake rather than in wording or order. An answer that is right
    # by luck, with a false line on the way, is not one to learn from.
    own = [text for text in right if not false_lines(text)]
    chosen = max([*own, example.target], key=lambda text: _shared(text, rejected))
    mined = {
        "chosen": "own answer" if chosen in own else "target",
        "greedy": kinds[0],
        "right": len(right),
        "wrong": len(wrong),
        "of": len(given),
    }
    changes = {"target": chosen, "rejected": rejected, "source": {**example.source, "pair": mined}}
    return example.model_copy(update=changes), ""


def _shared(first: str, second: str) -> int:
    """Characters that both texts begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))


def write_pairs(target: Path, pairs: Pairs, origin: DatasetDir, val_fraction: float = VAL_SHARE) -> DatasetDir:
    """Save pairs as a dataset folder with its media; `val_fraction` of them, evenly spread, become `val`.

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
        card = Card(
            name=target.name, modality=origin.card.modality, generator="preference", notes=notes, task=origin.task
        )
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
