"""Compare: choose dataset, systems and prices; run; read the verdict; download it."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

import streamlit as st

from evaluate.cost import prices
from evaluate.forecast import estimate
from evaluate.plan import Plan, dump_plan
from evaluate.report.basis import FEWEST_REAL
from evaluate.report.wording import usd
from recipes.models.files import starters
from studio.engines import jobs
from studio.presets import bases
from studio.presets.cards import card_for
from studio.read.glance import ReportHead, dataset_cards, report_heads
from studio.read.history import tuned
from studio.state.endpoints import load_endpoints
from studio.views import verdict
from studio.widgets import address, consent, following, manage, ui
from synth.dataset import Card
from synth.errors import RecipeError, UserError
from synth.modality import modality
from synth.strict import validated

PAGE = {"title": "Compare", "icon": ":material/balance:", "order": 50}

PROMPTINGS = {
    "zero_shot": "zero-shot",
    "few_shot": "few-shot",
    "schema": "with a schema",
    "few_shot_schema": "few-shot with a schema",
}
FEW, MOST = 5, 50  # earlier verdicts: those that are shown, and with those behind the fold
LOOKED_AT = 20  # newest tasks, among which a comparison that runs is looked for
TESTED = ("test_real", "test", "test_ood")


def _dataset() -> Card | None:
    cards = {card.name: card for card in dataset_cards(ui.workspace())}
    if not cards:
        ui.empty("Nothing to compare on yet", "A comparison needs a dataset with a test split.")
        st.page_link("views/data.py", label="Make a dataset", query_params={"tab": "generate"}, icon=":material/add:")
        return None
    wanted = ui.param("dataset")
    if wanted and wanted not in cards:
        ui.show_error(f"There is no dataset '{wanted}' in this workspace.", "Choose another one below.")
    chosen = address.menu("Dataset", list(cards), "dataset", show=manage.all_shown("datasets"))
    return cards[chosen]


def _offer(dataset: Card) -> dict[str, dict[str, Any]]:
    """Every system that could answer this dataset, by label."""
    card = card_for(dataset.modality)
    offers: dict[str, dict[str, Any]] = {}
    promptings = modality(dataset.modality).promptings
    shipped, runs = starters(), tuned(ui.workspace(), dataset.modality)
    own = [run.recipe.base_model for run in runs if run.recipe.data.dataset == dataset.name]
    untuned = list(dict.fromkeys(own)) or [card.starter]  # the base that was tuned is the one to be compared with
    for role, model in (*(("Base", base) for base in untuned), ("Large", card.large)):
        if model not in shipped and role == "Large":
            continue
        for prompting in promptings:
            label = f"{role}: {model}, {PROMPTINGS[prompting]}"
            offers[label] = {"model": model, "prompting": prompting, "role": role.lower()}
    for run in runs:
        offers[f"Tuned: {run.id}"] = {
            "model": run.recipe.base_model,
            "adapter": run.id,
            "role": "tuned",
            "learned": run.recipe.data.dataset,
            "folds": run.recipe.data.folds,
        }
    for endpoint in load_endpoints(ui.workspace()):
        for prompting in PROMPTINGS:  # whatever the modality: the strongest on val is the one that counts
            label = f"Endpoint: {endpoint.name}, {PROMPTINGS[prompting]}"
            offers[label] = {**endpoint.system(), "prompting": prompting, "role": "large"}
    return offers


def _preset(offers: dict[str, dict[str, Any]], dataset: Card) -> list[str]:
    """What is in Settings, base and large as prompted, and the tuned adapter of the address or the newest here.

    Of an endpoint, the plainest way and the one with examples: the stronger of them on val is the one that counts.
    """
    own = [label for label, offer in offers.items() if offer.get("learned") == dataset.name]
    run = ui.param("run")
    named = [label for label, offer in offers.items() if offer.get("adapter") and offer["adapter"] == run]
    asked = [label for label, o in offers.items() if "base_url" in o and o["prompting"] in ("zero_shot", "few_shot")]
    local = ("base",) if asked else ("base", "large")  # the stand-in is for those who have nobody to replace
    prompted = [*(label for label, o in offers.items() if o["role"] in local and "base_url" not in o), *asked]
    return [*prompted, *list(dict.fromkeys([*named, *own]))[:2]]


def _rivals(offers: dict[str, dict[str, Any]], chosen: list[str], small: str) -> list[str]:
    """Who could be replaced: endpoints before the stand-ins that come with smolstudio, then whatever else answers."""
    large = [c for c in chosen if offers[c]["role"] == "large" and c != small]
    large.sort(key=lambda label: "base_url" not in offers[label])
    return large or [c for c in chosen if c != small]


def _systems(chosen: list[str], offers: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    systems = []
    for label in chosen:
        fields = {k: v for k, v in offers[label].items() if k not in ("role", "learned", "folds")}
        key = re.sub(r"[^A-Za-z0-9._-]+", "-", label).strip("-")[:60]
        systems.append({"id": key, "label": label[:80], **fields})
    return systems


def _unpriced(chosen: list[dict[str, Any]]) -> None:
    """Say which endpoints would stay without a price, and where to give them one."""
    asked = [offer["model"] for offer in chosen if "base_url" in offer]
    sheet = prices.load(workspace=ui.workspace().path) if asked else None
    missing = [model for model in dict.fromkeys(asked) if sheet and not sheet.rows_of(model)]
    if missing:
        names = ui.inert(", ".join(missing))
        st.warning(f"No price is known for {names}, so its cost will be unpriced.", icon=":material/payments:")
        st.page_link("views/settings.py", label="Set its price", icon=":material/settings:")


def _money() -> dict[str, Any]:
    """Prices and costs of the plan: the machine, a person, and what no machine sees."""
    with st.expander("Costs", icon=":material/payments:"):
        left, right = st.columns(2)
        help_price = "Empty takes the price sheet's row for a machine like this one."
        price = _usd(left, "This machine, $ per hour", help_price)
        used = right.slider("Share of paid time in use", 0.05, 1.0, 0.5)
        human = _usd(left, "A person's answer, $", "Shown beside the systems.")
        st.caption(
            "What no machine sees counts towards the cost of the small system. An empty field is reported as not "
            "stated; 0 says that it cost nothing."
        )
        left, right = st.columns(2)
        costs = {
            "labelling_usd": _usd(left, "Labelling and checking rows, $"),
            "hosting_usd_per_month": _usd(right, "Hosting, $ per month", "Storage, network, on-call; not the machine."),
            "engineering_hours": left.number_input("Engineering, hours", 0.0, None, None, 1.0),
            "engineering_usd_per_hour": _usd(right, "An engineer's hour, $"),
            "licence_usd": _usd(left, "Licences of models and data, $"),
        }
    return {"machine": {"usd_per_hour": price, "utilisation": used}, "human_usd_per_answer": human, "costs": costs}


def _usd(place: Any, label: str, explained: str | None = None) -> float | None:
    """A sum of money; None while the field is empty."""
    amount: float | None = place.number_input(label, 0.0, None, None, 0.01, help=explained)
    return amount


def _folds(dataset: Card, offers: dict[str, dict[str, Any]], chosen: list[str]) -> int:
    """The folds in which rows are answered; 0 where the splits are those of the dataset."""
    ways = {offers[c]["folds"] for c in chosen if offers[c].get("learned") == dataset.name}
    if len(ways) > 1:
        message = "Some of these were trained in folds and some were not, so that they cannot be asked the same rows."
        raise RecipeError(message, "Choose tuned models of one kind above.")
    folds: int = ways.pop() if ways else 0
    real = dataset.splits.get("test_real", 0)
    if folds and real:
        asked = [f"All rows, in {folds} folds", f"The {real:,} real rows"]
        tested = st.segmented_control("Tested on", asked, default=asked[real >= FEWEST_REAL], required=True)
        return folds if tested == asked[0] else 0
    if folds:
        st.caption(f"Every row is answered by the one of {folds} models that did not learn it (out of fold).")
    return folds


def _plan(dataset: Card) -> Plan:
    offers = _offer(dataset)
    if not dataset.splits.get("test_real"):
        said = (
            "The verdict will be about rows of your file. Thirty or more newer ones, as you meet them, show whether it "
            "holds: add them as real rows on the Data page."
            if bases.is_own(dataset)
            else "No real rows are in this dataset, so the verdict will be about generated rows only. Thirty or more "
            "rows as you meet them make it one about your work: add them on the Data page."
        )
        st.info(said, icon=":material/info:")
        address_of = {"tab": "real", "dataset": dataset.name}
        st.page_link("views/data.py", label="Add real rows", icon=":material/fact_check:", query_params=address_of)
    chosen = st.multiselect("Systems", list(offers), _preset(offers, dataset), help="All answer the same rows.")
    roles = {label: offers[label]["role"] for label in chosen}
    if not chosen:
        raise RecipeError("No system was chosen.", "Choose at least one above.")
    folds = _folds(dataset, offers, chosen)
    learned_all = any(offers[c].get("folds") and offers[c].get("learned") == dataset.name for c in chosen)
    small = [c for c in chosen if roles[c] == "tuned"] or chosen
    large = _rivals(offers, chosen, small[0])
    first, second, third, fourth = st.columns(4)
    small_label = first.selectbox("Is this one …", small if roles[small[0]] == "tuned" else chosen)
    large_label = second.selectbox("… good enough to replace", large) if large else ""
    help_text = "The largest loss of accuracy still called 'not worse', in points."
    margin = third.number_input("Margin (points)", 0.0, 20.0, 2.0, 0.5, help=help_text) / 100
    rows = fourth.number_input(
        "Rows per split", 10, 100_000, 200, 10, help="Drawn at random, of each tested split.", disabled=bool(folds)
    )
    ui.words("Zero-shot", "Few-shot", "Schema", "Margin", "Base model", "Real rows", "Out of fold")
    _unpriced([offers[label] for label in chosen])
    money = _money()
    searched = 0
    if not folds and any("base_url" in offers[label] for label in chosen):
        help_search = "The model writes so many instructions itself; each is tried on val, and the best one counts."
        searched = st.number_input("Instructions to try beside your own", 0, 16, 0, help=help_search)
    systems, ids = _systems(chosen, offers), {}
    ids = dict(zip(chosen, (s["id"] for s in systems), strict=True))
    values = {
        "name": dataset.name,
        "dataset": dataset.name,
        "splits": [s for s in TESTED if dataset.splits.get(s) and (s == "test_real" or not learned_all)] or ["test"],
        "folds": folds,
        "systems": systems,
        "small": ids[small_label] if small_label else "",
        "large": ids.get(large_label, "") if large_label != small_label else "",
        "margin": margin,
        "max_rows": None if folds else int(rows),
        **money,
        "prompt_search": int(searched),
    }
    return validated(Plan, values, "plan")


def _ask() -> None:
    dataset = _dataset()
    if dataset is None:
        return
    top = st.container()  # what starts it stands above the form, so that nobody has to scroll
    plan = _plan(dataset)
    with top:
        leaves = _agreed(dataset, plan)
        line = st.container(horizontal=True)
    start = line.button("Compare", type="primary", icon=":material/balance:", disabled=not leaves)
    line.download_button("Download plan", dump_plan(plan), "plan.yaml", icon=":material/download:")
    if start:
        arguments = {
            "plan": plan.model_dump(mode="json"),
            "comparison_id": f"{dataset.name}-{ui.draft_token('job')}",
        }
        following.start("job", "compare", arguments, dataset.name)


@st.cache_data(max_entries=32, show_spinner="Counting what the endpoints would be asked …")
def _forecast(plan: str, changed: str) -> list[tuple[str, int, float | None, str]]:
    """(system, requests, USD or None, why it is unpriced) of every endpoint; `changed` stands for rows and prices."""
    found = estimate(Plan.model_validate_json(plan), ui.workspace())
    return [(one.system, one.requests, one.usd, one.note) for one in found]


def _agreed(dataset: Card, plan: Plan) -> bool:
    """What endpoints would be sent and what that would cost; False until a person agreed that rows leave."""
    asked = [one for one in plan.systems if one.kind == "endpoint" and one.base_url]
    if not asked:
        return True
    sheet = prices.load(workspace=ui.workspace().path)
    state = f"{dataset.sha256}.{[row.model_dump(mode='json') for row in sheet.rows]}"
    try:
        forecast = _forecast(plan.model_dump_json(), state)
    except UserError as error:
        st.info(f"{ui.inert(error.message)} {ui.inert(error.remedy)}", icon=":material/payments:")
        return False
    names = {one.id: one.name for one in asked}
    for system, requests, price, note in forecast:
        costs = f"about {usd(price)}" if price is not None else "unpriced" if "unpriced" in note or not note else note
        capped = next((one.spend_cap_usd for one in asked if one.id == system), None)
        cap = f", stopped before {usd(capped)}" if capped else ""
        st.caption(ui.inert(f"{names[system]}: {requests:,} requests for these rows, {costs}{cap}."))
    said = f"Rows of **{ui.inert(dataset.name)}** leave this machine: they are sent to {{place}}."
    agreed = consent.agreed((one.base_url or "" for one in asked), dataset.name, said)
    if not agreed:
        st.caption("Without it the comparison cannot be started; it can without that endpoint.")
    return agreed


def _under_way() -> None:
    """The way to comparisons that are running, for whoever comes back."""
    for job, asked in islice(jobs.tasks(ui.workspace()), LOOKED_AT):
        if asked["kind"] == "compare" and job.status() in ui.ACTIVE:
            name = manage.shown("datasets", str(asked["arguments"]["plan"]["dataset"]))
            label, way = f"A comparison on {ui.inert(name)} is running: follow it", {"job": job.id}
            st.page_link("views/compare.py", label=label, icon=":material/progress_activity:", query_params=way)


def _earlier() -> None:
    manage.undo("comparisons")
    heads = report_heads(ui.workspace())
    if heads:
        st.divider()
        st.markdown("##### Earlier verdicts")
    _links(heads[:FEW])
    older = heads[FEW:MOST]
    if older and (box := ui.fold(f"{len(older)} older", "older", ":material/history:")):
        with box:
            _links(older)
    manage.bin_of("comparisons")


def _links(heads: list[ReportHead]) -> None:
    shown = manage.all_shown("comparisons")
    for head in heads:
        label = f"{head.verdict} · {shown(head.id)}"
        st.page_link("views/compare.py", label=ui.inert(label), query_params={"comparison": head.id})
        st.caption(ui.inert(head.headline))


st.title("Compare")
ui.steps("compare")
with ui.sentences():
    made = following.outcome("job")
    comparison = str(made["comparison"]) if made else ui.param("comparison")
    if ui.param("job") or comparison:
        line = st.container(horizontal=True)
        if line.button("New comparison", icon=":material/add:"):
            ui.set_params(job=None, **dict.fromkeys(verdict.PARAMS))
            st.rerun()
        if comparison and (made or not ui.param("job")):
            verdict.show(comparison, line)
    else:
        _under_way()
        _ask()
        _earlier()
