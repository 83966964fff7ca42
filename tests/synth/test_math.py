"""synth.math: answers re-derived from the text, splits that share nothing they should not, every row accounted for."""

from __future__ import annotations

import itertools
from collections import Counter
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from synth.build import build_dataset
from synth.context import Context
from synth.dataset import DatasetDir
from synth.errors import DataError
from synth.example import Example, text_of
from synth.generators import Candidate, parse_spec
from synth.generators import generator as generator_info
from synth.math import Spec, generate, working
from synth.math.checker import EQUATIONS, Checker
from synth.math.family import KINDS, Family, Unfit, difficulty
from synth.math.problems import draw_values, pose
from synth.math.spec import ALL_FAMILIES, DOMAINS
from synth.scoring import numerals
from synth.scoring.scorers import score_reply
from synth.workspace import Workspace

FAMILIES = list(ALL_FAMILIES.values())


def no_media(data: bytes, suffix: str) -> str:
    raise AssertionError("math has no media")


def rows(**settings: Any) -> list[Candidate]:
    return list(generate(Spec(**settings), Context(no_media)))


def kept(candidates: list[Candidate]) -> list[Example]:
    return [candidate.example for candidate in candidates if candidate.example is not None]


@pytest.fixture(scope="module")
def checker() -> Checker:
    return Checker(DOMAINS.values())


@pytest.fixture(scope="module")
def default_rows() -> list[Candidate]:
    return rows(train=3000, val=300, test=600, test_ood=600)


def test_there_are_families_enough_in_three_domains() -> None:
    assert len(DOMAINS) == 3
    assert len(FAMILIES) >= 12
    assert set(EQUATIONS) == set(ALL_FAMILIES)
    for domain in DOMAINS.values():
        held_out = [family for family in domain.families if family.held_out]
        assert held_out
        assert len(domain.families) - len(held_out) >= 4
    for family in FAMILIES:
        assert len(set(family.templates)) == len(family.templates) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_thousand_rows_of_a_family_agree_with_the_second_derivation(family: Family, checker: Checker) -> None:
    rng, done = Random(7), 0
    for index in itertools.cycle(range(len(family.templates))):
        values = draw_values(family, rng.choice((1, 2, 3)), rng)
        try:
            problem = pose(family, DOMAINS[family.domain], values, family.templates[index], rng.random() < 0.3, rng)
        except Unfit:
            continue
        assert checker.check(family, index, problem.text, problem.answer, "\n".join(problem.lines)), problem
        done += 1
        if done == 1000:
            return


def test_the_checker_notices_a_wrong_answer_a_false_line_and_a_changed_number(checker: Checker) -> None:
    family = ALL_FAMILIES["item_change"]
    text = "Each of the 3 pens costs $4. Ava pays with $20. What is the change in dollars?"
    lines = "3 * 4 = 12\n20 - 12 = 8"
    assert checker.check(family, 7, text, "8", lines)
    assert "another answer" in checker.check(family, 7, text, "9", lines).reason
    assert "another answer" in checker.check(family, 7, text.replace("$20", "$50"), "8", lines).reason
    assert "false" in checker.check(family, 7, text, "8", "3 * 4 = 11\n20 - 12 = 8").reason
    assert "cannot read" in checker.check(family, 6, text, "8", lines).reason


def test_a_distractor_does_not_reach_the_second_derivation(checker: Checker) -> None:
    text = "Each of the 3 pens costs $4. {}Ava pays with $20. What is the change in dollars?"
    plain = checker.derive("item_change", 7, text.format(""))
    assert plain == checker.derive("item_change", 7, text.format("The cashier wears badge 50. ")) == "8"
    assert checker.derive("item_change", 7, text.format("A box costs $5. ")) is None


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    settings = {"train": 200, "val": 20, "test": 20, "test_ood": 20}
    first = rows(seed=3, **settings)
    assert first == rows(seed=3, **settings)
    assert [e.id for e in kept(first)] != [e.id for e in kept(rows(seed=4, **settings))]


def test_splits_have_the_rows_asked_for_and_share_neither_prompts_nor_numbers(default_rows: list[Candidate]) -> None:
    examples = kept(default_rows)
    assert Counter(e.split for e in examples) == {"train": 3000, "val": 300, "test": 600, "test_ood": 600}
    assert len({e.id for e in examples}) == len(examples)
    numbers = {
        split: {(e.family, str(e.source["params"])) for e in examples if e.split == split}
        for split in ("train", "val", "test")
    }
    for one, other in itertools.combinations(numbers.values(), 2):
        assert not one & other


def test_unseen_families_share_no_template_with_training(default_rows: list[Candidate]) -> None:
    examples = kept(default_rows)
    train = {e.template for e in examples if e.split == "train"}
    unseen = {e.template for e in examples if e.split == "test_ood"}
    assert unseen
    assert not train & unseen
    assert {DOMAINS[ALL_FAMILIES[name.split("/")[0]].domain].name for name in unseen} == set(DOMAINS)


def test_every_phrasing_of_every_family_is_used(default_rows: list[Candidate]) -> None:
    used = {e.template for e in kept(default_rows)}
    assert used == {f"{family.name}/t{i:02d}" for family in FAMILIES for i in range(len(family.templates))}


def test_families_take_equal_turns(default_rows: list[Candidate]) -> None:
    per_family = Counter(e.family for e in kept(default_rows) if e.split == "train")
    assert max(per_family.values()) - min(per_family.values()) <= 1


def test_number_sizes_match_across_splits(default_rows: list[Candidate]) -> None:
    from scipy.stats import ks_2samp

    sizes: dict[str, list[float]] = {}
    for example in kept(default_rows):
        sizes.setdefault(example.split, []).extend(float(n) for n in numerals.numbers(text_of(example)))
    for split in ("val", "test"):
        assert ks_2samp(sizes["train"], sizes[split]).statistic < 0.06
    assert ks_2samp(sizes["train"], sizes["test_ood"]).statistic < 0.15


@pytest.mark.slow
def test_targets_are_true_lines_that_end_in_the_answer(default_rows: list[Candidate]) -> None:
    for example in kept(default_rows):
        *lines, last = example.target.split("\n")
        assert last == f"Answer: {example.answer}"
        assert lines
        assert not working.false_lines("\n".join(lines))
        assert "$" not in example.target
        assert score_reply(example.target, example).value == 1.0


def test_prompts_are_short_and_do_not_contain_their_answer(default_rows: list[Candidate]) -> None:
    for example in kept(default_rows):
        assert len(text_of(example).split()) <= 60
        assert example.answer not in text_of(example).replace("$", " ").replace("%", " ").replace(".", " ").split()


def test_answer_style_learns_the_answer_alone_and_keeps_the_rationale() -> None:
    example = kept(rows(train=1, val=0, test=0, test_ood=0, target_style="answer"))[0]
    assert example.target == f"Answer: {example.answer}"
    assert "=" in example.source["rationale"]


def test_distractor_rate_is_met() -> None:
    def share(rate: float) -> float:
        examples = kept(rows(train=1000, val=0, test=0, test_ood=0, distractor_rate=rate))
        return sum(e.source["distractor"] for e in examples) / len(examples)

    assert share(0) == 0
    assert share(1) == 1
    assert 0.25 < share(0.3) < 0.35


@pytest.mark.parametrize("level", [1, 2, 3])
def test_difficulty_is_what_was_asked_for(level: int) -> None:
    examples = kept(rows(train=500, val=0, test=0, test_ood=0, difficulty_min=level, difficulty_max=level))
    assert {e.source["difficulty"] for e in examples} == {level}
    assert level > 1 or max(len(e.target.split("\n")) for e in examples) <= 6


def test_difficulty_grows_with_steps_and_size() -> None:
    for steps, size in itertools.product(range(1, 6), (1, 2)):
        assert difficulty(steps, size) <= difficulty(steps + 1, size)
        assert difficulty(steps, size) <= difficulty(steps, size + 1)


def test_parameters_grow_with_size() -> None:
    rng = Random(0)
    for kind, draw in KINDS.items():
        if kind != "clock":
            largest = [max(draw(rng, size) for _ in range(300)) for size in (1, 2, 3)]
            assert largest == sorted(largest), kind


@pytest.mark.slow
def test_held_out_phrasings_appear_only_in_testing() -> None:
    examples = kept(rows(train=1500, val=100, test=600, test_ood=0, unseen_phrasings=2))
    train = {e.template for e in examples if e.split == "train"}
    test = {e.template for e in examples if e.split == "test"}
    assert len(test - train) == 2 * len(Spec().seen_families())


def test_rows_in_equal_kept_plus_rejected_on_disk(workspace: Workspace) -> None:
    dataset = build_dataset("math", {"train": 300, "val": 30, "test": 30, "test_ood": 30}, "m", workspace)
    card = dataset.card
    on_disk = sum(1 for _ in dataset.rejected())
    assert card.rejected
    assert on_disk == sum(card.rejected.values())
    assert card.rows_in == 390 + on_disk
    assert all(row.reason and row.row["params"] for row in dataset.rejected())
    assert [e.split for e in DatasetDir(dataset.path).examples("test")] == ["test"] * 30


@pytest.mark.slow
def test_a_family_that_runs_dry_is_named_instead_of_looping(workspace: Workspace) -> None:
    settings = {
        "families": ["hours_minutes"],
        "difficulty_max": 1,
        "train": 0,
        "val": 100_000,
        "test": 0,
        "test_ood": 0,
        "distractor_rate": 0,
    }
    with pytest.raises(DataError, match=r"hours_minutes.*no more new problems for val"):
        build_dataset("math", settings, "m", workspace)
    assert not list(workspace.datasets.glob("*"))


def test_faulty_settings_are_named() -> None:
    with pytest.raises(ValidationError, match="did you mean 'two_legs'"):
        Spec(families=("two_leg",))
    with pytest.raises(ValidationError, match="difficulty_min is above"):
        Spec(difficulty_min=3, difficulty_max=1)
    with pytest.raises(ValidationError, match="needs a held-out family"):
        Spec(held_out=())
    assert Spec(held_out=(), test_ood=0).unseen_families() == []
    for field in Spec.model_fields.values():
        assert field.title
        assert field.description
    assert isinstance(parse_spec(generator_info("math"), {"train": 3}), Spec)
