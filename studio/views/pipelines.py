"""Write rows: a pipeline with its inputs, a teacher, a preview with its forecast, and the run."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import streamlit as st

from evaluate.report.wording import usd
from studio.engines import jobs
from studio.read.glance import dataset_cards
from studio.state import uploads
from studio.state.endpoints import Endpoint, about_pipeline, load_endpoints
from studio.views.data_import import TABLES
from studio.widgets import address, consent, following, ui
from studio.widgets.media import show_lineage
from synth.importing.pasted import ARROWS, read_pasted
from synth.jobdir import JobDir
from synth.pipeline import output, work
from synth.pipeline.prompts import template
from synth.pipeline.spec import OWN, Input, Pipeline, find_pipeline, own_pipelines, shipped_pipelines
from synth.pipeline.step import MAIN

PAGE = {"title": "Write rows", "icon": ":material/edit_note:", "order": 25}

FIRST = "describe-a-domain"
MINE = "-mine"
PREVIEW_ROWS = 20
SHOWN_ROWS, SHOWN_CHARS = 20, 700
SAID = "said"  # of the session: the task in words, for when somebody comes back from Settings


def _methods() -> dict[str, Pipeline]:
    """Methods by name: the first, the other shipped ones, and those that were made one's own."""
    names = [FIRST, *(name for name in shipped_pipelines() if name != FIRST)]
    own = own_pipelines(ui.workspace())
    return {name: find_pipeline(name) for name in names} | {name: find_pipeline(str(at)) for name, at in own.items()}


def _input(name: str, one: Input, key: str) -> Any:
    """A widget for an input; None where nothing was given."""
    label, about = one.title, one.about or None
    if one.kind in ("path", "paths"):
        return _file(one, key)
    if one.kind == "long_text":
        said = (ui.param("said") or st.session_state.get(SAID)) if one.default is None else None
        return st.text_area(label, said or one.default or "", help=about, key=key, height=90).strip() or None
    if one.kind == "list":
        shown = "\n".join(map(str, one.default or []))
        said = st.text_area(label, shown, help=f"{one.about} One a line.".strip(), key=key, height=90)
        return [line.strip() for line in said.splitlines() if line.strip()] or None
    if one.kind == "integer":
        return int(st.number_input(label, 0, value=int(one.default or 0), step=1, help=about, key=key))
    if one.kind == "number":
        return float(st.number_input(label, value=float(one.default or 0), help=about, key=key))
    return st.text_input(label, one.default or "", help=about, key=key).strip() or None


def _file(one: Input, key: str) -> str | None:
    """Uploaded files (of a table and what it names, the table; of documents, their folder), pasted rows, or a path."""
    given = st.file_uploader(one.title, help=one.about or None, key=f"{key}.file", accept_multiple_files=True)
    if given:
        token = ".".join(sorted(file.file_id for file in given))
        folders: dict[str, Path] = st.session_state.setdefault("upload.folders", {})
        if token not in folders or not folders[token].is_dir():
            folders[token] = uploads.keep(ui.workspace(), [(file.name, file.getvalue()) for file in given])
        if one.kind == "paths":
            return str(folders[token])
        return str(uploads.table_of(folders[token], TABLES))
    if one.kind == "paths":
        return (
            st.text_input(f"… or a path: {one.title}", key=key, help="A file or folder on this machine.").strip()
            or None
        )
    about = "Lines of “text → label”, JSON lines, or a table with its header; or the path of a file on this machine."
    said = st.text_area(f"… or paste them: {one.title}", key=key, help=about, height=90).strip()
    return _pasted(said) if "\n" in said or ARROWS.search(said) else said or None


def _pasted(said: str) -> str:
    """The file that pasted rows are kept in, one for each text. Raises DataError for what is no rows."""
    pasted = read_pasted(said)
    folders: dict[str, Path] = st.session_state.setdefault("upload.folders", {})
    if said not in folders or not folders[said].is_dir():
        folders[said] = uploads.keep(ui.workspace(), [(f"pasted{pasted.suffix}", pasted.text.encode())])
    return str(folders[said] / f"pasted{pasted.suffix}")


def _inputs(pipeline: Pipeline) -> dict[str, Any]:
    """What was given; inputs that have a good default are behind a fold."""
    inputs = pipeline.file.inputs
    first = [name for name, one in inputs.items() if one.default is None or one.kind in ("path", "paths")]
    values = {name: _input(name, inputs[name], f"pipeline.{pipeline.name}.{name}") for name in first}
    with st.expander("More settings", icon=":material/tune:"):
        for name in inputs:
            if name not in first:
                values[name] = _input(name, inputs[name], f"pipeline.{pipeline.name}.{name}")
    return {name: value for name, value in values.items() if value is not None}


def _prompts(pipeline: Pipeline) -> None:
    """The prompts, to be changed; a changed one makes the method one's own, with what was typed so far."""
    prompts = pipeline.prompts()
    with st.expander("Prompts", icon=":material/description:"):
        st.caption("`{{ name }}` is an input or a field of the candidate. A change asks only what it touches anew.")
        said = {
            name: st.text_area(name, text, key=f"prompt.{pipeline.name}.{name}", height=160)
            for name, text in prompts.items()
        }
        changed = any(text.strip() != prompts[name].strip() for name, text in said.items())
        if st.button("Keep my prompts", icon=":material/save:", disabled=not changed):
            _keep(pipeline, said)


def _keep(pipeline: Pipeline, prompts: dict[str, str]) -> None:
    """Write the method as one's own, and go on with it. Raises RecipeError for a prompt that is no template."""
    own = pipeline.name.removesuffix(MINE) + MINE
    for text in prompts.values():
        template(text, pipeline.path.parent)
    pipeline.write(ui.workspace().path / OWN / own, prompts, own)
    for key in [key for key in st.session_state if str(key).startswith(f"pipeline.{pipeline.name}.")]:
        if not str(key).endswith(".file"):  # Streamlit sets uploads itself
            st.session_state[str(key).replace(pipeline.name, own, 1)] = st.session_state[key]
    ui.set_params(pipeline=own, previewed=None)
    st.rerun()


def _teacher() -> Endpoint:
    """The endpoint that writes; there is one."""
    names = {one.name: one for one in load_endpoints(ui.workspace())}
    return names[address.menu("Teacher", list(names), "teacher")]


def _agreed(teacher: Endpoint, pipeline: Pipeline) -> bool:
    """Whether what was given may be sent to the teacher's address."""
    said = "What I give here (text, examples, documents) is sent to {place}."
    return consent.agreed([teacher.base_url], about_pipeline(pipeline.name), said)


def _plan(pipeline: Pipeline, values: dict[str, Any], teacher: Endpoint) -> dict[str, Any]:
    left, middle, right = st.columns(3)
    rows = left.number_input("Accepted rows", 1, 100_000, 500, key="pipeline.rows")
    cap = middle.number_input("Spend cap, USD", 0.0, None, teacher.spend_cap_usd, 1.0, key="pipeline.cap")
    concurrency = right.number_input("Requests at once", 1, 256, 8, key="pipeline.concurrency")
    main = {"model": teacher.model, "base_url": teacher.base_url, "api_key_env": teacher.api_key_env}
    return {
        "pipeline": pipeline.name if pipeline.name in shipped_pipelines() else str(pipeline.path),
        "inputs": values,
        "rows": int(rows),
        "cap_usd": cap or None,
        "teachers": {MAIN: {**main, "concurrency": int(concurrency)}},
    }


def _buttons(pipeline: Pipeline, plan: dict[str, Any], agreed: bool) -> None:
    taken = {card.name for card in dataset_cards(ui.workspace())}
    taken |= {folder.name for folder in ui.workspace().pipelines.glob("*")}
    free = next(name for number in count(1) if (name := f"{pipeline.name}-{number}") not in taken)
    name = st.text_input("Name of the dataset", free, key=f"pipeline.name.{free}")
    line = st.container(horizontal=True)
    with line:
        _preview(pipeline, plan, PREVIEW_ROWS, agreed, name)
    if line.button("Write the rows", type="primary", icon=":material/play_arrow:", disabled=not agreed):
        pipeline.bind(pipeline.read_inputs(plan["inputs"]))
        following.start("written", "pipeline", {"plan": plan, "name": ui.free_name(name)}, name)
    st.caption("A preview is paid once: its answers are kept for the run. Stop keeps what was paid.")


def _preview(pipeline: Pipeline, plan: dict[str, Any], rows: int, agreed: bool, name: str) -> None:
    """The button that makes so many rows."""
    if st.button(f"Preview {rows:,} rows", icon=":material/visibility:", disabled=not agreed):
        pipeline.bind(pipeline.read_inputs(plan["inputs"]))
        following.start("previewed", "pipeline_preview", {"plan": plan, "rows": rows}, name)


def _seen(made: dict[str, Any], more: Callable[[int], None]) -> None:
    """A preview: forecast, rows, what was rejected and why. `more` shows the button for a preview of so many rows."""
    found = made["forecast"]
    accepted, rejected = found["accepted"], found["rejected"]
    st.markdown(f"**{accepted}** of {accepted + rejected} candidates were accepted.")
    if found["usd"] is not None:
        low, high = found["usd_range"]
        st.markdown(f"{found['rows']:,} rows: about **{ui.inert(usd(found['usd']))}**")
        st.caption(ui.inert(f"between {usd(low)} and {usd(high)}, by how many candidates are accepted"))
        wanted = found["rows_for_tenth"]
        if wanted and wanted > accepted:
            st.caption(f"A preview of {wanted:,} rows narrows that to about 10 %; the run uses those answers too.")
            more(wanted)
    elif accepted:
        st.info("The teacher has no price in the sheet, so there is no forecast. Settings has prices.")
    if found["seconds"] is not None:
        minutes = max(1, round(found["seconds"] / 60))
        st.caption("About a minute." if minutes == 1 else f"About {minutes:,} minutes.")
    for reason, number in made["reasons"].items():
        st.caption(f"{number} rejected · {ui.inert(reason)}")
    for row in made["rows"][:SHOWN_ROWS]:
        with st.container(border=True):
            st.text(row["prompt"][-1]["content"][:SHOWN_CHARS])
            st.markdown(f":material/arrow_forward: {ui.inert(row['target'], SHOWN_CHARS)}")
            show_lineage(row["source"].get("lineage"), row["id"])
    if made["rejected"]:
        with st.expander(f"Rejected ({len(made['rejected'])})"):
            for place, one in enumerate(made["rejected"][:SHOWN_ROWS]):
                st.markdown(f":material/block: {ui.inert(one['step'])}: **{ui.inert(one['reason'])}**")
                st.caption(ui.inert(one["detail"], SHOWN_CHARS))
                show_lineage(one["lineage"], f"rejected.{place}")


def _take() -> bool:
    """After a run that ended early, a way to the dataset of what it accepted; whether that is made."""
    job = JobDir(ui.workspace().tasks / Path(ui.param("written") or "").name)
    if not ui.param("written") or job.status() in ui.ACTIVE or not (job.path / jobs.TASK_FILE).is_file():
        return False
    name = str(jobs.task_of(job)["arguments"]["name"])
    with ui.sentences():
        if (ui.workspace().datasets / name).is_dir():
            following.ready(name)
            return True
        accepted = sum(1 for _ in output.read_accepted(ui.workspace().pipelines / name))
        if accepted and st.button(f"Go on with these {accepted:,} rows", icon=":material/task_alt:"):
            with st.spinner("Making the dataset …"):
                work.take(name, ui.workspace())
            st.rerun()
    return False


def render() -> None:
    """The page."""
    if made := following.outcome("written"):
        following.ready(str(made["dataset"]))
        return
    if _take():
        return
    if said := ui.param("said"):
        st.session_state[SAID] = said
    found = _methods()
    titles = {name: one.file.title + (" (yours)" if name.endswith(MINE) else "") for name, one in found.items()}
    pipeline = found[address.menu("Method", list(found), "pipeline", ("previewed",), titles.__getitem__)]
    st.caption(ui.inert(pipeline.file.about))
    if not load_endpoints(ui.workspace()):  # said before anything is typed that going to Settings would lose
        ui.show_error("No endpoint is known that could write rows.", "Add one in Settings.")
        st.page_link("views/settings.py", label="Add an endpoint in Settings", icon=":material/settings:")
        return
    left, right = st.columns(2, gap="large")
    with right:
        start = st.container(key="first-on-phone")  # beside what it needs; see the style in studio.app
    with left, ui.sentences():
        values = _inputs(pipeline)
        _prompts(pipeline)
        teacher = _teacher()
        plan, agreed = _plan(pipeline, values, teacher), _agreed(teacher, pipeline)
        with start:
            _buttons(pipeline, plan, agreed)
    with right:
        st.markdown("##### Preview")
        with ui.sentences():
            if seen := following.outcome("previewed"):
                _seen(seen, lambda rows: _preview(pipeline, plan, rows, agreed, pipeline.name))
            elif not ui.param("previewed"):
                st.caption("20 rows for real, what was rejected and why, and what all rows would cost and take.")


st.title("Write rows with a model")
ui.steps("data")
with ui.sentences():
    render()
