"""Predictions on disk: one journal per system, resumed after a kill, shared between comparisons.

    comparisons/<id>/predictions/<system>.jsonl   {"system": fingerprint, "prediction": {…}}
                                                  {"system": fingerprint, "sitting": {…}}

A row is known by its example id and the fingerprint of the system (model, adapter, prompting …), so that adding a
system, or rows, runs only what is new. An endpoint's failed rows are tried again the next time.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from evaluate.predict.prediction import Facts, Prediction, Stop, no_predictions
from evaluate.predict.prompts import Question, Questions, ids_asked
from evaluate.predict.systems import System
from synth.errors import RunError, StorageError
from synth.jobdir import load_per_core
from synth.progress import Meter, ProgressFn
from synth.shelf import Shelf
from synth.storage import Journal, read_jsonl
from synth.workspace import Workspace

NOTE_EVERY_SEC = 2.0  # how much measured time a kill can lose
_AT_ONCE = 1 << 20  # bytes; a file that is mapped into memory counts as memory


class Session(BaseModel):
    """One uninterrupted stretch of answering: rows answered (not from the cache), wall seconds without loading."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    rows: int
    wall_seconds: float
    load: float | None = None  # threads that wanted each core at its end
    facts: Facts


class Answers(NamedTuple):
    """All that is known of a system: prediction per example id, and the sessions that made them."""

    predictions: Shelf[Prediction]
    sessions: list[Session]

    @property
    def facts(self) -> Facts:
        """Facts of the last session; sessions of one process load its model once, in the first."""
        if not self.sessions:
            return Facts()
        loads = [session.facts.load_seconds for session in self.sessions if session.facts.load_seconds is not None]
        return self.sessions[-1].facts.model_copy(update={"load_seconds": max(loads, default=None)})

    @property
    def wall_seconds(self) -> float | None:
        """Time of all sessions; None when nothing was run."""
        return sum(s.wall_seconds for s in self.sessions) if self.sessions else None

    @property
    def load(self) -> float | None:
        """Threads that wanted each core, over the sessions that noted it."""
        noted = [(s.load, s.wall_seconds) for s in self.sessions if s.load is not None]
        whole = sum(seconds for _, seconds in noted)
        return sum(load * seconds for load, seconds in noted) / whole if whole else None

    @property
    def rows_per_second(self) -> float | None:
        """Measured over all sessions."""
        rows, seconds = sum(s.rows for s in self.sessions), self.wall_seconds
        return rows / seconds if rows and seconds else None


def read_answers(journal: Path, fingerprint: str) -> Answers:
    """What a journal holds of this system; lines that cannot be read cost their row only."""
    predictions = no_predictions()
    sessions: dict[str, Session] = {}
    lines = read_jsonl(journal) if journal.is_file() else iter(())
    for line in lines:
        row = line.value or {}
        if row.get("system") != fingerprint:
            continue
        try:
            if "prediction" in row:
                prediction = Prediction.model_validate(row["prediction"])
                predictions[prediction.example_id] = prediction
            else:
                session = Session.model_validate(row["sitting"])
                sessions[session.id] = session
        except (ValidationError, KeyError):
            continue
    return Answers(predictions, list(sessions.values()))


def every_prediction(journal: Path) -> Iterator[Prediction]:
    """All answers that a journal holds, of whatever fingerprint and as often as they were paid."""
    for line in read_jsonl(journal) if journal.is_file() else ():
        try:
            yield Prediction.model_validate((line.value or {})["prediction"])
        except (ValidationError, KeyError):
            continue


def known_elsewhere(workspace: Workspace, fingerprint: str, own: Path) -> Answers:
    """The answers of the same system in the other comparison that holds the most of them."""
    best = Answers(no_predictions(), [])
    for journal in sorted(workspace.comparisons.glob("*/predictions/*.jsonl")):
        with contextlib.suppress(StorageError, OSError, ValueError):  # another comparison's damage is not this one's
            if journal != own and _mentions(journal, fingerprint):
                best = max(best, read_answers(journal, fingerprint), key=lambda answers: len(answers.predictions))
    return best


def _mentions(path: Path, word: str) -> bool:
    wanted, before = word.encode(), b""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        while block := file.read(_AT_ONCE):
            if wanted in before + block:
                return True
            before = block[-len(wanted) :]
    return False


class Predictor:
    """Fills one system's journal. `retry_errors`: whether a failed row may go well the next time."""

    def __init__(
        self, journal: Path, fingerprint: str, label: str, workspace: Workspace, *, retry_errors: bool
    ) -> None:
        self.path = journal
        self.fingerprint = fingerprint
        self.label = label
        self._retry_errors = retry_errors
        self.answers = read_answers(journal, fingerprint)
        if not self.answers.predictions:
            self._adopt(known_elsewhere(workspace, fingerprint, journal))

    def _adopt(self, found: Answers) -> None:
        if not found.predictions:
            return
        with Journal(self.path, durable=False) as journal:
            for prediction in found.predictions.values():
                journal.append(_line(self.fingerprint, "prediction", prediction))
            for session in found.sessions:
                journal.append(_line(self.fingerprint, "sitting", session))
        self.answers.predictions.with_all(found.predictions)
        self.answers.sessions.extend(found.sessions)

    def take(self, journal: Path) -> None:
        """Add what another process journaled of this system."""
        self._adopt(read_answers(journal, self.fingerprint))

    def missing(self, questions: Sequence[Question]) -> Sequence[Question]:
        """Questions without an answer, or whose error may pass."""
        if not self.answers.predictions:
            return questions
        places = array("I")
        for place, name in enumerate(ids_asked(questions)):
            known = self.answers.predictions.get(name)
            if known is None or (known.error and self._retry_errors):
                places.append(place)
        if isinstance(questions, Questions):
            return questions.at_places(places)
        return [questions[place] for place in places]

    def run(
        self, questions: Sequence[Question], open_it: Callable[[], System], on_progress: ProgressFn, stop: Stop
    ) -> Answers:
        """Answer what is missing and return everything. Raises RunError run.stopped when asked to stop."""
        todo = self.missing(questions)
        meter = Meter(self.label, len(todo), "rows", on_progress)
        kept = f"{len(questions) - len(todo)} from the journal" if len(todo) < len(questions) else ""
        meter.update(0, kept)
        if not todo:
            return self.answers
        system = open_it()
        try:
            with Journal(self.path, durable=False) as journal:
                answering = record(system, todo, journal, self.fingerprint, stop, self.answers)
                done = 0
                for done, _ in enumerate(answering, start=1):
                    meter.update(done, kept)
        finally:
            system.close()
        known = self.answers.predictions
        if done < len(todo) and (left := sum(name not in known for name in ids_asked(todo))):
            kept = f"{len(questions) - left} of {len(questions)} answers are kept"
            message = f"The comparison was stopped at {self.label}; {kept}."
            raise RunError(message, "Run it again to resume.", "run.stopped")
        return self.answers


def record(
    system: System, todo: Sequence[Question], journal: Journal, fingerprint: str, stop: Stop, into: Answers
) -> Iterator[Prediction]:
    """Answers, each journaled before it is given, and the time spent every few seconds and at the end."""
    name, rows, noted = secrets.token_hex(8), 0, 0.0
    began = time.perf_counter()
    for prediction in system.answer(todo, stop):
        now = time.perf_counter()
        journal.append(_line(fingerprint, "prediction", prediction))
        into.predictions[prediction.example_id] = prediction
        rows += not prediction.cached
        if now - noted > NOTE_EVERY_SEC:
            noted = now
            journal.append(_line(fingerprint, "sitting", _session(name, rows, now - began, system)))
        yield prediction
        if stop():
            break
    if noted:
        session = _session(name, rows, time.perf_counter() - began, system)
        journal.append(_line(fingerprint, "sitting", session))
        into.sessions.append(session)


def _session(name: str, rows: int, seconds: float, system: System) -> Session:
    facts = system.facts()
    wall = seconds - (facts.load_seconds or 0.0)
    return Session(id=name, rows=rows, wall_seconds=wall, load=load_per_core(), facts=facts)


def _line(fingerprint: str, kind: str, value: BaseModel) -> dict[str, Any]:
    return {"system": fingerprint, kind: value.model_dump(mode="json", exclude_defaults=True)}
