"""What holding answers to a JSON schema costs in tokens a second: the same prompts, free and held, in turns.

    PYTHONPATH=. python tests/bench/bench_constrained.py MODEL ADAPTER [ROUNDS]     # an adapter tuned on complaints

Prompts are generated complaints, the schema is that of their records, as a comparison with `prompting: constrained`
bounds it. Every turn decodes the same prompts greedily to at most TOKENS tokens on one thread; counted are the tokens
written and this process's processor time, reading of prompts included, so that other programs matter little. A tuned
model writes about as much either way; of one that is not, only the held answers are long, and the rates tell nothing.
One turn of each kind is thrown away; then the median.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evaluate.predict.local_text import tokenise
from evaluate.predict.prompts import Question
from recipes.decode.answer_schema import obeys, record_schema
from recipes.decode.constrained import Grammar
from recipes.decode.decoder import decode, end_ids
from recipes.models.loaded import Loaded
from recipes.models.loading import load_for_inference
from synth.context import Context
from synth.extraction.generator import Spec, generate
from synth.storage import JsonDict

TOKENS = 160
AT_ONCE = {1: 4, 16: 16}  # prompts decoded at once -> prompts of a turn
LEARNED = 200  # rows that the schema is read from


class Turn(NamedTuple):
    """Tokens a second of processor time; of the answers, how many ended by themselves, and how many obey the schema."""

    tokens_per_s: float
    ended: int
    obeying: int


def main(model: str, adapter: str, rounds: str = "5") -> None:
    """Print a line for each number of prompts at once."""
    import torch

    torch.set_num_threads(1)
    spec = Spec(seed=0, train=LEARNED, val=0, test=max(AT_ONCE.values()), test_ood=0, languages=("en",))
    drawn = [one.example for one in generate(spec, Context(lambda content, suffix: suffix)) if one.example]
    schema = record_schema([row for row in drawn if row.split == "train"], bounded=True)
    assert schema is not None
    loaded = load_for_inference(model, adapter)
    prompts = tokenise(loaded, [Question(row.id, row.prompt, Path()) for row in drawn if row.split == "test"])
    ways = {"free": None, "held": Grammar.of(loaded, schema, end_ids(loaded))}
    for at_once, count in AT_ONCE.items():
        turns: dict[str, list[Turn]] = {way: [] for way in ways}
        for _ in range(1 + int(rounds)):
            for way, grammar in ways.items():
                turns[way].append(turn(loaded, prompts[:count], at_once, grammar, schema))
        free, held = (statistics.median(one.tokens_per_s for one in turns[way][1:]) for way in ways)
        ratios = [b.tokens_per_s / a.tokens_per_s for a, b in zip(turns["free"][1:], turns["held"][1:], strict=True)]
        print(
            f"{model}, {at_once} at once: free {free:,.0f} tokens/s, held {held:,.0f}: {100 * (1 - held / free):.0f} % "
            f"slower (rounds: {100 * (1 - max(ratios)):.0f} to {100 * (1 - min(ratios)):.0f} %); obey the schema: "
            + ", ".join(f"{way} {turns[way][0].obeying} of {turns[way][0].ended} that ended" for way in ways)
        )


def turn(loaded: Loaded, prompts: Sequence[list[int]], at_once: int, grammar: Grammar | None, schema: JsonDict) -> Turn:
    """All prompts, so many at once."""
    began, done = time.process_time(), list(decode(loaded, prompts, at_once, TOKENS, grammar=grammar))
    seconds = time.process_time() - began
    texts = [loaded.tokenizer.decode(one.tokens, skip_special_tokens=True) for one in done if one.ended]
    written = sum(len(one.tokens) + one.ended for one in done)
    return Turn(written / seconds, len(texts), sum(_obeys(schema, text) for text in texts))


def _obeys(schema: JsonDict, text: str) -> bool:
    try:
        return obeys(schema, json.loads(text))
    except ValueError:
        return False


if __name__ == "__main__":
    main(*sys.argv[1:])
