"""Lines over steps, drawn by a few lines of our own script.

Streamlit's charts load 1.5 MB of Vega first, which took longer than the rest of the page. Here is neither zoom nor a
scale other than a linear one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import streamlit as st

from studio.widgets import ui

HEIGHT_PX = 220
DIGITS = 6
SOLID = 4  # lines that their colours alone tell apart
HTML = '<div class="key"></div><div class="chart"></div>'
CSS = f"""
.chart {{position: relative; min-height: {HEIGHT_PX}px}}
.chart svg {{display: block}}
.chart text {{fill: currentColor; font-size: 12px; opacity: 0.8}}
.grid {{stroke: currentColor; opacity: 0.15}}
.mark {{stroke: currentColor; opacity: 0.5}}
.words {{position: absolute; top: 4px; padding: 4px 8px; font-size: 12px; pointer-events: none; white-space: nowrap;
  background: var(--st-secondary-background-color); border: 1px solid var(--st-border-color); border-radius: 4px}}
.words div {{padding-left: 6px}}
.key {{display: flex; flex-wrap: wrap; gap: 2px 14px; font-size: 12px}}
.key span::before {{content: ""; display: inline-block; width: 14px; margin-right: 5px; vertical-align: middle;
  border-top: 3px var(--dash) var(--line)}}
"""
_CHART = st.components.v2.component(
    "line_chart", html=HTML, css=CSS, js=Path(__file__).with_suffix(".js").read_text("utf-8")
)


class Line(NamedTuple):
    """One line: its values at these steps, of which there is at least one; `place` decides its colour and dashes."""

    name: str
    place: int
    steps: Sequence[int]
    values: Sequence[float]


def show(lines: Sequence[Line], about: str, key: str) -> None:
    """The chart. `about` says to those who do not see it what it shows; `key` is its own on the page."""
    ranges = [f"{line.name} from {line.values[0]:.4g} to {line.values[-1]:.4g}" for line in lines]
    data = {
        "about": f"{about}: {', '.join(ranges)}",
        "height": HEIGHT_PX,
        "lines": [
            {
                "name": line.name,
                "color": ui.PALETTE[line.place],
                "dashed": line.place >= SOLID,
                "steps": [int(step) for step in line.steps],
                "values": [float(f"{value:.{DIGITS}g}") for value in line.values],
            }
            for line in lines
        ],
    }
    _CHART(key=key, data=data)
