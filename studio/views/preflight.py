"""The preflight card: what two real optimiser steps before a training found."""

from __future__ import annotations

import streamlit as st

from recipes.preflight import PreflightReport, read_report
from recipes.run import Run
from studio import ui
from studio.terminal import duration


@st.fragment(run_every=1.0)
def watch_preflight(run_id: str) -> None:
    """The card of a run's preflight, polled until it is there."""
    run = Run(ui.workspace().runs / run_id)
    report = read_report(run.path)
    if report is not None:
        _card(run, report)
    elif run.status() in ("queued", "running"):
        st.info(
            "Preflight: loading the model and taking two steps on the longest batch …", icon=":material/fact_check:"
        )
    else:
        ended = run.exit()
        ui.show_error(ended.sentence if ended else "The preflight was lost.", "Mend it, and try again.")


def _card(run: Run, report: PreflightReport) -> None:
    with st.container(border=True):
        st.markdown(f"#### {':material/check_circle: Ready' if report.ok else ':material/block: Not ready'}")
        for problem in report.problems:
            ui.show_error(problem)
        if probe := report.probe:
            peak, free = probe.memory_bytes / 2**30, probe.memory_available_bytes / 2**30
            first, second, third, fourth = st.columns(4)
            first.metric("Peak memory", f"{peak:.2f} GiB", f"{free:.0f} GiB free", "off", delta_arrow="off")
            second.metric(
                "Projected time", duration(probe.projected_sec), f"{report.steps} steps", "off", delta_arrow="off"
            )
            third.metric("Trained parameters", f"{probe.trainable / 1e6:.2f} M")
            fourth.metric("Longest row", f"{report.tokens.longest} tokens")
        if report.picture:
            st.image(str(run.path / report.picture), caption="The picture as the model sees it")
        st.caption("A sample as the model gets it. Text in ⟦ ⟧ is read but not learned.")
        st.code(report.sample_text, language=None, wrap_lines=True)
