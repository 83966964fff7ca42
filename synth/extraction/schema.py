"""What a structured issue is: its keys, the values they may have, and the rubric of its priority.

The JSON schema is what constrained decoding and endpoints are given. It reads no text and judges none.
"""

from __future__ import annotations

import json
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

IssueType = Literal["bug", "feature", "question", "docs", "performance", "security"]
Priority = Literal["critical", "high", "medium", "low"]
TYPES: tuple[IssueType, ...] = get_args(IssueType)

RUBRIC: dict[Priority, str] = {
    "critical": "data lost or exposed, money wrong, or work stopped for everybody",
    "high": "a main function does not work and there is no way around it",
    "medium": "it works in part or with effort",
    "low": "looks, wishes and small questions",
}


class Issue(BaseModel):
    """A complaint, review or bug report as data. What the text does not say is null; steps are then an empty list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(description="A few words that name the matter.")
    type: IssueType
    priority: Priority
    component: str | None = Field(description="The part of the product, as the text names it.")
    version: str | None = Field(description="The affected version of the product; no other version.")
    platform: str | None = Field(description="The affected device, system or browser.")
    steps: tuple[str, ...] = Field(description="What to do to see it, in order.")
    expected: str | None = Field(description="What should happen, or what is wished for.")
    actual: str | None = Field(description="What happens instead.")
    estimated_hours: float | None = Field(description="Hours of work, when the text names them.")

    def as_json(self) -> str:
        """The answer that a model is to write: one line, all keys, in order; whole hours without a decimal point."""
        values = self.model_dump(mode="json")
        hours = self.estimated_hours
        values["estimated_hours"] = int(hours) if hours is not None and hours == int(hours) else hours
        return json.dumps(values, ensure_ascii=False)


KEYS = tuple(Issue.model_fields)


def json_schema() -> dict[str, Any]:
    """The JSON schema of an answer: every key required, nothing else allowed."""
    schema = Issue.model_json_schema()
    schema["required"] = list(KEYS)
    return schema


INSTRUCTION = (
    "Turn the message into an issue: a JSON object with the keys "
    + ", ".join(KEYS)
    + f". type is one of {', '.join(TYPES)}. priority: "
    + "; ".join(f"{name} = {meaning}" for name, meaning in RUBRIC.items())
    + ". Copy component, version, platform, steps, expected and actual from the message; null (steps: []) where it "
    "says nothing. version is the affected version of the product, never another one."
)
