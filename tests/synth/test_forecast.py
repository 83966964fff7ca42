"""What a preview's forecast is worth where candidates are rejected: right on average, its range as often as it says."""

from __future__ import annotations

from random import Random
from statistics import fmean
from types import SimpleNamespace
from typing import Any

from synth.pipeline.engine import Tally
from synth.pipeline.forecast import Forecast, forecast

KIND = SimpleNamespace(asks=True, fans_out=False, gathers=False)
STEP: Any = SimpleNamespace(name="ask", kind=KIND, settings=SimpleNamespace(teacher="teacher"))
EACH_USD, ROWS = 0.001, 500


def previewed(chance: Random, share: float, accepted: int = 20) -> Forecast:
    """The forecast of a preview whose candidates are accepted with this chance."""
    tally = Tally(STEP)
    while tally.kept < accepted:
        if chance.random() < share:
            tally.kept += 1
        else:
            tally.reasons["no"] += 1
    tally.taken = tally.answers = tally.out
    tally.usd = EACH_USD * tally.out
    engine: Any = SimpleNamespace(tallies=[tally], accepted=accepted, gathered=lambda: -1)
    teacher: Any = SimpleNamespace(concurrency=1)
    return forecast(engine, ROWS, {"teacher": teacher})


def test_forecasts_are_right_on_average_and_the_bill_lies_in_their_range() -> None:
    for share in (5 / 6, 0.5, 0.2):
        chance, bill = Random(0), ROWS * EACH_USD / share
        found = [previewed(chance, share) for _ in range(1000)]
        assert abs(fmean(one.usd or 0 for one in found) / bill - 1) < 0.02
        within = fmean(one.usd_range[0] <= bill <= one.usd_range[1] for one in found if one.usd_range)
        assert within >= 0.93, (share, within)


def test_a_preview_says_how_many_rows_would_bring_its_range_within_a_tenth() -> None:
    chance = Random(1)
    wanted = previewed(chance, 5 / 6).rows_for_tenth
    assert wanted is not None and wanted > 20
    larger = previewed(chance, 5 / 6, wanted)
    assert larger.usd and larger.usd_range and larger.usd_range[1] / larger.usd < 1.13
    assert previewed(chance, 0.05).rows_for_tenth in (None, *range(300, ROWS, 10))
