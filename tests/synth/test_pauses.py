"""Claims about cutting long recordings: at pauses only, nothing lost, nothing cut where nobody pauses."""

from __future__ import annotations

import numpy as np
import pytest

from synth.audio.pauses import cut_at_pauses
from synth.errors import DataError
from tests.tiny_audio import tone


def spoken(*seconds: float, noise: float = 0.0) -> np.ndarray:
    """Tones of these lengths with pauses of 0.4 s between them, on a bed of noise."""
    parts = [part for length in seconds for part in (tone(300, length), np.zeros(6400, np.float32))][:-1]
    whole = np.concatenate(parts)
    return whole + noise * np.random.default_rng(0).standard_normal(len(whole)).astype(np.float32)


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05])
def test_pieces_end_in_pauses_and_joined_are_the_whole(noise: float) -> None:
    sound = spoken(2.0, 2.5, 1.5, 3.0, noise=noise)
    pieces = cut_at_pauses(sound, 4.0)
    assert all(len(piece) <= 4 * 16_000 for piece in pieces)
    assert np.array_equal(np.concatenate(pieces), sound)
    ends = np.cumsum([len(piece) for piece in pieces])[:-1] / 16_000
    pauses = [(2.0, 2.4), (4.9, 5.3), (6.8, 7.2)]
    assert all(any(start <= end <= stop for start, stop in pauses) for end in ends), ends


def test_a_recording_that_fits_is_left_whole() -> None:
    sound = spoken(1.0, 1.0)
    (piece,) = cut_at_pauses(sound, 4.0)
    assert piece is sound


def test_a_recording_without_pauses_is_refused_and_not_cut_inside_a_word() -> None:
    with pytest.raises(DataError, match=r"lasts 6\.0 s, the model listens to 4 s, and between 2 and 4 s no pause"):
        cut_at_pauses(tone(300, 6.0), 4.0)
    babble = np.random.default_rng(1).standard_normal(6 * 16_000).astype(np.float32) * 0.1
    with pytest.raises(DataError, match="no pause is found"):
        cut_at_pauses(babble, 4.0)
