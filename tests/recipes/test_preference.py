"""Preference pairs: which answers become chosen and rejected, what is counted, what is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from recipes.decode.sampling import Answer
from recipes.recipe.schema import load_recipe
from recipes.train.preference import in_turns, judge, mine_pairs, prompts_to_mine, select, write_pairs
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.errors import DataError, StorageError
from synth.example import Example, ImagePart, make_example, user
from synth.storage import sha256_bytes


def row(number: int, scorer: str = "math", answer: str | None = None) -> Example:
    gold = answer if answer is not None else str(number)
    return make_example(
        [user(f"What is {number}?")], f"{number}\nAnswer: {gold}", family="f", template="t", answer=gold, scorer=scorer
    )


def says(*texts: str, finished: bool = True) -> list[Answer]:
    return [Answer(text, finished) for text in texts]


def origin(path: Path) -> DatasetDir:
    writer = DatasetWriter(path)
    path.mkdir()
    writer.keep(row(1))
    writer.finish(Card(name=path.name))
    return DatasetDir(path)


def mine(answers: Sequence[list[Answer]], rows: Sequence[Example], **options: int):  # type: ignore[no-untyped-def]
    def generate(examples: Sequence[Example], n: int) -> list[list[Answer]]:
        return [answers[rows.index(example)] for example in examples]

    return mine_pairs(rows, generate, **options)


def test_own_right_answer_is_chosen_and_the_commonest_mistake_rejected() -> None:
    given = says("Answer: 9", "2 is\nAnswer: 2", "Answer: 7", "Answer: 7")
    pairs = mine([given], [row(2)])
    assert [(r.target, r.rejected) for r in pairs.rows] == [("2 is\nAnswer: 2", "Answer: 7")]
    assert pairs.rows[0].source["pair"] == {"chosen": "own answer", "greedy": "wrong", "right": 1, "wrong": 3, "of": 4}


def test_target_is_chosen_when_no_own_answer_is_right() -> None:
    pairs = mine([says("Answer: 9")], [row(2)])
    assert (pairs.rows[0].target, pairs.rows[0].rejected) == ("2\nAnswer: 2", "Answer: 9")


def test_the_right_answer_nearest_to_the_mistake_is_chosen() -> None:
    mistake = "1 + 1 = 2\n2 + 0 = 3\nAnswer: 3"
    near, far = "1 + 1 = 2\n2 + 0 = 2\nAnswer: 2", "4 - 2 = 2\nAnswer: 2"
    pairs = mine([says(mistake, far, near)], [row(2)])
    assert [(r.target, r.rejected) for r in pairs.rows] == [(near, mistake)]


def test_an_answer_that_is_right_by_luck_is_not_chosen() -> None:
    pairs = mine([says("2 + 1 = 4\nAnswer: 4", "2 + 1 = 4\n4 / 0 = 2\nAnswer: 2")], [row(2)])
    assert pairs.rows[0].target == "2\nAnswer: 2"
    assert pairs.rows[0].source["pair"]["chosen"] == "target"


def test_prompts_that_are_answered_wrong_greedily_come_first() -> None:
    rows = [row(n) for n in range(6)]
    answers = [says(f"Answer: {n if n < 4 else 9}", "Answer: 7") for n in range(6)]
    pairs = mine(answers, rows, max_pairs=3)
    assert [r.answer for r in pairs.rows] == ["4", "5", "0"]
    assert [r.source["pair"]["greedy"] for r in pairs.rows] == ["wrong", "wrong", "right"]


def test_families_take_turns_in_what_is_mined_and_learned(tmp_path: Path) -> None:
    def of(family: str, number: int, **more: str) -> Example:
        known = {"family": family, "template": "t", "answer": "1", "scorer": "math", **more}
        return make_example([user(f"{family} {number}?")], "Answer: 1", **known)  # type: ignore[arg-type]

    rows = [of(family, n, rejected="Answer: 2") for family, count in (("a", 6), ("b", 2)) for n in range(count)]
    assert [e.family for e in in_turns(rows)] == ["a", "b", "a", "b", "a", "a", "a", "a"]
    watched = [of("v", n, split="val") for n in range(3)]
    folder = tmp_path / "set"
    folder.mkdir()
    writer = DatasetWriter(folder)
    for example in [*rows, *watched]:
        writer.keep(example)
    writer.finish(Card(name="set"))
    recipe = load_recipe({"method": "text_dpo", "base_model": "b", "dpo": {"max_pairs": 4}})
    learned, held = select(DatasetDir(folder), recipe)
    assert ([e.family for e in learned], held) == (["a", "b", "a", "b"], [])
    assert {e.family for e in prompts_to_mine(DatasetDir(folder), recipe)} == {"a", "b"}, "watched rows stay out"
    fewer = load_recipe({**recipe.model_dump(), "data": {"max_val_examples": 2}})
    assert [e.family for e in prompts_to_mine(DatasetDir(folder), fewer)][:2] == ["v", "a"]


def test_every_prompt_without_a_pair_has_a_counted_reason() -> None:
    rows = [row(n) for n in range(4)]
    answers = [says("Answer: 0"), says("I do not know"), says("Answer: 5", finished=False), says("Answer: 4")]
    pairs = mine(answers, rows)
    assert pairs.reasons == {"every answer right": 1, "no wrong answer could be parsed": 2}
    assert pairs.answers == {"right": 1, "unparseable": 1, "cut": 1, "wrong": 1}
    assert len(pairs.rows) + len(pairs.unusable) == len(rows)


def test_mining_stops_at_the_number_of_pairs_asked_for() -> None:
    rows = [row(n) for n in range(300)]
    pairs = mine([says("Answer: 999")] * 300, rows, max_pairs=100)
    assert len(pairs.rows) == 100
    assert pairs.reasons == {"enough pairs already": 28}


def test_few_pairs_do_not_cost_hundreds_of_answers() -> None:
    asked: list[int] = []

    def generate(examples: Sequence[Example], n: int) -> list[list[Answer]]:
        asked.append(n * len(examples))
        return [says(*["Answer: 999"] * n)] * len(examples)

    pairs = mine_pairs([row(n) for n in range(480)], generate, samples=2, max_pairs=24)
    assert len(pairs.rows) == 24 and sum(asked) <= 6 * 24


@pytest.mark.parametrize(
    ("scorer", "gold", "text", "right"),
    [
        ("math", "40", "36 + 4 = 40\nAnswer: 40", True),
        ("math", "40", "Answer: $41", False),
        ("math", "40", "Answer: many", None),
        ("math", "9:45", "Answer: 9:45", True),
        ("math", "9:45", "Answer: 9:50", False),
        ("fields", "name: Ava", "name: Ava", True),
        ("json", '{"name": "Ava"}', '{"name": "Ben"}', False),
        ("json", '{"name": "Ava"}', "Ava", None),
        ("choice", "B", "(b) Paris", True),
        ("choice", "B", "1234", None),
        ("exact", "red", "The ball.\nAnswer: Red.", True),
        ("relaxed", "100", "Answer: 104", True),
        ("wer", "lights on", "lights off", False),
        ("wer", "lights on, please", "Lights on please.", True),
        ("vqa", "a dog", "the dog", True),
        ("vqa", "dog", "cat", False),
        ("wer", "lights on", " ", None),
    ],
)
def test_answers_are_judged_by_the_rows_scorer(scorer: str, gold: str, text: str, right: bool | None) -> None:
    verdict = judge(row(1, scorer, gold), text)
    assert (None if verdict is None else verdict.ok) is right


def test_any_annotators_answer_is_right() -> None:
    asked = row(1, "vqa", "dog").model_copy(update={"source": {"answers": ["dog", "puppy"]}})
    assert [bool(judge(asked, text)) for text in ("puppy", "dog", "cat")] == [True, True, False]


def test_rows_that_no_rule_can_check_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be checked"):
        judge(row(1, "taste"), "Answer: 1")


def test_written_pairs_are_a_dataset_with_rejected_answers_and_reasons(tmp_path: Path) -> None:
    rows = [row(n) for n in range(20)]
    pairs = mine([says("Answer: 999")] * 19 + [says("Answer: 19")], rows)
    written = write_pairs(tmp_path / "pairs", pairs, origin(tmp_path / "origin"))
    assert (written.count("train"), written.count("val")) == (18, 1)
    assert all(example.rejected == "Answer: 999" for example in written.examples("train"))
    assert written.card.rejected == {"every answer right": 1}
    assert written.card.rows_in == 20
    with pytest.raises(StorageError, match="exists already"):
        write_pairs(tmp_path / "pairs", pairs, origin(tmp_path / "again"))


def test_no_pairs_at_all_is_a_sentence_with_the_reasons(tmp_path: Path) -> None:
    pairs = mine([says("Answer: 1")], [row(1)])
    with pytest.raises(DataError, match="1 × every answer right"):
        write_pairs(tmp_path / "pairs", pairs, origin(tmp_path / "origin"))


def test_media_move_along_with_the_pair(tmp_path: Path) -> None:
    source = origin(tmp_path / "origin")
    (source.path / "media").mkdir()
    (source.path / "media/a.png").write_bytes(b"picture")
    picture = ImagePart(path="media/a.png", sha256=sha256_bytes(b"picture"))
    example = make_example([user("How many?", picture)], "3", family="f", template="t", answer="3", scorer="math")
    written = write_pairs(tmp_path / "pairs", mine([says("4")], [example]), source, val_fraction=0)
    (kept,) = written.examples("train")
    (part,) = [p for p in kept.prompt[0].content if isinstance(p, ImagePart)]
    assert written.media_path(part.path).read_bytes() == b"picture"
    assert kept.id == example.id
