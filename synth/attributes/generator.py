"""Fill the four splits with product texts and their attributes. Deterministic by the spec; rows come one by one.

The product is drawn first and the text written from it; what stays null is not said. Brands of validation and test are
none of training, so that they must be read and cannot be known. test_ood holds groups of products and a form of text
that training never shows.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field

from synth.context import Context
from synth.example import Example, Origin, Split, make_example, user
from synth.generators import Offers, draw_rows
from synth.scoring.names import FIELDS
from synth.task import TaskCard

VERSION = 1
KEYS = ("product", "brand", "colour", "material", "size", "quantity")
TASK = TaskCard(
    instruction="Read what is sold: a JSON object with the keys product, brand, colour, material, size and quantity. "
    "Copy the words of the text, with the unit of a size; quantity is a whole number, the pieces in the pack. null for "
    "what the text does not say. Other colours, sizes, packs and products that the text names are not the answer.",
    kind="extraction",
)
FORMS = ("title", "text", "text", "list")
HELD_OUT_FORM = "question"
_SAID = {"brand": 0.85, "colour": 0.85, "material": 0.75, "size": 0.7, "quantity": 0.45}
"""How often a text says each attribute."""


class Spec(BaseModel):
    """Settings of the product generator; each field's title and description also label the form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, title="Seed", description="Another seed gives other rows; the same seed the same rows.", ge=0)
    train: int = Field(3000, title="Training rows", description="Rows to tune on.", ge=0, le=1_000_000)
    val: int = Field(100, title="Validation rows", description="Rows to choose settings with.", ge=0, le=100_000)
    test: int = Field(200, title="Test rows", description="Known products of brands not trained on.", ge=0, le=100_000)
    test_ood: int = Field(
        100,
        title="Test rows, unseen families",
        description="Groups of products and a form of text that training never shows.",
        ge=0,
        le=100_000,
    )
    others: float = Field(
        0.4, title="Other values", description="Share of texts that also name what is not sold.", ge=0, le=1
    )


class Product(NamedTuple):
    """What is sold, as the answer has it; None is not said."""

    product: str
    brand: str | None
    colour: str | None
    material: str | None
    size: str | None
    quantity: int | None

    def as_json(self) -> str:
        """The answer: one line, all keys, in order."""
        return json.dumps(self._asdict(), ensure_ascii=False)


@functools.cache
def bank() -> dict[str, Any]:
    """The words, as they stand in the file."""
    return dict(yaml.safe_load(Path(__file__).with_name("words.yaml").read_text("utf-8")))


def generate(spec: Spec, context: Context) -> Offers:
    """Candidates in the order train, val, test, test_ood. Raises DataError when no new text can be found."""
    return draw_rows("attributes", spec, context, functools.partial(_draw, spec))


def _draw(spec: Spec, rng: Random, split: Split, number: int) -> Example:
    unseen = split == "test_ood" and number % 2 == 0  # a group; else a form
    form = HELD_OUT_FORM if split == "test_ood" and not unseen else rng.choice(FORMS)
    group = rng.choice([name for name, one in bank()["groups"].items() if one.get("held_out", False) == unseen])
    sold = _product(rng, group, split)
    other = rng.random() < spec.others
    text = _written(rng, sold, form, _other(rng, group, sold, split) if other else "")
    family = f"{form}/{group}" if form == HELD_OUT_FORM else group
    said = "".join(key[0] for key in KEYS[1:] if getattr(sold, key) is not None)
    template = f"{form}/{sold.product}/{said}"
    answer = sold.as_json()
    return make_example(
        (user(text),),
        answer,
        answer=answer,
        split=split,
        family=family,
        template=template,
        scorer=FIELDS,
        origin=Origin(kind="template", by=template),
        source={"generator": "attributes", "generator_version": VERSION, "seed": spec.seed, "form": form},
    )


def _product(rng: Random, group: str, split: Split) -> Product:
    words = bank()["groups"][group]
    said = {key: rng.random() < share for key, share in _SAID.items()}
    return Product(
        product=rng.choice(words["products"]),
        brand=_brand(rng, split) if said["brand"] else None,
        colour=rng.choice(bank()["colours"]) if said["colour"] else None,
        material=rng.choice(words["materials"]) if said["material"] else None,
        size=_size(rng, rng.choice(words["sizes"])) if said["size"] else None,
        quantity=rng.choice((2, 3, 4, 5, 6, 8, 10, 12)) if said["quantity"] else None,
    )


def _brand(rng: Random, split: Split) -> str:
    """A brand that nobody has; two thirds of the pairs of syllables are those of training."""
    starts, ends = bank()["brand_starts"], bank()["brand_ends"]
    while True:
        start, end = rng.randrange(len(starts)), rng.randrange(len(ends))
        if ((start + end) % 3 > 0) == (split == "train"):
            return str(starts[start] + ends[end])


def _size(rng: Random, unit: str) -> str:
    if unit == "letter":
        return rng.choice(("XS", "S", "M", "L", "XL", "XXL"))
    if unit == "l":
        return f"{rng.randrange(1, 10)}.{rng.choice((2, 5, 8))} l"
    if unit == "ml":
        return f"{rng.randrange(15, 100) * 10} ml"
    if unit == "cm":
        return f"{rng.randrange(8, 200)} cm"
    return f"{rng.randrange(10, 90)} x {rng.randrange(10, 90)} cm"


def _pack(rng: Random, quantity: int) -> str:
    return rng.choice(("pack of {}", "set of {}", "{}-pack", "box of {}")).format(quantity)


def _other(rng: Random, group: str, sold: Product, split: Split) -> str:
    """A sentence about what is not sold."""
    while True:
        other = _product(rng, group, split)
        unlike = all(getattr(other, key) not in (None, getattr(sold, key)) for key in KEYS)
        if unlike and not any(_overlap(getattr(other, key), getattr(sold, key)) for key in ("product", "material")):
            break
    sentence: str = rng.choice(bank()["others"])
    return sentence.format(**{**other._asdict(), "quantity": _pack(rng, other.quantity or 2)})


def _overlap(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and (one in other or other in one)


def _written(rng: Random, sold: Product, form: str, other: str) -> str:
    words = bank()
    said = {key: value for key, value in sold._asdict().items() if value is not None}
    if sold.quantity is not None:
        said["quantity"] = _pack(rng, sold.quantity)
    chatter = [one.format(number=rng.randrange(1000, 99999)) for one in rng.sample(words["chatter"], rng.randrange(3))]
    beside = [*chatter, *([other] if other else [])]
    rng.shuffle(beside)
    if form == "title":
        return " ".join([_title(rng.choice(words["titles"]), said), *beside])
    if form == "list":
        lines = [f"{rng.choice(words['labels'][key])}: {value}" for key, value in said.items() if key != "product"]
        rng.shuffle(lines)
        mark = rng.choice(("", "- ", "* "))
        return "\n".join([sold.product.capitalize(), *(mark + line for line in lines), *beside])
    if form == HELD_OUT_FORM:
        asked = _title(
            "Hello, do you still have the {product}, {size}, {colour}, {material}, {quantity}, by {brand}", said
        )
        return " ".join([asked + "?", *beside, "Thank you!"])
    facts = [rng.choice(words["says"][key]).format(**said) for key in said if key != "product"]
    rng.shuffle(facts)
    for one in beside:
        facts.insert(rng.randint(0, len(facts)), one)
    return " ".join([rng.choice(words["openings"]).format(product=sold.product), *facts])


def _title(pattern: str, said: dict[str, Any]) -> str:
    """A pattern without the parts that are not said, and what stood between them."""
    text = pattern
    for key in KEYS:
        if key not in said:
            text = re.sub(rf"( in | by |[ ,|(-]*)\{{{key}\}}\)?", "", text)
    text = re.sub(r"^[ ,|-]+", "", text.format(**said))
    text = text + ")" if text.count("(") > text.count(")") else text
    return text[:1].upper() + text[1:] + ("" if text.endswith(("!", "?")) else ".")
