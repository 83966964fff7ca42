"""The data of a chart, before anything is drawn or asked: one or two series over named categories."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

ChartKind = Literal["bar", "hbar", "line", "pie"]


@dataclasses.dataclass(frozen=True)
class ChartData:
    """values[s][c] is series s at category c; colours are per category (one series) or per series (two)."""

    kind: ChartKind
    title: str
    names: tuple[str, ...]
    series: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]
    colours: tuple[str, ...]
    by_colour: bool
    printed: bool
    top: int
    grain: int

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def seen(self) -> str:
        rows = []
        for name, values in zip(self.series, self.values, strict=True):
            cells = ", ".join(f"{c} {v}" for c, v in zip(self.names, values, strict=True))
            rows.append(f"{name}: {cells}" if name else cells)
        return "\n".join(rows)
