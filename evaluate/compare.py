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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evaluate import choosing, folds, forgetting, lineage, margin
from evaluate.answering import Job, answers_of, as_asked, of_system, prepare, row_of
from evaluate.cost import prices, throughput
from evaluate.plan import Plan, SystemPlan, dump_plan, with_untuned
from evaluate.predict import classical, probe
from evaluate.predict.imported import read_predictions
from evaluate.predict.prediction import Prediction
from evaluate.predict.prompts import Prompter
from evaluate.report import report_json
from evaluate.report.parts import PromptChoice
from evaluate.report.reading import read_report
from evaluate.report.results import Forgetting, LedgerItem, Results, SystemResult
from evaluate.report.rows import Rows, of_split
from evaluate.report.schema import Report
from evaluate.report.speech_parts import NormalisersDisagree
from evaluate.stats import audio_metrics
from recipes.decode.answer_schema import record_schema
from synth.dataset import ids_of
from synth.errors import DataError, UserError
from synth.example import Example
from synth.jobdir import JobDir
from synth.progress import ProgressFn, silent
from synth.ranges import RangeEngine
from synth.scoring.scorers import metric_name
from synth.shelf import Shelf
from synth.storage import atomic_file, atomic_write_text
from synth.usage import Usage
from synth.workspace import Workspace

AT_ONCE = 10_000  # rows that a baseline answers at once


def run_comparison(
    plan: Plan,
    workspace: Workspace,
    on_progress: ProgressFn = silent,
    *,
    stop: Callable[[], bool] = lambda: False,
    comparison_id: str | None = None,
    engine: RangeEngine | None = None,
) -> Path:
    """Run a plan to its report.json; an id that exists already is taken up again.

    engine: who asks the local models, on other machines for example; endpoints are asked from here.

    Raises UserError; RunError with code run.stopped when `stop` says so. Answers given by then are kept.
    """
    plan = with_untuned(plan)
    name = comparison_id or f"{_slug(plan.name)}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    job = JobDir(workspace.comparisons / name)
    with job.hold():
        margin_fixed = margin.fixed(job.path, plan, workspace)
        atomic_write_text(job.path / "plan.yaml", dump_plan(plan))
        try:
            ready = prepare(plan, workspace, job.path, on_progress, lambda: stop() or job.stop_requested())
            ready = ready._replace(engine=engine)
            path = _run(ready, margin_fixed)
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


def _run(job: Job, margin_fixed: float) -> Path:
    # All names are resolved and files read before anything is run, so that a misspelt last system costs nothing.
    unused, read = _check_imported(job)
    job = job._replace(read=read)
    origins = {plan.id: lineage.origin(plan, job.workspace) for plan in job.plan.systems}
    folds.refuse_learned(job.plan, job.dataset, job.examples, origins, job.workspace)
    asked = tuple(as_asked(plan, job.dataset, [job.longest], origins[plan.id]) for plan in job.plan.systems)
    job = job._replace(plan=job.plan.model_copy(update={"systems": asked}))
    job, choice, searching = _with_strongest(job, origins)
    large = job.plan.roles()[1]
    systems = [of_system(job, plan, origins[plan.id], large) for plan in job.plan.systems]
    systems, measuring = _with_speeds(job, systems, origins)
    forgot, spent_on_it = _forgetting(job)
    results = Results(
        plan=job.plan,
        dataset=lineage.dataset_facts(job.dataset, dict(job.counts), job.workspace),
        systems=(*systems, *_baselines(job)),
        forgetting=forgot,
        speech=audio_metrics.speech_section(systems, job.examples, job.plan.splits),
        normalisers_disagree=_normalisers_disagree(job, systems),
        answer_schema=record_schema(job.train),
        ledger=(
            *lineage.ledger(job.plan, job.dataset, systems, origins, job.workspace),
            *spent_on_it,
            *measuring,
            *searching,
        ),
        margin_fixed=margin_fixed,
        prompt_choice=choice,
        notes=(
            *folds.notices(job.plan, len(job.examples), job.plan.system(job.plan.roles()[0])),
            *choosing.notices(choice),
            *unused,
        ),
        provenance=lineage.provenance(
            job.folder.name, job.plan, job.dataset, origins | folds.origins(job.parts, job.plan, origins, job.workspace)
        ),
    )
    _write_scores(results, job.folder / "scores.jsonl")
    return _write_report(report_json.build(results, job.sheet), job.folder, job.dataset.path)


def _with_strongest(
    job: Job, origins: dict[str, lineage.Origin]
) -> tuple[Job, PromptChoice | None, tuple[LedgerItem, ...]]:
    """The comparison with the strongest way of asking the large model in its role."""
    small, given = job.plan.roles()
    if given is None:
        return job, None, ()
    found = choosing.strongest(job, job.plan.system(given), origins[given])
    if found.large.id not in origins:
        origins[found.large.id] = origins[given]
        job = job._replace(plan=job.plan.model_copy(update={"systems": (*job.plan.systems, found.large)}))
    chosen = {"small": small, "large": found.large.id}
    return job._replace(plan=job.plan.model_copy(update=chosen)), found.choice, found.ledger


def _normalisers_disagree(job: Job, systems: Sequence[SystemResult]) -> tuple[NormalisersDisagree, ...]:
    """Where the normaliser of transcripts decides which of the two systems is ahead."""
    by_id = {one.id: one for one in systems}
    small, large = (by_id.get(name or "") for name in job.plan.roles())
    return tuple(audio_metrics.disagreements(small, large, job.examples)) if small and large else ()


def _baselines(job: Job) -> list[SystemResult]:
    """What needs no neural network, on the same rows; nothing where none fits."""
    found = []
    fitted = (
        [{one.id: one for one in classical.baselines(part.train)} for part in job.parts] if job.plan.baselines else []
    )
    for baseline in fitted[0].values() if fitted else ():
        if not all(baseline.id in one for one in fitted):
            continue  # it fits the rows of some folds only
        rows = Rows()
        for part, known in zip(job.parts, fitted, strict=True):
            for start in range(0, len(part.rows), AT_ONCE):
                some = part.rows[start : start + AT_ONCE]
                for example, text in zip(some, known[baseline.id].replies(some), strict=True):
                    reply = Prediction(example_id=example.id, text=text, usage=Usage(requests=0))
                    rows.append(row_of(example, reply, lambda said, scorer: said, job.plan.metric))
        found.append(
            SystemResult(
                id=baseline.id,
                label=baseline.label,
                kind="local",
                base_model=baseline.label,
                method="baseline",
                prompting="none",
                metric=metric_name({row.scorer for row in rows}),
                rows=rows,
            )
        )
    return found


def _check_imported(job: Job) -> tuple[tuple[str, ...], dict[str, Shelf[Prediction]]]:
    """What files of predictions hold beside the rows compared, in sentences; and what they hold, by their paths.

    Raises DataError for a file that is faulty, or about other rows altogether.
    """
    said, read = [], {}
    for plan in job.plan.systems:
        if plan.kind != "predictions":
            continue
        file = Path(plan.path or "")
        known = read[plan.path or ""] = read_predictions(file)
        left = len(known) - sum(name in known for name in ids_of(job.examples))
        if left == len(known):
            message = f"{file.name} has no prediction for any row of this comparison."
            raise DataError(message, "Give each answer the `id` of its row of the dataset.", "predictions.foreign")
        if left:
            said.append(
                f"{plan.name}: {left:,} of {len(known):,} predictions in {file.name} are about no row of this "
                "comparison and were not used."
            )
    return tuple(said), read


def _with_speeds(
    job: Job, systems: Sequence[SystemResult], origins: dict[str, lineage.Origin]
) -> tuple[list[SystemResult], list[LedgerItem]]:
    """The systems with their speeds measured in turns, and the machine time that this took."""
    if all(plan.kind != "local" for plan in job.plan.systems):
        return [_at_speed(system, None, "") for system in systems], []
    split = probe.split_to_measure(job.counts)
    places = [place for place, example in enumerate(job.examples) if example.split == split]
    drawn = random.Random(f"{job.plan.seed}/speed").sample(places, min(len(places), probe.MOST_PROMPTS))
    sample = [job.examples[place] for place in drawn]
    probed = []
    for plan, system in zip(job.plan.systems, systems, strict=True):
        if plan.kind == "local":
            prompter = Prompter(plan, job.train, job.plan.seed, job.dataset.path)
            shots = [shot.id for shot in prompter.shots]
            mark = lineage.fingerprint(plan, origins[plan.id], shots, prompter.obeyed)
            questions = [prompter.question(example) for example in sample]
            probed.append(probe.Probed(plan, mark, questions, system.params))
    found = probe.measure(probed, job.plan.speed_rounds, job.workspace.runs, job.folder, job.on_progress, job.stop)
    priceable = [_at_speed(system, found.get(system.id), split) for system in systems]
    if not found:
        return priceable, []
    seconds, crowded = sum(one.seconds for one in found.values()), throughput.slowed(list(found.values()))
    label = "Measuring the speed of local systems"
    item = LedgerItem(kind="evaluation", label=label, seconds=seconds, load=crowded)
    return priceable, [item]


def _at_speed(system: SystemResult, found: throughput.Probe | None, split: str) -> SystemResult:
    """With the speed of its turns; a local system without them has none, as one reading of a clock prices nothing."""
    if found is None:
        unknown = {"requests_per_s": None, "audio_sec_per_s": None} if system.kind == "local" else {}
        return system.model_copy(update={"speed": system.speed.model_copy(update=unknown)})
    rate = throughput.rate(found).requests_per_s
    rows = of_split(system.rows, split)
    sound = sum(row.usage.audio_sec for row in rows)
    speed = system.speed.model_copy(
        update={
            "requests_per_s": rate,
            "batch_size": found.batch_size,
            "latency_p50": found.latency_p50_sec,
            "latency_p95": found.latency_p95_sec,
            "audio_sec_per_s": sound / len(rows) * rate if sound else None,
            "probe": found,
        }
    )
    return system.model_copy(update={"speed": speed})


def _forgetting(job: Job) -> tuple[tuple[Forgetting, ...], list[LedgerItem]]:
    """What tuning made each system forget, and the machine time that finding out took."""
    if not job.plan.forgetting_rows:
        return (), []
    seconds: dict[str, float] = {}  # of each session: tuned systems share the answers of their base
    quiet: dict[str, float] = {}

    def answer(plan: SystemPlan, examples: Sequence[Example]) -> Mapping[str, Prediction]:
        made_of = lineage.origin(plan, job.workspace)
        answers, _ = answers_of(job, plan, made_of, examples, job.dataset.path, f"forgetting-{plan.id}")
        for one in answers.sessions:
            seconds[one.id] = one.wall_seconds + (one.facts.load_seconds or 0.0)
            quiet[one.id] = seconds[one.id] / max(1.0, one.load or 1.0)
        return answers.predictions

    found = forgetting.measure(job.plan.systems, job.plan.forgetting_rows, answer)
    label = "Answering rows of the base's own families"
    spent, least = sum(seconds.values()), sum(quiet.values())
    item = LedgerItem(kind="evaluation", label=label, seconds=spent, load=spent / least if least else None)
    return found, [item] if found else []


def _write_scores(results: Results, path: Path) -> None:
    with atomic_file(path) as file:
        for system in results.systems:
            for row in system.rows:
                line = json.dumps({"system": system.id, **row.model_dump(mode="json")}, ensure_ascii=False)
                file.write(f"{line}\n".encode("utf-8", "replace"))


def _write_report(found: Report, folder: Path, media: Path | None) -> Path:
    """report.json and its views; the JSON last, because whoever finds it expects the others."""
    from evaluate.report import render_html, render_md

    atomic_write_text(folder / "report.md", render_md.render(found))
    atomic_write_text(folder / "report.html", render_html.render(found, media))
    atomic_write_text(folder / "report.json", report_json.dumps(found))
    return folder / "report.json"
