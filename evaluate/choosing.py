"""Which way of asking the large model the verdict is about: the strongest on val, of those in the plan and of
instructions that the model writes itself.

    choice, found = strongest(job, large, origins)      # test rows play no part

Every answer is journaled like any other, and what the search cost is in the ledger. Scores come from `answering`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import NamedTuple

from evaluate import lineage
from evaluate.answering import Job, answers_of, given, paid, priced, scored, search_root, spent_on_search
from evaluate.plan import Plan, SystemPlan
from evaluate.predict.journal import Answers, Predictor
from evaluate.predict.prompts import Question
from evaluate.predict.systems import Context, open_system
from evaluate.report.parts import PromptChoice
from evaluate.report.results import LedgerItem, Row
from synth.dataset import DatasetDir, ids_of
from synth.example import Example, text_of, user
from synth.modality import modality

SHOWN = 4  # examples that the model sees when it writes instructions
LONGEST_SHOWN = 800  # characters of one
ROOM_TO_WRITE = 1024  # tokens of an instruction, however short the answers are to be
WRITTEN_TOKENS = 200  # of one, in a forecast: a paragraph or a list of ten steps; never measured on vendors' models
ANGLES = (
    "short and exact",
    "as a numbered list of steps",
    "with the mistakes to avoid",
    "with what to do in doubtful cases",
    "as one would brief a careful colleague",
    "with the form of the answer first",
    "that asks for checking the answer before giving it",
    "that names what in the input decides",
)


class Found(NamedTuple):
    """The large system after the choice, with what the report says of it and what the search cost."""

    large: SystemPlan
    choice: PromptChoice | None
    ledger: tuple[LedgerItem, ...]


class Contest(NamedTuple):
    """Who is tried on val, on which rows, and how many instructions the model writes itself; empty = nobody is."""

    ways: tuple[SystemPlan, ...]
    val: list[Example]
    written: int


def contest(plan: Plan, dataset: DatasetDir, large: SystemPlan) -> Contest:
    """The ways of asking the large model that are tried; none without val rows or a second way."""
    same = tuple(one for one in plan.systems if _model(one) == _model(large))
    val = dataset.draw("val", plan.choose_on_val, plan.seed) if plan.choose_on_val and not plan.folds else []
    searching = plan.prompt_search if _writes(large, dataset) else 0
    if not val or large.kind == "predictions" or (len(same) < 2 and not searching):
        return Contest((), [], 0)
    return Contest(same, val, searching)


def _writes(large: SystemPlan, dataset: DatasetDir) -> bool:
    """Whether it can be asked for an instruction: an endpoint that chats, an untuned model that is asked in words."""
    if large.kind == "local":
        return modality(dataset.card.modality).asks and not large.tuned
    return not large.transcribes


def strongest(job: Job, large: SystemPlan, made_of: lineage.Origin) -> Found:
    """The strongest way of asking the large model on val; `large` itself without val rows or a second way.

    In a cross-validation every row is tested and all ways answer all of them, so the strongest on those is taken.
    """
    if job.plan.folds:
        return _on_tested(job, large, made_of)
    same, val, searching = contest(job.plan, job.dataset, large)
    if not val:
        return Found(large, None, ())
    written, cost = _written(job, large, made_of, searching, val) if searching else ([], ())
    values: dict[str, float] = {}
    for one in (*same, *written):
        answers, prompter = answers_of(job, one, made_of, val, job.dataset.path, one.id)
        values[one.id] = value_of(list(scored(job, answers, prompter, val)))
        # Rows that are tested too are billed there; machine time of the plan's own ways is in their journals.
        tried = {row.id for row in val} - (set(ids_of(job.examples)) if one in same else set())
        if one in written or (one.kind == "endpoint" and tried):
            cost = (*cost, _spent(job, one, answers, f"Trying “{one.name}” on val", tried))
    best = max((*same, *written), key=lambda one: (values[one.id], one.id == large.id))
    choice = PromptChoice(on="val", rows=len(val), given=large.id, chosen=best.id, values=values, searched=len(written))
    return Found(best, choice, cost)


def _on_tested(job: Job, large: SystemPlan, made_of: lineage.Origin) -> Found:
    ways = [one for one in job.plan.systems if _model(one) == _model(large)]
    if len(ways) < 2 or large.kind == "predictions":
        return Found(large, None, ())
    values = {one.id: value_of(given(job, one, made_of).rows) for one in ways}
    best = max(ways, key=lambda one: (values[one.id], one.id == large.id))
    rows = len(job.examples)
    return Found(
        best, PromptChoice(on="test", rows=rows, given=large.id, chosen=best.id, values=values, searched=0), ()
    )


def notices(choice: PromptChoice | None) -> tuple[str, ...]:
    """What a reader must know of a choice that was made on the rows that are tested."""
    if choice is None or choice.on == "val":
        return ()
    return (
        f"No rows are left to choose the large model's prompt on: of {len(choice.values)} ways to ask it, the one that "
        "did best on these very rows is compared, which favours it.",
    )


def _model(plan: SystemPlan) -> tuple[str | None, ...]:
    return plan.kind, plan.model, plan.revision, plan.adapter, plan.artefact, plan.base_url


def value_of(rows: Sequence[Row]) -> float:
    """Mean score, a row without an answer counting as none; for error rates 1 - edits over reference units."""
    if any(row.ref_units is not None for row in rows):
        units = sum(row.ref_units or 0 for row in rows)
        return 1 - sum(row.edits or 0 for row in rows) / units if units else 0.0
    return sum(row.score or 0.0 for row in rows) / len(rows) if rows else 0.0


def writing(
    plan: Plan,
    dataset: DatasetDir,
    large: SystemPlan,
    train: Sequence[Example],
    val: Sequence[Example],
    count: int,
) -> list[Question]:
    """The requests in which the large model writes `count` instructions, shown examples of train, or else of val."""
    shown = "\n\n".join(
        f"Input: {text_of(one)[:LONGEST_SHOWN]}\nRight answer: {one.answer or one.target}"
        for one in (train or dataset.draw("train", SHOWN, plan.seed) or val)[:SHOWN]
    )
    return [
        Question(
            f"instruction-{number}",
            (
                user(
                    f"Write an instruction for a language model, {ANGLES[number % len(ANGLES)]}. It will be put before "
                    f"each input. The task: {large.instruction or 'see the examples'}\n\n{shown}\n\n"
                    "Reply with the instruction alone."
                ),
            ),
            dataset.path,
        )
        for number in range(count)
    ]


def _written(
    job: Job, large: SystemPlan, made_of: lineage.Origin, count: int, val: Sequence[Example]
) -> tuple[list[SystemPlan], tuple[LedgerItem, ...]]:
    """Instructions that the large model wrote, each as a system of its own, and what writing them cost."""
    asks = writing(job.plan, job.dataset, large, job.train, val, count)
    mark = lineage.fingerprint(large, made_of, [ask.messages[0].text for ask in asks], None)
    file = job.folder / "predictions" / f"{search_root(large.id)}-instructions.jsonl"
    predictor = Predictor(file, mark, f"{large.name}: writing instructions", job.workspace, retry_errors=True)
    context = Context(job.workspace, lambda usage, name: priced(job, usage, name))
    spent = paid(job, large, [file], asks) + spent_on_search(job, large, file, asks)
    answers = predictor.run(asks, lambda: open_system(writer(large), context, spent), job.on_progress, job.stop)
    kept: dict[str, int] = {}  # instruction -> the first request that brought it, by which its answers are found again
    for number, ask in enumerate(asks, start=1):
        one = answers.predictions[ask.example_id]
        if text := "" if one.error or one.refused or one.truncated else _clean(one.text):
            kept.setdefault(text, number)
    systems = [
        large.model_copy(
            update={
                "id": f"{search_root(large.id)}-own{number}",
                "label": f"{large.name}, own instruction {number}",
                "instruction": text,
            }
        )
        for text, number in kept.items()
    ]
    return systems, (_spent(job, large, answers, "Writing instructions for the large model"),)


def writer(large: SystemPlan) -> SystemPlan:
    """The model with room for an instruction."""
    return large.model_copy(update={"max_new_tokens": max(large.token_limit, ROOM_TO_WRITE)})


def _clean(text: str) -> str:
    """The instruction without thinking and code fences."""
    said = re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL).strip()
    return re.sub(r"^```\w*\n|\n```$", "", said).strip()


def _spent(job: Job, plan: SystemPlan, answers: Answers, label: str, tried: Set[str] | None = None) -> LedgerItem:
    """What these answers cost. tried: ids of the rows that count, all when None."""
    if plan.kind == "local":
        return LedgerItem(kind="evaluation", label=label, seconds=answers.wall_seconds or 0.0)
    counted = [one for name, one in answers.predictions.items() if tried is None or name in tried]
    bills = [priced(job, one.usage, plan.price_model or plan.model) for one in counted]
    known = [usd for usd in bills if usd is not None]
    return LedgerItem(kind="evaluation", label=label, usd=sum(known) if len(known) == len(bills) else None)
