"""Which trial comes next, and which one is hopeless: Optuna, with its journal in the sweep's folder.

This is the only module that imports Optuna. What a trial is (a training) is `studio.engines.sweep`'s affair. Every
trial draws from a generator of its own, so that a sweep that was killed goes on as if it had not been.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recipes.recipe.space import Choices, Range, Space, combinations, every
from recipes.run.sweeps import STUDY

NAME = "sweep"
LEAST_TO_COMPARE = 3  # finished trials before one is ended early, and before importance is told
WARM_UP_LOOKS = 2  # looks at a trial before it may be ended
LISTED = 4096  # combinations up to which all are tried in a drawn order, none twice


class Trial(NamedTuple):
    """One trial as it stands: its number from 1, its values, what was seen of it, and how it ended ("" while open)."""

    number: int
    values: dict[str, Any]
    looks: dict[int, float]
    state: str
    value: float | None


STATES = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed"}


class Study:
    """The trials of one sweep. `lower_is_better` is of the metric."""

    def __init__(self, folder: Path, space: Space, trials: int, seed: int, lower_is_better: bool) -> None:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        (folder / f"{STUDY}.lock").unlink(missing_ok=True)  # of a killed process: the sweep's own lock is held
        self._space, self._trials, self._seed = space, trials, seed
        file = str(folder / STUDY)
        self._study = optuna.create_study(
            study_name=NAME,
            storage=JournalStorage(JournalFileBackend(file, JournalFileOpenLock(file))),
            direction="minimize" if lower_is_better else "maximize",
            # Optuna counts steps from 0, and looks are counted from 1.
            pruner=optuna.pruners.MedianPruner(n_startup_trials=LEAST_TO_COMPARE, n_warmup_steps=WARM_UP_LOOKS + 1),
            load_if_exists=True,
        )

    def trials(self) -> list[Trial]:
        """All trials so far."""
        return [_trial(found) for found in self._begun()]

    def next(self, busy: Sequence[int] = ()) -> Trial | None:
        """The first trial that was open and is not among those at work, else a new one, else None: all were tried."""
        import optuna

        begun = self._begun()
        opened = next((one for one in begun if one.state.name == "RUNNING" and one.number + 1 not in busy), None)
        if not opened and len(begun) >= self._trials:
            return None
        number = opened.number if opened else len(begun)
        startup = min(10, max(LEAST_TO_COMPARE, self._trials // 3))
        self._study.sampler = optuna.samplers.TPESampler(
            seed=random.Random(f"{self._seed}/{number}").randrange(2**32),
            n_startup_trials=startup,
            constant_liar=bool(busy),  # whoever is at work counts as bad, so that no two try the same
        )
        if opened:
            trial = optuna.trial.Trial(self._study, opened._trial_id)
        else:
            self._enqueue(number)
            trial = self._study.ask()
        for name, axis in self._space.items():
            _suggest(trial, name, axis)
        return self.trials()[number]

    def report(self, trial: Trial, look: int, value: float) -> bool:
        """Note what was seen of an open trial; whether others at the same look were better, so that it may end."""
        import optuna

        found = self._begun()[trial.number - 1]
        opened = optuna.trial.Trial(self._study, found._trial_id)
        if look not in found.intermediate_values:
            opened.report(value, look)
        return bool(opened.should_prune())

    def tell(self, trial: Trial, state: str, value: float | None = None) -> None:
        """Close an open trial: done (with its value), pruned or failed."""
        from optuna.trial import TrialState

        kinds = {kind: TrialState[name] for name, kind in STATES.items()}
        self._study.tell(trial.number - 1, value if state == "done" else None, state=kinds[state])

    def best(self) -> Trial | None:
        """The best of the trials that came to their end; the first of equals."""
        done = [trial for trial in self.trials() if trial.state == "done" and trial.value is not None]
        sign = -1.0 if self._study.direction.name == "MAXIMIZE" else 1.0
        return min(done, key=lambda trial: sign * (trial.value or 0.0), default=None)

    def importance(self) -> dict[str, float]:
        """Share of the metric's variation that each option explains (fANOVA); empty with too few finished trials."""
        import optuna

        done = [trial for trial in self.trials() if trial.state == "done"]
        if len(done) <= LEAST_TO_COMPARE or len({trial.value for trial in done}) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self._seed)
        found = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        return {name: round(float(share), 4) for name, share in found.items()}

    def _begun(self) -> list[Any]:
        """Optuna's trials, without one that was only planned when the process was killed."""
        return [found for found in self._study.get_trials(deepcopy=False) if found.state.name != "WAITING"]

    def _enqueue(self, number: int) -> None:
        """Plan the values of a new trial where the space is small enough to be listed."""
        size = combinations(self._space)
        planned = len(self._study.get_trials(deepcopy=False)) > number
        if size is not None and size <= LISTED and not planned:
            listed = list(every(self._space))
            random.Random(self._seed).shuffle(listed)
            values = listed[number].items()
            self._study.enqueue_trial({name: _hashable(value) for name, value in values})


def _suggest(trial: Any, name: str, axis: Range | Choices) -> None:
    if isinstance(axis, Choices):
        trial.suggest_categorical(name, tuple(_hashable(option) for option in axis.options))
    elif axis.whole:
        trial.suggest_int(name, int(axis.low), int(axis.high), log=axis.log)
    else:
        trial.suggest_float(name, axis.low, axis.high, log=axis.log)


def _hashable(option: Any) -> Any:
    return tuple(option) if isinstance(option, list) else option


def _trial(found: Any) -> Trial:
    values = {name: list(v) if isinstance(v, tuple) else v for name, v in found.params.items()}
    return Trial(
        found.number + 1, values, dict(found.intermediate_values), STATES.get(found.state.name, ""), found.value
    )
