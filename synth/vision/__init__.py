"""Rendered vision questions: charts, receipts, forms, tables and shapes with answers computed from their data.

`Spec` (the settings), `generate`, `units`, `check` and VERSION are the generator's face. The package renders with
Pillow alone; it does not read pictures and trains nothing.
"""

from synth.vision.candidates import TASK, VERSION, generate, units
from synth.vision.check import check, check_media
from synth.vision.spec import Spec

__all__ = ["TASK", "VERSION", "Spec", "check", "check_media", "generate", "units"]
