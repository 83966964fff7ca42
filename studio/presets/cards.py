"""The tasks that the Start page offers, as data: a new task is a new card, not a new page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Sample(NamedTuple):
    """One of the first rows that a generator makes with a card's settings: question, right answer, picture."""

    question: str
    answer: str
    picture: str = ""


class StartCard(NamedTuple):
    """A ready task on Start: what it is for, and what the pages after it begin with; `settings` are the generator's.

    `takes`: how long the demo of this task took on two cores.
    `picture`: a drawing of the task, in `pictures`; "" where the sample has a picture of its own.
    """

    key: str
    title: str
    icon: str
    about: str
    takes: str
    modality: str
    generator: str
    recipe: str
    starter: str
    large: str
    sample: Sample
    picture: str = ""
    settings: Mapping[str, Any] = {}


CARDS: tuple[StartCard, ...] = (
    StartCard(
        "math",
        "Math problems",
        ":material/calculate:",
        "Invoices, rates and schedules: word problems with one right answer, worked out line by line.",
        "10,000 rows made here · the demo took 6 minutes on two cores",
        "text",
        "math",
        "starter-text-sft",
        "starter-text",
        "starter-text-large",
        Sample(
            "Rosa orders 5 plates for $10 apiece. A delivery fee of $13 is added. How much is the order in dollars?",
            "5 * 10 = 50\n50 + 13 = 63\nAnswer: 63",
        ),
        "math.svg",
    ),
    StartCard(
        "vision",
        "Charts and receipts",
        ":material/receipt_long:",
        "Questions about charts, receipts, tables and forms, answered from the picture.",
        "4,000 pictures drawn here · the demo took 4 minutes on two cores",
        "vision",
        "vision",
        "starter-vision-sft",
        "starter-vision",
        "starter-vision-large",
        Sample(
            "What is the difference between the blue point and the orange point?",
            "orange 3, blue 7, purple 10, red 8\n7 - 3 = 4\nAnswer: 4",
            "vision.png",
        ),
        settings={"difficulty": 1, "size": 128, "model_size": 128},  # the starter sees no more
    ),
    StartCard(
        "audio",
        "Dictated speech",
        ":material/mic:",
        "Notes, orders and calls with numbers, names and codes, written down as they are meant.",
        "2,000 recordings spoken here · the demo took 4 minutes on two cores",
        "audio",
        "audio",
        "starter-audio-sft",
        "starter-audio",
        "starter-audio-large",
        Sample("Transcribe the recording.", "Temperature 37.4°C, pulse 103."),
        "audio.svg",
    ),
    StartCard(
        "extraction",
        "Complaints as issues",
        ":material/assignment_late:",
        "Complaints, reviews and bug reports in five languages, each as a structured issue with urgency and product.",
        "Rows made here · on the starter it shows the way only: take a published model",
        "text",
        "extraction",
        "starter-text-issues",
        "starter-text",
        "starter-text-large",
        Sample(
            "raspberry pi 4: every time i log in, the crossfade can't find the file also it took me 8 hours to find "
            "out but i cannot use it at all like this anyway in 9.25.1 everything worked",
            '{"title": "Crossfade can\'t find the file", "type": "bug", "priority": "high", "component": "crossfade", '
            '"version": null, "platform": "raspberry pi 4", "steps": ["log in"], "expected": null, "actual": "can\'t '
            'find the file", "estimated_hours": null}',
        ),
        "extraction.svg",
    ),
    StartCard(
        "urgency",
        "Message urgency",
        ":material/priority_high:",
        "Messages of patients to a practice: which of them cannot wait, which can, and which are paperwork.",
        "1,200 messages made here · the demo took 3 minutes on two busy cores",
        "text",
        "urgency",
        "starter-text-sft",
        "starter-text",
        "starter-text-large",
        Sample(
            "Hi, it is me again. Blood runs from the nose and does not stop. Kind regards, Ada",
            "high",
        ),
        "urgency.svg",
    ),
    StartCard(
        "attributes",
        "Product attributes",
        ":material/sell:",
        "Product titles and descriptions as a record: brand, colour, material, size, and how many are in the pack.",
        "3,000 texts made here · the demo took 7 minutes on two busy cores",
        "text",
        "attributes",
        "starter-text-issues",
        "starter-text",
        "starter-text-large",
        Sample(
            "You have been asking for this apron. Made of linen. Now 15 % off. By Velto. The size is XXL.",
            '{"product": "apron", "brand": "Velto", "colour": null, "material": "linen", "size": "XXL", '
            '"quantity": null}',
        ),
        "attributes.svg",
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
