"""Part of Train: how the model will be tested. Below 150 rows of one's own that is by cross-validation first."""

from __future__ import annotations

import streamlit as st

from recipes.recipe.schema import Recipe
from studio.engines import jobs
from studio.presets import bases
from studio.widgets import following, ui
from synth.dataset import Card, open_dataset
from synth.errors import DataError
from synth.folds import FOLDS, MOST_FOLDS, POOL, VAL_SHARE, FoldCount, fold_count, is_small

IN_FOLDS, OWN_SPLIT = "Cross-validation", "The test split"
HELP = (
    "Cross-validation trains one model a fold, each without a part of the rows, and asks it that part: every row is "
    "tested. The model that you use is then trained on all rows."
)


@st.cache_data(max_entries=32, show_spinner="Sharing out the rows …")
def _allowed(name: str, changed: str, wanted: int) -> FoldCount | str:
    """The folds that the rows allow, or why there are none; `changed` stands for the rows."""
    try:
        return fold_count(open_dataset(name, ui.workspace().datasets), wanted)
    except DataError as error:
        return f"{error.message} {error.remedy}"


def choose(dataset: Card, recipe: Recipe) -> int:
    """The folds to train; 0 where the dataset's own test split tests."""
    if recipe.objective != "sft" or recipe.data.folds or not bases.is_own(dataset):
        return 0
    small = is_small(dataset.splits)
    rows = sum(dataset.splits.get(split, 0) for split in POOL)
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    with left:
        how = st.segmented_control(
            "Tested by", [IN_FOLDS, OWN_SPLIT], default=IN_FOLDS if small else OWN_SPLIT, help=HELP, required=True
        )
    if how != IN_FOLDS:
        if small:
            tests = dataset.splits.get("test", 0)
            st.caption(f"{tests} test rows tell apart only models that differ very much.")
        return 0
    wanted = int(right.number_input("Folds", 2, MOST_FOLDS, FOLDS))
    found = _allowed(dataset.name, str(dataset.sha256), wanted)
    if isinstance(found, str):
        st.warning(f"No folds: {ui.inert(found)}", icon=":material/call_split:")
        return 0
    if found.why:
        st.caption(ui.inert(found.why))
    st.caption(
        f"{found.folds + 1} trainings: {found.folds} that each leave out a part of the {rows:,} rows and are asked it, "
        "then one on all rows, which is the one to use."
    )
    return found.folds


def learned(dataset: Card, folds: int) -> int:
    """About how many rows the model of a fold learns: neither those that it is asked nor those it is validated on."""
    rows = sum(dataset.splits.get(split, 0) for split in POOL)
    return round(rows * (1 - 1 / folds) * (1 - VAL_SHARE))


def start(dataset: Card, recipe: Recipe, name: str, folds: int) -> None:
    """Start all of it as one task, once for this draft."""
    arguments = {"recipe": recipe.model_dump(mode="json"), "name": name, "folds": folds}
    following.start("job", "crossval", arguments, dataset.name)


def going() -> bool:
    """Show the cross-validation that the address names; False when there is none, and the form is to be shown."""
    if not ui.param("job"):
        return False
    made = following.outcome("job")
    if made:
        dataset = jobs.find_run(ui.workspace(), str(made["run"])).recipe.data.dataset
        said = f"{made['folds']} models were trained without a part of the rows, and {made['run']} on all of them."
        st.success(ui.inert(said), icon=":material/check_circle:")
        line = st.container(horizontal=True)
        if line.button("Compare", type="primary", icon=":material/arrow_forward:"):
            place = {**ui.task_param(), "dataset": dataset, "run": str(made["run"])}
            st.switch_page("views/compare.py", query_params=place)
        if line.button("See its run", icon=":material/monitoring:"):
            st.switch_page("views/runs.py", query_params={**ui.task_param(), "run": str(made["run"])})
        if line.button("Train another", icon=":material/add:"):
            ui.set_params(job=None)
            st.rerun()
    else:
        st.caption("Each training is a run of its own on the Runs page. They go on when this page is closed.")
    return True
