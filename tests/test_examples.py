"""The files in examples/ are what the commands in them read."""

from __future__ import annotations

from pathlib import Path

from evaluate.plan import load_plan
from synth.generators import generator, parse_spec
from synth.strict import read_yaml

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_every_example_is_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text("utf-8")
    names = [f.name for f in EXAMPLES.iterdir() if f.name != "README.md"]
    assert len(names) >= 2
    assert [name for name in names if f"`{name}`" not in listed] == []


def test_the_settings_of_the_math_generator_are_valid() -> None:
    parse_spec(generator("math"), read_yaml(EXAMPLES / "invoices.yaml", "spec"))


def test_the_plan_names_its_systems_and_caps_their_spending() -> None:
    plan = load_plan(EXAMPLES / "plan.yaml")
    assert (plan.small, plan.large) == ("tuned", "gpt-few")
    assert [system.spend_cap_usd for system in plan.systems[1:]] == [2, 3]
