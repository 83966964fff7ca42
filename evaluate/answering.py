"""The answers of a comparison: which rows, how each system is asked, what it said, how right that was.

    job = prepare(plan, workspace, folder, on_progress, stop)
    result = of_system(job, system_plan, made_of)

Answers are journaled and shared between comparisons (`predict.journal`). Compares nothing (`report`), chooses no
prompt (`choosing`).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import NamedTuple

from evaluate import folds, lineage
from evaluate.cost import formulas, prices
from evaluate.plan import LONGEST_REPLY, Plan, SystemPlan
from evaluate.predict import ranged
from evaluate.predict.journal import Answers, Predictor, Session, every_prediction
from evaluate.predict.prediction import Facts, Prediction, no_predictions
from evaluate.predict.prompts import Prompter, Question, Questions
from evaluate.predict.systems import Context, open_system
from evaluate.report.results import Row, Speed, SystemResult
from evaluate.report.rows import Rows, numbers
from synth.dataset import DatasetDir, open_dataset
from synth.endpoint import Ask
from synth.endpoint.wire import worst_case
from synth.errors import DataError
from synth.example import Example, media_parts, text_of
from synth.progress import ProgressFn
from synth.ranges import RangeEngine
from synth.scoring.rule import Score, golds
from synth.scoring.scorers import known_scorer, metric_name, normaliser_name, score_reply
from synth.shelf import Shelf
from synth.usage import Usage
from synth.workspace import Workspace

SHORTEST_LIMIT = 64  # tokens
ROOM_UNTUNED = 256  # for a local model that nobody taught the form of the answer
LETTERS_PER_TOKEN = 2  # of a small vocabulary; large ones have about four


class Job(NamedTuple):
    """What every step of one comparison needs. Systems of `plan` are as they were asked: see `as_asked`.

    `parts` are the rows by fold, one part where there are no folds; `examples` are all of them, `train` the rows that
    may be shown with those of the first part. `counts`: rows by split. `longest`: of both, the row with the longest
    target. `read`: files of predictions that were read already, by their paths. `engine`: who asks the local models, on
    other machines for example.
    """

    plan: Plan
    workspace: Workspace
    folder: Path
    dataset: DatasetDir
    examples: Sequence[Example]
    train: Sequence[Example]
    parts: tuple[folds.Part, ...]
    counts: Mapping[str, int]
    longest: Example
    sheet: prices.PriceSheet
    on_progress: ProgressFn
    stop: Callable[[], bool]
    read: Mapping[str, Shelf[Prediction]] = {}
    engine: RangeEngine | None = None


def prepare(plan: Plan, workspace: Workspace, folder: Path, on_progress: ProgressFn, stop: Callable[[], bool]) -> Job:
    """Draw the rows, read the prices. Raises DataError where rows or a scorer are missing, before anything is paid."""
    dataset = open_dataset(plan.dataset, workspace.datasets)
    needs_train = any(system.prompting != "zero_shot" for system in plan.systems)
    parts = folds.compared(plan, dataset, needs_train or plan.baselines)
    examples = parts[0].rows if len(parts) == 1 else [example for part in parts for example in part.rows]
    scorers, counts, longest = set(), Counter[str](), examples[0]
    for example in examples:
        scorers.add(example.scorer if plan.metric == "auto" else plan.metric)
        counts[example.split] += 1
        longest = max(longest, example, key=_target_length)
    longest = max((longest, *parts[0].train), key=_target_length)
    for scorer in scorers:
        known_scorer(scorer)  # refused now rather than when every answer has been paid
    if needs_train and not parts[0].train:
        raise DataError(f"The dataset {dataset.name} has no train rows to take examples from.", "Use zero_shot.")
    if plan.folds:
        plan = plan.model_copy(update={"splits": ("test",)})  # where out-of-fold rows are tested
    sheet = prices.load(Path(plan.prices) if plan.prices else None, workspace.path)
    train = parts[0].train
    return Job(plan, workspace, folder, dataset, examples, train, parts, counts, longest, sheet, on_progress, stop)


def _target_length(example: Example) -> int:
    return len(example.target)


def as_asked(plan: SystemPlan, dataset: DatasetDir, examples: Iterable[Example], made_of: lineage.Origin) -> SystemPlan:
    """A system with its instruction and its answer limit filled in: a tuned model is told what it was tuned with."""
    learned = bool(made_of.recipe.get("data", {}).get("task"))
    by_itself = learned if plan.tuned else made_of.model_kind != "starter"
    wanted = by_itself if plan.task is None else plan.task
    task = dataset.task.in_words() if wanted and not plan.instruction and plan.kind != "predictions" else ""
    filled = {
        "instruction": plan.instruction or task,
        "max_new_tokens": plan.max_new_tokens or answer_limit(plan, examples),
    }
    return plan.model_copy(update=filled)


def answer_limit(plan: SystemPlan, examples: Iterable[Example]) -> int:
    """Tokens that the longest right answer may take, with a half more; models that are not tuned may talk before it."""
    longest = max((len(example.target) for example in examples), default=0)
    needed = max(SHORTEST_LIMIT, math.ceil(1.5 * longest / LETTERS_PER_TOKEN))
    talk = LONGEST_REPLY if plan.kind != "local" else 0 if plan.tuned else ROOM_UNTUNED
    return min(32_768, needed + talk)


def answers_of(
    job: Job,
    plan: SystemPlan,
    made_of: lineage.Origin,
    examples: Sequence[Example],
    media: Path,
    journal: str,
) -> tuple[Answers, Prompter]:
    """Predictions of one system, from its journal or made now."""
    prompter = Prompter(plan, job.train, job.plan.seed, media)
    mark = lineage.fingerprint(plan, made_of, [shot.id for shot in prompter.shots], prompter.obeyed)
    path = job.folder / "predictions" / f"{journal}.jsonl"
    predictor = Predictor(path, mark, plan.name, job.workspace, retry_errors=plan.kind == "endpoint")
    questions = Questions(examples, prompter.question)
    spent = paid(job, plan, [path], questions) + spent_on_search(job, plan, path, questions)
    context = Context(job.workspace, lambda usage, name: priced(job, usage, name), job.read)
    if job.engine is not None and plan.kind == "local":  # what is paid is asked from here, where its cap is kept
        place = (plan, job.workspace)
        return ranged.run(predictor, questions, place, job.engine, job.on_progress, job.stop), prompter
    answers = predictor.run(questions, lambda: open_system(plan, context, spent), job.on_progress, job.stop)
    return answers, prompter


def paid(job: Job, plan: SystemPlan, journals: Sequence[Path], questions: Sequence[Question]) -> float:
    """USD that these journals' answers cost, of whatever part and as often as they were paid, for an endpoint's cap.

    What was billed and reports no usage costs as the dearest that did, or else the worst case of these questions.
    """
    model = plan.price_model or plan.model
    known, unknown = [0.0], 0
    for one in (one for journal in journals for one in every_prediction(journal)):
        usd = priced(job, one.usage, model)
        if usd is None:
            unknown += one.usage.billed_retries + (not one.error)
        else:
            known.append(usd)
    if not unknown or plan.kind != "endpoint":
        return sum(known)
    asks = (Ask(one.messages, plan.token_limit, response_format=one.response_format) for one in questions)
    worst = max(known) or max((priced(job, worst_case(ask), model) or 0.0 for ask in asks), default=0.0)
    return sum(known) + unknown * worst


class Given(NamedTuple):
    """What one system answered to all rows of a comparison, scored, in their order; `shots` it was shown.

    `billed`: the models that imported batch results name. `batch`: whether any answer is one.
    """

    answers: Answers
    rows: Rows
    shots: int
    billed: Set[str]
    batch: bool


def given(job: Job, plan: SystemPlan, made_of: lineage.Origin) -> Given:
    """One system's answers to all rows, each part by who did not learn it, after examples from outside it."""
    predictions: Shelf[Prediction] = no_predictions()
    sessions: dict[str, Session] = {}
    rows, shots, billed, batch = Rows(), 0, set(), False
    for part in job.parts:
        asked = folds.of_part(plan, part, made_of)
        origin = made_of if asked is plan else lineage.origin(asked, job.workspace)
        here = job._replace(train=part.train)
        answers, prompter = answers_of(here, asked, origin, part.rows, job.dataset.path, plan.id)
        for example, known in answered(answers, part.rows):
            rows.append(row_of(example, known, prompter.reply, job.plan.metric))
            batch = batch or known.batch
            if known.model:
                billed.add(known.model)
        predictions = answers.predictions if len(job.parts) == 1 else predictions.with_all(answers.predictions)
        sessions |= {session.id: session for session in answers.sessions}
        shots = len(prompter.shots)
    return Given(Answers(predictions, list(sessions.values())), rows, shots, billed, batch)


def search_root(system_id: str) -> str:
    """What the names of all journals of a prompt search begin with: the searching system's id, cut to leave room."""
    return re.sub(r"-own\d+$", "", system_id)[:50]


def spent_on_search(job: Job, plan: SystemPlan, own: Path, questions: Sequence[Question]) -> float:
    """USD that the prompt search of this system has paid so far outside the journal `own`: one cap holds for it all."""
    root, folder = search_root(plan.id), job.folder / "predictions"
    parts = re.compile(rf"{re.escape(root)}(?:-instructions|-own\d+)?")
    files = [file for file in sorted(folder.glob("*.jsonl")) if parts.fullmatch(file.stem) and file != own]
    return paid(job, plan, files, questions)


def priced(job: Job, usage: Usage, model: str) -> float | None:
    """USD of a usage, None = unpriced."""
    return formulas.bill(usage, model, job.sheet).usd


def of_system(job: Job, plan: SystemPlan, made_of: lineage.Origin, large: str | None) -> SystemResult:
    """One system's answers to all rows, scored. `large`: id of the system to replace."""
    answers, rows, shots, billed, batch = given(job, plan, made_of)
    metric = metric_name({row.scorer for row in rows})
    return SystemResult(
        id=plan.id,
        label=plan.name,
        kind=plan.kind,
        base_model=made_of.base_model or plan.model,
        revision=made_of.revision,
        adapter=made_of.adapter_name,
        artefact=plan.artefact,
        stored_bytes=answers.facts.stored_bytes,
        memory_bytes=answers.facts.memory_bytes,
        method=made_of.recipe.get("method"),
        prompting=plan.prompting,
        shots=shots,
        max_new_tokens=None if plan.kind == "predictions" else plan.token_limit,
        params=answers.facts.params,
        stand_in=made_of.model_kind == "starter" and plan.id == large,
        train_seed=plan.train_seed,
        seed_group=plan.seed_group,
        hardware=answers.facts.hardware,
        price_model=plan.price_model or (next(iter(billed)) if len(billed) == 1 else None),
        batch=batch,
        metric=metric,
        normaliser=normaliser_name(metric),
        rows=rows,
        speed=_speed(answers, answers.facts, rows, plan.kind),
    )


def answered(answers: Answers, examples: Sequence[Example]) -> Iterator[tuple[Example, Prediction]]:
    """These examples with what the system said, in order, as far as it was asked."""
    for one in examples:
        if (known := answers.predictions.get(one.id)) is not None:
            yield one, known


def scored(job: Job, answers: Answers, prompter: Prompter, examples: Sequence[Example]) -> Iterator[Row]:
    """The rows of these examples that the system was asked, in order."""
    for one, known in answered(answers, examples):
        yield row_of(one, known, prompter.reply, job.plan.metric)


def row_of(example: Example, prediction: Prediction, read: Callable[[str, str], str], metric: str) -> Row:
    """One scored answer. read: what the scorer sees of a reply."""
    scorer = example.scorer if metric == "auto" else metric
    if prediction.error:
        score = Score(None, why=prediction.error)
    else:
        score = score_reply(read(prediction.text, scorer), example, scorer)
    cut = " (cut at max_new_tokens)" if prediction.truncated else ""
    return Row(
        example_id=example.id,
        split=example.split,
        origin=example.origin.kind,
        family=example.family,
        template=example.template,
        scorer=scorer,
        score=score.value,
        why=score.why + cut,
        answer=score.answer,
        answer_text=prediction.text,
        gold=" | ".join(dict.fromkeys(golds(example))),
        prompt_text=text_of(example),
        media=tuple(part.path for part in media_parts(example)),
        format_fault=score.format_fault,
        value_if_format_forgiven=score.value_if_format_forgiven,
        readable=score.readable,
        truncated=prediction.truncated,
        refused=prediction.refused,
        edits=score.edits,
        ref_units=score.ref_units,
        confidence=prediction.confidence,
        seconds=prediction.seconds,
        usage=prediction.usage,
        error=prediction.error,
    )


def _speed(answers: Answers, facts: Facts, rows: Sequence[Row], kind: str) -> Speed:
    """How fast it answered; answers from a file were read, not given, so that they have latencies at most."""
    import numpy as np

    latencies = numbers(rows, "seconds")
    latencies = latencies[~np.isnan(latencies)]
    middle, slow = np.percentile(latencies, [50, 95]).tolist() if len(latencies) else (None, None)
    rate = None if kind == "predictions" else answers.rows_per_second
    sound = sum(row.usage.audio_sec for row in rows)
    return Speed(
        requests_per_s=rate,
        wall_seconds=None if kind == "predictions" else answers.wall_seconds,
        load_seconds=facts.load_seconds,
        load=answers.load,
        batch_size=facts.batch_size,
        latency_p50=middle,
        latency_p95=slow,
        latency_basis=facts.latency_basis,
        audio_sec_per_s=sound / len(rows) * rate if rate and sound else None,
    )
