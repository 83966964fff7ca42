"""What a vision model needs, as a record."""

from __future__ import annotations

from recipes.modality import ModelSide

MODEL = ModelSide(
    auto_class="AutoModelForImageTextToText",
    processor_class="AutoProcessor",
    replay="recipes.starters.vision_data",
    runner="evaluate.predict.local_vision",
    config_keys=("vision_config",),
)
