"""Start: choose what the model should do, see where you are, and what this machine offers."""

from __future__ import annotations

import streamlit as st

from studio.engines import jobs
from studio.presets.cards import CARDS, StartCard
from studio.read.glance import dataset_cards, machine_line, report_heads
from studio.widgets import ui

PAGE = {"title": "Start", "icon": ":material/home:", "order": 10}


def start_card(card: StartCard) -> None:
    """One task with its way in."""
    with st.container(border=True, height="stretch", vertical_alignment="distribute"):
        with st.container():
            st.markdown(f"#### {card.icon} {card.title}")
            st.markdown(card.about)
        if st.button("Begin", key=f"begin.{card.key}", type="primary" if card.generator is None else "secondary"):
            step = "import" if card.generator is None else "generate"
            st.switch_page("views/data.py", query_params={"task": card.key, "tab": step})


def recent() -> None:
    """The newest datasets, runs and comparisons, each a link."""
    place = ui.workspace()
    datasets, runs, reports = dataset_cards(place)[:5], jobs.list_runs(place)[:5], report_heads(place)[:5]
    if not (datasets or runs or reports):
        ui.empty(
            "Nothing here yet", "Choose a task above. What you make appears here, and stays when you close the page."
        )
        return
    columns = st.columns(3)
    with columns[0]:
        st.markdown("##### Datasets")
        for item in datasets:
            label = f"{item.name} · {sum(item.splits.values()):,} rows"
            st.page_link("views/data.py", label=ui.inert(label), query_params={"tab": "browse", "dataset": item.name})
    with columns[1]:
        st.markdown("##### Runs")
        for run in runs:
            st.page_link(
                "views/runs.py", label=f"{ui.status_label(run)} {ui.inert(run.id)}", query_params={"run": run.id}
            )
    with columns[2]:
        st.markdown("##### Verdicts")
        for head in reports:
            label = f"{head.verdict} · {head.id}"
            st.page_link("views/compare.py", label=ui.inert(label), query_params={"comparison": head.id})


st.title("What do you want your model to do?")
st.markdown(
    "Describe a narrow job, generate verified examples, tune a small model, "
    "and see whether it beats prompting a large one: on accuracy, and on cost."
)
own_first = sorted(CARDS, key=lambda card: card.generator is not None)
for column, offered in zip(st.columns(len(CARDS)), own_first, strict=True):
    with column:
        start_card(offered)
st.markdown("**1 · Data** → **2 · Train** → **3 · Compare**: each page leads to the next; nothing needs a terminal.")
st.divider()
st.markdown("### Recent work")
with ui.sentences():
    recent()
st.divider()
st.caption(ui.inert(machine_line(ui.workspace())))
