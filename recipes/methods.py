"""The methods: which objective on which modality, and the module that trains it.

A new method is a module with `train(run: Run, recipe: Recipe) -> TrainResult` and one line of the table.
"""

from __future__ import annotations

from typing import NamedTuple


class Method(NamedTuple):
    """A way to train; `module` is imported by the worker that trains."""

    modality: str
    objective: str
    module: str


METHODS: dict[str, Method] = {
    "text_sft": Method("text", "sft", "recipes.text.text_sft"),
    "text_dpo": Method("text", "dpo", "recipes.text.text_dpo"),
    "text_kto": Method("text", "kto", "recipes.text.text_kto"),
    "vision_sft": Method("vision", "sft", "recipes.vision.vision_sft"),
    "vision_dpo": Method("vision", "dpo", "recipes.vision.vision_dpo"),
    "audio_sft": Method("audio", "sft", "recipes.audio.audio_sft"),
    "audio_dpo": Method("audio", "dpo", "recipes.audio.audio_dpo"),
}


def methods_of(modality: str) -> tuple[str, ...]:
    """The methods of a modality, supervised tuning first."""
    return tuple(key for key, method in METHODS.items() if method.modality == modality)
