"""Each augmentation does what it says, by measurement: signal-to-noise ratio, length, band, decay, level."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from synth.audio import augment
from tests.tiny_audio import tone

RATE_HZ = 16_000


def power(samples: np.ndarray) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))


def band_db(samples: np.ndarray, low_hz: float, high_hz: float) -> float:
    """Power within a band relative to all of it, in dB."""
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    bins = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    inside = spectrum[(bins >= low_hz) & (bins < high_hz)].sum()
    return float(10 * np.log10(max(inside, 1e-20) / spectrum.sum()))


@pytest.mark.parametrize("kind", [*augment.TRAIN_NOISES, *augment.HELD_OUT_NOISES])
@pytest.mark.parametrize("snr_db", [5.0, 20.0])
def test_noise_is_mixed_within_half_a_decibel_of_the_ratio_asked(kind: str, snr_db: float) -> None:
    clean = tone(440, 2.0)
    disturbance = augment.noise(kind, len(clean), np.random.default_rng(1), babble=tone(700, 0.5))
    mixed = augment.add_noise(clean, disturbance, snr_db)
    found_db = 10 * np.log10(power(clean) / power(mixed - clean))
    assert abs(found_db - snr_db) < 0.5


def test_silent_babble_leaves_the_recording_as_it_is() -> None:
    clean = tone(440, 1.0)
    assert np.array_equal(augment.add_noise(clean, np.zeros_like(clean), 10.0), clean)


def test_coloured_noises_fall_by_their_slope() -> None:
    rng = np.random.default_rng(2)
    for kind, slope_db in (("white", 0.0), ("pink", -3.0), ("brown", -6.0)):
        made = augment.noise(kind, 1 << 17, rng)
        # The same number of hertz an octave higher: pink falls 3 dB, brown 6 dB per octave.
        fall = band_db(made, 2000, 2200) - band_db(made, 1000, 1100) - 10 * np.log10(2)
        assert abs(fall - slope_db) < 1.0, kind


@pytest.mark.parametrize("factor", [0.9, 1.04, 1.1])
def test_speed_divides_the_length_and_multiplies_the_pitch(factor: float) -> None:
    changed = augment.speed(tone(500, 2.0), factor)
    assert abs(len(changed) * factor / (2 * RATE_HZ) - 1) < 0.002
    middle = changed[2000:-2000]
    peak_hz = np.argmax(np.abs(np.fft.rfft(middle))) * RATE_HZ / len(middle)
    assert abs(peak_hz / 500 - factor) < 0.01


def test_the_telephone_passes_300_to_3400_hertz_only() -> None:
    hiss = augment.gain(augment.noise("white", 4 * RATE_HZ, np.random.default_rng(3)), -12.0)
    transcripts = augment.telephone(hiss)
    assert abs(len(transcripts) - len(hiss)) <= 2
    assert band_db(transcripts, 4000, 8000) < -40
    assert band_db(transcripts, 0, 100) < -35
    assert band_db(transcripts, 300, 3400) > -0.5


def test_a_room_rings_out_60_decibels_in_its_time_and_keeps_the_level() -> None:
    response = augment.room_response(0.4, np.random.default_rng(4))
    assert len(response) == int(0.4 * RATE_HZ)
    early, late = response[1600:2400], response[-800:]
    # 60 dB over 0.4 s; the two stretches lie 0.25 s apart.
    assert abs(10 * np.log10(power(early) / power(late)) - 60 * 0.25 / 0.4) < 3
    dry = tone(440, 1.0)
    wet = augment.reverberate(dry, response)
    assert len(wet) == len(dry) + len(response) - 1
    assert abs(10 * np.log10(power(wet) / power(dry))) < 0.1


def test_gain_sets_the_peak_and_leaves_silence_alone() -> None:
    assert np.max(np.abs(augment.gain(tone(440, 0.5), -6.0))) == pytest.approx(0.98 * 10 ** (-6 / 20), rel=1e-3)
    assert not augment.gain(np.zeros(100, dtype=np.float32), -6.0).any()


def test_babble_without_other_people_is_refused() -> None:
    with pytest.raises(ValueError, match="other people"):
        augment.noise("babble", 100, np.random.default_rng(0))


def test_train_and_held_out_conditions_never_meet() -> None:
    how = {"snr_db": (5.0, 20.0), "noise_share": 0.9, "room_share": 0.9, "telephone_share": 0.5}
    drawn = [
        [augment.draw_conditions(Random(n), held_out=held_out, **how) for n in range(300)] for held_out in (False, True)
    ]
    seen, held = drawn
    assert not {c.noise for c in seen if c.noise} & {c.noise for c in held if c.noise}
    assert max(c.room_sec for c in seen if c.room_sec) < min(c.room_sec for c in held if c.room_sec)
    assert all(5 <= c.snr_db <= 20 for c in (*seen, *held) if c.snr_db is not None)


def test_applying_the_same_conditions_with_the_same_chance_gives_the_same_samples() -> None:
    conditions = augment.Conditions(1.06, 0.3, "pink", 10.0, True, -6.0)
    first, second = (augment.apply(tone(440, 1.0), conditions, Random(5)) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.dtype == np.float32
    assert np.max(np.abs(first)) <= 1.0
