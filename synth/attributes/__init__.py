"""Product titles and descriptions, each with what is sold as JSON: product, brand, colour, material, size, quantity.

`words.yaml` holds what texts are made of, `generator` fills the splits, `check` reads a text again, `written` holds
texts that no template made.
"""

from synth.attributes.check import check
from synth.attributes.generator import TASK, VERSION, Spec, generate

__all__ = ["TASK", "VERSION", "Spec", "check", "generate"]
