"""Word problems about invoices, rates and schedules, with worked solutions and answers checked a second way.

`family` says what a problem family is, `invoices`, `rates` and `schedules` hold them, `problems` draws and renders,
`checker` re-derives every answer from the rendered text, `generator` fills the splits.
"""

from synth.math.checker import check
from synth.math.generator import TASK, VERSION, generate
from synth.math.spec import Spec

__all__ = ["TASK", "VERSION", "Spec", "check", "generate"]
