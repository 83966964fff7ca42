"""Claims about --fail-if and the JUnit file."""

import functools
from xml.etree import ElementTree

import pytest
from plausible import results

from evaluate.report import gate, report_json
from evaluate.report.schema import Report
from synth.errors import RecipeError


@functools.cache
def made() -> Report:
    return report_json.build(results(("dpo", "large-few"), per_split=120))


def failed(expression: str) -> bool:
    return gate.check(made(), [expression])[0].failed


@pytest.mark.parametrize(
    ("expression", "fails"),
    [
        ("delta_lower < -0.02", False),
        ("delta_lower > -0.02", True),
        ("small < 0.5", False),
        ("not small < 0.5", True),
        ("small < 0.5 or large < 0.99", True),
        ("small < 0.5 and large < 0.99", False),
        ("(small < 0.5 or large < 0.99) and verdict == 'On generated rows only: BETTER'", True),
        ('verdict != "On generated rows only: BETTER"', False),
        ("real_rows < 30", True),
        ("test_ood.small < 0.1", False),
        ("break_even_requests > 1e9", False),
        ("large_usd_per_1k<=small_usd_per_1k", False),
        ("rows < 120", False),
    ],
)
def test_expression_has_its_plain_meaning(expression: str, fails: bool) -> None:
    assert failed(expression) is fails


def test_the_sentence_shows_the_figures_that_decided() -> None:
    sentence = gate.check(made(), ["delta_lower < -0.02"])[0].sentence
    assert sentence.startswith("On generated rows only: “delta_lower < -0.02” is false (delta_lower = 0.")


@pytest.mark.parametrize("expression", ["verdict == 'WORSE'", "verdict != 'BETTER'", "'BETTER' != verdict"])
def test_a_verdict_on_generated_rows_cannot_be_asked_for_without_saying_so(expression: str) -> None:
    check = gate.check(made(), [expression])[0]
    assert check.failed, "silence must not pass a build"
    assert "the verdict is “On generated rows only: BETTER”" in check.sentence


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("delta_lowr < 0", "did you mean 'delta_lower'"),
        ("small < 0.5 or delta_lowr < 0", "delta_lowr"),
        ("delta <", "a name or number is missing"),
        ("delta", "a comparison such as < is missing"),
        ("(delta < 0", "not closed"),
        ("delta < 0 delta", "left over"),
        ("verdict < 3", "a word is compared with a number"),
        ("__import__('os').system('true')", "not understood"),
        ("delta < 0; delta", "not understood"),
        ("", "missing"),
    ],
)
def test_a_faulty_expression_is_refused_in_one_sentence(expression: str, said: str) -> None:
    with pytest.raises(RecipeError, match=r"cannot be read") as caught:
        gate.check(made(), [expression])
    assert said in str(caught.value)


def test_a_missing_figure_fails_the_gate() -> None:
    alone = report_json.build(results(("sft",), small="sft", large="", per_split=40))
    check = gate.check(alone, ["delta_lower < -0.02"])[0]
    assert check.failed
    assert "not measured" in check.sentence


def test_a_cost_that_never_pays_back_exceeds_every_limit() -> None:
    flipped = report_json.build(results(("dpo", "large-few"), small="large-few", large="dpo", per_split=40))
    assert gate.check(flipped, ["break_even_requests > 1000000"])[0].failed


def test_junit_file_counts_and_explains_failures() -> None:
    checks = gate.check(made(), ["small < 0.99", "small < 0.1"])
    suite = ElementTree.fromstring(gate.junit(made(), checks))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "small = 0." in (failure.get("message") or "")
    assert "The 5.3 M-parameter model" in (failure.text or "")


def test_junit_survives_hostile_names() -> None:
    hostile = made().model_copy(update={"title": "<b>\x00&\x1b[31m"})
    suite = ElementTree.fromstring(gate.junit(hostile, []))
    assert suite.get("name") == "smolstudio compare <b>\ufffd&\ufffd[31m"
