"""Cross-validation in a comparison: which rows each model of it may be asked, and who has learned them.

    parts = compared(plan, dataset)                  # rows with what was there to learn from; one part without folds
    plan = of_part(system, part)                     # a tuned system as the model that did not learn that part
    refuse_learned(plan, dataset, rows, origins, …)  # before anything is asked

A tuned system of a plan with `folds` is named by the run that learned every row; its answers are those of the runs of
the folds. Trains and asks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from evaluate.lineage import Origin, earlier_runs, origin
from evaluate.plan import Plan, SystemPlan
from recipes.run.directory import Run
from recipes.run.folds import fold_run
from synth.dataset import DatasetDir, open_dataset
from synth.errors import DataError, UserError
from synth.example import Example
from synth.folds import POOL, FoldedDataset, fold_count
from synth.storage import read_json
from synth.workspace import Workspace

SHOT_POOL = 5000  # train rows from which few-shot examples, the answer schema and the baselines are drawn
AGAIN = "Train it again with `smolstudio crossval`."


class Part(NamedTuple):
    """Rows that are answered, and the rows that whoever answers them may have seen. fold 0: of no cross-validation."""

    fold: int
    rows: Sequence[Example]
    train: Sequence[Example]


def compared(plan: Plan, dataset: DatasetDir, needs_train: bool = True) -> tuple[Part, ...]:
    """The rows of a comparison: those of the plan's splits, or with `folds` all of train, val and test, by fold.

    Raises DataError where there are no rows, or no such folds.
    """
    if not plan.folds:
        examples = dataset.draw_all(plan.splits, plan.max_rows, plan.seed)
        if not examples:
            splits = ", ".join(plan.splits)
            raise DataError(f"The dataset {dataset.name} has no rows in {splits}.", "Choose other splits in the plan.")
        return (Part(0, examples, dataset.draw("train", SHOT_POOL, plan.seed) if needs_train else []),)
    counted = fold_count(dataset, plan.folds)
    if counted.folds != plan.folds:
        raise DataError(f"{dataset.name} has {counted.why}.", f"Set folds: {counted.folds} in the plan.")
    parts = [FoldedDataset(dataset.path, plan.folds, fold) for fold in range(1, plan.folds + 1)]
    most = None if plan.max_rows is None else -(-plan.max_rows // plan.folds)
    return tuple(
        Part(part.fold, part.draw("test", most, plan.seed), part.draw_all(("train", "val"), SHOT_POOL, plan.seed))
        for part in parts
    )


def of_part(plan: SystemPlan, part: Part, made_of: Origin) -> SystemPlan:
    """The system as it answers a part: a run of a cross-validation gives way to that of the fold."""
    if not part.fold or not (made_of.recipe.get("data") or {}).get("folds") or plan.adapter is None:
        return plan
    name = made_of.run.name if made_of.run else plan.adapter
    return plan.model_copy(update={"adapter": fold_run(name, part.fold)})


def origins(parts: Sequence[Part], plan: Plan, known: Mapping[str, Origin], workspace: Workspace) -> dict[str, Origin]:
    """What the models of the folds are made of, by system and fold; nothing without folds."""
    found = {}
    for one in plan.systems:
        for part in parts:
            asked = of_part(one, part, known[one.id])
            if asked is not one:
                found[f"{one.id}.fold{part.fold}"] = origin(asked, workspace)
    return found


def refuse_learned(
    plan: Plan, dataset: DatasetDir, examples: Sequence[Example], known: Mapping[str, Origin], workspace: Workspace
) -> None:
    """Raise DataError where a system is asked rows that it has learned, as far as runs tell of what they learned."""
    for one in plan.systems:
        made_of = known[one.id]
        if not one.tuned:
            continue
        before = earlier_runs(made_of.run, workspace) if made_of.run else []
        if plan.folds:
            _refuse_in_folds(plan, one, made_of, before, dataset, examples, workspace)
            continue
        for run in [*([Run(made_of.run)] if made_of.run else []), *before]:
            if run.recipe.data.folds and _learns(run, dataset, workspace) and {e.split for e in examples} & {*POOL}:
                message = (
                    f"{one.name} has learned rows that this plan tests: {run.id} is of a cross-validation over all "
                    f"rows of {dataset.name}."
                )
                remedy = f"Set folds: {run.recipe.data.folds} in the plan, or test it on test_real alone."
                raise DataError(message, remedy, "data.learned")


def _refuse_in_folds(
    plan: Plan,
    one: SystemPlan,
    made_of: Origin,
    before: Sequence[Run],
    dataset: DatasetDir,
    examples: Sequence[Example],
    workspace: Workspace,
) -> None:
    """One tuned system of a plan with folds: its folds are the plan's, and none has learned what it is asked."""
    if made_of.run is None:
        message = f"{one.name} was made elsewhere, and every row of {dataset.name} is tested: it may have learned them."
        raise DataError(message, "Leave it out of a plan with folds.", "data.learned")
    final = Run(made_of.run)
    asked = {example.id for example in examples}
    ours = _learns(final, dataset, workspace)
    for run in [*([] if ours else [final]), *before]:
        if asked & _learned_ids(run):
            message = f"{one.name} has learned rows that are tested, through {run.id}."
            raise DataError(message, "Leave it out of a plan with folds.", "data.learned")
    if not ours:
        return
    data = final.recipe.data
    if data.folds != plan.folds or data.fold:
        what = f"fold {data.fold} of {data.folds}" if data.fold else f"{data.folds} folds" if data.folds else "no folds"
        message = (
            f"{one.name} was trained with {what}, and the plan says {plan.folds}: it has learned rows it would face."
        )
        raise DataError(message, AGAIN, "data.learned")
    for fold in range(1, plan.folds + 1):
        _check_fold(final, fold, dataset, workspace)


def _check_fold(final: Run, fold: int, dataset: DatasetDir, workspace: Workspace) -> None:
    """The run of a fold is there, done, of the same model, and learned the rows as they are now."""
    run = Run(workspace.runs / fold_run(final.id, fold))
    if not run.path.is_dir() or run.status() != "done":
        status = run.status() if run.path.is_dir() else "not there"
        raise DataError(f"{run.id}, which answers fold {fold}, is {status}.", AGAIN, "data.learned")
    now, expected = run.recipe, final.recipe
    same = (now.base_model, now.revision, now.method) == (expected.base_model, expected.revision, expected.method)
    if not same or now.data != expected.data.model_copy(update={"fold": fold}):
        raise DataError(f"{run.id} is not fold {fold} of {final.id}: their recipes differ.", AGAIN, "data.learned")
    for one in (run, final):
        file = one.path / "env.json"
        then = read_json(file).get("data") if file.is_file() else None
        if then != one.fingerprint("")["data"]:
            message = (
                f"The rows of {dataset.name} are not those that {one.id} was trained on, so folds are not the same."
            )
            raise DataError(message, AGAIN, "data.learned")


def _learns(run: Run, dataset: DatasetDir, workspace: Workspace) -> bool:
    """Whether a run was trained on this dataset."""
    try:
        return open_dataset(run.recipe.data.dataset, workspace.datasets).path.resolve() == dataset.path.resolve()
    except UserError:
        return False


def _learned_ids(run: Run) -> set[str]:
    """Ids of the rows that a run learned or was chosen on; none where its data are gone."""
    try:
        found = run.dataset()
        return {row.id for split in ("train", "val") for row in found.examples(split)}  # type: ignore[arg-type]
    except UserError:
        return set()


def notices(plan: Plan, rows: int, small: SystemPlan) -> tuple[str, ...]:
    """What a reader must know of a cross-validation; nothing without one."""
    if not plan.folds:
        return ()
    home = f"the model you take home, {Path(small.adapter).name}, is" if small.adapter else "a model to take home is"
    return (
        f"Cross-validation: the verdict rests on out-of-fold answers of {plan.folds} models; each of the {rows:,} rows "
        f"was answered by the one that had not learned it, and {home} trained on all rows. Worked examples and "
        "baselines had the same rows to learn from.",
        f"The intervals are about these {plan.folds} models: how much one that is trained on other rows would differ "
        "is not in them.",
    )
