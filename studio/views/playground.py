"""Playground: ask base, tuned and large the same thing, side by side."""

from __future__ import annotations

import io
import time
from typing import Any

import streamlit as st

from evaluate.prompts import Question
from recipes.model_files import starters
from recipes.recipe import Recipe
from studio import asking, jobs, ui
from studio.cards import CARDS, card_for
from studio.endpoints import load_endpoints
from studio.models import adapters
from synth.errors import DataError

MODALITIES = {"text": "Text", "vision": "Picture", "audio": "Speech"}
HINTS = {
    "text": "A shop sells 4 plates at $50 each. A coupon takes $37 off. What is the total?",
    "vision": "Which bar is the tallest?",
    "audio": "",
}
MAX_UPLOAD_MB = 20


def _offers(modality: str) -> dict[str, dict[str, Any]]:
    """Every system of a modality that can be asked, by label."""
    card = card_for(modality)
    shipped = starters()
    offers: dict[str, dict[str, Any]] = {}
    if card.starter in shipped:
        offers[f"Base: {card.starter}"] = {"model": card.starter}
    runs: dict[str, Recipe] = {run.id: run.recipe for run in jobs.list_runs(ui.workspace())}
    for run_id in adapters(ui.workspace().runs):
        if run_id in runs and runs[run_id].modality == modality:
            offers[f"Tuned: {run_id}"] = {"model": runs[run_id].base_model, "adapter": run_id}
    if card.large in shipped:
        offers[f"Large: {card.large}"] = {"model": card.large}
    for endpoint in load_endpoints(ui.workspace()):
        offers[f"Endpoint: {endpoint.name}"] = endpoint.system()
    return offers


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
    """One system's answer with what it took."""
    st.markdown(f"**{ui.inert(label)}**")
    place = ui.workspace()
    with ui.sentences():
        if offer.get("kind") == "endpoint":
            text, facts = asking.ask_endpoint(place, offer, asked)
            st.text(text)
        else:
            loaded = asking.local(place, offer["model"], offer.get("adapter"))
            started, box, text = time.monotonic(), st.empty(), ""
            for piece in asking.stream_local(loaded, asked):
                text += piece
                box.text(text)
            facts = asking.count_tokens(loaded, asked, text, time.monotonic() - started)
        st.caption(f"{facts.seconds:.2f} s · {facts.input_tokens} tokens in · {facts.output_tokens} out")


st.title("Playground")
st.markdown("Ask several models the same thing. Answers come one after the other, so that times are comparable.")
wanted = ui.chosen_card() or CARDS[0]
kinds = list(MODALITIES)
modality = st.segmented_control("Kind", kinds, default=wanted.modality, format_func=MODALITIES.__getitem__) or "text"
with ui.sentences():
    offers = _offers(modality)
    labels = list(offers)
    preset = [*labels[:1], *[label for label in labels[1:] if label.startswith("Tuned")][:1]]
    chosen = st.multiselect("Models", labels, preset, max_selections=4)
    media = _media(modality)
    prompt = st.text_area("Question", placeholder=HINTS[modality]) if modality != "audio" else ""
    ready = bool(chosen) and (bool(media) if modality != "text" else bool(prompt.strip()))
    if st.button("Ask", type="primary", icon=":material/send:", disabled=not ready):
        folder = ui.workspace().path / "playground"
        question = asking.question(prompt.strip(), folder, media, modality)
        for column, label in zip(st.columns(len(chosen)), chosen, strict=True):
            with column, st.container(border=True):
                _answer(label, offers[label], question)
