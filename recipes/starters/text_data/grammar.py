"""Phrasings written once with alternatives: `[Find|Work out] the [sum|total]`; brackets may nest."""

import random
import re

_INNERMOST = re.compile(r"\[([^\[\]]*)\]")


def say(rng: random.Random, text: str, **values: object) -> str:
    """Choose one alternative in every bracket, then fill the `{names}`; spaces left by empty ones are removed."""
    while match := _INNERMOST.search(text):
        chosen = rng.choice(match.group(1).split("|"))
        text = text[: match.start()] + chosen + text[match.end() :]
    filled = re.sub(r" {2,}", " ", text).strip().format(**values)
    return filled[0].upper() + filled[1:]
