"""Playground: ask base, tuned and large the same thing, side by side."""

from __future__ import annotations

import io
from typing import Any

import streamlit as st

from evaluate.predict.prompts import Question
from evaluate.report.wording import usd
from recipes.models.files import starters
from studio.presets.cards import CARDS, card_for
from studio.read.history import tuned
from studio.serving import asking
from studio.state.endpoints import load_endpoints
from studio.widgets import address, ui
from studio.widgets.media import show_content
from synth.errors import DataError

PAGE = {"title": "Playground", "icon": ":material/chat:", "order": 60}

MODALITIES = {"text": "Text", "vision": "Picture", "audio": "Speech"}
HINTS = {
    "text": "A shop sells 4 plates at $50 each. A coupon takes $37 off. What is the total?",
    "vision": "Which bar is the tallest?",
    "audio": "",
}
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


def _media(modality: str) -> bytes | None:
    """A picture or recording from the user, as PNG or 16 kHz FLAC."""
    if modality == "vision":
        upload = st.file_uploader("Picture", ["png", "jpg", "jpeg", "webp"], max_upload_size=MAX_UPLOAD_MB)
        return _as_png(upload.getvalue()) if upload else None
    if modality == "audio":
        left, right = st.columns(2)
        upload = left.file_uploader("Recording", ["wav", "flac", "mp3", "ogg"], max_upload_size=MAX_UPLOAD_MB)
        spoken = right.audio_input("… or speak")
        chosen = upload or spoken
        return _as_flac(chosen.getvalue()) if chosen else None
    return None


def _as_png(data: bytes) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    try:
        Image.open(io.BytesIO(data)).convert("RGB").save(out, "PNG")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError("This picture cannot be read.", "Upload a PNG or JPEG.") from error
    return out.getvalue()


def _as_flac(data: bytes) -> bytes:
    import soundfile
    import torch
    import torchaudio.functional as audio

    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise DataError("This recording cannot be read.", "Upload a WAV or FLAC file.") from error
    mono = audio.resample(torch.from_numpy(samples).mean(1), rate, 16_000)
    out = io.BytesIO()
    soundfile.write(out, mono.numpy(), 16_000, format="FLAC")
    return out.getvalue()


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
modality = address.tabs("Kind", list(MODALITIES), "modality", MODALITIES.__getitem__, wanted.modality)
with ui.sentences():
    offers = _offers(modality)
    labels = list(offers)
    chosen = st.multiselect("Models", labels, _preset(labels), max_selections=4)
    media = _media(modality)
    if media:
        show_content(media, sound=modality == "audio")
    prompt = st.text_area("Question", placeholder=HINTS[modality]) if modality != "audio" else ""
    ready = bool(chosen and (media or modality == "text") and (prompt.strip() or modality == "audio"))
    if st.button("Ask", type="primary", icon=":material/send:", disabled=not ready):
        folder = ui.workspace().path / "playground"
        question = asking.question(prompt.strip(), folder, media, modality)
        for column, label in zip(st.columns(len(chosen)), chosen, strict=True):
            with column, st.container(border=True):
                _answer(label, offers[label], question)
