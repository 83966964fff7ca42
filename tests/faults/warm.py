"""What the torture's works import late, imported once by the server that forks them; `TORCH=1` adds training."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import evaluate.compare
import evaluate.report.render_html
import evaluate.report.render_md
import synth.curation.curate
import synth.curation.review
import synth.pipeline.work
from tests.faults.works import WORKS

with tempfile.TemporaryDirectory() as scratch:
    for name in ("generate", "generate-vision", "import"):
        folder = Path(scratch) / name
        folder.mkdir()
        WORKS[name].prepare(folder)
        WORKS[name].do(folder, "")

if os.environ.get("TORTURE_TORCH"):
    import bitsandbytes
    import datasets
    import trl.trainer.sft_trainer

    import recipes.audio.audio_sft
    import recipes.export.targets
    import recipes.train.training
    import recipes.vision.vision_sft
