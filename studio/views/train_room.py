"""Whether the training of the Train page fits into memory: of this machine, or of a GPU that is named there."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from recipes.models import fitting, gpus
from recipes.models.fitting import Room
from recipes.recipe.schema import Recipe, dump_recipe, load_recipe
from studio.read.memory import Forecast, forecast
from studio.widgets import ui
from synth.errors import UserError
from synth.strict import parse_yaml
from synth.workspace import Workspace

PARAM = "gpu"
HERE = "This machine"


def chosen() -> Room | None:
    """The GPU that the address names; None for this machine, and for one that nobody knows, which `show` says."""
    try:
        return fitting.on(gpus.named(ui.param(PARAM) or "")) if ui.param(PARAM) else None
    except UserError:
        return None


def show(recipe: Recipe) -> None:
    """A button with the verdict; behind it what the training takes, and a menu of GPUs."""
    room = chosen()
    wanted, told, fault = ui.param(PARAM), None, None
    try:
        if wanted and room is None:
            gpus.named(wanted)
        told = _told(str(ui.workspace().path), dump_recipe(recipe, comments=False), wanted or "")
    except UserError as error:
        fault = error
    with st.popover(f"Memory: {told.verdict}" if told else "Memory", icon=":material/memory:"):
        _menu(wanted)
        if fault:
            ui.show_error(fault.message, fault.remedy)
        elif told is None:
            st.caption("The sizes of this base are not known before it is loaded: see the preflight.")
        else:
            st.markdown(ui.inert(told.sentence))
            st.caption("Computed, for the first steps. A preflight measures them on this machine.")


def _menu(wanted: str | None) -> None:
    key, names = f"address.{PARAM}", [HERE, *gpus.names()]
    st.session_state[key] = wanted or HERE

    def changed() -> None:
        value = st.session_state[key]
        ui.set_params(**{PARAM: None if value in (HERE, None) else str(value)})

    options = names if not wanted or wanted in names else [*names, wanted]
    st.selectbox(
        "Where it is trained",
        options,
        key=key,
        on_change=changed,
        accept_new_options=True,
        help="Choose a GPU, or write its name or its memory, such as 24GiB.",
    )


@st.cache_data(ttl=60, max_entries=50, show_spinner=False)
def _told(workspace: str, recipe: str, gpu: str) -> Forecast | None:
    """Kept for a minute: it reads some rows of the dataset, and counts their tokens."""
    room = fitting.on(gpus.named(gpu)) if gpu else fitting.here()
    return forecast(load_recipe(parse_yaml(recipe)), Workspace(Path(workspace)), room)
