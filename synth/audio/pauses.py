"""Where a long recording can be cut without cutting a word: at its pauses, the quietest places of 0.2 seconds.

It only finds places. A recording without pauses is refused: a cut anywhere would spoil the words on both sides.
"""

from __future__ import annotations

import numpy as np

from synth.audio.voices import SAMPLE_RATE_HZ, Samples
from synth.errors import DataError

FRAME_SEC, PAUSE_SEC = 0.02, 0.2
QUIET = 0.25
"""Loudness of a pause, at most, over that of the speech (−12 dB)."""
EARLIEST = 0.5  # of the longest piece: nothing is cut shorter where it need not be


def cut_at_pauses(samples: Samples, longest_sec: float) -> list[Samples]:
    """The recording as pieces of at most `longest_sec`, which joined are the whole of it.

    Raises DataError where `longest_sec` go by without a pause.
    """
    longest = int(longest_sec * SAMPLE_RATE_HZ)
    if len(samples) <= longest:
        return [samples]
    hop = int(FRAME_SEC * SAMPLE_RATE_HZ)
    loudness = _loudness(samples, hop)
    speech = float(np.percentile(loudness, 95))
    width = round(PAUSE_SEC / FRAME_SEC)
    smooth = np.sqrt(np.convolve(loudness**2, np.ones(width) / width, "same"))
    pieces, start = [], 0
    while len(samples) - start > longest:
        first, last = (start + int(EARLIEST * longest)) // hop, (start + longest) // hop
        place = first + int(smooth[first:last].argmin())
        if smooth[place] > QUIET * speech:
            raise DataError(
                f"The recording lasts {len(samples) / SAMPLE_RATE_HZ:.1f} s, the model listens to {longest_sec:g} s, "
                f"and between {first * FRAME_SEC:.0f} and {last * FRAME_SEC:.0f} s no pause is found to cut it at.",
                "Cut it between two words.",
                "data.no_pause",
            )
        cut = place * hop + hop // 2
        pieces.append(samples[start:cut])
        start = cut
    return [*pieces, samples[start:]]


def _loudness(samples: Samples, hop: int) -> Samples:
    """(frames,) root mean square."""
    whole = np.pad(samples, (0, -len(samples) % hop)).reshape(-1, hop)
    found: Samples = np.sqrt((whole.astype(np.float32) ** 2).mean(axis=1))
    return found
