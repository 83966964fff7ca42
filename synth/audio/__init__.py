"""Speech with transcripts that are right by construction: grammars, voices, rooms and noise.

    domains, grammar, forms   what is said, spoken and written form side by side
    voices, espeak_child      who says it
    augment                   where and through what it is heard
    generate, files, preview  rows, recordings, pictures
    check                     does a recording say what its transcript says?

No training, no scoring, no network.
"""

from synth.audio.check import check, check_media
from synth.audio.generate import TASK, VERSION, Spec, generate, units

__all__ = ["TASK", "VERSION", "Spec", "check", "check_media", "generate", "units"]
