"""Playground: ask base, tuned and large the same thing, side by side."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import streamlit as st

from evaluate.predict.prompts import Question
from evaluate.report.wording import usd
from recipes.models.files import starters
from studio.presets.cards import CARDS, card_for
from studio.read.glance import dataset_cards
from studio.read.history import RunFacts, tuned
from studio.serving import asking
from studio.state.endpoints import TYPED, load_endpoints
from studio.widgets import address, consent, issue_form, manage, ui
from studio.widgets.media import show_content
from synth.dataset import DatasetDir
from synth.errors import UserError
from synth.example import AudioPart
from synth.modality import MODALITIES, Modality

PAGE = {"title": "Playground", "icon": ":material/chat:", "order": 60}

MAX_UPLOAD_MB = 20
LAST = "playground.last"  # whether the upload or the recording came last


def _offers(modality: str, runs: list[RunFacts]) -> dict[str, dict[str, Any]]:
    """Every system of a modality that can be asked, by label: base, tuned, large, endpoints."""
    card = card_for(modality)
    shipped = starters()
    offers: dict[str, dict[str, Any]] = {}
    bases = dict.fromkeys(run.recipe.base_model for run in runs)  # those that were tuned are the ones to compare with
    for base in bases or [card.starter]:
        if bases or base in shipped:
            offers[f"Base: {base}"] = {"model": base}
    for run in runs:
        offers[f"Tuned: {run.id}"] = {"model": run.recipe.base_model, "adapter": run.id}
    if card.large in shipped:
        offers[f"Large: {card.large}"] = {"model": card.large}
    for endpoint in load_endpoints(ui.workspace()):
        offers[f"Endpoint: {endpoint.name}"] = endpoint.system()
    return offers


def _preset(labels: list[str]) -> list[str]:
    """A base, its tuned model, and a large one: an endpoint when there is one."""
    kinds = ("Base", "Tuned", "Endpoint")
    found = [next((label for label in labels if label.startswith(kind)), None) for kind in kinds]
    if found[-1] is None:
        found[-1] = next((label for label in labels if label.startswith("Large")), None)
    return [label for label in found if label]


def _task_title(dataset: str) -> str:
    return manage.shown("datasets", dataset) if dataset else "none"


def _like(dataset: str) -> str:
    """A question of the dataset, to show what may be asked; empty without one."""
    folder = ui.workspace().datasets / dataset
    with contextlib.suppress(UserError):
        found = DatasetDir(folder) if dataset else None
        row = next(iter(found.examples(found.splits()[-1])), None) if found and found.splits() else None
        return row.prompt[-1].text[:300] if row else ""
    return ""


def _media(kind: Modality) -> bytes | None:
    """A picture or recording from the user, in the stored form; of an upload and a recording, what came last."""
    if kind.part is None:
        return None

    def came(which: str) -> None:
        st.session_state[LAST] = which

    upload = st.file_uploader(
        kind.title, kind.uploads, max_upload_size=MAX_UPLOAD_MB, key="upload", on_change=came, args=("upload",)
    )
    spoken = None
    if kind.part is AudioPart:
        spoken = st.audio_input("… or speak", key="spoken", on_change=came, args=("spoken",))
    given = (spoken or upload) if st.session_state.get(LAST) == "spoken" else (upload or spoken)
    return kind.to_stored(given.getvalue()) if given else None


def _agreed(offers: dict[str, dict[str, Any]], chosen: list[str], task: str) -> bool:
    """Whether what is asked may leave this machine, as far as one of the chosen is elsewhere."""
    asked = [offers[label]["base_url"] for label in chosen if "base_url" in offers[label]]
    with_task = f", with the task of **{ui.inert(task)}**," if task else ""
    return consent.agreed(asked, task or TYPED, f"What I ask{with_task} leaves this machine: it is sent to {{place}}.")


def _lacking(kind: Modality, chosen: list[str], media: bytes | None, prompt: str, agreed: bool) -> str:
    """What has to be given before anybody can be asked; empty when nothing is."""
    if not chosen:
        return "Choose a model first."
    if kind.part is not None and not media:
        return f"Upload a file under “{kind.title}” first."
    if kind.asks and not prompt.strip():
        return "Type a question first."
    return "" if agreed else "Agree above that it leaves this machine, or choose models of this machine only."


def _answer(label: str, offer: dict[str, Any], asked: Question) -> None:
    """One system's answer as it is written, and what it took."""
    st.markdown(f"**{ui.inert(label)}**")
    with ui.sentences():
        box, text = st.empty(), ""
        for piece in asking.answer(ui.workspace(), offer, asked):
            if isinstance(piece, asking.AnswerFacts):
                _facts(piece)
            else:
                text += piece
                box.text(text)
        if record := _record(text):
            box.table({ui.inert(str(key)): _shown(value) for key, value in record.items()}, border="horizontal")
            issue_form.take(record)


def _record(text: str) -> dict[str, Any]:
    """An answer that is a JSON object; empty for any other answer."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "–"
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return ui.inert("; ".join(map(str, value)) if isinstance(value, list) else said)


def _facts(facts: asking.AnswerFacts) -> None:
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
    runs = tuned(ui.workspace(), kind.key)
    runs.sort(key=lambda run: run.id != ui.param("run"))  # that of the address, else the newest
    offers = _offers(kind.key, runs)
    labels = list(offers)
    chosen = st.multiselect("Models", labels, _preset(labels), max_selections=4)
    media = _media(kind)
    if media:
        show_content(media, kind.suffix)
    learned = runs[0].recipe.data.dataset if runs else ""
    prompt = st.text_area("Question", placeholder=_like(learned) or kind.hint) if kind.asks else ""
    tasks = [card.name for card in dataset_cards(ui.workspace()) if card.modality == kind.key]
    help_task = (
        "Prompted models are told this dataset's task first, as in a comparison; tuned ones as they were tuned, and "
        "embedded starters never."
    )
    of_run = tasks.index(learned) + 1 if learned in tasks else 0
    task = ""
    if tasks:
        options = ["", *tasks]
        task = st.selectbox("Task", options, of_run, format_func=_task_title, help=help_task) or ""
    agreed = _agreed(offers, chosen, task)
    # Never disabled: a field tells what was typed only when it is left, and a dead button beside a full one misleads.
    asked, lacking = (
        st.button("Ask", type="primary", icon=":material/send:"),
        _lacking(kind, chosen, media, prompt, agreed),
    )
    if asked and lacking:
        st.info(ui.inert(lacking), icon=":material/info:")
    elif asked:
        folder = ui.workspace().path / "playground"
        question = asking.question(prompt.strip(), folder, media, kind)
        for column, label in zip(st.columns(len(chosen)), chosen, strict=True):
            with column, st.container(border=True):
                _answer(label, offers[label], asking.with_task(ui.workspace(), offers[label], question, task))
    issue_form.show()
