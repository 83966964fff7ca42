"""Four systems, 1,000 rows, text, images and recordings, against the stub endpoint; each comparison is killed twice.

    python tests/bench/bench_comparison.py [ROWS]       # exit code 1 when an answer was paid twice or a score is wrong

A kill loses the answers that were on their way, at most as many as were open. They are asked again under the same
idempotency key, and the stub, which honours it, bills none twice; "replayed" counts them, for a server that ignores the
key would have billed those again. Scores must equal the share of right answers that the stub gave, which follows from
its seed, and the tokens of each kind in the report must be those that the stub billed.
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evaluate.compare import run_comparison
from evaluate.plan import Plan, dump_plan
from studio.stub.answers import AnswerBook, read_question
from studio.stub.endpoint import StubSettings, serve_in_thread
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.endpoint.wire import Ask, chat_payload
from synth.example import AudioPart, Example, ImagePart, make_example, user
from synth.scoring.scorers import score_reply
from synth.storage import read_json, sha256_bytes
from synth.workspace import Workspace

OPEN = 8
SYSTEMS = ("plain", "told", "other-model", "other-told")
WORKER = """
import sys
from pathlib import Path
from evaluate.compare import run_comparison
from evaluate.plan import load_plan
from synth.workspace import Workspace
run_comparison(load_plan(sys.argv[1]), Workspace(Path(sys.argv[2])), comparison_id=sys.argv[3])
"""


def medium(kind: str, rng: random.Random) -> bytes:
    """A small file that is like no other."""
    buffer = io.BytesIO()
    if kind == "image":
        from PIL import Image

        Image.frombytes("RGB", (16, 16), rng.randbytes(768)).save(buffer, "PNG")
    else:
        import numpy as np
        import soundfile

        wave = np.frombuffer(rng.randbytes(3200), dtype=np.int16)
        soundfile.write(buffer, wave, 16_000, format="WAV")
    return buffer.getvalue()


def make_dataset(folder: Path, kind: str, rows: int) -> DatasetDir:
    """`rows` test rows of one modality."""
    folder.mkdir(parents=True)
    writer, rng = DatasetWriter(folder), random.Random(kind)
    for number in range(rows):
        parts: list[str | ImagePart | AudioPart] = [f"Row {number}: what is {number} + 7?"]
        if kind != "text":
            data = medium(kind, rng)
            path = writer.add_media(data, ".png" if kind == "image" else ".wav")
            part = ImagePart if kind == "image" else AudioPart
            parts.append(part(path=path, sha256=sha256_bytes(data)))
        answer = str(number + 7)
        row = make_example(
            [user(*parts)], f"Answer: {answer}", answer=answer, family="sums", template=f"t{number % 40}", scorer="math"
        )
        writer.keep(row.model_copy(update={"split": "test"}))
    writer.finish(Card(name=folder.name, modality=kind, created="2026-01-01"))
    return DatasetDir(folder)


def make_plan(dataset: DatasetDir, url: str) -> Plan:
    """Two models, each with and without an instruction."""
    systems = [
        {
            "id": name,
            "kind": "endpoint",
            "model": "gpt-4o-mini" if name in SYSTEMS[:2] else "gpt-4o",
            "base_url": url,
            "concurrency": OPEN,
            "instruction": "Answer shortly." if "told" in name else "",
        }
        for name in SYSTEMS
    ]
    return Plan.model_validate({"dataset": dataset.name, "splits": ["test"], "systems": systems, "small": "plain"})


def expected(example: Example, book: AnswerBook, root: Path) -> float | None:
    """The score of the stub's answer, computed without any HTTP."""
    payload = chat_payload("m", Ask(example.prompt, media_root=root), "max_tokens")
    return score_reply(book.answer(read_question(payload["messages"]), None, 0), example).value


def compare(kind: str, rows: int, home: Path) -> bool:
    """Run, kill twice, finish; print what was paid and whether the report is right."""
    workspace = Workspace(home)
    dataset = make_dataset(workspace.datasets / kind, kind, rows)
    settings = StubSettings(answers=dataset.path / "test.jsonl", accuracy=0.8, latency_sec=0.005)
    wanted = rows * len(SYSTEMS)
    with serve_in_thread(settings) as stub:
        plan = make_plan(dataset, stub.base_url)
        file = home / f"{kind}.yaml"
        file.write_text(dump_plan(plan))
        for share in (0.3, 0.7):
            command = [sys.executable, "-c", WORKER, str(file), str(home), kind]
            worker = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
            while stub.paid < share * wanted and worker.poll() is None:
                time.sleep(0.02)
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        report = read_json(run_comparison(plan, workspace, comparison_id=kind))
        paid, replayed = stub.paid, sum(bool(request.get("replayed")) for request in stub.requests)
        billed = [request for request in stub.requests if request["paid"]]
    book = AnswerBook(dataset.path / "test.jsonl", 0.8, 0)
    right = [expected(example, book, dataset.path) for example in dataset.examples("test")]
    value = sum(score or 0.0 for score in right) / rows
    found = [system["splits"]["test"] for system in report["systems"]]
    exact = all(f["n"] == f["scored"] == rows and abs(f["value"] - value) < 1e-9 for f in found)
    kinds = {"input": "prompt", "cached": "cached", "output": "completion"}
    bill_right = all(
        sum(system["usage"][f"{ours}_tokens"] for system in report["systems"])
        == sum(request[f"{theirs}_tokens"] for request in billed)
        for ours, theirs in kinds.items()
    )
    line = {"modality": kind, "answers": wanted, "paid": paid, "replayed": replayed}
    print(json.dumps({**line, "scores_right": exact, "bill_right": bill_right}), flush=True)
    return exact and bill_right and paid == wanted and 0 < replayed <= 2 * OPEN


def main() -> int:
    """All three modalities."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        outcomes = [compare(kind, rows, Path(folder)) for kind in ("text", "image", "audio")]
    return int(not all(outcomes))


if __name__ == "__main__":
    sys.exit(main())
