"""An export as a system of a comparison: what it costs beside the tuned model, in points, bytes, memory and speed."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from evaluate import lineage
from evaluate.compare import run_comparison
from evaluate.plan import Plan
from evaluate.report import exports, render_html, render_md
from evaluate.report.reading import read_report
from evaluate.report.results import SystemResult
from evaluate.report.schema import Report
from evaluate.stats import paired
from recipes.export import targets
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
