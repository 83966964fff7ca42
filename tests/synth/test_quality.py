"""synth.curation.quality: the measures move the way they should."""

from __future__ import annotations

from random import Random

import pytest

from synth.curation.quality import Quality, by_source, measure
from synth.example import make_example, user

WORDS = [a + b for a in "bdfgklmnprst" for b in ("ana", "eno", "ilu", "oma", "ute")]


def varied(n: int, length: int = 20) -> list[str]:
    rng = Random(0)
    return [" ".join(rng.choice(WORDS) for _ in range(length)) for _ in range(n)]


def test_repeating_texts_score_less_varied_on_every_measure() -> None:
    many, one = measure(varied(100)), measure(varied(1) * 100)
    assert many.distinct[1] > one.distinct[1]
    assert many.compression < one.compression
    assert many.self_bleu is not None
    assert one.self_bleu is not None
    assert many.self_bleu < 0.2 < one.self_bleu
    assert one.self_bleu == pytest.approx(1)
    assert (many.repeated, one.repeated) == (0, 1)


def test_self_bleu_does_not_grow_with_the_length_of_the_texts() -> None:
    short, long = measure(varied(100, 40)).self_bleu, measure(varied(100, 400)).self_bleu
    assert short is not None
    assert long is not None
    assert abs(short - long) < 0.02


def test_overused_phrases_are_counted_per_ten_thousand_words() -> None:
    quality = measure(["Let us delve into it, it’s important to note.", "plain words here"])
    assert quality.proxies == {
        "delve": pytest.approx(10_000 / 12),
        "it's important to note": pytest.approx(10_000 / 12),
    }
    assert quality.proxy_rate == pytest.approx(20_000 / 12)


def test_nothing_to_measure_is_not_an_error() -> None:
    assert measure([]) == Quality(0, 0, (0.0, 0.0, 0.0), 0.0, None, 0.0, {})
    assert measure(["one"]).self_bleu is None


def test_measures_are_deterministic_and_apart_for_each_source() -> None:
    rows = [
        make_example((user(text),), text, family="f", template="t", source={"generator": f"g{i % 2}"})
        for i, text in enumerate(varied(60))
    ]
    first = by_source(rows)
    assert first == by_source(rows)
    assert set(first) == {"g0", "g1"}
    assert first["g0"].texts == 30
