"""What a text model needs, as a record."""

from __future__ import annotations

from recipes.modality import ModelSide

MODEL = ModelSide(
    auto_class="AutoModelForCausalLM",
    processor_class="AutoTokenizer",
    replay="recipes.starters.text_data",
    runner="evaluate.predict.local_text",
)
