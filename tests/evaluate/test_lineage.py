"""Lineage: fingerprints change with what changes replies, every run on the data is in the ledger, forgetting counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaluate import forgetting, lineage
from evaluate.plan import Plan, SystemPlan
from evaluate.predict.prediction import Prediction
from evaluate.report import report_json
from evaluate.report.results import Forgetting, LedgerItem, Remembered
from evaluate.stats.intervals import mean_score, wilson
from recipes.recipe.schema import dump_recipe, load_recipe
from synth.dataset import DatasetDir
from synth.example import Example, make_example, user
from synth.jobdir import JobDir
from synth.storage import Journal, write_json
from synth.workspace import Workspace
from tests.tiny import sums_dataset

PLAN = SystemPlan(id="a", model="m", kind="endpoint")


NOTHING = lineage.Origin()


def mark(plan: SystemPlan = PLAN, made_of: lineage.Origin = NOTHING, shots: tuple[str, ...] = ()) -> str:
    return lineage.fingerprint(plan, made_of, shots, None)


@pytest.mark.parametrize(
    "change",
    [{"model": "n"}, {"prompting": "few_shot"}, {"max_new_tokens": 9}, {"instruction": "x"}, {"temperature": None}],
)
def test_what_can_change_a_reply_changes_the_fingerprint(change: dict[str, object]) -> None:
    assert mark(PLAN.model_copy(update=change)) != mark()


@pytest.mark.parametrize("change", [{"id": "b"}, {"label": "B"}, {"concurrency": 2}, {"spend_cap_usd": 1.0}])
def test_names_and_limits_do_not(change: dict[str, object]) -> None:
    assert mark(PLAN.model_copy(update=change)) == mark()


def test_weights_adapters_shots_and_address_count(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = {mark(), mark(made_of=lineage.Origin(model_sha256="1")), mark(made_of=lineage.Origin(adapter_sha256="1"))}
    marks.add(mark(shots=("x",)))
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere/v1")
    marks.add(mark())
    assert len(marks) == 5


def make_run(
    workspace: Workspace, name: str, dataset: str, verdict: str, times: list[float], adapter: str = ""
) -> Path:
    folder = workspace.runs / name
    folder.mkdir(parents=True)
    settings = [f"data.dataset={dataset}", *([f"adapter={adapter}"] if adapter else [])]
    (folder / "recipe.yaml").write_text(dump_recipe(load_recipe("starter-text-sft", settings)))
    for at in times:
        with Journal(folder / "events.jsonl") as journal:
            journal.append({"at": at, "kind": "step"})
    write_json(folder / "exit.json", {"verdict": verdict, "code": "", "sentence": "", "at": times[-1] + 5})
    return folder


def ledger_of(
    workspace: Workspace, dataset: DatasetDir, origins: dict[str, lineage.Origin], **plan: Any
) -> tuple[LedgerItem, ...]:
    made = Plan(dataset=dataset.name, systems=(PLAN,), **plan)
    return lineage.ledger(made, dataset, [], origins, workspace)


def test_failed_runs_are_in_the_ledger_and_idle_time_is_not(workspace: Workspace) -> None:
    dataset = DatasetDir(sums_dataset(workspace.datasets / "sums"))
    sums_dataset(workspace.datasets / "other", train=2, val=1)
    made = make_run(workspace, "good", "sums", "done", [0.0, 10.0, 20.0])
    make_run(workspace, "bad", "sums", "failed", [0.0, 10.0, 5000.0])
    make_run(workspace, "unrelated", "other", "done", [0.0, 10.0])
    items = lineage.ledger(
        Plan(dataset="sums", systems=(PLAN,)), dataset, [], {"tuned": lineage.Origin(run=made)}, workspace
    )
    training = {item.run_id: item for item in items if item.kind == "training"}
    assert set(training) == {"good", "bad"}
    assert (training["good"].seconds, training["good"].system_id, training["good"].status) == (25.0, "tuned", "done")
    assert (training["bad"].seconds, training["bad"].system_id, training["bad"].status) == (15.0, None, "failed")
    assert JobDir(made).status() == "done"


def test_a_training_costs_the_time_of_every_machine_that_took_part(workspace: Workspace) -> None:
    dataset = DatasetDir(sums_dataset(workspace.datasets / "sums"))
    folder = make_run(workspace, "together", "sums", "done", [0.0, 55.0])
    with Journal(folder / "events.jsonl") as journal:
        journal.append({"at": 55.0, "kind": "ranks", "machines": ["a", "a", "b", "b"], "devices": ["GPU"] * 4})
    (item,) = [item for item in ledger_of(workspace, dataset, {}) if item.kind == "training"]
    assert item.seconds == 120.0, "two machines, a minute each"


def test_a_run_costs_what_it_went_on_from_whatever_data_that_used(workspace: Workspace) -> None:
    dataset = DatasetDir(sums_dataset(workspace.datasets / "sums"))
    for name in ("other", "oldest"):
        sums_dataset(workspace.datasets / name, train=2, val=1)
    make_run(workspace, "oldest-run", "oldest", "done", [0.0, 10.0])
    make_run(workspace, "first", "other", "done", [0.0, 10.0], adapter="oldest-run")
    made = make_run(workspace, "second", "sums", "done", [0.0, 10.0], adapter=str(workspace.runs / "first" / "adapter"))
    (workspace.runs / "first" / "adapter").mkdir()
    items = ledger_of(workspace, dataset, {"tuned": lineage.Origin(run=made, adapter_name="second")})
    assert {item.run_id for item in items if item.kind == "training"} == {"second", "first", "oldest-run"}
    assert sum(item.kind == "generation" for item in items) == 3


def test_an_ancestor_that_is_gone_makes_the_sum_unknown_and_not_smaller(workspace: Workspace) -> None:
    dataset = DatasetDir(sums_dataset(workspace.datasets / "sums"))
    made = make_run(workspace, "second", "sums", "done", [0.0, 10.0], adapter="gone")
    items = ledger_of(workspace, dataset, {"tuned": lineage.Origin(run=made, adapter_name="second")})
    (missing,) = [item for item in items if "not in this workspace" in item.label]
    assert (missing.seconds, missing.usd) == (None, None)


def test_a_derived_dataset_and_its_parent_are_counted_once(workspace: Workspace) -> None:
    parent = DatasetDir(sums_dataset(workspace.datasets / "sums"))
    whole = parent.card.model_copy(update={"seconds": 100.0, "usd": 3.0})
    write_json(parent.path / "dataset.json", whole.model_dump())
    child = workspace.datasets / "child"
    sums_dataset(child)
    notes = {"parent": {"name": "sums", "sha256": parent.card.sha256}}
    card = DatasetDir(child).card.model_copy(update={"seconds": 130.0, "usd": 3.0, "notes": notes})
    write_json(child / "dataset.json", card.model_dump())
    items = [item for item in ledger_of(workspace, DatasetDir(child), {}) if item.kind == "generation"]
    assert sum(item.seconds or 0 for item in items) == 130.0
    assert sum(item.usd or 0 for item in items) == 3.0


def test_what_the_plan_states_is_in_the_ledger(workspace: Workspace) -> None:
    dataset = DatasetDir(sums_dataset(workspace.datasets / "sums"))
    costs = {"engineering_hours": 3, "engineering_usd_per_hour": 80, "hosting_usd_per_month": 5, "licence_usd": 0}
    stated = {item.label: item.usd for item in ledger_of(workspace, dataset, {}, costs=costs) if item.kind == "stated"}
    assert stated == {"Engineering, 3 hours": 240.0, "Hosting for 12 months": 60.0, "Licences": 0.0}


def test_slow_steps_are_work_though_nothing_was_said_for_long() -> None:
    def step(at: float, seconds: float) -> dict[str, object]:
        return {"kind": "step", "at": at, "seconds": seconds}

    told = [{"kind": "phase", "at": 0.0}, step(900.0, 880.0), step(1800.0, 1780.0), {"at": 1810.0}]
    assert lineage._worked_sec(told) == 880.0 + 900.0 + 10.0
    # Stopped after the first step, and gone on with a day later.
    resumed = [*told[:2], {"kind": "phase", "at": 90_000.0}, step(90_500.0, 490.0 + 880.0)]
    assert lineage._worked_sec(resumed) == 880.0 + 490.0


def test_provenance_names_no_paths_of_this_machine(workspace: Workspace) -> None:
    dataset = DatasetDir(sums_dataset(workspace.datasets / "sums", train=4, val=1))
    plan = Plan(dataset="sums", systems=(PLAN,))
    facts = lineage.provenance("c", plan, dataset, {"a": lineage.Origin(model_sha256="1")})
    shown = json.dumps([facts.model_dump(), lineage.dataset_facts(dataset, {"train": 4}, workspace).model_dump()])
    assert str(workspace.path) not in shown
    assert facts.hashes["a/model"] == "1"
    assert facts.versions["python"]


def rows(count: int) -> list[Example]:
    return [
        make_example((user(f"{i}?"),), "t", answer=str(i), scorer="math", family=f"f{i % 2}", template="t")
        for i in range(count)
    ]


def test_forgetting_compares_base_and_tuned_on_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = rows(6)
    monkeypatch.setattr(forgetting, "_rows_for", lambda plan, n: examples if plan.adapter else [])

    def answer(plan: SystemPlan, asked: object) -> dict[str, Prediction]:
        right = 5 if plan.adapter is None else 2
        return {
            e.id: Prediction(example_id=e.id, text=e.answer or "" if i < right else "no")
            for i, e in enumerate(examples)
        }

    plans = [SystemPlan(id="base", model="m"), SystemPlan(id="tuned", model="m", adapter="r", prompting="few_shot")]
    (found,) = forgetting.measure(plans, 6, answer)
    part = report_json._forgetting(found)
    assert (part.system_id, part.n, part.base_right, part.tuned_right) == ("tuned", 6, 5, 2)
    assert part.families == {"f0": (3, 3, 1), "f1": (3, 2, 1)}
    assert part.lost == pytest.approx(0.5)


def test_what_was_forgotten_counts_templates_and_not_rows() -> None:
    """Ten templates of 20 rows, of which one is lost as a whole."""
    rows = tuple(Remembered(family="f", template=f"t{i % 10}", base=True, tuned=i % 10 > 0) for i in range(200))
    part = report_json._forgetting(Forgetting(system_id="tuned", rows=rows))
    assert part.tuned is not None
    expected = mean_score([float(row.tuned) for row in rows], [row.template for row in rows])
    assert part.tuned.ci95 == (expected.low, expected.high)
    assert expected.high - expected.low > 3 * (wilson(180, 200).high - wilson(180, 200).low)
    assert part.lost_ci95 is not None
    assert part.lost_ci95[0] < 0.1 < part.lost_ci95[1]
