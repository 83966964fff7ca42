"""Every shipped pipeline with a real small teacher, SmolLM2-135M-Instruct or another, served here over HTTP.

    smolstudio models add smollm2-135m
    PYTHONPATH=. python tests/bench/bench_teacher.py RESULTS METHOD[,METHOD…] [SECONDS [OPEN [MODEL]]]
    PYTHONPATH=. python tests/bench/bench_teacher.py RESULTS --page         # table and rows, as in docs

A method runs on the files of `examples/pipelines` until it has ten accepted rows, its seeds end, or SECONDS (300) are
over. Those that are named together (`all`: every one) run at once and share the server's batches, each with OPEN (16)
questions at a time. Answers stay in RESULTS, one folder for a model: a method that is run again goes on where it was.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from synth.errors import UserError
from synth.example import Example, text_of
from synth.pipeline import output, work
from synth.pipeline.plan import Outside, RunPlan, TeacherPlan
from synth.pipeline.spec import shipped_pipelines
from synth.storage import read_json, read_jsonl, sha256_bytes
from synth.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "pipelines"
MODEL = "smollm2-135m"
PORTS = range(8700, 8800)  # answers on disk belong to an address, and so to the model's own port
ROWS, SECONDS, OPEN = 10, 300.0, 16
TIMEOUT_SEC = 3000  # an answer waits for those before it, and the machine may be busy
SHOWN_CHARS, SHOWN_LOST = 150, 3
LAST = ("documents-to-questions", "agent-instruct")
AFTER_FIRST = ("rate-documents", "rate-rows")
"""Methods whose rows are known by the last paragraph of the prompt, or by all but the first."""
CLINIC = "Messages that patients send to a practice, sorted by urgency"
HANDBOOK = {"documents": str(EXAMPLES / "handbook"), "extract_chars": 300}
PATIENTS, LOGS = str(EXAMPLES / "patients.csv"), str(EXAMPLES / "patients-test.csv")
QUESTIONS = str(EXAMPLES / "questions.csv")
INPUTS: dict[str, dict[str, Any]] = {
    "describe-a-domain": {"task": CLINIC, "examples": PATIENTS},
    "evaluation-set": {"training": PATIENTS, "task": CLINIC, "known_topics": "chest pain,a sore knee,prescriptions"},
    "multilingual": {"task": CLINIC, "labels": "urgent,soon,routine", "languages": "en,de,fr"},
    "documents-to-questions": HANDBOOK,
    "rephrase": HANDBOOK,
    "cosmopedia-grid": HANDBOOK,
    "agent-instruct": HANDBOOK,
    "rate-documents": {**HANDBOOK, "extract_chars": 200},
    "relabel-logs": {"logs": LOGS, "task": CLINIC},
    "best-of-n": {"questions": QUESTIONS},
    "preferences": {"questions": QUESTIONS},
    "personas": {"task": "Questions to the help desk of a library", "related": 2},
    "rate-rows": {"rows": PATIENTS},
    "evolve": {"questions": QUESTIONS},
    "sentences-to-speak": {"task": "What nurses dictate at the end of a shift"},
}


@contextlib.contextmanager
def served(results: Path, model: str) -> Iterator[str]:
    """The address of the model, served by `smolstudio serve` in a process of its own."""
    port = PORTS[93 if model == MODEL else int(sha256_bytes(model.encode()), 16) % 93]
    argv = [sys.executable, "-m", "studio", "serve", model, "--port", str(port), "--workspace", str(results)]
    process = subprocess.Popen(argv, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    try:
        for _ in range(1200):
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"http://127.0.0.1:{port}/health")
                break
            time.sleep(0.25)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def inputs_of(results: Path, method: str) -> dict[str, Any]:
    """What a method is given; pictures are drawn."""
    if method != "picture-questions":
        return INPUTS[method]
    from PIL import Image, ImageDraw

    lines = ["path,caption"]
    for number, (colour, shape) in enumerate((("red", "ellipse"), ("blue", "rectangle"), ("green", "ellipse"))):
        picture = Image.new("RGB", (128, 128), "white")
        getattr(ImageDraw.Draw(picture), shape)((24, 24, 104, 104), fill=colour)
        picture.save(results / f"{number}.png")
        lines.append(f"{number}.png,one {colour} {'circle' if shape == 'ellipse' else 'square'} on a white ground")
    (results / "pictures.csv").write_text("\n".join(lines) + "\n")
    return {"pictures": str(results / "pictures.csv")}


def run(results: Path, url: str, model: str, method: str, seconds: float, concurrency: int) -> None:
    """Run a method for so long; what it made lies in its run's folder."""
    place, end = Workspace(results), time.monotonic() + seconds
    teacher = TeacherPlan(model=model, base_url=url, concurrency=concurrency, timeout_sec=TIMEOUT_SEC)
    plan = RunPlan(pipeline=method, inputs=inputs_of(results, method), rows=ROWS, teachers={"teacher": teacher})
    outside = Outside(place, stop=lambda: time.monotonic() > end)
    try:
        if (place.pipelines / method / work.RUN).exists():
            work.resume(method, outside, teachers={"teacher": teacher})
        else:
            work.start(method, plan, outside)
    except UserError as error:
        print(f"{method}: {error}")
    print(f"load {os.getloadavg()[0]:.1f}")
    if (place.pipelines / method / output.COUNTS).exists():
        print(table([method], results), flush=True)


class Told(NamedTuple):
    """What came of a method. `out` counts candidates that were accepted or lost to a reason."""

    answers: int
    out: int
    reasons: Counter[str]
    rows: list[Example]


def told(results: Path, method: str) -> Told:
    """What a run's folder says; rows that were given are left out."""
    folder = Workspace(results).pipelines / method
    steps = read_json(folder / output.COUNTS)["steps"]
    reasons: Counter[str] = Counter()
    for step in steps:
        reasons.update({f"{step['step']}: {reason}": number for reason, number in step["rejected"].items()})
    rows = [one.row for one in output.read_accepted(folder) if one.row.origin and one.row.origin.kind == "teacher"]
    return Told(sum(step["answers"] for step in steps), len(rows) + reasons.total(), reasons, rows)


def table(methods: list[str], results: Path) -> str:
    """Markdown: a line for each method."""
    lines = [
        "| method | answers | candidates that ended | accepted | why the others were not |",
        "|---|---|---|---|---|",
    ]
    for method in methods:
        found = told(results, method)
        share = f"{len(found.rows)} ({len(found.rows) / found.out:.0%})" if found.out else "0"
        why = "; ".join(f"{reason} {number}" for reason, number in found.reasons.most_common(3))
        lines.append(f"| `{method}` | {found.answers} | {found.out} | {share} | {why} |")
    return "\n".join(lines)


def short(text: str) -> str:
    """One line of a text, cut."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARS else line[:SHOWN_CHARS].rstrip() + " […]"


def asked(row: Example, method: str) -> str:
    """What tells a row's prompt from those of the others."""
    paragraphs = text_of(row).split("\n\n")
    return "\n".join(paragraphs[-1:] if method in LAST else paragraphs[1:] if method in AFTER_FIRST else paragraphs)


def lost(results: Path, method: str) -> list[str]:
    """What the teacher said last of some candidates that were rejected, one for each reason."""
    found: dict[str, str] = {}
    for file in sorted((Workspace(results).pipelines / method / output.REJECTED).glob("*.jsonl")):
        for line in read_jsonl(file):
            notes = (line.value or {}).get("lineage", ())
            said = [note["answers"][-1] for note in notes if isinstance(note.get("answers"), list) and note["answers"]]
            if said and line.value:
                found.setdefault(f"✗ {file.stem}: {line.value['reason']}", said[-1])
    return [f"{reason}: {short(said)}" for reason, said in found.items()][:SHOWN_LOST]


def page(results: Path) -> str:
    """The table of every method that ran, their first rows, and some answers that made none."""
    ran = [name for name in shipped_pipelines() if (Workspace(results).pipelines / name / output.COUNTS).exists()]
    parts = [table(ran, results)]
    for method in ran:
        rows = told(results, method).rows[:ROWS]
        parts.append(f"### `{method}`: {len(rows)} row{'' if len(rows) == 1 else 's'}")
        lines = []
        for row in rows:
            lines += [short(asked(row, method))] + ([f"→ {short(row.target)}"] if row.target != text_of(row) else [])
            lines += [f"↛ {short(row.rejected)}"] if row.rejected else []
        parts.append("\n".join(["```text", *lines, *lost(results, method), "```"]))
    return "\n\n".join(parts)


def main() -> None:
    """Some methods, or the page of those that ran."""
    results, asked = Path(sys.argv[1]).absolute(), sys.argv[2]
    results.mkdir(parents=True, exist_ok=True)
    if asked == "--page":
        print(page(results))
        return
    seconds = float(sys.argv[3]) if sys.argv[3:] else SECONDS
    concurrency = int(sys.argv[4]) if sys.argv[4:] else OPEN
    model = sys.argv[5] if sys.argv[5:] else MODEL
    methods = list(shipped_pipelines()) if asked == "all" else asked.split(",")
    with served(results, model) as url, ThreadPoolExecutor(len(methods)) as pool:
        list(pool.map(lambda method: run(results, url, model, method, seconds, concurrency), methods))


if __name__ == "__main__":
    main()
