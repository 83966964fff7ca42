"""The preflight card: what two real optimiser steps before a training found."""

from __future__ import annotations

import streamlit as st

from evaluate.report import wording
from recipes.recipe.words import in_words
from recipes.run.directory import Run
from recipes.train.report import PreflightReport, read_report
from studio.cli.terminal import duration
from studio.serving.asking import machine_cost
from studio.widgets import ui
from synth.modality import modality


def show_preflight(run: Run) -> None:
    """The card of a run's preflight, waited for while it is being made."""
    if (report := read_report(run.path)) is not None:
        _card(run, report)
    elif run.status() in ui.ACTIVE:
        _wait(run)
    else:
        ended = run.exit()
        ui.show_error(ended.sentence if ended else "The preflight was lost.", "Fix it, and try again.")


@st.fragment(run_every=1.0)
def _wait(run: Run) -> None:
    if run.status() not in ui.ACTIVE or read_report(run.path) is not None:
        st.rerun()
    st.info("Preflight: loading the model and taking two steps on the longest batch …", icon=":material/fact_check:")


def _card(run: Run, report: PreflightReport) -> None:
    with st.container(border=True):
        st.markdown(f"#### {':material/check_circle: Ready' if report.ok else ':material/block: Not ready'}")
        st.caption(ui.inert(in_words(run.recipe)))
        for problem in report.problems:
            ui.show_error(problem)
        if probe := report.probe:
            peak, free = probe.memory_bytes / 2**30, probe.memory_available_bytes / 2**30
            usd, basis = machine_cost(ui.workspace(), probe.projected_sec)
            first, second, third, fourth, fifth = st.columns(5)
            first.metric("Peak memory", f"{peak:.2f} GiB", f"{free:.0f} GiB free", "off", delta_arrow="off")
            second.metric(
                "Projected time", duration(probe.projected_sec), f"{report.steps} steps", "off", delta_arrow="off"
            )
            third.metric("Projected cost", wording.usd(usd), help=ui.inert(basis))
            fourth.metric("Trained parameters", f"{probe.trainable / 1e6:.2f} M")
            fifth.metric("Longest row", f"{report.tokens.longest} tokens")
        if report.picture:
            st.image(str(run.path / report.picture), caption=modality(run.recipe.modality).picture_caption)
        st.caption("A sample as the model gets it. Text in ⟦ ⟧ is read but not learned.")
        st.code(report.sample_text, language=None, wrap_lines=True)
