"""Part of Runs: a sweep's trials, which values went with which result, and what made the difference."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from studio.read.sweeps import SweepFacts, TrialFacts, sweeps
from studio.widgets import address, ui

CHART_PX = 300
FEW = 20
ENDS = (ui.PALETTE[1], ui.PALETTE[0])  # of the worst and of the best trial; a dark page hides viridis' dark end


def show() -> None:
    """The sweeps of the workspace, folded away; nothing where there are none."""
    found = sweeps(ui.workspace())
    if not found:
        return
    with st.expander("Sweeps", icon=":material/travel_explore:", expanded=ui.param("sweep") is not None):
        chosen = address.menu("Sweep", [one.name for one in found], "sweep")
        _sweep(next(one for one in found if one.name == chosen))


def _sweep(one: SweepFacts) -> None:
    done = [trial for trial in one.trials if trial.state == "done"]
    pruned = sum(trial.state == "pruned" for trial in one.trials)
    state = "It goes on." if one.going else "The same command goes on." if len(one.trials) < one.asked else ""
    st.caption(f"{len(one.trials)} of {one.asked} trials, {pruned} of them ended early. {state}")
    if one.best is not None:
        _winner(one)
    if len(done) > 1:
        st.markdown(f"**Values and {ui.inert(one.metric)}** :gray[one line a trial that came to its end]")
        _parallel(one, done)
    if one.importance:
        st.markdown("**Importance** :gray[share of the differences that an option explains, by fANOVA]")
        _importance(one)
        if len(done) < FEW:
            st.caption(f"A rough figure: it rests on {len(done)} trials.")
    _table(one)


def _winner(one: SweepFacts) -> None:
    best = next(trial for trial in one.trials if trial.number == one.best)
    values = ", ".join(f"{name} {_short(value)}" for name, value in best.values.items())
    st.markdown(
        f"**Best: {ui.inert(best.run)}**, {ui.inert(one.metric)} {_short(best.value)} on rows of val, "
        f"with {ui.inert(values)}."
    )
    known = [repeat.value for repeat in one.repeats if repeat.value is not None]
    if known:
        results = ", ".join(map(_short, known))
        mean = sum(known) / len(known)
        st.markdown(
            f"With {len(known)} other seeds: {results} (mean {_short(mean)}). The best of many is partly luck; these "
            "are not. Compare them on rows of test."
        )


def _parallel(one: SweepFacts, done: list[TrialFacts]) -> None:
    """One axis an option and one for the metric, each from its lowest to its highest value."""
    axes = [*done[0].values, one.metric]
    rows = [{**trial.values, one.metric: trial.value} for trial in done]
    places = {axis: _places([row[axis] for row in rows], axis in one.logarithmic) for axis in axes}
    data = [
        {
            "trial": trial.run,
            "axis": axis,
            "place": places[axis][number],
            "value": _short(rows[number][axis]),
            "result": trial.value,
            "best": trial.number == one.best,
        }
        for number, trial in enumerate(done)
        for axis in axes
    ]
    import pandas as pd

    encoding = {
        "x": {"field": "axis", "type": "nominal", "sort": axes, "title": None, "axis": {"labelAngle": 0}},
        "y": {"field": "place", "type": "quantitative", "axis": None, "scale": {"domain": [-0.05, 1.05]}},
        "detail": {"field": "trial"},
        "color": {
            "field": "result",
            "type": "quantitative",
            "title": one.metric,
            "scale": {"range": list(reversed(ENDS) if one.lower_is_better else ENDS)},
        },
        "size": {"condition": {"test": "datum.best", "value": 4}, "value": 1.5},
        "tooltip": [{"field": name} for name in ("trial", "axis", "value", "result")],
    }
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "line", "opacity": 0.8}, "encoding": encoding},
        {"mark": {"type": "point", "filled": True}, "encoding": {**encoding, "size": {"value": 40}}},
    ]
    st.vega_lite_chart(pd.DataFrame(data), {"layer": layers, "height": CHART_PX})


def _places(values: list[Any], log: bool) -> list[float]:
    """Each value between 0 (lowest) and 1; words in the order of the alphabet."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        numbers = [math.log(value) if log else float(value) for value in values]
    else:
        words = sorted({str(value) for value in values})
        numbers = [float(words.index(str(value))) for value in values]
    low, high = min(numbers), max(numbers)
    return [(number - low) / (high - low) if high > low else 0.5 for number in numbers]


def _importance(one: SweepFacts) -> None:
    import pandas as pd

    data = pd.DataFrame({"option": list(one.importance), "share": list(one.importance.values())})
    encoding = {
        "y": {"field": "option", "type": "nominal", "sort": "-x", "title": None},
        "x": {"field": "share", "type": "quantitative", "title": None, "axis": {"format": "%"}},
        "tooltip": [{"field": "option"}, {"field": "share", "format": ".0%"}],
    }
    mark = {"type": "bar", "color": ui.PALETTE[0]}
    st.vega_lite_chart(data, {"mark": mark, "encoding": encoding, "height": 40 + 30 * len(data)})


def _table(one: SweepFacts) -> None:
    names = list(one.trials[0].values) if one.trials else []
    cells: dict[str, list[Any]] = {
        "Run": [trial.run for trial in one.trials],
        "Ended": [trial.state or "open" for trial in one.trials],
        one.metric: [trial.value for trial in one.trials],
    }
    cells |= {name: [_short(trial.values.get(name)) for trial in one.trials] for name in names}
    st.dataframe(cells, hide_index=True)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
