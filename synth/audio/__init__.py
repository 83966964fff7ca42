"""Speech with transcripts that are right by construction: grammars, voices, rooms and noise.

    domains, grammar, forms   what is said, spoken and written form side by side
    speakers                  who says it: voices, espeak_child; piper, piper_child
    augment, recordings       where and through what it is heard
    generate, files, preview  rows, recordings, pictures
    check                     does a recording say what its transcript says?

No training, no scoring, no network.
"""

from synth.audio.check import check, check_media
from synth.audio.generate import TASK, VERSION, Spec, generate, made_of, units

__all__ = ["TASK", "VERSION", "Spec", "check", "check_media", "generate", "made_of", "units"]
