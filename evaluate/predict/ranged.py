"""A local model asked by an engine: ranges of questions, each answered into a journal of its own, then joined.

    comparisons/<id>/predictions/<system>.ranges/<questions>/<first>-<end>.jsonl

A range's journal takes its name when it is complete, and its lines go to the system's journal; what a killed comparison
left is taken first. Each process loads the model once. Endpoints are not asked so: their cap and their rate are kept in
one process, and more machines would make no provider faster.
"""

from __future__ import annotations

import functools
import math
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evaluate.lineage import origin
from evaluate.plan import SystemPlan
from evaluate.predict.journal import Answers, Predictor, record
from evaluate.predict.prediction import Stop, no_predictions
from evaluate.predict.prompts import Question, ids_asked
from evaluate.predict.systems import System, open_local
from synth.errors import RunError
from synth.progress import Meter, ProgressFn
from synth.ranges import Range, RangeEngine, cut
from synth.storage import Journal, sha256_bytes, storage_faults
from synth.temporary import temporary
from synth.workspace import Workspace

PARTS = 4  # ranges for each slot, so that the slowest machine does not hold up the others for long
FEWEST, MOST = 32, 512  # rows of a range: a running batch is worth its start, and a lost one costs little


def run(
    predictor: Predictor,
    questions: Sequence[Question],
    place: tuple[SystemPlan, Workspace],
    engine: RangeEngine,
    on_progress: ProgressFn,
    stop: Stop,
) -> Answers:
    """Answer what is missing through an engine, and return everything. Raises ModelError, RunError run.stopped."""
    folder = predictor.path.with_suffix(".ranges")
    for file in sorted(folder.rglob("*.jsonl")):
        predictor.take(file)
    shutil.rmtree(folder, ignore_errors=True)
    todo = predictor.missing(questions)
    meter = Meter(predictor.label, len(todo), "rows", on_progress)
    kept = f"{len(questions) - len(todo)} from the journal" if len(todo) < len(questions) else ""
    meter.update(0, kept)
    if not todo:
        return predictor.answers
    plan, workspace = place
    size = min(MOST, max(FEWEST, math.ceil(len(todo) / PARTS / engine.slots(model=True))))
    asked = Asked(plan, workspace.path, predictor.fingerprint, weights(plan, workspace))
    work = functools.partial(answer_range, asked)
    # A machine that was taken for lost may still write a range of an earlier call, whose numbers meant other questions.
    here = folder / sha256_bytes("\n".join([str(size), *ids_asked(todo)]).encode())[:16]
    for one in engine.each(work, cut(here, 0, len(todo), size, todo), stop, model=True):
        predictor.take(one.file)
        meter.update(one.end, kept)
    if left := predictor.missing(questions):
        message = f"{len(left)} of {len(questions)} rows of {predictor.label} came back without an answer."
        raise RunError(message, "Start it again: only those are asked.", "run.rows_missing")
    shutil.rmtree(folder, ignore_errors=True)
    return predictor.answers


class Asked(NamedTuple):
    """Who answers, and the `weights` of that where the command runs."""

    plan: SystemPlan
    workspace: Path
    fingerprint: str
    weights: str


def weights(plan: SystemPlan, workspace: Workspace) -> str:
    """The hash of the weights that this machine has for a system: base and adapter, or export. Raises ModelError."""
    found = origin(plan, workspace)
    return f"{found.model_sha256} {found.adapter_sha256}"


def answer_range(asked: Asked, one: Range) -> None:
    """Answer the questions of a range into its journal. Raises RunError where this machine has other weights."""
    system, made, answers = _system(asked), temporary(one.file), Answers(no_predictions(), [])
    with Journal(made, durable=False) as journal:
        for _ in record(system, one.rows, journal, asked.fingerprint, lambda: False, answers):
            pass
    with storage_faults(one.file):
        made.replace(one.file)


_open: dict[Asked, System] = {}


def _system(asked: Asked) -> System:
    """The system of this process, whose model stays for its next range; another one is given up first."""
    if asked not in _open:
        for other in _open.values():
            other.close()
        _open.clear()
        plan, workspace = asked.plan, Workspace(asked.workspace)
        if weights(plan, workspace) != asked.weights:  # of a cache or folder that each machine has for itself
            message = f"{socket.gethostname()} has other weights of {plan.name} than the machine that asks."
            raise RunError(message, "Give every machine the same model, or name its revision.", "engine.machine")
        _open[asked] = open_local(plan, workspace.runs)
    return _open[asked]
