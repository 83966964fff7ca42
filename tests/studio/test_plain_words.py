"""The verdict in one sentence, what would help, mistakes and their price, a glossary: against the figures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import filled
import numpy as np
import pytest
from plausible import results

from evaluate.report import report_json
from evaluate.report.results import Results
from evaluate.report.schema import Report
from recipes.run.directory import Run
from studio.presets import glossary
from studio.presets.glossary import GLOSSARY, terms_in
from studio.read import advice, mistakes, plain
from synth.dataset import Card, DatasetWriter
from synth.example import make_example, user
from synth.storage import atomic_dir
from synth.workspace import Workspace
from tests.studio.test_views import page, text

LABELS = ["billing", "results", "rare"]
UNTUNED: dict[str, Any] = {"adapter": None, "method": None}
BASELINE = {**UNTUNED, "id": "tfidf", "label": "TF-IDF", "method": "baseline"}


def classified(share_right: float, sure: float = 0.95, names: tuple[str, ...] = ("sft", "mini")) -> Results:
    """A comparison on real rows of three labels; of `rare` every row is missed by the tuned model."""
    plain_results = results(names, small="sft", large="mini", per_split=60)
    chance, systems = np.random.default_rng(0), []
    for system in plain_results.systems:
        rows = []
        for n, row in enumerate(row for row in system.rows if row.split == "test"):
            gold = LABELS[2] if n < 5 else LABELS[n % 2]
            missed = gold == "rare" or chance.random() > share_right
            given = LABELS[(LABELS.index(gold) + 1) % 3] if missed and system.id == "sft" else gold
            changed = {"gold": gold, "answer": given, "score": float(given == gold), "scorer": "label", "error": ""}
            rows.append(row.model_copy(update={**changed, "confidence": sure if system.id == "sft" else None}))
        systems.append(system.model_copy(update={"rows": tuple(rows)}))
    facts = plain_results.dataset.model_copy(update={"generator": "import", "splits": {"test": 60}})
    plan = plain_results.plan.model_copy(update={"splits": ("test",)})
    return plain_results.model_copy(update={"systems": tuple(systems), "dataset": facts, "plan": plan})


def said(report: Report, **verdict: Any) -> str:
    changed = report.model_copy(update={"verdict": report.verdict.model_copy(update=verdict)})
    return plain.sentence(changed)


def test_each_outcome_is_a_sentence_with_both_figures_and_no_jargon() -> None:
    generated = results(("sft", "mini"), small="sft", large="mini", per_split=200)
    own = generated.model_copy(update={"dataset": generated.dataset.model_copy(update={"generator": "import"})})
    report = report_json.build(own)
    right = {one.id: f"{100 * one.splits['test'].value:.1f} %" for one in report.systems}  # type: ignore[operator]
    for word, begin in {
        "BETTER": "Use the tuned model",
        "NOT WORSE": "The tuned model can take over",
        "WORSE": "Keep “gpt-4o-mini”",
        "INCONCLUSIVE": "It is not decided yet",
    }.items():
        sentence = said(report, word=word)
        assert sentence.startswith(begin)
        assert right["sft"] in sentence and right["mini"] in sentence
        assert terms_in(sentence) in ([], ["Prompting"])
    report = report_json.build(generated)
    for word, begin in {
        "BETTER": "the tuned model is better than “gpt-4o-mini”",
        "NOT WORSE": "the tuned model is not worse than “gpt-4o-mini”",
        "WORSE": "the tuned model is worse than “gpt-4o-mini”",
    }.items():  # nobody is told what to use on rows that are not his own
        assert said(report, word=word).startswith(f"On generated rows only: {begin}. On ")
    assert "this is no promise" in said(report, word="BETTER")
    reasons = ("the answers were cut off", "There are too few rows.")
    assert said(report, word="WITHHELD", withheld=reasons) == (
        "No verdict is given. The answers were cut off. There are too few rows. The rows are not from your own work, "
        "so this is no promise about it."
    )


def test_nothing_right_on_both_sides_is_no_success_whatever_the_test_says() -> None:
    report = report_json.build(results(("base", "base-few"), small="base", large="base-few", per_split=200))
    assert said(report, word="NOT WORSE").startswith("Neither model can do this yet")


def test_a_stand_in_is_named_in_the_sentence() -> None:
    report = report_json.build(results(("sft", "large-few"), small="sft", large="large-few", per_split=200))
    assert "small stand-in made by this project" in plain.sentence(report)


def test_nobody_is_told_to_use_a_model_that_beat_a_stand_in_or_that_something_cheaper_equals() -> None:
    for rival in ("mini", "large-few"):
        made = results(("sft", rival), small="sft", large=rival, per_split=200)
        own = made.model_copy(update={"dataset": made.dataset.model_copy(update={"generator": "import"})})
        report = report_json.build(own)
        cheap = report.small_system.model_copy(update=BASELINE)
        equalled = report.model_copy(update={"systems": (*report.systems, cheap)})
        assert plain.tells_what_to_use(report) == (rival == "mini")
        assert not plain.tells_what_to_use(equalled)
        for told in (equalled, *([report] if rival != "mini" else [])):
            for word, begin in {
                "BETTER": "The tuned model is better than “",
                "NOT WORSE": "The tuned model is not worse than “",
                "WORSE": "The tuned model is worse than “",
            }.items():
                assert said(told, word=word).startswith(begin)


def own_report() -> Report:
    """A tuned model against one that is to be had, on own rows."""
    made = results(("sft", "mini"), small="sft", large="mini", per_split=200)
    facts = made.dataset.model_copy(update={"generator": "import"})
    return report_json.build(made.model_copy(update={"dataset": facts}))


def beside(report: Report, points: float, **changes: Any) -> Report:
    """With another system, which is right in so many points more than the tuned model."""
    small = report.small_system
    summary = small.splits[report.primary_split]
    moved = summary.model_copy(update={"value": (summary.value or 0) + points})
    other = small.model_copy(update={**changes, "splits": {**small.splits, report.primary_split: moved}})
    return report.model_copy(update={"systems": (*report.systems, other)})


def test_nobody_is_told_to_use_a_model_where_an_untuned_one_does_as_well() -> None:
    report = own_report()
    assert plain.tells_what_to_use(report) and report.margin > 0.01
    few = {**UNTUNED, "id": "few", "label": "The base with examples"}
    for told in (beside(report, 0.0, **few), beside(report, 0.02, **few), beside(report, -0.01, **BASELINE)):
        assert not plain.tells_what_to_use(told)
        assert said(told, word="BETTER").startswith("The tuned model is better than “")
    assert "“The base with examples”, which is not tuned, is right in 96.0 %" in plain.sentence(
        beside(report, 0.02, **few)
    )
    beaten = (beside(report, -0.05, **few), beside(report, -report.margin - 0.02, **BASELINE))
    tuned_too = beside(report, 0.02, id="other", label="Another tuned one")
    assert all(plain.tells_what_to_use(told) for told in (*beaten, tuned_too))


def test_a_decision_on_few_rows_says_how_few() -> None:
    report = own_report()
    small = report.small_system
    summary = small.splits[report.primary_split].model_copy(update={"n": 9})
    few = small.model_copy(update={"splits": {**small.splits, report.primary_split: summary}})
    told = report.model_copy(update={"systems": (few, *(one for one in report.systems if one.id != small.id))})
    assert "Only 9 rows were tested: test more before you decide." in said(told, word="BETTER")
    assert "Only" not in said(told, word="INCONCLUSIVE") and "Only" not in said(report, word="BETTER")


def test_a_model_that_nobody_tuned_is_not_called_tuned() -> None:
    report = own_report()
    systems = tuple(one.model_copy(update=UNTUNED) if one.id == report.small else one for one in report.systems)
    bare = report.model_copy(update={"systems": systems})
    assert not plain.tells_what_to_use(bare)
    assert said(bare, word="BETTER").startswith("The model under test is better than “")
    assert "tuned model" not in said(bare, word="NOT WORSE")


def test_a_baseline_that_does_as_well_is_said_in_the_same_breath() -> None:
    report = report_json.build(results(("sft", "mini"), small="sft", large="mini", per_split=200))
    assert "consider that first" not in plain.sentence(report)
    small = report.small_system
    cheap = small.model_copy(update=BASELINE)
    found = plain.sentence(report.model_copy(update={"systems": (*report.systems, cheap)}))
    assert "“TF-IDF”, which needs no neural network, is right in 94.0 %: consider that first." in found
    constant = cheap.model_copy(update={"id": plain.CONSTANT, "label": "Majority answer"})
    both = plain.sentence(report.model_copy(update={"systems": (*report.systems, constant, cheap)}))
    assert "“TF-IDF”" in both and "Majority answer" not in both
    alone = report.model_copy(update={"systems": (*report.systems, constant)})
    assert "The same answer to every row is right in 94.0 %." in plain.sentence(alone)
    assert "consider that first" not in plain.sentence(alone)


@pytest.fixture
def place(workspace: Workspace) -> Workspace:
    """A comparison of three labels, its dataset with few rows of one of them, and its run."""
    with atomic_dir(workspace.datasets / "invoices") as folder:
        writer = DatasetWriter(folder)
        for n in range(104):
            label = "rare" if n < 4 else LABELS[n % 2]
            row = make_example([user(f"q {n}")], label, answer=label, family="f", template=str(n), scorer="label")
            writer.keep(row.model_copy(update={"split": "train"}))
        writer.finish(Card(name="invoices", generator="import", created="2026-01-01T00:00:00+00:00"))
    run = filled.run(workspace, "2026-11-25-sft")
    for step, loss in ((10, 0.9), (20, 0.5)):
        Run(run.path).emit("eval", step=step, loss=loss)
    filled.comparison(workspace, "first")
    write(workspace.comparisons / "first", classified(0.8))
    return workspace


def write(folder: Path, found: Results) -> Report:
    from evaluate import compare

    report = report_json.build(found)
    compare._write_scores(found, folder / "scores.jsonl")
    (folder / "report.json").write_text(report_json.dumps(report))
    return report


def test_advice_follows_from_figures_that_it_names(place: Workspace) -> None:
    folder = place.comparisons / "first"
    report = write(folder, classified(0.8))
    found = [one.text for one in advice.advise(report, place, folder / "scores.jsonl")]
    assert any(one.startswith("Train longer") and "0.900 to 0.500" in one for one in found)
    assert any("Label about 26 more rows of “rare”" in one and "5 of 5 were missed" in one for one in found)
    assert not any("mislabelled" in one for one in found)  # the other model gives the label that the rows have
    good = write(folder, classified(1.0).model_copy(update={}))
    assert good.small_system.splits["test"].value is not None


def test_a_weak_result_on_few_own_rows_is_sent_to_cross_validation_once(place: Workspace) -> None:
    folder = place.comparisons / "first"
    report = write(folder, classified(0.8))
    own = report.model_copy(update={"basis": report.basis.model_copy(update={"kind": "imported", "qualifier": ""})})
    found = advice.advise(own, place, folder / "scores.jsonl")
    assert found[0].text.startswith("Test every row: cross-validation tests all 104, of which")
    assert (found[0].page, found[0].where) == ("views/train.py", {"dataset": "invoices"})
    folded = own.model_copy(update={"dataset": own.dataset.model_copy(update={"folds": 5})})
    assert not any("Test every row" in one.text for one in advice.advise(folded, place, folder / "scores.jsonl"))


def test_rows_are_called_mislabelled_only_where_the_models_agree_and_are_sure(place: Workspace) -> None:
    folder = place.comparisons / "first"
    found = classified(0.8)
    ours = {row.example_id: row.answer for row in found.systems[0].rows}
    rival = found.systems[1]
    agree = tuple(
        row.model_copy(update={"answer": ours[row.example_id], "score": float(ours[row.example_id] == row.gold)})
        for row in rival.rows
    )
    report = write(
        folder, found.model_copy(update={"systems": (found.systems[0], rival.model_copy(update={"rows": agree}))})
    )
    assert 0 < len(mistakes.suspects(folder / "scores.jsonl", report)) <= mistakes.MOST_SUSPECTS
    report = write(folder, classified(0.8, sure=0.5))
    assert mistakes.suspects(folder / "scores.jsonl", report) == []


@pytest.mark.slow
def test_the_verdict_comes_first_in_plain_words_with_advice(place: Workspace) -> None:
    app = page("compare", comparison="first")
    boxes = " ".join(str(box.value) for box in [*app.success, *app.error, *app.warning, *app.info]).replace("\\", "")
    assert "the tuned model" in boxes.lower() or "not decided yet" in boxes
    assert "What would help" in text(app) and "Label about 26 more rows" in text(app).replace("\\", "")


@pytest.mark.slow
def test_missed_rows_are_listed_by_class_and_priced_and_prices_are_kept(place: Workspace) -> None:
    app = page("compare", comparison="first", part="mistakes", label="rare")
    assert next(s for s in app.selectbox if s.label == "Model").options[0].startswith("starter-text +")  # the tuned one
    missed = next(d.value for d in app.dataframe if "The model's" in d.value.columns)
    assert list(missed["Right answer"]) == ["rare"] * 5
    confusion = next(d.value for d in app.dataframe if "Rows" in d.value.columns)
    assert dict(zip(confusion["Right answer"], confusion["Rows"], strict=True))["rare"] == 5
    costs = next(d.value for d in app.dataframe if "Cost per 1,000 rows" in d.value.columns)
    shared = "from a confidence of" in text(app)
    assert ("Both, by that confidence" in list(costs["Who answers"])) == shared
    assert "person looks at" in text(app) or "answer every row" in text(app) or "look at every row" in text(app)
    field = next(n for n in app.number_input if n.label.startswith("A person's look"))
    field.set_value(0.01).run()
    assert "Let a person look at every row" in text(app)
    costs = next(d.value for d in app.dataframe if "Cost per 1,000 rows" in d.value.columns)
    assert list(costs["Who answers"]) == ["The model, every row", "A person, every row"]
    assert json.loads((place.comparisons / "first" / "error_costs.json").read_text())[""] == 0.01


def test_an_answer_that_is_right_in_other_letters_is_no_mistake(tmp_path: Path) -> None:
    made = classified(0.8)
    loud = [row.model_copy(update={"answer": row.answer.upper()}) for row in made.systems[0].rows]
    systems = (made.systems[0].model_copy(update={"rows": tuple(loud)}), *made.systems[1:])
    report = write(tmp_path, made.model_copy(update={"systems": systems}))
    rows = mistakes.answers(tmp_path / "scores.jsonl", report, "sft")
    wrong = sum(row.score != 1 for row in loud)
    assert 0 < len(mistakes.missed(rows)) == wrong < len(rows)
    assert all(row.given == row.gold for row in rows if row not in mistakes.missed(rows))


def test_nobody_is_told_to_trust_a_model_of_whom_too_few_rows_were_seen() -> None:
    from evaluate.stats import error_costs
    from studio.views.verdict_mistakes import recommended

    for n, said_first in ((30, "**Not decided**"), (2000, "**Let the model answer every row**")):
        sure = np.linspace(0.5, 1, n)
        found = error_costs.best_threshold(np.zeros(n), sure, 1.0, 10.0)
        assert found is not None and recommended(found).startswith(said_first)
    few = error_costs.mean_cost(np.zeros(30), 10.0)
    assert few.mean == 0 and 1.0 < few.high < 1.3, "12 % of wrong rows are not ruled out"


def test_a_threshold_that_only_its_own_rows_favour_is_not_recommended() -> None:
    from evaluate.stats.error_costs import Cost, Threshold
    from studio.views.verdict_mistakes import recommended

    found = Threshold(0.9, 0.4, Cost(0.8, 0.6, 1.0), Cost(5.0, 4.0, 6.0), 1.0)
    assert recommended(found).startswith(
        "**Let the model answer from a confidence of 0.900 on, which is 40% of the rows"
    )
    dear = found._replace(cost=Cost(1.2, 0.6, 1.7))
    assert recommended(dear).startswith("**Share nothing yet, let a person look at every row**")
    assert "let the model answer every row" in recommended(dear._replace(all_alone=Cost(0.9, 0.8, 1.0)))


@pytest.mark.slow
def test_the_words_of_a_report_lead_to_what_they_mean(place: Workspace) -> None:
    app = page("compare", comparison="first")
    links = [str(link.proto.label) for link in app.get("page_link")]
    assert {"Macro-F1", "Margin", "Confidence interval"} <= set(links)
    first = next(str(m.value) for m in page("glossary", term="Macro-F1").markdown if str(m.value).startswith("**"))
    assert first.startswith("**Macro\\-F1**")
    assert "There is no word" in text(page("glossary", term="nonsense"))


@pytest.mark.slow
def test_the_jargon_of_a_page_is_in_the_glossary_and_leads_there(workspace: Workspace) -> None:
    pages = Path(glossary.__file__).parents[1] / "views"
    calls = [found for file in pages.glob("*.py") for found in re.findall(r"ui\.words\(([^)*]+)\)", file.read_text())]
    assert len(calls) >= 5
    assert {term for call in calls for term in re.findall(r'"([^"]+)"', call)} <= set(GLOSSARY)
    filled.dataset(workspace)
    links = re.findall(r"\[([^\]]+)\]\(glossary\?term=", text(page("train")))
    assert {"LoRA", "Learning rate"} <= set(links) <= set(GLOSSARY)


def test_every_word_of_the_glossary_says_something() -> None:
    assert len(GLOSSARY) >= 30
    spelt = [term.casefold().replace("-", " ") for term in GLOSSARY]
    assert len(set(spelt)) == len(spelt)  # no word twice, with a hyphen and without
    assert terms_in("the verdict rests on out-of-fold answers") == ["Out of fold"]
    assert all(len(meaning) > 20 and meaning.endswith(".") for meaning in GLOSSARY.values())
