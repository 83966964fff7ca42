"""Checks of a pipeline that look at one candidate, without a teacher."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from synth.context import Context
from synth.documents.readers import read_document
from synth.endpoint import Reply
from synth.errors import DataError
from synth.pipeline.asking import Answer, Asked
from synth.pipeline.candidate import Candidate, Outcome, Rejected
from synth.pipeline.prompts import template
from synth.pipeline.records import distinct, read_records
from synth.pipeline.sentences import numbered, sentences
from synth.pipeline.step import Env
from synth.pipeline.steps.checks import (
    Equals,
    Faithful,
    Quoted,
    Same,
    Unlike,
    Untagged,
    equals,
    faithful,
    quoted,
    same,
    unlike,
    untagged,
)
from synth.pipeline.steps.compare import Alike, Best, alike, best
from synth.pipeline.steps.spread import Given, given, own_examples

SOURCE = "# Dams\n\nDr. Who saw the dam in 1936.  It is 7 m\nhigh, and “old”. No."


def no_media(*_: Any) -> NoReturn:
    raise AssertionError("no media here")


def env(step: str) -> Env:
    return Env(Context(no_media), {}, Path(), step=step)


def checked(said: object, answer: str) -> Outcome:
    fields = {"sentence": said, "text": SOURCE, "answer": answer, "start": 100}
    settings = Quoted(field="sentence", source="text", proves="answer")
    (outcome,) = quoted(iter([Candidate("s", fields)]), settings, env("proof"))
    return outcome


@pytest.mark.parametrize(
    ("said", "answer", "found"),
    [
        (3, "in 1936", "Who saw the dam in 1936."),
        ("[3]", "Who", "Who saw the dam in 1936."),
        ('who is this? "It is 7 m high"', "7", None),
        ("It is 7 m high, and", "7 m", "It is 7 m\nhigh, and"),
        ('high, and "old"', "old", "high, and “old"),
    ],
)
def test_a_quotation_is_a_sentence_of_the_source_by_its_number_or_its_words(
    said: object, answer: str, found: str | None
) -> None:
    outcome = checked(said, answer)
    if found is None:
        assert isinstance(outcome, Rejected)
        return
    assert isinstance(outcome, Candidate) and outcome.fields["sentence"] == found
    assert SOURCE[outcome.fields["quote_start"] - 100 : outcome.fields["quote_end"] - 100] == found
    assert outcome.lineage[-1]["step"] == "proof"


@pytest.mark.parametrize(
    ("said", "answer", "reason"),
    [
        (99, "7", "the quotation does not stand in the source"),
        (0, "7", "the quotation does not stand in the source"),
        ("It is 8 m high", "8", "the quotation does not stand in the source"),
        (1, "Dams", "the quotation is too short"),
        (3, "in 1937", "figures of the answer do not stand in the quotation"),
    ],
)
def test_a_quotation_that_proves_nothing_is_out(said: object, answer: str, reason: str) -> None:
    outcome = checked(said, answer)
    assert isinstance(outcome, Rejected) and outcome.reason == reason


@pytest.mark.parametrize(
    ("named", "answer", "found"),
    [
        (1, "7 m high", "It is 7 m high."),
        (2, "the old valley", "The old valley lies below."),
        (1, "the old valley", "The old valley lies below."),
        (1, "Because water is needed", "Dams hold back water."),
        (1, "No", "Dams hold back water."),
        (2, "7 lakes of Kenya", None),
    ],
)
def test_an_answer_that_stands_in_another_sentence_than_the_teacher_named_is_quoted_from_that_one(
    named: int, answer: str, found: str | None
) -> None:
    fields = {
        "sentence": named,
        "text": "Dams hold back water. The old valley lies below. It is 7 m high.",
        "answer": answer,
    }
    settings = Quoted(field="sentence", source="text", proves="answer")
    (outcome,) = quoted(iter([Candidate("s", fields)]), settings, env("quoted"))
    assert (outcome.fields["sentence"] if isinstance(outcome, Candidate) else None) == found


def test_a_text_that_is_marked_with_its_label_is_out_and_one_that_uses_the_word_is_not() -> None:
    marked = [
        "It bleeds. (urgent)",
        "It bleeds.\nUrgent",
        "Urgent: it bleeds.",
        "It bleeds. Label: urgent.",
        "urgent\nIt bleeds.",
        "(urgent) He bleeds.",
        "“[Urgent] He bleeds.",
    ]
    plain = [
        "It is urgent, he bleeds.",
        "Urgent help is needed.",
        "Is it urgent?",
        "Nothing (so far) is urgent",
        "(Urgently) he bleeds",
    ]
    stream = (Candidate("s", {"message": text, "label": "urgent"}) for text in [*marked, *plain])
    outcomes = list(untagged(stream, Untagged(field="message"), env("untagged")))
    assert [isinstance(one, Rejected) for one in outcomes] == [True] * len(marked) + [False] * len(plain)


def test_sentences_are_numbered_as_quotations_find_them() -> None:
    lines = numbered(SOURCE).splitlines()
    assert lines[0] == "[1] # Dams" and lines[2] == "[3] Who saw the dam in 1936."
    assert [" ".join(SOURCE[a:b].split()) for a, b in sentences(SOURCE)] == [line.split("] ", 1)[1] for line in lines]
    assert numbered("Es regnet! Warum?") == "[1] Es regnet!\n[2] Warum?" and numbered(" ") == ""


def test_lines_that_a_page_wrapped_are_one_sentence_and_those_of_a_list_are_several() -> None:
    wrapped = "The dam holds back the lake that feeds the fields of the whole\nElwha valley, and is\nold. It leaks."
    assert numbered(wrapped).splitlines()[1:] == ["[2] It leaks."]
    assert numbered("Colour black\nOdometer 1\n- one\n- two").splitlines()[-1] == "[4] - two"


def test_a_prompt_can_name_the_figures_of_a_text() -> None:
    fill = template('{{ text | figures | join(", ") }}', Path())
    assert fill({"text": "5.60 euros on 3/4, 20% of 5.60"}) == "5.60, 3/4, 20%"


def test_the_lineage_names_the_step_and_not_its_kind() -> None:
    candidate = Candidate("s", {"a": "x", "b": "X"})
    (outcome,) = same(iter([candidate]), Same(field="a", other="b"), env("agree again"))
    assert isinstance(outcome, Candidate) and outcome.lineage[-1]["step"] == "agree again"
    (rejected,) = equals(iter([candidate]), Equals(field="a", value="y"), env("verdict"))
    assert isinstance(rejected, Rejected) and rejected.candidate.lineage[-1]["step"] == "verdict"


def test_nobody_is_asked_whether_equal_answers_mean_the_same() -> None:
    asked: list[str] = []

    class Judge(Env):
        def ask(self, stream: Any, name: str, questions: Any) -> Any:
            for candidate in stream:
                asks = questions(candidate)
                asked.extend(one.messages[-1].text for one in asks)
                said = "yes" if asks and "noon" in asks[-1].messages[-1].text else "no"
                yield Asked(candidate, asks, tuple(Answer(Reply(f'{{"answer": "{said}"}}'), 0.0) for _ in asks))

        def teacher(self, name: str, candidate: Any = None) -> Any:
            return SimpleNamespace(model="m")

    pairs = [("At 12.", "at 12"), ("at 12", "at noon"), ("at 12", "at 9")]
    stream = (Candidate("s", {"answer": one, "other": other}) for one, other in pairs)
    settings = Alike(field="answer", other="other", prompt="{{ answer }} / {{ other }}?")
    outcomes = list(alike(stream, settings, Judge(Context(no_media), {}, Path(), step="judge")))
    assert [isinstance(one, Candidate) for one in outcomes] == [True, True, False]
    assert asked == ["at 12 / at noon?", "at 12 / at 9?"]
    assert isinstance(outcomes[2], Rejected) and outcomes[2].reason == "answer and other differ"


def test_tables_are_read_by_the_column_names_that_imports_know(tmp_path: Path) -> None:
    german, other = tmp_path / "a.csv", tmp_path / "b.jsonl"
    german.write_bytes("Nachricht;Dringlichkeit\nMein Knie schmerzt;später\nIch blute;sofort\n".encode("latin-1"))
    other.write_text('{"id": "7", "utterance": "My knee hurts", "intent": 2}\n')
    rows = list(read_records(german))
    assert [(row["text"], row["label"]) for row in rows] == [("Mein Knie schmerzt", "später"), ("Ich blute", "sofort")]
    assert [(row["text"], row["label"]) for row in read_records(other)] == [("My knee hurts", "2")]
    assert [page.text for page in read_document(other)] == ["id: 7\nutterance: My knee hurts\nintent: 2"]
    other.write_text('{"a": 1, "b": 2}\n')
    with pytest.raises(DataError, match="has a text"):
        own_examples(str(other), 0)


def test_examples_that_contradict_each_other_or_have_no_label_are_counted_and_no_row(tmp_path: Path) -> None:
    file = tmp_path / "mieter.csv"
    lines = ["Wo ist das Büro?;Auskunft ", "wo ist  das Büro;auskunft", "Aufzug steht;dringend", "Aufzug steht!;Klage"]
    lines += ["Keller unter Wasser; dringend", "Es ist laut;Lärm", "Schaden;", ";Klage", "Grill qualmt;Klage"]
    file.write_bytes(("\ufeffNachricht;Kategorie\r\n" + "\r\n\r\n".join(lines)).encode())
    labels = ["Auskunft", "dringend", "Klage"]
    own = own_examples(str(file), 1, labels)
    assert sorted((row["text"], row["label"]) for row in own.shown + own.held_out) == [
        ("Grill qualmt", "Klage"),
        ("Keller unter Wasser", "dringend"),
        ("Wo ist das Büro?", "Auskunft"),
    ]
    assert Counter(reason for _, reason in own.refused) == {
        "the same example twice": 1,
        "the same text has two labels": 2,
        "the example's label is none of the labels": 1,
        "the example has no label": 1,
        "the example has no text": 1,
    }
    settings = Given(path=str(file), labels=labels, held_out=1, fields={"message": "text"})
    outcomes = list(given(iter(()), settings, env("given")))
    assert sum(isinstance(one, Rejected) for one in outcomes) == 6 and len(outcomes) == 9


def test_labels_of_examples_are_told_apart_by_neither_case_nor_white_space(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text,label\na,soon\nb,Soon \nc,Soon\nd, late\ne,\n")
    assert distinct(file, "label") == ["Soon", "late"]


def test_an_example_without_a_text_is_no_text_that_others_may_be_like(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text,label\n,soon\nMy knee hurts a lot today,late\n")
    stream = (Candidate(text, {"message": text}) for text in ("My knee hurts a lot today.", "The lift is stuck"))
    outcomes = list(unlike(stream, Unlike(field="message", path=str(file)), env("unlike")))
    assert [isinstance(one, Rejected) for one in outcomes] == [True, False]


def test_the_known_answer_of_a_worked_one_is_its_last_line() -> None:
    worked = "Ann sold 9 + 9 = <<9+9=18>>18 eggs.\n#### 18"
    fields = {"question": "How many?", "answer": worked, "replies": ["Answer: 17", "She sold them.\nAnswer: 18"]}
    (outcome,) = best(iter([Candidate("s", fields)]), Best(), env("best"))
    assert isinstance(outcome, Candidate) and outcome.fields["answer"] == "18"
    assert outcome.fields["chosen"].endswith("18") and outcome.fields["rejected"] == "Answer: 17"


HANDBOOK = "# Devices\n\nLaptops are replaced after 4 years.\n- Those of Lake\nMead stay with the Bureau in Munich."


@pytest.mark.parametrize(
    ("rewritten", "lost"),
    [
        ("All computers in Munich have 4 years, but not at the Bureau by Lake Mead.", None),
        ("All computers in Munich have 4 years, but not at the Bureau.", "lake mead"),
        ("Laptops, devices: 4 years; those stay.", "bureau, lake mead, munich"),
    ],
)
def test_names_are_words_within_a_sentence_and_not_the_first_of_a_heading(rewritten: str, lost: str | None) -> None:
    stream = iter([Candidate("s", {"text": HANDBOOK, "rewritten": rewritten})])
    (outcome,) = faithful(stream, Faithful(), env("faithful"))
    assert (outcome.detail if isinstance(outcome, Rejected) else None) == lost
