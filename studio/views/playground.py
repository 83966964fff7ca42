"""Playground: ask base, tuned and large the same thing, side by side."""

from __future__ import annotations

from typing import Any

import streamlit as st

from evaluate.predict.prompts import Question
from evaluate.report.wording import usd
from recipes.models.files import starters
from studio.presets.cards import CARDS, card_for
from studio.read.glance import dataset_cards
from studio.read.history import tuned
from studio.serving import asking
from studio.state.endpoints import load_endpoints
from studio.widgets import address, ui
from studio.widgets.media import show_content
from synth.example import AudioPart
from synth.modality import MODALITIES, Modality

PAGE = {"title": "Playground", "icon": ":material/chat:", "order": 60}

MAX_UPLOAD_MB = 20


def _offers(modality: str) -> dict[str, dict[str, Any]]:
    """Every system of a modality that can be asked, by label: base, tuned, large, endpoints."""
    card = card_for(modality)
    shipped = starters()
    offers: dict[str, dict[str, Any]] = {}
    if card.starter in shipped:
        offers[f"Base: {card.starter}"] = {"model": card.starter}
    for run in tuned(ui.workspace(), modality):
        offers[f"Tuned: {run.id}"] = {"model": run.recipe.base_model, "adapter": run.id}
    if card.large in shipped:
        offers[f"Large: {card.large}"] = {"model": card.large}
    for endpoint in load_endpoints(ui.workspace()):
        offers[f"Endpoint: {endpoint.name}"] = endpoint.system()
    return offers


def _preset(labels: list[str]) -> list[str]:
    """The base, the newest tuned model, and a large one: an endpoint when there is one."""
    kinds = ("Base", "Tuned", "Endpoint")
    found = [next((label for label in labels if label.startswith(kind)), None) for kind in kinds]
    if found[-1] is None:
        found[-1] = next((label for label in labels if label.startswith("Large")), None)
    return [label for label in found if label]


def _media(kind: Modality) -> bytes | None:
    """A picture or recording from the user, in the stored form."""
    if kind.part is None:
        return None
    upload = st.file_uploader(kind.title, kind.uploads, max_upload_size=MAX_UPLOAD_MB)
    given = upload or (st.audio_input("… or speak") if kind.part is AudioPart else None)
    return kind.to_stored(given.getvalue()) if given else None


def _answer(label: str, offer: dict[str, Any], asked: Question) -> None:
    """One system's answer as it is written, and what it took."""
    st.markdown(f"**{ui.inert(label)}**")
    with ui.sentences():
        box, text = st.empty(), ""
        for piece in asking.answer(ui.workspace(), offer, asked):
            if isinstance(piece, asking.Facts):
                _facts(piece)
            else:
                text += piece
                box.text(text)


def _facts(facts: asking.Facts) -> None:
    usage = facts.usage
    tokens = f"{usage.input_tokens} tokens in · {usage.output_tokens} out" if usage.reported else "tokens not reported"
    rate = f" · {usage.output_tokens / facts.seconds:.0f}/s" if usage.output_tokens and facts.seconds else ""
    st.caption(f"{facts.seconds:.2f} s, the first word after {facts.first_sec:.2f} s · {tokens}{rate}")
    st.caption(f"{ui.inert(usd(facts.usd))} for this answer ({ui.inert(facts.basis)})")


st.title("Playground")
st.markdown("Ask several models the same thing. Answers come one after the other, so that times are comparable.")
wanted = ui.chosen_card() or CARDS[0]
titles = {key: found.title for key, found in MODALITIES.items()}
kind = MODALITIES[address.tabs("Kind", list(titles), "modality", titles.__getitem__, wanted.modality)]
with ui.sentences():
    offers = _offers(kind.key)
    labels = list(offers)
    chosen = st.multiselect("Models", labels, _preset(labels), max_selections=4)
    media = _media(kind)
    if media:
        show_content(media, kind.suffix)
    prompt = st.text_area("Question", placeholder=kind.hint) if kind.asks else ""
    tasks = [card.name for card in dataset_cards(ui.workspace()) if card.modality == kind.key]
    help_task = "Prompted models are told this dataset's task first, as in a comparison; tuned ones as they were tuned."
    task = st.selectbox("Task", ["", *tasks], format_func=lambda name: name or "none", help=help_task) if tasks else ""
    ready = bool(chosen and (media or kind.part is None) and (prompt.strip() or not kind.asks))
    if st.button("Ask", type="primary", icon=":material/send:", disabled=not ready):
        folder = ui.workspace().path / "playground"
        question = asking.question(prompt.strip(), folder, media, kind)
        for column, label in zip(st.columns(len(chosen)), chosen, strict=True):
            with column, st.container(border=True):
                _answer(label, offers[label], asking.told(ui.workspace(), offers[label], question, task or ""))
