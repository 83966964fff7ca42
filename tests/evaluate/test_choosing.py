"""Claims about a fair large model: told the task, asked by the prompt that is strongest on val, beside baselines."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import pytest

from evaluate import answering, choosing, margin
from evaluate.compare import run_comparison
from evaluate.lineage import Origin
from evaluate.plan import LONGEST_REPLY, Plan, SystemPlan
from evaluate.predict import classical
from evaluate.predict.prompts import Prompter
from evaluate.report import basis
from evaluate.report.reading import read_report
from studio.read.results import headline as in_the_terminal
from studio.stub.answers import StubPrompt
from studio.stub.endpoint import StubSettings, serve_in_thread
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.errors import UserError
from synth.example import Example, make_example, user
from synth.task import TaskCard
from synth.workspace import Workspace

pytestmark = pytest.mark.slow

WORDS = {
    "bill": ("invoice", "charged", "refund"),
    "login": ("password", "sign in", "locked"),
    "ship": ("parcel", "late", "courier"),
}
CARD = TaskCard(
    kind="classification",
    instruction="Say what the message is about.",
    labels={"bill": "money", "login": "", "ship": "delivery"},
    answer_format="one label and nothing else",
)


def message(number: int, split: str = "train", origin: str = "imported") -> Example:
    label = list(WORDS)[number % 3]
    word = WORDS[label][number // 3 % 3]
    return make_example(
        [user(f"Case {number} ({split}): my {word} is a problem, please help")],
        label,
        answer=label,
        family=label,
        template=f"{split}{number}",
        scorer="exact",
        split=split,  # type: ignore[arg-type]
        origin={"kind": origin},  # type: ignore[arg-type]
    )


@pytest.fixture
def dataset(workspace: Workspace) -> DatasetDir:
    folder = workspace.datasets / "messages"
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for split, count in {"train": 90, "val": 30, "test": 60}.items():
        for number in range(count):
            writer.keep(message(number, split))
    writer.finish(Card(name="messages", generator="import", created="2026-01-01", seconds=1.0, task=CARD))
    return DatasetDir(folder)


def endpoint(url: str, key: str, **more: Any) -> dict[str, Any]:
    return {"id": key, "kind": "endpoint", "model": "gpt-4o-mini", "base_url": url, "concurrency": 4, **more}


def told(stub: Any) -> list[str]:
    return [str(row) for row in stub.requests]


def test_the_task_card_becomes_one_instruction_with_labels_and_form() -> None:
    said = CARD.in_words()
    assert said.startswith("Say what the message is about.\nThe possible answers:\n- bill: money\n- login\n")
    assert said.endswith("Answer with one label and nothing else.")
    assert TaskCard(kind="free_text").in_words() == ""


@pytest.mark.parametrize("prompting", ["zero_shot", "few_shot", "schema", "few_shot_schema"])
def test_every_way_of_prompting_is_told_the_task_first(dataset: DatasetDir, prompting: str) -> None:
    plan = SystemPlan(id="a", kind="endpoint", model="m", prompting=prompting, shots=2)  # type: ignore[arg-type]
    rows = list(dataset.examples("train"))
    asked = answering.as_asked(plan, dataset, rows, Origin())
    question = Prompter(asked, rows, 0, Path()).question(message(1, "test"))
    assert question.messages[0].role == "system"
    assert question.messages[0].text.startswith("Say what the message is about.")
    assert (question.response_format is not None) is ("schema" in prompting)
    assert sum(one.role == "assistant" for one in question.messages) == (2 if "few_shot" in prompting else 0)


def test_a_tuned_model_is_told_the_task_as_its_training_was(dataset: DatasetDir) -> None:
    from recipes.run.instructed import InstructedDataset

    tuned = SystemPlan(id="a", model="m", adapter="run")
    made_of = Origin(model_kind="starter", recipe={"data": {"task": True}})
    asked = answering.as_asked(tuned, dataset, [], made_of)
    row = next(iter(dataset.examples("train")))
    learned = next(iter(InstructedDataset(dataset).examples("train")))
    assert Prompter(asked, [], 0, Path()).question(row).messages == learned.prompt
    assert learned.prompt[0].text == CARD.in_words()
    assert (learned.id, learned.target) == (row.id, row.target)
    assert next(iter(InstructedDataset(dataset).draw("train", 3, 0))).prompt[0].role == "system"


def test_models_that_were_trained_on_bare_prompts_are_asked_so_unless_the_plan_says_otherwise(
    dataset: DatasetDir,
) -> None:
    tuned = SystemPlan(id="a", model="m", adapter="run")
    assert answering.as_asked(tuned, dataset, [], Origin()).instruction == ""
    assert answering.as_asked(tuned.model_copy(update={"task": True}), dataset, [], Origin()).instruction
    plain = SystemPlan(id="a", model="m")
    assert answering.as_asked(plain, dataset, [], Origin(model_kind="starter")).instruction == ""
    assert answering.as_asked(plain, dataset, [], Origin()).instruction == CARD.in_words()
    own = plain.model_copy(update={"instruction": "Mine."})
    assert answering.as_asked(own, dataset, [], Origin()).instruction == "Mine."


def test_the_answer_limit_follows_the_longest_right_answer_with_room_for_models_that_were_not_tuned() -> None:
    long = make_example([user("q")], "x" * 3000, family="f", template="t")
    local, far = SystemPlan(id="a", model="m"), SystemPlan(id="b", kind="endpoint", model="m")
    assert answering.answer_limit(local.model_copy(update={"adapter": "run"}), [long]) == 2250
    assert answering.answer_limit(local.model_copy(update={"adapter": "run"}), [message(1)]) == 64
    assert answering.answer_limit(local, [message(1)]) == 64 + answering.ROOM_UNTUNED
    assert answering.answer_limit(far, [message(1)]) == 64 + LONGEST_REPLY


def test_the_strongest_prompt_on_val_is_the_one_the_verdict_is_about(workspace: Workspace, dataset: DatasetDir) -> None:
    known = dataset.path / "test.jsonl"
    with serve_in_thread(StubSettings(answers=known)) as weak, serve_in_thread() as silent:
        systems = [
            endpoint(weak.base_url, "small-one"),
            endpoint(silent.base_url, "zero"),
            endpoint(silent.base_url, "few", prompting="few_shot", shots=2),
            endpoint(silent.base_url, "both", prompting="few_shot_schema", shots=2),
        ]
        plan = Plan.model_validate(
            {"dataset": "messages", "systems": systems, "small": "small-one", "large": "zero", "choose_on_val": 20}
        )
        report = read_report(run_comparison(plan, workspace))
    choice = report.prompt_choice
    assert choice is not None
    assert set(choice.values) == {"zero", "few", "both"}, "one model, three ways; the small one is another address"
    assert choice.rows == 20
    tried = [line for line in report.fixed_costs.items if line.label.endswith("on val")]
    assert len(tried) == 3
    assert all(line.usd is not None and line.usd > 0 for line in tried), "val rows are paid, too"
    assert report.large == choice.chosen
    assert choice.values[choice.chosen] == max(choice.values.values())
    assert {row.split for row in report.comparisons} == {"test"}, "val rows choose, they are not tested"


def test_a_prompt_search_is_bounded_tried_on_val_and_paid_in_the_ledger(
    workspace: Workspace, dataset: DatasetDir
) -> None:
    with serve_in_thread() as stub:
        systems = [endpoint(stub.base_url, "small-one", model="stub-model"), endpoint(stub.base_url, "big")]
        plan = Plan.model_validate(
            {
                "dataset": "messages",
                "systems": systems,
                "small": "small-one",
                "large": "big",
                "choose_on_val": 5,
                "prompt_search": 3,
                "max_rows": 10,
            }
        )
        report = read_report(run_comparison(plan, workspace, comparison_id="c"))
        asked = len(stub.requests)
        again = read_report(run_comparison(plan, workspace, comparison_id="c"))
        assert len(stub.requests) == asked, "a search is resumed, not paid twice"
        assert [line.usd for line in again.fixed_costs.items] == [line.usd for line in report.fixed_costs.items]
    assert report.prompt_choice is not None
    assert 1 <= report.prompt_choice.searched <= 3
    spent = [line for line in report.fixed_costs.items if "instruction" in line.label]
    assert len(spent) == 1 + report.prompt_choice.searched
    assert all(line.usd is not None and line.usd > 0 for line in spent)


WRITING = "Write an instruction for a language model"


def searching(url: str, **more: Any) -> Plan:
    """A small endpoint against `big`, which may write three instructions of its own."""
    systems = [endpoint(url, "small-one", model="stub-model"), endpoint(url, "big", **more)]
    asked = {"small": "small-one", "large": "big", "choose_on_val": 5, "prompt_search": 3, "max_rows": 10}
    return Plan.model_validate({"dataset": "messages", "systems": systems, **asked})


def test_the_instruction_that_is_best_on_val_is_the_models_own_and_the_only_one_that_meets_test_rows(
    workspace: Workspace, dataset: DatasetDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(question: StubPrompt, response_format: Any, sample: object) -> str:
        asked.append(question.text)
        if WRITING in question.text:
            return "Look for the noun." if "numbered list" in question.text else "<think>hm</think>Do your best."
        known = next(label for label, words in WORDS.items() if any(f"my {word} is" in question.text for word in words))
        return known if "Look for the noun." in question.text else "bill"

    with serve_in_thread() as stub:
        monkeypatch.setattr(stub.book, "answer", answer)
        path = run_comparison(searching(stub.base_url), workspace, comparison_id="c")
    report, said = read_report(path), path.with_suffix(".md").read_text("utf-8")
    choice = report.prompt_choice
    assert choice is not None
    assert "big, own instruction 2: of 3 ways of asking the large model the strongest on 5 rows of val, which" in said
    assert (report.large, choice.chosen, choice.given) == ("big-own2", "big-own2", "big")
    assert choice.searched == 2, "an instruction that comes twice is tried once"
    assert choice.values == {"big": pytest.approx(0.4), "big-own1": pytest.approx(0.4), "big-own2": 1.0}
    assert report.large_system is not None
    assert report.large_system.splits["test"].value == 1.0
    (stored,) = [one for one in report.provenance.plan["systems"] if one["id"] == "big-own2"]
    assert stored["instruction"] == "Look for the noun."
    own = [text for text in asked if "Do your best." in text]
    assert own and all("(val)" in text for text in own), "test rows are not spent on those that lost"
    writing = [text for text in asked if WRITING in text]
    assert len(writing) == 3
    assert all("(train)" in text and "(val)" not in text and "(test)" not in text for text in writing)


def test_one_spend_cap_holds_for_a_model_and_all_its_prompt_search(workspace: Workspace, dataset: DatasetDir) -> None:
    other = Workspace(workspace.path / "other")
    other.datasets.mkdir(parents=True)
    (other.datasets / "messages").symlink_to(dataset.path)
    with serve_in_thread() as stub:
        plan = searching(stub.base_url, max_new_tokens=16).model_copy(update={"choose_on_val": 30})
        free = read_report(run_comparison(plan, workspace, comparison_id="c"))
        spent = [line.usd or 0.0 for line in free.fixed_costs.items if "instruction" in line.label]
        cap = 0.8 * sum(spent)
        assert len(spent) == 4
        assert all(one < cap for one in spent), "none of the parts would pass it alone"
        capped = tuple(
            one.model_copy(update={"spend_cap_usd": cap}) if one.id == "big" else one for one in plan.systems
        )
        with pytest.raises(UserError) as refused:
            run_comparison(plan.model_copy(update={"systems": capped}), other, comparison_id="c")
    assert refused.value.code == "endpoint.budget"
    assert (other.comparisons / "c" / "predictions" / "big-own1.jsonl").is_file(), "it ended while prompts were tried"


def test_word_errors_are_pooled_when_a_prompt_is_chosen() -> None:
    from plausible import results

    rows = [
        row.model_copy(update={"edits": 1, "ref_units": units})
        for row, units in zip(results().systems[0].rows, (1, 9), strict=False)
    ]
    assert choosing.value_of(rows) == pytest.approx(0.8)


def test_baselines_without_a_neural_network_stand_in_the_report(workspace: Workspace, dataset: DatasetDir) -> None:
    with serve_in_thread() as stub:
        systems = [endpoint(stub.base_url, "big")]
        plan = Plan.model_validate({"dataset": "messages", "systems": systems, "human_usd_per_answer": 0.4})
        path = run_comparison(plan, workspace)
    report = read_report(path)
    views = {
        "json": path.read_text("utf-8"),
        "html": html.unescape(path.with_suffix(".html").read_text("utf-8")),
        "markdown": path.with_suffix(".md").read_text("utf-8").replace("\\", ""),
        "terminal": in_the_terminal(report, path),
    }
    for name, view in views.items():
        for row in ("Majority answer", "TF-IDF", "human_usd_per_answer" if name == "json" else "A person"):
            assert row in view, (name, row)
    by_id = {system.id: system for system in report.systems}
    assert by_id["baseline-majority"].splits["test"].value == pytest.approx(1 / 3)
    assert by_id["baseline-tfidf"].splits["test"].value == 1.0
    assert report.dataset.chance["test"] == pytest.approx(1 / 3)
    assert report.verdict.qualifier == "", "imported rows are taken for the user's own"


def test_closed_fields_of_records_are_classified_and_open_ones_get_their_commonest_value() -> None:
    rows = [
        make_example(
            [user(f"order {n}: {'broken' if n % 2 else 'missing'} lamp")],
            json.dumps({"fault": "broken" if n % 2 else "missing", "id": n}),
            answer=json.dumps({"fault": "broken" if n % 2 else "missing", "id": n}),
            family="f",
            template=f"t{n}",
            scorer="json",
        )
        for n in range(40)
    ]
    found = {one.id: one for one in classical.baselines(rows)}
    assert "1 of 2 fields" in found["baseline-tfidf"].label
    said = [json.loads(text)["fault"] for text in found["baseline-tfidf"].replies(rows)]
    assert said == [json.loads(row.answer or "")["fault"] for row in rows]


def test_numbers_are_answered_by_the_rule_that_fits_train_best() -> None:
    rows = [
        make_example(
            [user(f"{n} boxes at ${n + 2} each")], "", answer=str(n * (n + 2)), family="f", template="t", scorer="math"
        )
        for n in range(3, 33)
    ]
    (rule,) = classical.baselines(rows)
    assert rule.replies(rows[:1]) == ["Answer: 15"]


def test_free_text_pictures_and_too_few_rows_have_no_baseline() -> None:
    free = [
        make_example([user(f"q {n}")], f"a long answer {n}", answer=f"a long answer {n}", family="f", template="t")
        for n in range(40)
    ]
    assert classical.baselines(free) == []
    assert classical.baselines([message(n) for n in range(5)]) == []


def test_a_margin_that_is_moved_after_the_answers_is_found_out(workspace: Workspace, dataset: DatasetDir) -> None:
    with serve_in_thread() as stub:
        systems = [endpoint(stub.base_url, "one"), endpoint(stub.base_url, "two", model="stub-model")]

        def compare(loss: float, name: str) -> Any:
            plan = Plan.model_validate({"dataset": "messages", "systems": systems, "margin": loss, "max_rows": 8})
            return read_report(run_comparison(plan, workspace, comparison_id=name))

        assert compare(0.02, "first").margin_note is None
        again = compare(0.1, "first")
        elsewhere = compare(0.1, "second")
        other_data = compare(0.02, "first")
    for report in (again, elsewhere):
        assert report.margin_note == "The margin was moved from 2 to 10 points after answers existed."
    assert other_data.margin_note is None
    assert (
        margin.fixed(
            workspace.comparisons / "first", Plan(dataset="d", systems=(SystemPlan(id="a", model="m"),)), workspace
        )
        == 0.02
    )


def test_real_rows_of_a_dataset_reach_the_headline(workspace: Workspace, dataset: DatasetDir) -> None:
    folder = workspace.datasets / "with-real"
    folder.mkdir()
    writer = DatasetWriter(folder)
    for split, count, origin in (("train", 30, "template"), ("test", 30, "template"), ("test_real", 40, "real")):
        for number in range(count):
            writer.keep(message(number, split, origin))
    writer.finish(Card(name="with-real", generator="math", created="2026-01-01", seconds=1.0, task=CARD))
    with serve_in_thread() as stub:
        plan = Plan.model_validate({"dataset": "with-real", "systems": [endpoint(stub.base_url, "big")]})
        report = read_report(run_comparison(plan, workspace))
    assert report.primary_split == "test_real"
    assert "of 40 real rows" in report.headline
    assert report.basis.kinds == {"test_real": "real", "test": "template"}
    assert basis.bare(report.verdict.word) is None
