"""Every page empty, filled and failing: what it says, not only that it does not fall over."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import filled
import pytest
from streamlit.testing.v1 import AppTest

from recipes.recipe.schema import dump_recipe, load_recipe, recipe_hash
from recipes.run.directory import Run
from studio import views
from studio.engines import jobs
from studio.engines.engine import Work
from studio.presets import cards
from studio.presets.cards import CARDS, settings_for
from studio.state import drafts
from synth.build import preview_rows
from synth.dataset import Card, DatasetWriter
from synth.example import make_example, user
from synth.generators import generator, parse_spec
from synth.jobdir import JobDir
from synth.storage import atomic_dir
from synth.workspace import Workspace

pytestmark = pytest.mark.slow

WORDS = [start + end for start in ("brim", "dusk", "fern", "holl", "kelp") for end in ("ow", "ant", "ick", "une")]
APP = str(Path(__file__).resolve().parents[2] / "studio" / "app.py")


def page(name: str, **address: str) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=120)
    for key, value in address.items():
        app.query_params[key] = value
    app.run()
    if name != "start":
        app.switch_page(f"views/{name}.py")
        for key, value in address.items():
            app.query_params[key] = value
        app.run()
    assert not app.exception, app.exception
    return app


def unfold(app: AppTest, key: str) -> AppTest:
    """Open the one fold whose key ends so, as a click on it does."""
    (found,) = (name for name in app.session_state if name.startswith("fold.") and name.endswith(key))
    app.session_state[found] = True
    return app.run()


def text(app: AppTest) -> str:
    kinds: list[Any] = [
        *app.title,
        *app.markdown,
        *app.caption,
        *app.error,
        *app.success,
        *app.info,
        *app.code,
        *app.text,
    ]
    return "\n".join(str(element.value) for element in kinds)


EMPTY = {
    "start": "Nothing here yet",
    "data": "No dataset yet",
    "train": "Nothing to learn from yet",
    "runs": "No run yet",
    "compare": "Nothing to compare on yet",
    "use": "No tuned model yet",
    "settings": "No endpoint yet",
}


@pytest.mark.parametrize("name", EMPTY)
def test_empty_pages_say_what_to_do(name: str) -> None:
    assert EMPTY[name] in text(page(name))


def test_playground_can_be_asked_while_typing_and_says_what_is_missing() -> None:
    app = page("playground")
    ask = next(b for b in app.button if b.label == "Ask")
    assert not ask.disabled
    ask.click().run()
    assert "Type a question first" in text(app)


@pytest.fixture
def made(workspace: Workspace) -> Workspace:
    filled.dataset(workspace)
    filled.run(workspace, "first")
    filled.comparison(workspace)
    return workspace


@pytest.mark.usefixtures("made")
def test_start_shows_recent_work_and_leads_on() -> None:
    app = page("start")
    assert len([b for b in app.button if b.label.startswith("Begin: ")]) == len(CARDS) == 6
    assert "Recent work" in text(app)
    assert "Nothing here yet" not in text(app)


@pytest.mark.usefixtures("made")
def test_browse_pages_searches_and_shows_rejected_rows() -> None:
    app = page("data", tab="browse", dataset="invoices")
    assert "60 rows · page 1 of 3" in text(app)
    next(i for i in app.text_input if i.label == "Search").set_value("question 41").run()
    assert "1 rows match" in text(app)
    assert "train question 41" in text(app)
    next(i for i in app.text_input if i.label == "Search").set_value("").run()
    next(s for s in app.selectbox if s.label == "Split").set_value("rejected").run()
    assert "duplicate" in text(app)


def test_quality_counts_what_is_in_both_splits_and_says_when_nothing_is(workspace: Workspace) -> None:
    for name, leaked in (("clean", 0), ("leaking", 3)):
        with atomic_dir(workspace.datasets / name) as folder:
            writer = DatasetWriter(folder)
            for split, rows in ("train", range(10)), ("test", range(10 - leaked, 20 - leaked)):
                for row in rows:
                    question = [user(f"Which herb is called {WORDS[row]} in the old book of {WORDS[-row]}?")]
                    writer.keep(
                        make_example(question, WORDS[row], split=split, scorer="exact", family="herbs", template=split)
                    )
            writer.finish(Card(name=name, generator="math", created="2026-01-01T00:00:00+00:00", seconds=1.0))
    assert "No prompt, near-duplicate" in text(page("data", tab="quality", dataset="clean"))
    leaking = text(page("data", tab="quality", dataset="leaking"))
    assert "3 prompts are in both train and test" in leaking
    assert "Clean the dataset below" in leaking


def test_generate_previews_before_it_makes_anything(workspace: Workspace) -> None:
    app = page("data", tab="generate")
    assert "Answer:" in text(app)
    assert not workspace.datasets.exists()


def test_generate_refuses_a_name_that_is_taken(made: Workspace) -> None:
    app = page("data", tab="generate")
    next(i for i in app.text_input if i.label == "Name of the dataset").set_value("invoices").run()
    next(b for b in app.button if b.label == "Generate").click().run()
    assert "already a dataset" in text(app)
    assert not made.tasks.exists()


@pytest.mark.usefixtures("made")
def test_train_counts_settings_and_multiplies_the_batch() -> None:
    app = unfold(page("train", dataset="invoices"), ".optim")
    assert "0 settings changed" in text(app)
    assert "effective batch 16 x 1 = 16 rows" in text(app)
    for label, value in (("Batch size", 4), ("Gradient accumulation", 3)):
        next(n for n in app.number_input if n.label == label).set_value(value).run()
    assert "effective batch 4 x 3 = 12 rows" in text(app)
    assert "2 settings changed: optim.per_device_train_batch_size" in text(app).replace("\\", "")


@pytest.mark.usefixtures("made")
def test_train_says_whether_it_fits_here_and_on_a_gpu_that_is_chosen() -> None:
    app = page("train", dataset="invoices")
    assert "Fits: about " in text(app).replace("\\", "")
    next(menu for menu in app.selectbox if menu.label == "Where it is trained").set_value("RTX 4090").run()
    assert app.query_params["gpu"] in ("RTX 4090", ["RTX 4090"])
    assert "to tune on RTX 4090 (24 GiB): fits, " in text(app).replace("\\", "")
    assert "not measured" in text(app)
    assert "No GPU 'Voodoo' is known here" in text(page("train", dataset="invoices", gpu="Voodoo"))


def test_two_tabs_with_the_same_draft_start_one_run(made: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Work] = []
    monkeypatch.setattr(jobs.ENGINE, "submit", started.append)

    recipe = load_recipe("starter-text-sft", ["data.dataset=invoices"])
    first = jobs.start_training(made, recipe, "same-draft")
    second = jobs.start_training(made, recipe, "same-draft")
    assert first.path == second.path
    assert len(started) == 1


@pytest.mark.usefixtures("made")
def test_run_page_shows_figures_and_offers_the_next_step() -> None:
    app = page("runs", run="first")
    assert "Trained 20 steps" in text(app).replace("\\", "")
    assert {m.label: m.value for m in app.metric}["Step"] == "20 of 20"
    assert "Compare" in [b.label for b in app.button]


def test_lost_and_failed_runs_say_why_and_can_be_resumed(made: Workspace) -> None:
    filled.run(made, "lost", verdict=None)
    filled.run(made, "failed", verdict="failed")
    assert "possibly out of memory" in text(page("runs", run="lost"))
    app = page("runs", run="failed")
    assert "stopped being a number" in text(app)
    assert "Resume" in [b.label for b in app.button]


@pytest.mark.usefixtures("made")
def test_compare_offers_base_large_and_tuned() -> None:
    app = page("compare", dataset="invoices", run="first")
    chosen = app.multiselect[0].value
    assert "Tuned: first" in chosen
    assert any(label.startswith("Large") for label in chosen)


@pytest.mark.usefixtures("made")
def test_compare_asks_for_the_costs_that_no_machine_sees() -> None:
    app = page("compare", dataset="invoices", run="first")
    fields = {field.label: field for field in app.number_input}
    wanted = ("Labelling and checking rows, $", "Engineering, hours", "An engineer's hour, $", "A person's answer, $")
    for name in (*wanted, "Hosting, $ per month", "Licences of models and data, $"):
        assert fields[name].value is None, "an empty field is not stated, and not 0"
    fields["Labelling and checking rows, $"].set_value(200.0)
    fields["Engineering, hours"].set_value(-1.0)
    app.run()
    assert not app.exception


@pytest.mark.usefixtures("made")
def test_finished_comparison_can_be_downloaded() -> None:
    app = page("compare", comparison="first")
    assert "no report yet" not in text(app)


def test_failed_comparison_is_a_sentence(made: Workspace) -> None:
    job = JobDir(made.tasks / "compare-x")
    with job.hold():
        job.finish("failed", "The endpoint refused the key. Set OPENAI_API_KEY.", "endpoint.auth")
    assert "refused the key" in text(page("compare", job="compare-x", comparison="x"))


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("name", ["runs", "train"])
def test_unknown_names_in_the_address_are_sentences(name: str) -> None:
    assert "There is no" in text(page(name, run="nowhere", dataset="nowhere"))


def test_settings_never_shows_a_key(made: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    app = page("settings")
    for label, value in {
        "Name": "mini",
        "Address": "https://example.test/v1",
        "Model": "mini-1",
        "Name of the key": "MY_KEY",
    }.items():
        next(i for i in app.text_input if i.label == label).set_value(value)
    next(b for b in app.button if b.label == "Add").click().run()
    assert "mini" in text(app)
    assert "very-secret" not in text(app)
    assert "very-secret" not in (made.path / "endpoints.json").read_text()


def test_hostile_names_and_cells_are_shown_not_run(workspace: Workspace) -> None:
    filled.dataset(workspace, hostile=filled.HOSTILE)
    app = page("data", tab="browse", dataset="invoices")
    marked_up = [str(m.value) for m in [*app.markdown, *app.caption]]
    alive = re.compile(r"(?<!\\)<script|(?<!\\)\]\(javascript")  # what inert text escapes
    assert not any(alive.search(value) for value in marked_up)


def choose(app: AppTest, label: str, value: Any) -> AppTest:
    return next(c for c in app.segmented_control if c.label == label).set_value(value).run()


def press(app: AppTest, label: str) -> AppTest:
    return next(b for b in app.button if b.label == label).click().run()


def test_the_form_of_a_task_begins_with_what_its_starter_can_read() -> None:
    for card in CARDS:
        if card.generator:
            parse_spec(generator(card.generator), settings_for(card.generator))
    app = page("data", tab="generate", task="vision")
    sizes = {n.label: n.value for n in app.number_input}
    assert (sizes["Picture size"], sizes["Model's input size"]) == (128, 128)


@pytest.mark.usefixtures("made")
def test_what_is_written_as_yaml_stays_in_the_form() -> None:
    app = choose(page("train", dataset="invoices"), "Settings as", "YAML")
    recipe = next(a for a in app.text_area if a.label == "Recipe")
    recipe.set_value(recipe.value.replace("seed: 0", "seed: 7")).run()
    choose(app, "Settings as", "Form")
    assert not app.exception, app.exception
    unfold(app, "advanced")
    assert next(n for n in app.number_input if n.label == "Seed").value == 7


@pytest.mark.usefixtures("made")
def test_settings_behind_a_fold_are_the_same_before_and_after_it_is_opened_and_closed_again() -> None:
    def said(app: AppTest) -> str:
        return next(c.value for c in app.caption if "effective batch" in c.value).replace("\\", "")

    app = page("train", dataset="invoices")
    assert not any(n.label == "Seed" for n in app.number_input), "nothing of a closed fold is drawn"
    untouched = said(app)
    for fold in ("advanced", ".lora", ".optim"):
        unfold(app, fold)
        assert not app.exception, app.exception
        assert said(app) == untouched
    next(n for n in app.number_input if n.label == "Seed").set_value(7).run()
    assert said(app).startswith("1 setting changed: seed")
    changed = said(app)
    (name,) = (name for name in app.session_state if name.startswith("fold.recipe") and "adv" in name)
    app.session_state[name] = False
    assert said(app.run()) == changed, "closing a fold changes nothing"
    assert said(page("train", dataset="invoices")) == changed, "nor does a refresh, which closes it"


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(("name", "label"), [("train", "Recipe"), ("data", "Settings")])
@pytest.mark.parametrize(("written", "said"), [("a: [1", "is not valid YAML"), ("- 1", "holds no settings")])
def test_yaml_that_cannot_be_read_is_a_sentence(name: str, label: str, written: str, said: str) -> None:
    app = choose(page(name, dataset="invoices", tab="generate"), "Settings as", "YAML")
    next(a for a in app.text_area if a.label == label).set_value(written).run()
    assert not app.exception, app.exception
    assert said in text(app)


def test_a_copy_of_the_tab_starts_no_second_run(made: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs.ENGINE, "submit", lambda work: None)
    first, second = (page("train", dataset="invoices") for _ in range(2))
    before = {run.name for run in made.runs.iterdir()}
    press(first, "Start training")
    press(second, "Start training")
    assert len({run.name for run in made.runs.iterdir()} - before) == 1
    assert "goes on already" in text(second)
    assert any(str(link.proto.label).startswith("See ") for link in second.get("page_link"))


def test_the_next_run_keeps_its_id_until_it_was_trained_and_no_other_gets_the_id_of_one_that_was_deleted(
    made: Workspace,
) -> None:
    def next_run() -> str:
        return drafts.next_run(made, "abcdef" * 9, "first")

    checked = next_run()
    assert next_run() == checked
    filled.run(made, checked, verdict=None)
    assert next_run() == checked  # killed: it goes on
    Run(made.runs / checked).finish("done")
    trained = next_run()
    assert trained != checked
    drafts.note_start(made, "abcdef" * 9, trained)
    assert next_run() != trained  # started, and gone


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("data", {"tab": "browse", "dataset": "gone"}),
        ("train", {"dataset": "gone"}),
        ("runs", {"run": "gone"}),
        ("compare", {"dataset": "gone"}),
        ("compare", {"comparison": "gone"}),
        ("use", {"run": "gone"}),
        ("glossary", {"term": "gone"}),
    ],
)
def test_what_an_address_names_and_is_not_there_is_said(name: str, address: dict[str, str]) -> None:
    assert "'gone'" in text(page(name, **address)).replace("\\", "")


def test_the_recipe_of_the_page_and_its_file_are_the_same_run(
    made: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.ENGINE, "submit", lambda work: None)
    app = unfold(page("train", dataset="invoices"), "advanced")
    next(n for n in app.number_input if n.label == "Seed").set_value(7).run()
    press(app, "Start training")
    (run,) = (run for run in made.runs.iterdir() if run.name != "first")
    file = tmp_path / "recipe.yaml"
    file.write_text(dump_recipe(Run(run).recipe), "utf-8")
    again = load_recipe(file)
    assert recipe_hash(again) == recipe_hash(Run(run).recipe)
    app = page("train", dataset="invoices")
    app.file_uploader[0].set_value(("recipe.yaml", file.read_bytes(), "application/yaml")).run()
    assert f"recipe {recipe_hash(again)[:12]}" in text(app)


def test_a_page_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy.py").write_text(
        'import streamlit as st\n\nPAGE = {"title": "Toy", "icon": ":material/toys:", "order": 1}\nst.title("A toy")\n'
    )
    before = [each["title"] for each in views.pages()]
    assert before == [
        "Start",
        "Data",
        "Write rows",
        "Train",
        "Runs",
        "Compare",
        "Use",
        "Playground",
        "Settings",
        "Glossary",
    ]
    monkeypatch.setattr(views, "FOLDERS", [*views.FOLDERS, tmp_path])
    assert [each["title"] for each in views.pages()] == ["Toy", *before]
    app = AppTest.from_file(APP, default_timeout=120).run()
    assert not app.exception, app.exception
    assert "A toy" in text(app)


def test_the_samples_on_start_are_rows_that_the_generators_make() -> None:
    for card in CARDS:
        media: list[bytes] = []

        def keep(data: bytes, suffix: str, media: list[bytes] = media) -> str:
            media.append(data)
            return f"media/{len(media)}{suffix}"

        settings = {**card.settings, "train": 12, "val": 0, "test": 0, "test_ood": 0}
        rows = preview_rows(card.generator, settings, 1 if card.sample.picture else 12, keep)
        assert (card.sample.question, card.sample.answer) in [(row.prompt[-1].text, row.target) for row in rows]
        assert (
            not card.sample.picture
            or (Path(cards.__file__).with_name("pictures") / card.sample.picture).read_bytes() == media[0]
        )


def test_no_page_shows_a_string_that_stands_in_its_code() -> None:
    """Streamlit draws every bare string of a page's own file, whatever it was written for."""
    import ast

    bare = [
        f"{file.name}:{node.lineno}"
        for file in sorted(Path(views.__file__).parent.glob("*.py"))
        if "PAGE = {" in (source := file.read_text("utf-8"))
        for node in ast.parse(source).body[1:]
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    assert bare == []
