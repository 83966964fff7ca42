"""An export as a system of a comparison: what it costs beside the tuned model, in points, bytes, memory and speed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluate import lineage
from evaluate.compare import run_comparison
from evaluate.plan import Plan
from evaluate.report import exports, model_card, render_html, render_md
from evaluate.report.reading import read_report
from evaluate.report.results import SystemResult
from evaluate.report.schema import Report
from evaluate.stats import paired
from recipes.export import exporter, targets
from recipes.export.model_card import NOTHING
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from synth.dataset import Card, DatasetWriter
from synth.errors import ModelError, RecipeError
from synth.example import make_example, user
from synth.scoring.names import MATH
from synth.strict import validated
from synth.workspace import Workspace
from tests.tiny_runs import nudged

pytestmark = pytest.mark.slow
ROWS = 12


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A run of starter-text on sums that it mostly knows, and its GGUF export."""
    place = Workspace(tmp_path_factory.mktemp("exports"))
    (place.datasets / "sums").mkdir(parents=True)
    writer = DatasetWriter(place.datasets / "sums")
    for number in range(12, 12 + ROWS):
        total = f"{number} + 30 = {number + 30}\nAnswer: {number + 30}"
        asked, answer = [user(f"What is {number} + 30?")], str(number + 30)
        writer.keep(
            make_example(asked, total, family="sums", template=answer, answer=answer, scorer=MATH, split="test")
        )
    writer.finish(Card(name="sums"))
    recipe = {"base_model": "starter-text", "data": {"dataset": "sums"}}
    nudged(recipe, Run.create(place, load_recipe(recipe), "run-1"))
    targets.export_run("run-1", place.runs, place.path / "out", "gguf")
    return place


def plan(place: Workspace, artefact: str = "q4_k_m", **more: object) -> Plan:
    systems = [
        {"id": "tuned", "label": "Tuned", "model": "starter-text", "adapter": "run-1", "max_new_tokens": 24},
        {"id": "q4", "label": "q4", "model": str(place.path / "out"), "artefact": artefact, "max_new_tokens": 24},
    ]
    given = {"dataset": "sums", "splits": ["test"], "systems": systems, "baselines": False, "speed_rounds": 2, **more}
    return validated(Plan, given, "plan")


@pytest.fixture(scope="module")
def report(place: Workspace) -> Report:
    return read_report(run_comparison(plan(place), place, comparison_id="exported"))


def test_an_export_is_compared_with_the_model_it_was_made_of(report: Report, place: Workspace) -> None:
    """It is asked through its own runtime, and what it costs is said in points, with size, memory and speed."""
    (found,) = report.exports
    assert (found.system, found.original, found.split, found.n) == ("q4", "tuned", "test", ROWS)
    assert found.sentence.startswith("q4 ") and found.sentence.endswith("on test, against Tuned.")
    tuned, export = report.system("tuned"), report.system("q4")
    assert tuned is not None and export is not None and export.hardware.startswith("llama.cpp")
    stored = next((place.path / "out").glob("*q4_k_m.gguf")).stat().st_size
    assert export.stored_bytes == stored < (tuned.stored_bytes or 0)
    for one in (tuned, export):
        assert one.memory_bytes and one.requests_per_s and one.tokens_per_s
    assert export.batch_size == 1 and (report.small, report.large) == ("tuned", None)
    assert export.splits["test"].value is not None


@pytest.mark.parametrize(
    ("ahead", "low", "high", "words"),
    [
        (-0.004, -0.009, -0.001, "q4 costs 0.4 points [0.1, 0.9] on test, against Tuned."),
        (0.02, 0.01, 0.03, "q4 is 2.0 points [1.0, 3.0] better on test, against Tuned."),
        (0.003, -0.025, 0.032, "q4 differs by +0.3 points [-2.5, +3.2], which these rows cannot tell from nothing,"),
    ],
)
def test_what_an_export_costs_is_said_as_far_as_the_rows_can_tell(
    ahead: float, low: float, high: float, words: str
) -> None:
    q4, tuned = (SystemResult(id=one, label=one, kind="local", metric="accuracy") for one in ("q4", "Tuned"))
    gain = paired.paired_difference(np.array([1.0, 0.0]), np.array([1.0, 1.0]), ["a", "b"])._replace(
        delta=ahead, low=low, high=high
    )
    assert exports._sentence(q4, tuned, "test", gain).startswith(words)


def test_what_exporting_costs_is_in_every_view(report: Report) -> None:
    for view in (render_md.render(report), render_html.render(report, None)):
        assert "What exporting costs" in view and "MB" in view and "against Tuned." in view


def test_answers_of_an_export_are_kept_and_follow_it_wherever_it_lies(report: Report, place: Workspace) -> None:
    moved = place.path / "moved"
    shutil.copytree(place.path / "out", moved)
    one, other = (plan(place).system("q4").model_copy(update={"model": str(p)}) for p in (place.path / "out", moved))
    marks = {lineage.fingerprint(p, lineage.origin(p, place), [], None) for p in (one, other)}
    assert len(marks) == 1
    shutil.rmtree(moved)


def test_an_export_that_cannot_be_asked_is_refused_before_anything_is_answered(place: Workspace) -> None:
    def refused(why: str, **changes: str) -> None:
        asked = plan(place).system("q4").model_copy(update=changes)
        with pytest.raises(ModelError, match=why):
            lineage.origin(asked, place)

    refused(r"holds no 'q4_k_s' \(did you mean 'q4_k_m'\?\)", artefact="q4_k_s")
    refused("is not an export", model=str(place.runs))
    changed = place.path / "changed"
    shutil.copytree(place.path / "out", changed)
    (changed / "Modelfile").write_text("FROM elsewhere")
    refused("is not as it was exported: Modelfile changed since the export", model=str(changed))
    shutil.rmtree(changed)


def test_a_plan_says_so_where_an_export_cannot_be_compared(place: Workspace) -> None:
    with pytest.raises(RecipeError, match="has learned every row that folds test"):
        plan(place, folds=2)
    with pytest.raises(RecipeError, match="whose `model` is the export"):
        systems = [{"id": "a", "model": "out", "artefact": "q8_0", "adapter": "run-1"}]
        validated(Plan, {"dataset": "sums", "systems": systems}, "plan")


def test_an_export_is_never_taken_for_the_system_to_replace(place: Workspace) -> None:
    larger = {"id": "larger", "model": "starter-text-large"}
    systems = [larger, *(one.model_dump(exclude_defaults=True) for one in plan(place).systems)]
    found = validated(Plan, {"dataset": "sums", "systems": systems}, "plan")
    assert found.roles() == ("tuned", "larger")


def test_an_export_of_a_run_that_was_trained_again_is_refused(place: Workspace) -> None:
    file = place.runs / "run-1" / "adapter" / "adapter_model.safetensors"
    kept = file.read_bytes()
    try:
        file.write_bytes(kept[:-4] + b"\0\0\0\1")
        with pytest.raises(ModelError, match="was trained again since"):
            lineage.origin(plan(place).system("q4"), place)
    finally:
        file.write_bytes(kept)


def exported_card(place: Workspace, out: Path, tuned: exporter.Tuned, measured: exporter.Measured) -> tuple[str, Any]:
    """The text of an export's card, and its head as a model hub's library reads it."""
    from huggingface_hub import ModelCard

    exporter.export(targets.exporter("adapter"), tuned, out, measured=measured)
    assert exporter.verify(out) == []
    return (out / "README.md").read_text(), ModelCard.load(out / "README.md").data


def another(report: Report, place: Workspace, name: str, **provenance: Any) -> None:
    """The comparison again under another id."""
    folder = place.comparisons / name
    folder.mkdir()
    value = json.loads((place.comparisons / "exported/report.json").read_text())
    value["provenance"] |= {"comparison_id": name, **provenance}
    (folder / "report.json").write_text(json.dumps(value))


def test_the_card_says_what_was_measured_of_exactly_this_adapter(
    report: Report, place: Workspace, tmp_path: Path
) -> None:
    """Scores with intervals, rows, verdict, cost, the data's lineage and the licences; and in the hub's own form."""
    tuned = targets.tuned("run-1", place.runs)
    text, head = exported_card(place, tmp_path / "out", tuned, model_card.of_workspace(place))
    score = report.systems[0].splits["test"]
    assert score.value is not None and score.ci95 is not None
    assert f"| **Tuned** | zero shot | {score.metric} {100 * score.value:.1f} % [{100 * score.ci95[0]:.1f}, " in text
    assert "the comparison `exported`" in text and f"test: {ROWS} rows" in text and report.verdict.sentence in text
    assert f"| test | {ROWS} | imported |" in text and "Leakage between splits was not looked for" in text
    assert "1. Base: starter-text, apache-2.0" in text and "2. Adapter: of run `run-1`" in text
    found = {one.metric_type: one for one in head.eval_results}
    assert found[score.metric].metric_value == round(score.value, 6) and found[score.metric].dataset_split == "test"
    assert (head.license, head.base_model, head.library_name) == ("apache-2.0", "starter-text", "peft")


def test_figures_of_other_weights_are_never_on_a_card(report: Report, place: Workspace, tmp_path: Path) -> None:
    """The run is trained anew under its name: what was measured before is another model's."""
    tuned = targets.tuned("run-1", place.runs)
    shutil.copytree(tuned.adapter, tmp_path / "adapter")
    file = tmp_path / "adapter/adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    again = tuned._replace(adapter=tmp_path / "adapter")
    text, head = exported_card(place, tmp_path / "out", again, model_card.of_workspace(place))
    assert NOTHING in text and "exported`" not in text and head.eval_results is None
    with pytest.raises(ModelError, match="measured no system of run-1 with the weights that it has now"):
        exported_card(place, tmp_path / "named", again, model_card.of_report(place, "exported"))
    assert not (tmp_path / "named").exists()


def test_the_newest_comparison_is_taken_and_a_named_one_before_it(
    report: Report, place: Workspace, tmp_path: Path
) -> None:
    tuned = targets.tuned("run-1", place.runs)
    foldwise = {**report.provenance.hashes, "tuned.fold1/adapter": "0"}
    another(report, place, "later", created="2999-01-01T00:00:00+00:00")
    another(report, place, "folds", created="2999-01-02T00:00:00+00:00", hashes=foldwise)
    (place.comparisons / "broken").mkdir()
    (place.comparisons / "broken/report.json").write_text("{")
    text, _ = exported_card(place, tmp_path / "newest", tuned, model_card.of_workspace(place))
    assert "the comparison `later` of 2999-01-01" in text
    path = place.comparisons / "exported/report.json"
    for number, name in enumerate(("exported", str(path))):
        text, _ = exported_card(place, tmp_path / str(number), tuned, model_card.of_report(place, name))
        assert "the comparison `exported`" in text
