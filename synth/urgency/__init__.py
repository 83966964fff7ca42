"""Messages to a doctor's practice, each with how urgent it is: high, medium or low.

`phrases.yaml` holds what people write, `generator` fills the splits, `check` reads a message with signs of its own,
`written` holds messages that no template made.
"""

from synth.urgency.check import check
from synth.urgency.generator import TASK, VERSION, Spec, generate

__all__ = ["TASK", "VERSION", "Spec", "check", "generate"]
