"""synth.curation.leakage: what counts as leaking between splits, and what does not."""

from __future__ import annotations

import time

import pytest

from synth import marks
from synth.build import build_dataset
from synth.curation import runs
from synth.curation.leakage import LeakageReport, SimilarPair, check, check_dataset, markdown, near_duplicates, record
from synth.dataset import DatasetDir
from synth.example import Example, ImagePart, Split, make_example, user
from synth.workspace import Workspace

TEXT = "The shop sells {n} pens to Ava for ${p} each and she pays with a note of fifty dollars today"


def row(text: str, template: str, split: Split = "train", media: str = "") -> Example:
    parts = [ImagePart(path=f"media/{media}.png", sha256=media)] if media else []
    return make_example((user(text, *parts),), "Answer: 1", family="f", template=template, split=split)


def pair(report: LeakageReport, one: str, other: str) -> SimilarPair:
    return next(p for p in report.pairs if (p.one, p.other) == (one, other))


def test_a_generated_dataset_leaks_nothing(workspace: Workspace) -> None:
    dataset = build_dataset("math", {"train": 2000, "val": 200, "test": 400, "test_ood": 400}, "m", workspace)
    report = check_dataset(dataset)
    assert report.ok, report.faults
    assert not report.notes
    assert len(report.pairs) == 6
    assert pair(report, "train", "test_ood").shared_templates == 0
    assert pair(report, "train", "test").shared_templates > 100
    assert pair(report, "train", "test").same_wording > 0
    assert set(report.digits) == {"train", "val", "test", "test_ood"}


def test_many_rows_on_disk_give_the_report_and_the_dataset_of_few_in_memory(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"train": 300, "val": 60, "test": 90, "test_ood": 60}
    held = build_dataset("math", asked, "held", workspace)
    for module, name, most in ((runs, "MOST_HELD", 400), (runs, "_MARKS_HELD", 50), (marks, "_RECENT", 20)):
        monkeypatch.setattr(module, name, most)
    kept = build_dataset("math", asked, "kept", workspace)
    for name in ("rejected.jsonl", "train.jsonl", "val.jsonl", "test.jsonl", "test_ood.jsonl"):
        assert (kept.path / name).read_bytes() == (held.path / name).read_bytes(), name
    assert DatasetDir(kept.path).card.notes["leakage"] == DatasetDir(held.path).card.notes["leakage"]


def test_the_same_prompt_in_two_splits_is_a_fault() -> None:
    text = TEXT.format(n=3, p=4)
    report = check({"train": [row(text, "a")], "test": [row(text, "b", "test")]})
    assert pair(report, "train", "test").equal_prompts == 1
    assert not report.ok


def test_the_same_numbers_with_another_name_are_a_near_duplicate() -> None:
    text = TEXT.format(n=3, p=4)
    report = check({"train": [row(text, "a")], "test": [row(text.replace("Ava", "Ben"), "a", "test")]})
    assert pair(report, "train", "test").near_duplicates == 1
    assert report.faults[0] == "1 row of test is a near-duplicate of rows of train"


def test_the_same_wording_with_other_numbers_is_not_a_duplicate_but_is_counted() -> None:
    report = check(
        {"train": [row(TEXT.format(n=3, p=4), "a")], "test": [row(TEXT.format(n=5, p=4), "a", "test")]},
    )
    assert report.ok
    assert pair(report, "train", "test").same_wording == 1


def test_a_template_of_training_in_unseen_families_is_a_fault() -> None:
    report = check({"train": [row("one two", "a")], "test_ood": [row("three four", "a", "test_ood")]})
    assert report.faults == ("1 template is in both train and test_ood",)


def test_pictures_in_two_splits_are_a_fault_and_the_same_question_about_another_is_not() -> None:
    question = "How many bars are there in the chart that is shown on the left side of the page?"
    other = check({"train": [row(question, "a", media="aa")], "test": [row(question, "b", "test", "bb")]})
    same = check({"train": [row(question, "a", media="aa")], "test": [row("And now?", "b", "test", "aa")]})
    assert other.ok
    assert same.faults == ("1 picture or recording is in both train and test",)


def test_a_difference_in_number_size_is_noted() -> None:
    train = [row(f"{n} and {n + 1} make what, dear friend of mine?", "a") for n in range(40)]
    test = [row(f"{n} plus {n + 1} make what, good people of ours?", "b", "test") for n in range(5000, 5040)]
    report = check({"train": train, "test": test})
    assert report.ok
    assert "differ in size" in report.notes[0]
    assert report.digits["test"] == {"4": 1.0}


def test_long_texts_with_a_small_change_are_near_duplicates() -> None:
    words = " ".join(f"word{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(120))
    assert near_duplicates([words], [words.replace("wordea", "changed"), "a quite different text of no length"]) == [
        (0, 0)
    ]


def test_the_report_reads_as_markdown_and_as_json() -> None:
    report = check({"train": [row("one two", "a")], "test_ood": [row("three four", "a", "test_ood")]})
    text = markdown(report)
    assert "**1 template is in both train and test_ood**" in text
    assert "| train, test_ood | 1 | 0 | 0 | 0 | 0 | – |" in text
    assert LeakageReport.model_validate_json(report.model_dump_json()) == report


def test_the_report_is_kept_in_card_and_readme_once(workspace: Workspace) -> None:
    dataset = build_dataset("math", {"train": 50, "val": 5, "test": 5, "test_ood": 5}, "m", workspace)
    report = record(dataset.path)
    again = DatasetDir(dataset.path)
    assert LeakageReport.model_validate(again.card.notes["leakage"]) == report
    assert again.card == dataset.card
    assert (dataset.path / "README.md").read_text("utf-8").count("## Leakage between splits") == 1
    assert again.verify() == []


@pytest.mark.slow
def test_ten_thousand_rows_are_checked_in_seconds() -> None:
    train = [row(TEXT.format(n=n, p=n * 7 % 97), "a") for n in range(9000)]
    test = [row(TEXT.format(n=n, p=n * 5 % 89), "a", "test") for n in range(9000, 10_000)]
    start = time.process_time()
    check({"train": train, "test": test})
    assert time.process_time() - start < 10
