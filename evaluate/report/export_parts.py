"""Part of report.json that says what exporting cost: an export beside the tuned model that it was made of.

Shapes only; `exports` fills them.
"""

from __future__ import annotations

from pydantic import Field

from evaluate.report.parts import Bounds, Part


class ExportPart(Part):
    """An export and its original on one split. `ahead` is negative where the export is worse, for error rates too."""

    system: str
    original: str
    split: str
    n: int = Field(description="Rows that both have a score for.")
    same: int = Field(description="Rows of them whose texts are equal.")
    ahead: float
    ci95: Bounds
    sentence: str
