"""The price sheet: dated prices with units and sources, overrides of a workspace, staleness.

    smolstudio prices list | check | set MODEL UNIT PRICE

Looks prices up; multiplies nothing (cost.py does). A price that the sheet lacks is None, shown as "unpriced", never 0.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt

from synth.errors import RecipeError, did_you_mean
from synth.storage import atomic_write_text
from synth.strict import read_yaml, validated

SHIPPED = Path(__file__).with_name("prices.yaml")
STALE_AFTER_DAYS = 90

Unit = Literal[
    "input_mtok",
    "cached_mtok",
    "cached_audio_mtok",
    "cache_write_mtok",
    "cache_write_1h_mtok",
    "output_mtok",
    "audio_input_mtok",
    "audio_output_mtok",
    "audio_minute",
    "batch_factor",
    "batch_cache_factor",
    "hour",
    "kwh",
    "watts",
]


class PriceRow(BaseModel):
    """One price of one model or machine, in USD per unit."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str = Field(description="Model as the endpoint calls it, or a machine's name.")
    unit: Unit
    price: NonNegativeFloat
    source: str = Field(description="Key of `sources`, or free text.")
    checked: dt.date
    second: str = ""
    second_checked: dt.date | None = None
    up_to_input_tokens: PositiveInt | None = Field(default=None, description="Larger requests are not priced.")
    note: str = ""

    @property
    def confirmed(self) -> dt.date:
        """Last day on which either source showed this value."""
        return max(self.checked, self.second_checked or self.checked)

    def stale(self, today: dt.date) -> bool:
        """Whether nobody has confirmed the value for more than 90 days."""
        return (today - self.confirmed).days > STALE_AFTER_DAYS


class PriceSheet(BaseModel):
    """All known prices; a model and unit has one row."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: Literal[1] = 1
    sources: dict[str, str] = {}
    rows: tuple[PriceRow, ...] = ()

    def rows_of(self, model: str) -> list[PriceRow]:
        """Prices of a model; a dated snapshot ("gpt-4o-2024-08-06") without own rows is priced as its model."""
        name = self.priced_name(model)
        return [row for row in self.rows if row.model == name]

    def priced_name(self, model: str) -> str:
        """The name whose rows price `model`: its own where it has any, else, of a dated snapshot, its model's.

        Some snapshots cost otherwise than their model, and those have rows of their own; where a name differs from the
        one it is priced by, the report says so.
        """
        if any(row.model == model for row in self.rows):
            return model
        undated = model[:-11] if _ends_in_date(model, "%Y-%m-%d", 10) else model
        undated = model[:-9] if _ends_in_date(model, "%Y%m%d", 8) else undated
        return undated if any(row.model == undated for row in self.rows) else model

    def find(self, model: str, unit: Unit) -> PriceRow | None:
        """The row of this model and unit, if the sheet has one."""
        return next((row for row in self.rows_of(model) if row.unit == unit), None)

    def price(self, model: str, unit: Unit) -> float | None:
        """USD per unit, or None = unpriced."""
        row = self.find(model, unit)
        return None if row is None else row.price

    def source_of(self, row: PriceRow) -> str:
        """The source in words."""
        return self.sources.get(row.source, row.source)

    def merged(self, other: PriceSheet) -> PriceSheet:
        """This sheet with the rows of `other` in place of its own."""
        table = {(row.model, row.unit): row for row in (*self.rows, *other.rows)}
        return PriceSheet(sources={**self.sources, **other.sources}, rows=tuple(table.values()))


class Finding(NamedTuple):
    """Something a reader of the sheet should know about one row."""

    row: PriceRow
    what: str


def _ends_in_date(model: str, pattern: str, length: int) -> bool:
    try:
        dt.datetime.strptime(model[-length:], pattern)
    except ValueError:
        return False
    return len(model) > length + 1 and model[-length - 1] in "-@"


def override_path(workspace: Path) -> Path:
    """Where a workspace keeps its own prices."""
    return workspace / "prices.yaml"


def load(path: Path | None = None, workspace: Path | None = None) -> PriceSheet:
    """The sheet at `path` (or the shipped one), with the workspace's own prices on top. Raises RecipeError."""
    sheet = validated(PriceSheet, read_yaml(path or SHIPPED, "price sheet"), "price sheet")
    own = override_path(workspace) if workspace is not None else None
    if own is None or not own.exists():
        return sheet
    return sheet.merged(validated(PriceSheet, read_yaml(own, "price sheet"), "price sheet"))


def set_price(
    workspace: Path, model: str, unit: str, price: float, source: str = "set by hand", checked: dt.date | None = None
) -> PriceRow:
    """Write one price into the workspace's own sheet and return its row. Raises RecipeError for an unknown unit."""
    import yaml

    known = list(get_args(Unit))
    if unit not in known:
        message = f"There is no unit {unit!r}{did_you_mean(unit, known)}."
        raise RecipeError(message, f"Use one of {', '.join(known)}.", "prices.unit")
    fields = {"model": model, "unit": unit, "price": price, "source": source, "checked": checked or dt.date.today()}
    row = validated(PriceRow, fields, "price")
    own = override_path(workspace)
    sheet = validated(PriceSheet, read_yaml(own, "price sheet"), "price sheet") if own.exists() else PriceSheet()
    merged = sheet.merged(PriceSheet(rows=(row,)))
    data = merged.model_dump(mode="python", exclude_defaults=True)
    data["rows"] = list(data["rows"])
    atomic_write_text(own, yaml.safe_dump({"version": 1, **data}, sort_keys=False, allow_unicode=True))
    return row


def check(sheet: PriceSheet, today: dt.date) -> list[Finding]:
    """Rows that are stale, assumed, or known from one source only."""
    findings = []
    for row in sheet.rows:
        if row.stale(today):
            findings.append(Finding(row, f"not confirmed for {(today - row.confirmed).days} days"))
        if row.source == "assumption":
            findings.append(Finding(row, "an assumption, not a quotation"))
        elif not row.second:
            findings.append(Finding(row, "one source only"))
    return findings
