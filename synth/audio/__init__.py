"""Speech with transcripts that are right by construction: grammars, voices, rooms and noise.

    domains, grammar, forms   what is said, spoken and written form side by side
    voices, espeak_child      who says it
    augment                   where and through what it is heard
    generate, files, preview  rows, recordings, pictures

No training, no scoring, no network unless an endpoint's voice is asked for.
"""

from synth.audio.generate import VERSION, Spec, generate

__all__ = ["VERSION", "Spec", "generate"]
