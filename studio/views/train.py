"""Train: dataset, model and method; settings made from the recipe's own fields or as YAML; preflight; start."""

from __future__ import annotations

import contextlib
from typing import Any

import streamlit as st

from recipes.methods import methods_of
from recipes.models.fitting import Room
from recipes.recipe.options import Optim
from recipes.recipe.plan import plan
from recipes.recipe.schema import (
    Recipe,
    differences,
    dump_recipe,
    load_recipe,
    other_objectives,
    ready_recipes,
    recipe_hash,
)
from recipes.run.directory import Run
from studio.engines import jobs
from studio.presets import bases
from studio.presets.cards import card_for
from studio.read.glance import dataset_cards
from studio.read.history import tuned
from studio.read.models import model_choices, model_facts
from studio.state import drafts
from studio.views import train_balance, train_folds, train_room
from studio.views.preflight import show_preflight
from studio.widgets import address, forms, manage, ui
from synth.dataset import Card
from synth.errors import DataError, RunError, UserError

PAGE = {"title": "Train", "icon": ":material/model_training:", "order": 30}

WORDS = (
    *("Base model", "LoRA", "Quantisation", "Epoch", "Learning rate", "Effective batch", "Preflight"),
    *("Validation rows", "Early stopping", "Cross-validation", "SFT", "DPO"),
)
SKIP = frozenset({"version", "name", "method", "base_model", "revision", "adapter"})


def _pick_dataset() -> Card | None:
    cards = {card.name: card for card in dataset_cards(ui.workspace())}
    if not cards:
        ui.empty("Nothing to learn from yet", "Training needs a dataset.")
        st.page_link("views/data.py", label="Make a dataset", query_params={"tab": "generate"}, icon=":material/add:")
        return None
    wanted = ui.param("dataset")
    if wanted and wanted not in cards:
        ui.show_error(f"There is no dataset '{wanted}' in this workspace.", "Choose another one below.")
    chosen = address.menu("Dataset", list(cards), "dataset", show=manage.all_shown("datasets"))
    return cards[chosen]


def _recipes(modality: str) -> dict[str, Recipe]:
    """Recipes to begin with, by label: first that of the run to be cloned, when the address names one."""
    found: dict[str, Recipe] = {}
    if clone := ui.param("clone"):
        recipe = jobs.find_run(ui.workspace(), clone).recipe
        own_splits = recipe.data.model_copy(update={"folds": 0, "fold": 0})  # how it is tested is asked anew
        found[f"as in {clone}"] = recipe.model_copy(update={"data": own_splits})
    found |= {name: load_recipe(name) for name in ready_recipes()}
    return {label: recipe for label, recipe in found.items() if recipe.method in methods_of(modality)}


def _pick_recipe(dataset: Card) -> tuple[dict[str, Any], str]:
    """Values of the chosen recipe or uploaded file, with dataset, method and model filled in; and which it was."""
    card, own = ui.chosen_card() or card_for(dataset.modality), bases.is_own(dataset)
    real = bases.preset(dataset.modality) if own else None
    begin = real.recipe if real else card.recipe
    fitting = _recipes(dataset.modality)
    if not fitting:
        raise DataError(f"There is no recipe for {dataset.modality} yet.", "Choose a dataset of another kind.")
    labels = list(fitting)
    preset = labels.index(begin) if begin in fitting and not ui.param("clone") else 0
    left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom")
    label = left.selectbox("Recipe", labels, preset, help="A starting point; every setting can be changed below.")
    with right.popover("Recipe from a file", icon=":material/upload_file:"):
        upload = st.file_uploader("Recipe, as the download below writes it", ["yaml", "yml"])
    notices: list[str] = []
    recipe = load_recipe(forms.read_yaml(upload.getvalue(), upload.name), (), notices) if upload else fitting[label]
    for notice in notices:
        st.caption(ui.inert(notice))
    values = recipe.model_dump(mode="json")
    if not upload and bases.begins_fitted(label, recipe, dataset):
        values = bases.fitted(values)
    first = real.id if real and label == real.recipe and bases.is_here(real) else bases.local_name(values["base_model"])
    names = list(dict.fromkeys([first, *model_choices(dataset.modality)]))
    values["base_model"] = middle.selectbox("Model", names, 0, accept_new_options=True, help=model_facts(names[0]))
    _about_model(values["base_model"], dataset.modality, own, train_room.chosen())
    values["data"]["dataset"] = dataset.name
    if recipe.objective == "dpo":
        done = [run.id for run in tuned(ui.workspace(), dataset.modality) if run.recipe.objective == "sft"]
        if not done:
            raise DataError("DPO goes on from a tuned adapter, and there is none yet.", "Run a *_sft recipe first.")
        preset = done.index(values["adapter"]) if values["adapter"] in done else 0
        values["adapter"] = st.selectbox("Start from the adapter of", done, preset)
    return values, recipe_hash(recipe)[:12]


def _about_model(base: str, modality: str, own: bool, room: Room | None) -> None:
    """Facts of the chosen base; a starter under a person's own rows, and a model that is not here, are spoken of."""
    st.caption(ui.inert(model_facts(base, room)))
    if own and (said := bases.starter_warning(base, modality)):
        st.warning(ui.inert(said), icon=":material/science:")
    entry = bases.to_fetch(base)
    if entry is None:
        return
    accept = " --accept-licence" if entry.accept else ""
    st.info(
        f"{ui.inert(entry.id)} is not on this machine yet. In a terminal: `smolstudio models add {entry.id}{accept}`",
        icon=":material/download:",
    )
    if not entry.accept and st.button(f"Fetch {entry.id} ({entry.download_mb:,.0f} MB)", icon=":material/download:"):
        with st.spinner(f"Fetching {entry.id} …"):
            bases.fetch(entry)
        ui.flash(f"{entry.id} is on this machine now")
        st.rerun()


def _epochs(values: dict[str, Any], dataset: Card, key: str, folds: int) -> Any:
    """The field of the epochs, with what `auto` is for the rows that are learned; returns what was chosen."""
    name = "num_train_epochs"
    info = Optim.model_fields[name]
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    with left:
        chosen = forms.field(name, info, values["optim"][name], f"epochs.{key}")
    with right:
        recipe = load_recipe({**values, "optim": {**values["optim"], name: chosen}})
        own = train_folds.learned(dataset, folds) if folds else dataset.splits.get(recipe.data.train_split, 0)
        rows = min(own, recipe.data.max_examples or own)
        if recipe.objective == "sft" and rows:
            planned = plan(recipe, rows)
            auto = "auto: " if chosen == "auto" else ""
            looks = f", validated every {planned.eval_steps}" if planned.eval_steps else ", not validated"
            which = f"the about {rows:,} rows that each fold learns" if folds else f"these {rows:,} rows"
            last = ". The model of all rows is then trained for as many as the folds needed" if folds else ""
            st.caption(f"{auto}{planned.epochs:g} epochs for {which}, {planned.steps:,} steps{looks}{last}")
    return chosen


def _settings(values: dict[str, Any], dataset: Card, key: str, folds: int) -> Recipe:
    """The recipe by form or as YAML; both show the same draft, which a refresh keeps until it is started or reset."""
    preset, form = load_recipe(values), key
    key = f"{form}.{st.session_state.get(f'resets.{form}', 0)}"  # other widgets after a reset
    values = {**_draft(form, key, values), **{name: values[name] for name in SKIP}}
    how = st.segmented_control("Settings as", ["Form", "YAML"], default="Form", key=f"how.{key}")
    if how == "YAML":
        text = st.text_area("Recipe", dump_recipe(load_recipe(values), comments=False), height=420, key=f"yaml.{key}")
        recipe = load_recipe(forms.read_yaml(text, "The text"))
    else:
        epochs = _epochs(values, dataset, key, folds)
        skipped = SKIP | {"optim.num_train_epochs", *other_objectives(preset.objective)}
        chosen = {**values, **forms.form(Recipe, values, f"recipe.{key}", skipped)}
        recipe = load_recipe({**chosen, "optim": {**chosen["optim"], "num_train_epochs": epochs}})
    st.session_state[f"draft.{key}"] = recipe.model_dump(mode="json")
    differing = differences([preset, recipe])
    drafts.keep_recipe(ui.workspace(), form, recipe.model_dump(mode="json") if differing else None)
    optim = recipe.optim
    batch = optim.per_device_train_batch_size * optim.gradient_accumulation_steps
    listed = f": {ui.inert(', '.join(differing))}" if differing else ""
    st.caption(
        f"{len(differing)} setting{'' if len(differing) == 1 else 's'} changed{listed}  ·  "
        f"effective batch {optim.per_device_train_batch_size} x {optim.gradient_accumulation_steps} = {batch} rows  ·  "
        f"recipe {recipe_hash(recipe)[:12]}"
    )
    if differing and st.button("Reset the settings", icon=":material/restart_alt:"):
        drafts.keep_recipe(ui.workspace(), form, None)
        st.session_state[f"resets.{form}"] = st.session_state.get(f"resets.{form}", 0) + 1
        st.rerun()
    return recipe


def _draft(form: str, key: str, preset: dict[str, Any]) -> dict[str, Any]:
    """The settings as this session left them, else as they were before a refresh, else the preset."""
    if f"draft.{key}" not in st.session_state:
        kept = drafts.recipe_of(ui.workspace(), form)
        with contextlib.suppress(UserError):  # of another version
            st.session_state[f"draft.{key}"] = load_recipe(kept).model_dump(mode="json") if kept else preset
    return dict(st.session_state.get(f"draft.{key}", preset))


def _start(dataset: Card, recipe: Recipe, folds: int, form: str) -> None:
    """Preflight and start; both concern the run that this draft stands for, so two clicks or tabs start one run."""
    made_of = recipe_hash(recipe)
    run_id = drafts.next_run(ui.workspace(), made_of, f"{recipe.name}-{made_of[:6]}")
    run = Run(ui.workspace().runs / run_id)
    st.caption(
        "The settings below are meant for such rows; leave them where you are unsure. Preflight says how long it takes."
    )
    line = st.container(horizontal=True)
    start = line.button("Start training", type="primary", icon=":material/play_arrow:")
    help_text = "Loads the model and takes two real steps: memory, time, masks, gradients. Nothing is kept of them."
    if line.button("Preflight", icon=":material/fact_check:", help=help_text):
        jobs.start_training(ui.workspace(), recipe, run_id, check_only=True)
    line.download_button("Download recipe", dump_recipe(recipe), f"{recipe.name}.yaml", icon=":material/download:")
    with line:
        train_room.show(recipe)
    if start:
        drafts.keep_recipe(ui.workspace(), form, None)
    if start and folds:
        train_folds.start(dataset, recipe, run_id + drafts.CROSSED, folds)
    if start:
        if not run.path.exists():
            jobs.start_training(ui.workspace(), recipe, run_id)
        elif run.status() in ui.ACTIVE:
            st.page_link(
                "views/runs.py", label=f"See {run_id}", icon=":material/monitoring:", query_params={"run": run_id}
            )
            raise RunError(f"{run_id} goes on already.", "Wait for its preflight to end, or see it on the Runs page.")
        else:
            jobs.resume_training(run)
        drafts.note_start(ui.workspace(), made_of, run_id)
        ui.flash(f"{run_id} started")
        st.switch_page("views/runs.py", query_params={"run": run_id, **ui.task_param()})
    if run.path.exists():
        show_preflight(run)


st.title("Train")
ui.steps("train")
with ui.sentences():
    picked = None if train_folds.going() else _pick_dataset()
    if picked is not None:
        balance = st.container()  # it counts the rows that are learned, which a choice below decides
        draft, chosen = _pick_recipe(picked)
        identity = f"{chosen}.{draft['base_model']}.{picked.name}".replace(".", "-")
        start = st.container()  # above the settings: with its defaults a run is started without scrolling
        with start:
            in_folds = train_folds.choose(picked, load_recipe(draft))
        with balance:
            train_balance.show(picked, bool(in_folds))
        wanted = _settings(draft, picked, identity, in_folds)
        with start:
            _start(picked, wanted, in_folds, identity)
        ui.words(*WORDS)
