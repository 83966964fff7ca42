"""The tasks that the Start page offers, as data: a new task is a new card, not a new page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class StartCard(NamedTuple):
    """A task on Start: what it is for, and what the pages after it begin with; `settings` are the generator's."""

    key: str
    title: str
    icon: str
    about: str
    modality: str
    generator: str | None
    recipe: str
    dpo_recipe: str
    starter: str
    large: str
    settings: Mapping[str, Any] = {}


CARDS: tuple[StartCard, ...] = (
    StartCard(
        "math",
        "Math problems",
        ":material/calculate:",
        "Invoices, rates and schedules: word problems with one right answer, worked out line by line.",
        "text",
        "math",
        "starter-text-sft",
        "starter-text-dpo",
        "starter-text",
        "starter-text-large",
    ),
    StartCard(
        "vision",
        "Charts and receipts",
        ":material/receipt_long:",
        "Questions about charts, receipts, tables and forms, answered from the picture.",
        "vision",
        "vision",
        "starter-vision-sft",
        "starter-vision-dpo",
        "starter-vision",
        "starter-vision-large",
        {"difficulty": 1, "size": 128, "model_size": 128},  # the starter sees no more
    ),
    StartCard(
        "audio",
        "Dictated speech",
        ":material/mic:",
        "Notes, orders and calls with numbers, names and codes, written down as they are meant.",
        "audio",
        "audio",
        "starter-audio-sft",
        "starter-audio-dpo",
        "starter-audio",
        "starter-audio-large",
    ),
    StartCard(
        "own",
        "Your own data",
        ":material/upload_file:",
        "Texts with right answers that you already have, as CSV, JSONL or XLSX. With 30 to 200 real rows kept for "
        "the test, the verdict is about your own work.",
        "text",
        None,
        "starter-text-sft",
        "starter-text-dpo",
        "starter-text",
        "starter-text-large",
    ),
)


def card(key: str | None) -> StartCard | None:
    """The card of that key, or None."""
    return next((c for c in CARDS if c.key == key), None)


def settings_for(generator: str) -> dict[str, Any]:
    """What the form of a generator begins with."""
    return next((dict(c.settings) for c in CARDS if c.generator == generator), {})


def card_for(modality: str) -> StartCard:
    """The first card of a modality."""
    first: dict[str, StartCard] = {c.modality: c for c in reversed(CARDS)}
    return first[modality]
