"""Parts of report.json that speak of records field by field. Shapes only; `by_field` computes what stands in them."""

from __future__ import annotations

from pydantic import Field

from evaluate.report.parts import Bounds, Part


class FieldFigures(Part):
    """One field of the records, for one system. null, an empty text and an empty list are empty."""

    field: str
    rows: int
    accuracy: float = Field(description="Right values, rightly empty ones included.")
    accuracy_ci95: Bounds
    filled: int = Field(description="Rows whose right value is not empty.")
    right_of_filled: float | None = Field(description="Right values among those; None = there are none.")
    right_of_filled_ci95: Bounds | None
    overlap: float | None = Field(description="Mean F1 over words or list items among those, 1 where it is right.")
    missed: int = Field(description="Filled rows that were left empty, or whose reply holds no record.")
    wrong: int = Field(description="Filled rows that were given another value.")
    empty: int = Field(description="Rows whose right value is empty.")
    invented: int = Field(description="Empty rows that were given a value.")
    invented_share: float | None = Field(description="Of the empty rows; None = there are none.")
    invented_ci95: Bounds | None


class SystemByField(Part):
    """One system's records on one split."""

    rows: int
    exact: float = Field(description="Records with every field right.")
    exact_ci95: Bounds
    valid: float | None = Field(description="Replies that obey the JSON schema of the answers; None = not measured.")
    valid_ci95: Bounds | None
    fields: tuple[FieldFigures, ...]

    def figures(self, name: str) -> FieldFigures | None:
        """The figures of a field."""
        return next((one for one in self.fields if one.field == name), None)


class ByField(Part):
    """Records on one split, field by field."""

    split: str
    systems: dict[str, SystemByField]
