"""Under which licence a base may be passed on, as its own card or the catalogue says; nothing is guessed or fetched."""

from __future__ import annotations

from typing import NamedTuple

from recipes.models.catalogue import find
from recipes.models.files import ModelRef
from synth.strict import parse_yaml

KNOWN = {"Apache-2.0": "apache-2.0", "MIT": "mit", "apache-2.0": "apache-2.0", "mit": "mit"}
"""Names as the hub has them; others are `other` there, with their name beside it."""


class Licence(NamedTuple):
    """Its name, "" where nobody states one, where that stands, and whether its makers ask for consent to it."""

    name: str = ""
    stated: str = ""
    consent: bool = False


def licence_of(ref: ModelRef) -> Licence:
    """The licence of a base."""
    entry, head = find(ref.name), _front_matter(ref)
    named = head.get("license")
    if named == "other":  # a hub's word for a licence that it has no name for, which then stands beside it
        named = head.get("license_name")
    if isinstance(named, str) and named:
        return Licence(named, "the base's card", bool(entry and entry.accept))
    return Licence(entry.licence, "the catalogue", entry.accept) if entry else Licence()


def with_licence(card: str, licence: Licence) -> str:
    """A card whose head and last line say it; derivatives of a base are under its licence, whatever else holds."""
    last = f"\nLicence of the base: {licence.name} (by {licence.stated}).\n" if licence.name else ""
    if not licence.name or not card.startswith("---\n"):
        return card + last
    known = KNOWN.get(licence.name)
    head = f"license: {known}\n" if known else f"license: other\nlicense_name: {_word(licence.name)}\n"
    return f"---\n{head}{card[4:]}{last}"


def _word(name: str) -> str:
    return "-".join(name.lower().split())


def _front_matter(ref: ModelRef) -> dict[str, object]:
    import yaml

    file = ref.path / "README.md"
    text = file.read_text("utf-8", "replace") if file.is_file() else ""
    if not text.startswith("---\n"):
        return {}
    try:
        found = parse_yaml(text[4:].partition("\n---")[0])
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}
