"""Complaints, reviews and bug reports with the issue that each of them is, as JSON.

`schema` says what an issue is, `bank` holds the phrases of five languages, `case` draws what happened, `message` writes
it down as people do, `check` proves that every value can be recovered from the message, `generator` fills the splits.
"""

from synth.extraction.check import check
from synth.extraction.generator import TASK, VERSION, Spec, generate

__all__ = ["TASK", "VERSION", "Spec", "check", "generate"]
