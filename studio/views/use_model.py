"""Use, the model itself: export it to another program's format, serve it on this machine, share what was found."""

from __future__ import annotations

import json

import streamlit as st

from evaluate.report.reading import read_report
from evaluate.report.schema import Report
from recipes.export.targets import exporters
from recipes.models.files import resolve
from studio.engines import jobs
from studio.read import plain
from studio.read.glance import report_heads
from studio.read.history import RunFacts
from studio.state import uploads
from studio.widgets import following, ui
from synth.errors import UserError
from synth.jobdir import JobDir

DEFAULT_PORT = 8000
CURL = """curl {address}/chat/completions \\
  -H 'Content-Type: application/json' \\
  -d '{body}'"""
PYTHON = """from openai import OpenAI

client = OpenAI(base_url={address!r}, api_key="none")
reply = client.chat.completions.create(
    model={model!r},
    messages=[{{"role": "user", "content": {text!r}}}],
    temperature=0,
)
print(reply.choices[0].message.content)"""


def export(run: RunFacts) -> None:
    """One button for each format that this base can be written in."""
    made = following.outcome("exported")
    if made:
        st.success("The export is complete.", icon=":material/check_circle:")
        st.code(str(made["folder"]), language=None)
        st.markdown("\n".join(f"- {ui.inert(sentence)}" for sentence in made["said"]))
        with st.expander("The card that goes with it"):
            st.code(str(made["card"]), language="markdown")
        if st.button("Export again", icon=":material/refresh:"):
            ui.set_params(exported=None)
            st.rerun()
        return
    if ui.param("exported"):
        return
    try:
        base = resolve(run.recipe.base_model, run.recipe.revision, fetch=False)
    except UserError as error:
        ui.show_error(error.message, error.remedy)
        return
    blockers = {key: target.supports(base) for key, target in exporters().items()}
    for key, why in sorted(blockers.items(), key=lambda one: bool(one[1])):  # what can be done comes first
        left, right = st.columns([4, 1], vertical_alignment="center")
        target = exporters()[key]
        left.markdown(
            f"**{ui.inert(key)}** · {ui.inert(target.label)}{f' · not for this base: {ui.inert(why)}' if why else ''}"
        )
        if right.button(
            f"Export {key}", icon=":material/output:", disabled=bool(why), key=f"export.{key}", width="stretch"
        ):
            token = ui.draft_token("exported")
            arguments = {"run": run.id, "to": key, "name": f"{run.id}-{key}-{token}"}
            following.start("exported", "export", arguments, f"{run.id}-{key}")


def serve(run: RunFacts) -> None:
    """Start and stop a server of this run; what to send it."""
    job = _server_of(run)
    if job is not None:
        _running(job.id, run.id)
        return
    task = ui.param("served") or ""
    ended = JobDir(ui.workspace().tasks / task).exit() if uploads.is_plain(task) else None
    if ended and ended.verdict == "failed":
        ui.show_error(ended.sentence)
    st.markdown("An OpenAI-compatible server of this model on this machine; it runs on when this page is closed.")
    port = st.number_input("Port", 1024, 65_535, DEFAULT_PORT)
    if st.button("Start serving", type="primary", icon=":material/play_arrow:"):
        following.start("served", "serve", {"run": run.id, "port": int(port)}, run.id)


def _server_of(run: RunFacts) -> JobDir | None:
    """The server of a run that is starting or running, whoever started it."""
    return next(
        (
            job
            for job, asked in jobs.tasks(ui.workspace())
            if asked["kind"] == "serve" and asked["arguments"]["run"] == run.id and job.status() in ui.ACTIVE
        ),
        None,
    )


@st.fragment(run_every=2.0)
def _running(task: str, run: str) -> None:
    job = JobDir(ui.workspace().tasks / task)
    if job.status() not in ui.ACTIVE:
        st.rerun()
    ready = next(iter(job.events("ready")), None)
    if st.button("Stop serving", icon=":material/stop_circle:"):
        jobs.ENGINE.cancel(job)
        st.rerun()
    if ready is None:
        st.info("The model is being written as one checkpoint and loaded …", icon=":material/hourglass_empty:")
        return
    st.success(f"Serving {ui.inert(run)}.", icon=":material/check_circle:")
    st.code(ready["address"], language=None)
    body = json.dumps({"model": ready["model"], "messages": [{"role": "user", "content": "Hello"}], "temperature": 0})
    st.markdown("**In a terminal**")
    st.code(CURL.format(address=ready["address"], body=body), language="bash")
    st.markdown("**In Python**")
    st.code(PYTHON.format(address=ready["address"], model=ready["model"], text="Hello"), language="python")


def share(run: RunFacts) -> None:
    """The reports that speak of this run, each as one HTML file that needs nothing else."""
    named = [(head.id, _report_of(head.id, run.id)) for head in report_heads(ui.workspace())]
    found = [(comparison, report) for comparison, report in named if report is not None]
    if not found:
        ui.empty("No verdict yet", "Compare this model first; its report is one HTML file to send or print.")
        where = {"dataset": run.recipe.data.dataset, "run": run.id}
        st.page_link("views/compare.py", label="Compare it", icon=":material/balance:", query_params=where)
        return
    for comparison, report in found:
        file = ui.workspace().comparisons / comparison / "report.html"
        if not file.is_file():
            continue
        st.markdown(f"**{ui.inert(report.verdict.word or 'No verdict')}** · {ui.inert(plain.sentence(report))}")
        st.download_button(
            f"Download {comparison} as HTML",
            file.read_bytes(),
            f"{comparison}.html",
            "text/html",
            icon=":material/download:",
            on_click="ignore",
        )
    st.caption("It holds tested rows with the models' answers. Look at them before you send it to others.")


def _report_of(comparison: str, run: str) -> Report | None:
    """The report of a comparison in which the run took part."""
    try:
        report = read_report(ui.workspace().comparisons / comparison / "report.json")
    except UserError:
        return None
    return report if any(system.adapter == run for system in report.systems) else None
