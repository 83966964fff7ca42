"""Start: drop files, describe a task or take a ready one; where you are; what this machine offers."""

from __future__ import annotations

import textwrap
from pathlib import Path

import streamlit as st

from studio.presets import cards
from studio.presets.cards import CARDS, Sample, StartCard
from studio.read.glance import dataset_cards, machine_line, report_heads
from studio.read.history import newest
from studio.state import tour, uploads
from studio.views.data_import import TABLES
from studio.widgets import manage, ui
from synth.errors import UserError
from synth.importing.detect import modality_of
from synth.modality import MODALITIES

PAGE = {"title": "Start", "icon": ":material/home:", "order": 10}

A_LINE = 3
PICTURES = Path(cards.__file__).with_name("pictures")
PICTURE_PX = 128
DRAWING_PX = 200
SAMPLE_CHARACTERS = 110
COMMAND = """smolstudio pipeline preview describe-a-domain task="{said}" labels=… --model MODEL"""
STEPS = (
    ("1 · Data", "Drop your rows here, or let a ready task make some. You see the splits before anything is made."),
    ("2 · Train", "A small model learns from them on this machine. The settings fit your rows; you can press Start."),
    ("3 · Compare", "Tuned and prompted models answer the same rows that nobody learned. You get a verdict, or none."),
)


def drop() -> None:
    """Files, from which the import begins."""
    st.markdown("#### :material/upload_file: Drop your files")
    st.markdown("A table with a text and its right answer in each row; or a table with its pictures or recordings.")
    types = [*TABLES, *(ending for kind in MODALITIES.values() for ending in kind.uploads)]
    given = st.file_uploader(
        "A table, or a table and its files", types, accept_multiple_files=True, label_visibility="collapsed"
    )
    if not given:
        return
    with ui.sentences():
        folder = uploads.keep(ui.workspace(), [(file.name, file.getvalue()) for file in given])
        table = uploads.table_of(folder, TABLES)
        st.switch_page(
            "views/data.py",
            query_params={"tab": "import", "modality": _kind(table), "upload": f"{folder.name}/{table.name}"},
        )


def _kind(table: Path) -> str:
    """What the files hold, by those beside the table, else by its rows; text where neither tells."""
    beside = {file.suffix.lower().lstrip(".") for file in table.parent.iterdir()}
    held = [kind.key for kind in MODALITIES.values() if beside & set(kind.uploads)]
    if len(held) == 1:
        return held[0]
    try:
        return modality_of(table)
    except UserError:
        return "text"


def describe() -> None:
    """A task in words: what there is for it, honestly."""
    st.markdown("#### :material/edit_note: Describe your task")
    words = st.text_area(
        "What should the model do?",
        key="described",
        height=90,
        placeholder="Say which department a message to our clinic belongs to.",
    )
    st.caption(
        "It becomes the instruction of your data, for training and for every prompted model. Bring 100 or more rows, "
        "or have a model write them from examples and documents: a preview shows rows and the price first."
    )
    given = {"said": words.strip()} if words.strip() else {}
    line = st.container(horizontal=True)
    if line.button("Write rows with a model", icon=":material/edit_note:"):
        st.switch_page("views/pipelines.py", query_params=given)
    if line.button("Go on with my rows", icon=":material/arrow_forward:"):
        st.switch_page("views/data.py", query_params={"tab": "import", **given})
    if box := ui.fold("Write rows in a terminal", "written", ":material/terminal:"):
        said = words.strip().replace('"', "'").replace("$", "").replace("`", "'").replace("\\", "") or "…"
        box.code(COMMAND.format(said=" ".join(said.split())), language="bash", wrap_lines=True)


def start_card(card: StartCard) -> None:
    """One ready task with its way in."""
    with st.container(border=True, height="stretch", vertical_alignment="distribute"):
        with st.container():
            st.markdown(f"#### {card.icon} {card.title}")
            if card.picture:
                st.image(str(PICTURES / card.picture), width=DRAWING_PX, alt="")
            st.markdown(card.about)
            _sample(card.sample)
            st.caption(card.takes)
        if st.button(f"Begin: {card.title}", key=f"begin.{card.key}"):
            st.switch_page("views/data.py", query_params={"task": card.key, "tab": "generate"})


def _sample(sample: Sample) -> None:
    """A row of a task: what is asked, and the answer that is learned."""
    if sample.picture:
        st.image(str(PICTURES / sample.picture), width=PICTURE_PX, alt="The picture that is asked about")
    st.caption(ui.inert(sample.question, SAMPLE_CHARACTERS))
    short = textwrap.shorten(sample.answer, SAMPLE_CHARACTERS, placeholder=" …") if "{" in sample.answer else ""
    st.code(short or sample.answer, language=None, wrap_lines=True)


def show_tour() -> None:
    """Three steps, until somebody has read them."""
    if tour.dismissed(ui.workspace()):
        return
    with st.container(border=True):
        for column, (title, text) in zip(st.columns(len(STEPS)), STEPS, strict=True):
            column.markdown(f"**{title}**  \n{text}")
        if st.button("Got it", icon=":material/check:", help="Hides these three steps for good."):
            tour.dismiss(ui.workspace())
            st.rerun()


def recent() -> None:
    """The newest datasets, runs and comparisons, each a link."""
    place = ui.workspace()
    datasets, runs, reports = dataset_cards(place)[:5], newest(place, 5), report_heads(place)[:5]
    if not (datasets or runs or reports):
        ui.empty(
            "Nothing here yet", "Choose a task above. What you make appears here, and stays when you close the page."
        )
        return
    columns = st.columns(3)
    with columns[0]:
        st.markdown("##### Datasets")
        for item in datasets:
            label = f"{manage.shown('datasets', item.name)} · {sum(item.splits.values()):,} rows"
            st.page_link("views/data.py", label=ui.inert(label), query_params={"tab": "browse", "dataset": item.name})
    with columns[1]:
        st.markdown("##### Runs")
        for run in runs:
            label = f"{ui.STATUS_ICON[run.status]} {run.status} {ui.inert(manage.shown('runs', run.id))}"
            st.page_link("views/runs.py", label=label, query_params={"run": run.id})
    with columns[2]:
        st.markdown("##### Verdicts")
        for head in reports:
            label = f"{head.verdict} · {manage.shown('comparisons', head.id)}"
            st.page_link("views/compare.py", label=ui.inert(label), query_params={"comparison": head.id})


st.title("What do you want your model to do?")
st.markdown(
    "Bring a narrow job, tune a small model for it, and see whether it beats prompting a large one: on accuracy, and "
    "on cost."
)
show_tour()
for column, part in zip(st.columns(2), (describe, drop), strict=True):
    with column, st.container(border=True, height="stretch"):
        part()
st.markdown("### Ready tasks")
for first in range(0, len(CARDS), A_LINE):
    for column, offered in zip(st.columns(A_LINE), CARDS[first : first + A_LINE], strict=False):
        with column:
            start_card(offered)
st.divider()
st.markdown("### Recent work")
with ui.sentences():
    recent()
st.divider()
st.caption(ui.inert(machine_line(ui.workspace())))
