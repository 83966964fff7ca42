"""Rows per second of our evaluation against lm-eval's HF backend: same model, prompts, end token and number format.

    python tests/bench/bench_evaluation.py [MODEL] [ROWS]       # default: starter-text 512

lm-eval is installed into an environment of its own (kept in the temp folder), which sees this environment's torch and
transformers. Both sides answer in turn, twice; the best of lm-eval's batch sizes counts for it. Wall and CPU time are
shown, because the second does not depend on what else the machine does. Exit code 1 below the goal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

from evaluate.predict.local_text import answer
from evaluate.predict.prompts import Question
from recipes.models.loading import load_for_inference, resolve
from recipes.starters.text_data import examples

GOAL = 2.0
NEW_TOKENS = 160
BATCH_SIZES = (32, 128)
HOME = Path(tempfile.gettempdir()) / "smolstudio-bench-lm-eval"
THEIRS = """
import json, sys, time
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
job = json.load(open(sys.argv[1]))
model = HFLM(pretrained=job["model"], device="cpu", dtype=job["dtype"], batch_size=job["batch_size"], max_length=1024)
options = {"until": job["until"], "max_gen_toks": job["new_tokens"], "do_sample": False}
asked = [Instance("generate_until", {}, (prompt, dict(options)), i) for i, prompt in enumerate(job["prompts"])]
wall, cpu = time.perf_counter(), time.process_time()
replies = model.generate_until(asked, disable_tqdm=True)
found = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "replies": replies}
json.dump(found, open(sys.argv[2], "w"))
"""


def environment() -> Path:
    """The python of an environment with lm-eval, made once."""
    python = HOME / "bin" / "python"
    if not (HOME / "ready").is_file():
        venv.create(HOME, with_pip=True, clear=True)
        ours = next(Path(p) for p in sys.path if p.endswith("site-packages"))
        own = next((HOME / "lib").glob("python*")) / "site-packages"
        (own / "shared.pth").write_text(f"{ours}\n")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "lm-eval"], check=True)
        (HOME / "ready").touch()
    return python


def theirs(python: Path, job: dict[str, Any]) -> dict[str, Any]:
    """lm-eval's replies and times (s), loading excluded."""
    with tempfile.TemporaryDirectory() as folder:
        script, task, found = (Path(folder) / name for name in ("side.py", "job.json", "found.json"))
        script.write_text(THEIRS)
        task.write_text(json.dumps(job))
        settings = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
        command = [python, script, task, found]
        subprocess.run(
            command, check=True, cwd=folder, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return dict(json.loads(found.read_text()))


def ours(loaded: Any, questions: list[Question]) -> dict[str, Any]:
    """Our replies and times (s), loading excluded."""
    wall, cpu = time.perf_counter(), time.process_time()
    replies = {p.example_id: p.text for p in answer(loaded, questions, NEW_TOKENS, None, lambda: False)}
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    return {**seconds, "replies": [replies[q.example_id] for q in questions]}


def main() -> int:
    """Print both rates and their ratio per number format."""
    name = sys.argv[1] if len(sys.argv) > 1 else "starter-text"
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 512
    import torch

    questions = [Question(e.id, e.prompt, Path()) for e in examples(31, rows)]
    python, ref, worst = environment(), resolve(name), float("inf")
    for dtype in ("float32", "bfloat16"):
        loaded = load_for_inference(name, dtype=getattr(torch, dtype))
        turns = [[{"role": m.role, "content": m.text} for m in q.messages] for q in questions]
        template = loaded.tokenizer.apply_chat_template
        prompts = [template(t, tokenize=False, add_generation_prompt=True) for t in turns]
        job = {"model": str(ref.path), "dtype": dtype, "until": [loaded.tokenizer.eos_token], "prompts": prompts}
        jobs = [{**job, "new_tokens": NEW_TOKENS, "batch_size": size} for size in BATCH_SIZES]
        mine, other = [], []
        for _ in range(2):
            mine.append(ours(loaded, questions))
            other += [theirs(python, each) for each in jobs]
        best = {kind: (min(m[kind] for m in mine), min(o[kind] for o in other)) for kind in ("wall", "cpu")}
        same = sum(a.strip() == b.strip() for a, b in zip(mine[0]["replies"], other[0]["replies"], strict=True))
        for kind, (we, they) in best.items():
            print(
                f"{name} {dtype} {kind}: ours {rows / we:.1f} rows/s, lm-eval {rows / they:.1f} rows/s, "
                f"{they / we:.2f} x; {same} of {rows} replies equal"
            )
        worst = min(worst, best["cpu"][1] / best["cpu"][0])
    print(f"goal {GOAL} x: {'reached' if worst >= GOAL else 'missed'}")
    return int(worst < GOAL)


if __name__ == "__main__":
    sys.exit(main())
