"""Under which licence a base may be passed on, as its own card or the catalogue says; nothing is guessed or fetched."""

from __future__ import annotations

from typing import NamedTuple

from recipes.models.catalogue import find
from recipes.models.files import ModelRef
from synth.storage import JsonDict
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
    """A card whose head states it; derivatives of a base are under its licence, whatever else holds."""
    if not licence.name or not card.startswith("---\n"):
        return card
    known = KNOWN.get(licence.name)
    head = f"license: {known}\n" if known else f"license: other\nlicense_name: {_word(licence.name)}\n"
    return f"---\n{head}{card[4:]}"


def chain(licence: Licence, facts: JsonDict) -> str:
    """From the base to the export: who states what, as a list. `facts` are the manifest's."""
    revision = f" at {facts['base_revision']}" if facts.get("base_revision") else ""
    if not licence.name:
        stated = "nobody states its licence: look it up before you pass this on"
    else:
        consent = "; its makers ask for consent to it" if licence.consent else ""
        stated = f"{licence.name} (by {licence.stated}{consent})"
    under = licence.name or "the base's licence"
    return (
        f"1. Base: {facts['base_model']}{revision}, {stated}; SHA-256 `{facts['base_sha256'][:16]}…`.\n"
        f"2. Adapter: of run `{facts['run'] or 'unknown'}`, a derivative of the base, so under {under}; "
        f"SHA-256 `{facts['adapter_sha256'][:16]}…`. The rows that it learned from state no licence here.\n"
        f"3. This export ({facts['target']}, {facts['dtype']}): made of both, so under {under}."
    )


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
