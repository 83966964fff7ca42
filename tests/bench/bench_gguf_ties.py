"""Where the answers of a run's GGUF files part from the tuned model's, and how near a tie that was.

    PYTHONPATH=. python tests/bench/bench_gguf_ties.py RUN [ROWS]      # its folder; test rows of its dataset

llama.cpp answers greedily on one thread, from files of each kind and from one whose weights are all float32, with its
own cache and attention (float16) and with a cache and an attention in float32. Of each answer that is another, the
first token that differs is looked up in the tuned model in float32: by how much of a logit the tuned model preferred
its own. Beside it: by how much rounding the weights to float16 moves the gap between the two likeliest tokens.
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from evaluate import parity
from evaluate.predict.runners import runner_of
from recipes.decode.decoder import decode
from recipes.export import gguf_model, targets
from recipes.models.loading import load_for_inference
from recipes.run.directory import Run
from synth.scoring.scorers import score_reply


class Way(NamedTuple):
    """How a file is written and read."""

    kind: str  # of gguf_model.KINDS, or f32
    exact: bool = False  # cache and attention in float32


WAYS = (Way("f32", exact=True), Way("f32"), Way("f16", exact=True), *(Way(kind) for kind in gguf_model.KINDS))


def main(run_folder: str, rows: str = "200") -> None:
    """Print a line for each way."""
    torch.set_num_threads(1)
    run = Run(Path(run_folder))
    tuned = targets.tuned(run.id, run.path.parent)
    loaded = load_for_inference(tuned.ref, tuned.adapter, torch.float32)
    sample = parity.drawn(loaded, run.dataset(), int(rows))
    prompts = runner_of(loaded).bare_inputs(loaded, sample.questions)
    expected = {done.place: list(done.tokens) for done in decode(loaded, prompts, 64, sample.most_tokens)}
    answers = [expected[place] for place in range(len(prompts))]
    print(f"{len(answers)} rows, tuned model {mean(loaded, sample, answers):.1%}; {rounded(loaded, prompts, answers)}")
    words = gguf_model.vocabulary(tuned.ref.path)
    for way in WAYS:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{way.kind}.gguf"
            write(loaded, words, file, way.kind)
            given = answered(file, gguf_model.context_of(tuned.ref), prompts, sample.most_tokens, way.exact)
        end = loaded.tokenizer.eos_token_id
        given = [ids[:-1] if ids[-1:] == [end] else ids for ids in given]
        gaps = [parting(loaded, *row) for row in zip(prompts, answers, given, strict=True) if row[1] != row[2]]
        said = f"; gaps where they part: {statistics.median(gaps):.4f}, at most {max(gaps):.4f}" if gaps else ""
        print(
            f"{way.kind}{', float32 throughout' if way.exact else ''}: {len(answers) - len(gaps)} of {len(answers)} "
            f"equal, score {mean(loaded, sample, given):.1%}{said}",
            flush=True,
        )


def write(loaded: Any, words: gguf_model.Vocabulary, file: Path, kind: str) -> None:
    """A file of a kind; for f32, of one that calls itself f16 and is not."""
    usual = gguf_model.tensor_kind
    if kind == "f32":
        gguf_model.tensor_kind = lambda *_: "F32"
    try:
        gguf_model.write(loaded.model, loaded.tokenizer, words, file, "f16" if kind == "f32" else kind)
    finally:
        gguf_model.tensor_kind = usual


def answered(file: Path, context: int, prompts: Sequence[list[int]], most: int, exact: bool) -> list[list[int]]:
    """Tokens of each answer, the one that ends it among them where llama.cpp hands it out."""
    server = opened(file, context, exact)
    return [asked(server, prompt, most) for prompt in prompts]


def opened(file: Path, context: int, exact: bool = False) -> Any:
    """llama.cpp on one thread; `exact`: with cache and attention in float32."""
    import xllamacpp

    options = xllamacpp.CommonParams()
    options.model.path = str(file)
    options.n_ctx, options.n_parallel, options.n_gpu_layers = context, 1, 0
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = 1
    options.warmup, options.verbosity = False, -1
    if exact:
        options.cache_type_k = options.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        options.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return xllamacpp.Server(options)


def asked(server: Any, prompt: list[int], most: int) -> list[int]:
    """What llama.cpp writes greedily, as tokens."""
    way = {"n_predict": most, "temperature": 0, "top_k": 1, "cache_prompt": False, "return_tokens": True}
    body = json.dumps({"prompt": prompt, **way}).encode()
    request = urllib.request.Request(
        f"{server.listening_address}/completion", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=600) as reply:
        return list(json.load(reply)["tokens"])


def parting(loaded: Any, prompt: list[int], answer: list[int], other: list[int]) -> float:
    """By how much the tuned model preferred its token where the other answer has a different one."""
    end = loaded.tokenizer.eos_token_id
    pairs = enumerate(zip([*answer, end], [*other, end], strict=False))
    place, (mine, theirs) = next(one for one in pairs if one[1][0] != one[1][1])
    scores = logits(loaded.model, prompt + answer[:place])[-1]
    return float(scores[mine] - scores[theirs])


def rounded(loaded: Any, prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> str:
    """What rounding the weights to float16 does to the gaps between the two likeliest tokens, in words."""
    half = copy.deepcopy(loaded.model)
    with torch.no_grad():
        for parameter in half.parameters():
            if parameter.dim() > 1:
                parameter.copy_(parameter.half().float())
    gaps, moved = [], []
    for prompt, answer in zip(prompts, answers, strict=True):
        whole, other = (logits(model, prompt + answer)[len(prompt) - 1 :] for model in (loaded.model, half))
        both = whole.topk(2).indices
        before, after = (scores.gather(1, both).diff(dim=1).abs().flatten() for scores in (whole, other))
        gaps += before.tolist()
        moved += (before - after).abs().tolist()
    near = f"{sum(gap < 0.01 for gap in gaps)} of {len(gaps)} gaps are below 0.01"
    return f"weights in float16 move a gap by {statistics.median(moved):.4f}, at most {max(moved):.4f}; {near}"


def logits(model: Any, ids: list[int]) -> torch.Tensor:
    """(tokens, V) in float32."""
    with torch.inference_mode():
        found: torch.Tensor = model(torch.tensor([ids])).logits[0].float()
        return found


def mean(loaded: Any, sample: parity.Sample, answers: Sequence[list[int]]) -> float:
    """Mean score of answers."""
    texts = [loaded.tokenizer.decode(answer, skip_special_tokens=True).strip() for answer in answers]
    scores = [score_reply(text, row).value or 0.0 for text, row in zip(texts, sample.rows, strict=True)]
    return sum(scores) / len(scores)


if __name__ == "__main__":
    main(*sys.argv[1:])
