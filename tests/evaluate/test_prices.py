"""Claims about the price sheet."""

import datetime as dt
from pathlib import Path

import pytest
import yaml

from evaluate.cost import prices
from synth.errors import RecipeError

TODAY = dt.date(2026, 11, 25)


def test_the_shipped_sheet_holds_the_prices_of_the_evaluation_notes() -> None:
    sheet = prices.load()
    expected = {
        "gpt-4o": (2.50, 1.25, 10),
        "gpt-4o-mini": (0.15, 0.075, 0.60),
        "claude-haiku-4-5": (1, 0.10, 5),
        "claude-sonnet-5": (2, 0.20, 10),
        "claude-opus-5": (5, 0.50, 25),
        "gemini-2.5-flash": (0.30, 0.03, 2.50),
        "gemini-2.5-pro": (1.25, 0.125, 10),
    }
    for model, values in expected.items():
        units = ("input_mtok", "cached_mtok", "output_mtok")
        assert tuple(sheet.price(model, unit) for unit in units) == values
    assert sheet.price("whisper-1", "audio_minute") == 0.006
    assert [sheet.price(name, "hour") for name in ("t4-small", "l4", "h200")] == [0.40, 0.80, 5.00]


def test_every_shipped_row_names_a_source_and_no_row_is_doubled() -> None:
    sheet = prices.load()
    assert 30 <= len(sheet.rows) <= 120
    assert all(row.source in sheet.sources for row in sheet.rows)
    assert len({(row.model, row.unit) for row in sheet.rows}) == len(sheet.rows)


def test_an_unknown_model_is_unpriced_and_not_free() -> None:
    assert prices.load().price("frontier-9", "input_mtok") is None


def test_a_dated_snapshot_is_priced_as_its_model() -> None:
    sheet = prices.load()
    assert sheet.price("gpt-4o-2024-08-06", "input_mtok") == 2.50
    assert sheet.price("claude-haiku-4-5-20251001", "output_mtok") == 5
    assert sheet.price("gpt-4o-audio-preview", "input_mtok") is None


def test_a_dated_name_that_costs_otherwise_than_its_model_has_its_own_price() -> None:
    sheet = prices.load()
    assert (sheet.price("gpt-4o-2024-05-13", "input_mtok"), sheet.price("gpt-4o", "input_mtok")) == (5.00, 2.50)
    assert sheet.price("gpt-4o-2024-05-13", "cached_mtok") is None, "never the other model's discount"
    assert sheet.priced_name("gpt-4o-2024-05-13") == "gpt-4o-2024-05-13"
    assert sheet.priced_name("gpt-4o-2024-08-06") == "gpt-4o"
    assert sheet.priced_name("frontier-9-2026-01-01") == "frontier-9-2026-01-01"


def test_a_row_is_stale_after_ninety_days_without_confirmation() -> None:
    row = prices.PriceRow(model="m", unit="hour", price=1, source="s", checked=TODAY - dt.timedelta(90))
    assert not row.stale(TODAY)
    assert row.stale(TODAY + dt.timedelta(1))
    confirmed = row.model_copy(update={"second_checked": TODAY})
    assert not confirmed.stale(TODAY + dt.timedelta(90))


def test_check_names_stale_rows_assumptions_and_single_sources() -> None:
    findings = {(f.row.model, f.row.unit): f.what for f in prices.check(prices.load(), TODAY)}
    assert "assumption" in findings[("this machine", "hour")]
    stale = [f for f in prices.check(prices.load(), TODAY) if "not confirmed" in f.what]
    assert {f.row.model for f in stale} == {"h200", "gpt-4o-transcribe"}


def test_a_price_set_in_a_workspace_replaces_the_shipped_one_only_there(tmp_path: Path) -> None:
    prices.set_price(tmp_path, "gpt-4o", "output_mtok", 8.0, "our contract", TODAY)
    prices.set_price(tmp_path, "this machine", "hour", 0.03, checked=TODAY)
    own = prices.load(workspace=tmp_path)
    assert (own.price("gpt-4o", "output_mtok"), own.price("gpt-4o", "input_mtok")) == (8.0, 2.50)
    assert own.price("this machine", "hour") == 0.03
    assert prices.load().price("gpt-4o", "output_mtok") == 10
    assert len(yaml.safe_load((tmp_path / "prices.yaml").read_text("utf-8"))["rows"]) == 2


def test_an_unknown_unit_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="output_mtok"):
        prices.set_price(tmp_path, "gpt-4o", "output_mtoks", 8.0)
    assert not (tmp_path / "prices.yaml").exists()


def test_a_negative_price_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="price"):
        prices.set_price(tmp_path, "gpt-4o", "output_mtok", -1.0)


def test_a_faulty_sheet_is_one_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("version: 1\nrows: [{model: a, unit: hours, price: 1, source: s, checked: 2026-01-01}]\n")
    with pytest.raises(RecipeError, match=r"rows\.0\.unit"):
        prices.load(file)
