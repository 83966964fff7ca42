"""A comparison: every system of a plan answers the same rows, is scored, and becomes a report.

    comparisons/<id>/ plan.yaml predictions/<system>.jsonl scores.jsonl report.json report.md report.html

    run_comparison(plan, workspace)      run, or go on where a killed run stopped
    render_again(report.json, workspace) write the views anew, at today's prices if asked

Statistics and wording are `report`'s; this module only brings rows together and writes files.
"""

from __future__ import annotations

import json
import random
import re
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from evaluate import forgetting, lineage
from evaluate.cost import formulas, prices, throughput
from evaluate.plan import Plan, SystemPlan, dump_plan
from evaluate.predict import probe
from evaluate.predict.imported import read_predictions
from evaluate.predict.journal import Answers, Predictor
from evaluate.predict.prediction import Facts, Prediction
from evaluate.predict.prompts import Prompter
from evaluate.predict.systems import Context, open_system
from evaluate.report import report_json
from evaluate.report.reading import read_report
from evaluate.report.results import Forgetting, LedgerItem, Results, Row, Speed, SystemResult
from evaluate.report.schema import Report
from evaluate.stats import audio_metrics
from synth.dataset import DatasetDir, open_dataset
from synth.errors import DataError, UserError
from synth.example import Example, media_parts, text_of
from synth.jobdir import JobDir
from synth.progress import ProgressFn, silent
from synth.scoring.rule import Score, golds
from synth.scoring.scorers import known_scorer, metric_name, normaliser_name, score_reply
from synth.storage import atomic_write_text
from synth.usage import Usage
from synth.workspace import Workspace

SHOT_POOL = 5000  # train rows from which few-shot examples and the answer schema are drawn


class _Job(NamedTuple):
    """What every step of one comparison needs."""

    plan: Plan
    workspace: Workspace
    folder: Path
    dataset: DatasetDir
    examples: list[Example]
    train: list[Example]
    sheet: prices.PriceSheet
    on_progress: ProgressFn
    stop: Callable[[], bool]


def run_comparison(
    plan: Plan,
    workspace: Workspace,
    on_progress: ProgressFn = silent,
    *,
    stop: Callable[[], bool] = lambda: False,
    comparison_id: str | None = None,
) -> Path:
    """Run a plan to its report.json; an id that exists already is taken up again.

    Raises UserError; RunError with code run.stopped when `stop` says so. Answers given by then are kept.
    """
    name = comparison_id or f"{_slug(plan.name)}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    job = JobDir(workspace.comparisons / name)
    with job.hold():
        atomic_write_text(job.path / "plan.yaml", dump_plan(plan))
        try:
            path = _run(_prepare(plan, workspace, job.path, on_progress, lambda: stop() or job.stop_requested()))
        except UserError as error:
            job.finish("stopped" if error.code == "run.stopped" else "failed", str(error), error.code)
            raise
        job.finish("done")
    return path


def render_again(path: Path, workspace: Workspace, *, reprice: bool = False) -> Path:
    """Write report.md and report.html of a report.json again; with `reprice` at the workspace's present prices."""
    found = read_report(path)
    if reprice:
        found = report_json.reprice(found, prices.load(workspace=workspace.path))
    media = workspace.path / found.dataset.path
    return _write_report(found, path.parent, media if media.is_dir() else None)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "comparison"


def _prepare(plan: Plan, workspace: Workspace, folder: Path, on_progress: ProgressFn, stop: Callable[[], bool]) -> _Job:
    dataset = open_dataset(plan.dataset, workspace.datasets)
    examples = dataset.draw_all(plan.splits, plan.max_rows, plan.seed)
    for scorer in {example.scorer for example in examples} if plan.metric == "auto" else {plan.metric}:
        known_scorer(scorer)  # refused now rather than when every answer has been paid
    if not examples:
        splits = ", ".join(plan.splits)
        raise DataError(f"The dataset {dataset.name} has no rows in {splits}.", "Choose other splits in the plan.")
    needs_train = any(system.prompting != "zero_shot" for system in plan.systems)
    train = dataset.draw("train", SHOT_POOL, plan.seed) if needs_train else []
    if needs_train and not train:
        raise DataError(f"The dataset {dataset.name} has no train rows to take examples from.", "Use zero_shot.")
    sheet = prices.load(Path(plan.prices) if plan.prices else None, workspace.path)
    return _Job(plan, workspace, folder, dataset, examples, train, sheet, on_progress, stop)


def _run(job: _Job) -> Path:
    # All names are resolved and files read before anything is run, so that a misspelt last system costs nothing.
    _check_imported(job)
    origins = {plan.id: lineage.origin(plan, job.workspace) for plan in job.plan.systems}
    systems = [_system(job, plan, origins[plan.id]) for plan in job.plan.systems]
    systems, measuring = _with_speeds(job, systems, origins)
    forgot, spent_on_it = _forgetting(job)
    results = Results(
        plan=job.plan,
        dataset=lineage.dataset_facts(job.dataset, _counts(job.examples), job.workspace),
        systems=tuple(systems),
        forgetting=forgot,
        speech=audio_metrics.speech_section(systems, job.examples, job.plan.splits),
        ledger=(*lineage.ledger(job.plan, job.dataset, systems, origins, job.workspace), *spent_on_it, *measuring),
        provenance=lineage.provenance(job.folder.name, job.plan, job.dataset, origins),
    )
    _write_scores(results, job.folder / "scores.jsonl")
    return _write_report(report_json.build(results, job.sheet), job.folder, job.dataset.path)


def _check_imported(job: _Job) -> None:
    """Raises DataError for a file of predictions that is faulty, or about other rows altogether."""
    for plan in job.plan.systems:
        if plan.kind != "predictions":
            continue
        file = Path(plan.path or "")
        known = read_predictions(file)
        if not any(example.id in known for example in job.examples):
            message = f"{file.name} has no prediction for any row of this comparison."
            raise DataError(message, "Its ids must be the `id`s of the dataset's rows.", "predictions.foreign")


def _counts(examples: Sequence[Example]) -> dict[str, int]:
    splits = [str(example.split) for example in examples]
    return {split: splits.count(split) for split in dict.fromkeys(splits)}


def _answers(
    job: _Job, plan: SystemPlan, made_of: lineage.Origin, examples: Sequence[Example], media: Path, journal: str
) -> tuple[Answers, Prompter]:
    """Predictions of one system, from its journal or made now."""
    prompter = Prompter(plan, job.train, job.plan.seed, media)
    mark = lineage.fingerprint(plan, made_of, [shot.id for shot in prompter.shots], prompter.schema)
    path = job.folder / "predictions" / f"{journal}.jsonl"
    predictor = Predictor(path, mark, plan.name, job.workspace, retry_errors=plan.kind == "endpoint")
    model = plan.price_model or plan.model
    spent = sum(_priced(job, prediction.usage, model) or 0.0 for prediction in predictor.answers.predictions.values())
    context = Context(job.workspace, lambda usage, name: _priced(job, usage, name))
    questions = [prompter.question(example) for example in examples]
    answers = predictor.run(questions, lambda: open_system(plan, context, spent), job.on_progress, job.stop)
    return answers, prompter


def _priced(job: _Job, usage: Usage, model: str) -> float | None:
    return formulas.bill(usage, model, job.sheet).usd


def _system(job: _Job, plan: SystemPlan, made_of: lineage.Origin) -> SystemResult:
    answers, prompter = _answers(job, plan, made_of, job.examples, job.dataset.path, plan.id)
    rows = [
        _row(example, answers.predictions[example.id], prompter, job.plan.metric)
        for example in job.examples
        if example.id in answers.predictions
    ]
    metric = metric_name({row.scorer for row in rows})
    return SystemResult(
        id=plan.id,
        label=plan.name,
        kind=plan.kind,
        base_model=plan.model,
        revision=made_of.revision,
        adapter=made_of.adapter_name,
        method=made_of.recipe.get("method"),
        prompting=plan.prompting,
        shots=len(prompter.shots),
        max_new_tokens=None if plan.kind == "predictions" else plan.max_new_tokens,
        params=answers.facts.params,
        stand_in=made_of.model_kind == "starter" and plan.id == job.plan.roles()[1],
        train_seed=plan.train_seed,
        seed_group=plan.seed_group,
        hardware=answers.facts.hardware,
        price_model=plan.price_model or _billed_model(answers),
        batch=any(prediction.batch for prediction in answers.predictions.values()),
        metric=metric,
        normaliser=normaliser_name(metric),
        rows=tuple(rows),
        speed=_speed(answers, answers.facts, rows),
    )


def _billed_model(answers: Answers) -> str | None:
    """The model that imported batch results name; None where they name none, or several."""
    named = {prediction.model for prediction in answers.predictions.values() if prediction.model}
    return named.pop() if len(named) == 1 else None


def _row(example: Example, prediction: Prediction, prompter: Prompter, metric: str) -> Row:
    scorer = example.scorer if metric == "auto" else metric
    if prediction.error:
        score = Score(None, why=prediction.error)
    else:
        score = score_reply(prompter.reply(prediction.text, scorer), example, scorer)
    cut = " (cut at max_new_tokens)" if prediction.truncated else ""
    return Row(
        example_id=example.id,
        split=example.split,
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
        origin=example.origin.kind,
        truncated=prediction.truncated,
        refused=prediction.refused,
        edits=score.edits,
        ref_units=score.ref_units,
        confidence=prediction.confidence,
        seconds=prediction.seconds,
        usage=prediction.usage,
        error=prediction.error,
    )


def _speed(answers: Answers, facts: Facts, rows: Sequence[Row]) -> Speed:
    import numpy as np

    latencies = [row.seconds for row in rows if row.seconds is not None]
    middle, slow = np.percentile(latencies, [50, 95]).tolist() if latencies else (None, None)
    rate = answers.rows_per_second
    sound = sum(row.usage.audio_sec for row in rows)
    return Speed(
        requests_per_s=rate,
        wall_seconds=answers.wall_seconds,
        load_seconds=facts.load_seconds,
        load=answers.load,
        batch_size=facts.batch_size,
        latency_p50=middle,
        latency_p95=slow,
        latency_basis=facts.latency_basis,
        audio_sec_per_s=sound / len(rows) * rate if rate and sound else None,
    )


def _with_speeds(
    job: _Job, systems: Sequence[SystemResult], origins: dict[str, lineage.Origin]
) -> tuple[list[SystemResult], list[LedgerItem]]:
    """The systems with their speeds measured in turns, and the machine time that this took."""
    split = probe.split_to_measure({str(example.split) for example in job.examples})
    rows = [example for example in job.examples if example.split == split]
    sample = random.Random(f"{job.plan.seed}/speed").sample(rows, min(len(rows), probe.MOST_PROMPTS))
    probed = []
    for plan, system in zip(job.plan.systems, systems, strict=True):
        if plan.kind == "local":
            prompter = Prompter(plan, job.train, job.plan.seed, job.dataset.path)
            shots = [shot.id for shot in prompter.shots]
            mark = lineage.fingerprint(plan, origins[plan.id], shots, prompter.schema)
            questions = [prompter.question(example) for example in sample]
            probed.append(probe.Probed(plan, mark, questions, system.params))
    found = probe.measure(probed, job.plan.speed_rounds, job.workspace.runs, job.folder, job.on_progress, job.stop)
    if not found:
        return list(systems), []
    seconds = sum(one.seconds for one in found.values())
    return [_at_speed(system, found.get(system.id)) for system in systems], [
        LedgerItem(kind="evaluation", label="Measuring the speed of local systems", seconds=seconds)
    ]


def _at_speed(system: SystemResult, found: throughput.Probe | None) -> SystemResult:
    if found is None:
        return system
    rate = throughput.rate(found).requests_per_s
    sound = sum(row.usage.audio_sec for row in system.rows)
    speed = system.speed.model_copy(
        update={
            "requests_per_s": rate,
            "batch_size": found.batch_size,
            "latency_p50": found.latency_p50_sec,
            "latency_p95": found.latency_p95_sec,
            "audio_sec_per_s": sound / len(system.rows) * rate if sound else None,
            "probe": found,
        }
    )
    return system.model_copy(update={"speed": speed})


def _forgetting(job: _Job) -> tuple[tuple[Forgetting, ...], list[LedgerItem]]:
    """What tuning made each system forget, and the machine time that finding out took."""
    if not job.plan.forgetting_rows:
        return (), []
    seconds: dict[str, float] = {}  # of each session: tuned systems share the answers of their base

    def answer(plan: SystemPlan, examples: Sequence[Example]) -> dict[str, Prediction]:
        made_of = lineage.origin(plan, job.workspace)
        answers, _ = _answers(job, plan, made_of, examples, job.dataset.path, f"forgetting-{plan.id}")
        seconds.update({one.id: one.wall_seconds + (one.facts.load_seconds or 0.0) for one in answers.sessions})
        return answers.predictions

    found = forgetting.measure(job.plan.systems, job.plan.forgetting_rows, answer)
    label = "Answering rows of the base's own families"
    return found, [LedgerItem(kind="evaluation", label=label, seconds=sum(seconds.values()))] if found else []


def _write_scores(results: Results, path: Path) -> None:
    lines = [
        json.dumps({"system": system.id, **row.model_dump(mode="json")}, ensure_ascii=False)
        for system in results.systems
        for row in system.rows
    ]
    atomic_write_text(path, "\n".join(lines) + "\n")


def _write_report(found: Report, folder: Path, media: Path | None) -> Path:
    """report.json and its views; the JSON last, because whoever finds it expects the others."""
    from evaluate.report import render_html, render_md

    atomic_write_text(folder / "report.md", render_md.render(found))
    atomic_write_text(folder / "report.html", render_html.render(found, media))
    atomic_write_text(folder / "report.json", report_json.dumps(found))
    return folder / "report.json"
