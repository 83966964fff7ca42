"""GGUF files in node-llama-cpp itself: the prompts of a run's test rows, against the tuned model and xllamacpp.

    PYTHONPATH=. python tests/bench/bench_node_llama.py RUN EXPORT [ROWS]      # folders; Node.js and npm are needed

The gate asks llama.cpp through xllamacpp. node-llama-cpp carries a build of its own; it is fetched by npm into a
temporary folder (some 730 MB with its builds for GPUs), gets the same token ids and answers greedily on one thread.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from evaluate import parity
from evaluate.predict.runners import runner_of
from recipes.export import gguf_model, llama_cpp, targets
from recipes.models.loading import load_for_inference
from recipes.run.directory import Run
from synth.scoring.scorers import score_reply

PACKAGE = "node-llama-cpp@3.21.1"
ROWS = 200
SCRIPT = """
import {readFileSync, writeFileSync} from "node:fs";
import {getLlama, LlamaCompletion} from "node-llama-cpp";
const {files, prompts, most} = JSON.parse(readFileSync("asked.json", "utf8"));
const llama = await getLlama({gpu: false, build: "never", maxThreads: 1});
const answers = {};
for (const file of files) {
  const model = await llama.loadModel({modelPath: file});
  const context = await model.createContext({contextSize: 1024, threads: 1});
  const sequence = context.getSequence();
  const completion = new LlamaCompletion({contextSequence: sequence});
  answers[file] = [];
  for (const prompt of prompts) {
    await sequence.clearHistory();
    const options = {temperature: 0, maxTokens: most, repeatPenalty: false};
    answers[file].push((await completion.generateCompletion(prompt, options)).trim());
  }
  await context.dispose();
  await model.dispose();
}
writeFileSync("answers.json", JSON.stringify(answers));
process.exit(0);
"""


def main() -> None:
    import torch

    run, export = Run(Path(sys.argv[1])), Path(sys.argv[2]).resolve()
    rows = int(sys.argv[3]) if len(sys.argv) > 3 else ROWS
    files = sorted(export.glob("*.gguf"))
    tuned = targets.tuned(run.id, run.path.parent)
    original = load_for_inference(tuned.ref, tuned.adapter, torch.float32)
    sample, expected = parity.answered(original, parity.drawn(original, run.dataset(), rows))
    prompts = runner_of(original).bare_inputs(original, sample.questions)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "package.json").write_text('{"type": "module"}')
        (place / "ask.js").write_text(SCRIPT)
        asked = {"files": list(map(str, files)), "prompts": prompts, "most": sample.most_tokens}
        (place / "asked.json").write_text(json.dumps(asked))
        subprocess.run(["npm", "install", "--silent", "--ignore-scripts", PACKAGE], cwd=place, check=True)
        subprocess.run(["node", "ask.js"], cwd=place, check=True)
        answers = json.loads((place / "answers.json").read_text("utf-8"))
    print(f"{PACKAGE}: {len(sample.rows)} rows of {sample.split}, tuned model {_mean(sample, expected):.1%}")
    for file in files:
        given = answers[str(file)]
        ask = llama_cpp.opened(file, gguf_model.context_of(tuned.ref))
        other = [reply.text for reply in ask(prompts, sample.most_tokens)]
        print(
            f"{file.stem}: equal to the tuned model {_equal(given, expected)} ({_mean(sample, given):.1%}), "
            f"in {llama_cpp.version()} {_equal(other, expected)}; equal in both {_equal(given, other)}"
        )


def _equal(one: list[str], other: list[str]) -> int:
    return sum(a == b for a, b in zip(one, other, strict=True))


def _mean(sample: parity.Sample, texts: list[str]) -> float:
    scores = [score_reply(text, row).value or 0.0 for text, row in zip(texts, sample.rows, strict=True)]
    return sum(scores) / len(scores)


if __name__ == "__main__":
    main()
