"""What a model of a modality needs: the second half of its record (the first is in `synth.modality`).

    side("audio").replay        # the record that the modality's `model` module holds as MODEL
    claimed_by(config)          # which modality a model is of, by its config.json

Modules of later rooms are names here, imported by whoever uses them. It loads no model.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from synth.modality import MODALITIES, modality

PLAIN = "text"  # what a model is that no modality claims


class ModelSide(NamedTuple):
    """How models of a modality are loaded, tuned and asked.

    Attributes:
        auto_class, processor_class: names in transformers; other_classes: the auto class of model types that have
            another.
        task_type: PEFT's, None for its plain wrapper.
        model_types, config_keys: of the config.json files that belong to the modality.
        replay: module with `examples(seed, n)`, the rows that a starter was trained on.
        runner: module of `evaluate` that answers, see `evaluate.predict.runners`.
        with_adapter: module:function(loaded, folder) for an adapter that changes more than weights; "" when none does.
    """

    auto_class: str
    processor_class: str
    replay: str
    runner: str
    task_type: str | None = "CAUSAL_LM"
    model_types: tuple[str, ...] = ()
    config_keys: tuple[str, ...] = ()
    with_adapter: str = ""
    other_classes: Mapping[str, str] = {}

    def auto_class_of(self, model_type: str) -> str:
        """The auto class that reads models of this type."""
        return self.other_classes.get(model_type, self.auto_class)

    def claims(self, config: Mapping[str, Any]) -> bool:
        """Whether a model with this config.json is one of the modality's."""
        return config.get("model_type") in self.model_types or any(key in config for key in self.config_keys)


def side(key: str) -> ModelSide:
    """The record of a modality. Raises DataError for an unknown one."""
    return cast(ModelSide, importlib.import_module(modality(key).model).MODEL)


def claimed_by(config: Mapping[str, Any]) -> str:
    """The modality of a model, from its config.json."""
    return next((key for key in MODALITIES if side(key).claims(config)), PLAIN)
