"""Long answers in llama.cpp: generated complaints that no split holds, by the tuned model and by its GGUF files.

    PYTHONPATH=. python tests/bench/bench_gguf_records.py RUN [ROWS] [MINUTES]      # the folder of a run on complaints

Every complaint is answered by each file before the next, so that the same rows are behind every figure however soon
the minutes are over. Of each answer that is another, the first token that differs is looked up in the tuned model in
float32: by how much of a logit the tuned model preferred its own. Intervals of agreement are Wilson's, of scores those
of the export's gate.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import torch

from evaluate.predict.local_text import tokenise
from evaluate.predict.prompts import Question
from evaluate.stats.intervals import mean_score, wilson
from recipes.decode.decoder import decode
from recipes.export import gguf_model, llama_cpp, targets
from recipes.models.loading import load_for_inference
from recipes.run.directory import Run
from synth.context import Context
from synth.extraction.generator import Spec, generate
from synth.scoring.scorers import score_reply
from tests.bench.bench_gguf_ties import asked, opened, parting

SEED, AT_ONCE, MOST = 20_000, 10, 400


def main(run_folder: str, rows: str = "200", minutes: str = "25") -> None:
    """Print a line for each file."""
    torch.set_num_threads(1)
    ends = time.monotonic() + 60 * float(minutes)
    run = Run(Path(run_folder))
    known = {repr(row.prompt) for split in ("train", "val", "test") for row in run.dataset().examples(split)}
    spec = Spec(seed=SEED, train=0, val=0, test=int(rows), test_ood=0)
    drawn = [one.example for one in generate(spec, Context(lambda content, suffix: suffix)) if one.example]
    drawn = [row for row in drawn if row.split == "test" and repr(row.prompt) not in known]
    tuned = targets.tuned(run.id, run.path.parent)
    loaded = load_for_inference(tuned.ref, tuned.adapter, torch.float32)
    words, end = gguf_model.vocabulary(tuned.ref.path), loaded.tokenizer.eos_token_id
    scores, gaps, lengths = defaultdict(list), defaultdict(list), []
    with tempfile.TemporaryDirectory() as folder:
        servers = {}
        for kind in gguf_model.KINDS:
            file = Path(folder) / f"{kind}.gguf"
            gguf_model.write(loaded.model, loaded.tokenizer, words, file, kind)
            servers[kind] = opened(file, gguf_model.context_of(tuned.ref))
        for first in range(0, len(drawn), AT_ONCE):
            part = drawn[first : first + AT_ONCE]
            prompts = tokenise(loaded, [Question(row.id, row.prompt, Path()) for row in part])
            answers = {done.place: list(done.tokens) for done in decode(loaded, prompts, AT_ONCE, MOST)}
            for place, row in enumerate(part):
                if time.monotonic() > ends:
                    break
                written = {"tuned": answers[place]}
                for kind, server in servers.items():
                    ids = asked(server, prompts[place], MOST)
                    written[kind] = ids[:-1] if ids[-1:] == [end] else ids
                    if written[kind] != answers[place]:
                        gaps[kind].append(parting(loaded, prompts[place], answers[place], written[kind]))
                lengths.append(len(answers[place]))
                for way, ids in written.items():
                    text = loaded.tokenizer.decode(ids, skip_special_tokens=True).strip()
                    scores[way].append(score_reply(text, row).value or 0.0)
            said = ", ".join(f"{kind} {len(lengths) - len(gaps[kind])}" for kind in servers)
            print(
                f"{len(lengths)} rows after {60 * float(minutes) + time.monotonic() - ends:.0f} s: {said}", flush=True
            )
            if time.monotonic() > ends:
                break
    print(f"{llama_cpp.version()}; {len(lengths)} rows, {statistics.mean(lengths):.0f} tokens each")
    for way in ("tuned", *gguf_model.KINDS):
        score = mean_score(scores[way])
        said = f"{way}: score {score.value:.1%} [{score.low:.1%}, {score.high:.1%}]"
        if way != "tuned":
            equal = len(lengths) - len(gaps[way])
            agreed = wilson(equal, len(lengths))
            said += f", {equal} of {len(lengths)} equal [{agreed.low:.1%}, {agreed.high:.1%}]"
        if gaps[way]:
            near = sum(gap < 0.05 for gap in gaps[way])
            said += (
                f"; gaps where they part: {statistics.median(gaps[way]):.4f}, at most {max(gaps[way]):.4f}, "
                f"{near} below 0.05"
            )
        print(said)


if __name__ == "__main__":
    main(*sys.argv[1:])
