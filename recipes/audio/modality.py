"""What a speech model needs, as a record."""

from __future__ import annotations

from recipes.modality import ModelSide

MODEL = ModelSide(
    auto_class="AutoModelForSpeechSeq2Seq",
    processor_class="AutoProcessor",
    replay="recipes.starters.audio_data",
    runner="evaluate.predict.local_audio",
    task_type=None,  # PEFT's wrapper for sequence-to-sequence passes input_ids, which Whisper refuses
    model_types=("whisper", "moonshine", "qwen3_asr", "parakeet_ctc"),  # `recipes.audio.backends.CLASSES`
    other_classes={"parakeet_ctc": "AutoModelForCTC"},
    with_adapter="recipes.audio.backends:restore_window",
)
