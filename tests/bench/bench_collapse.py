"""Does a model that learns from its own texts collapse, and does keeping the old rows stop it? By our own monitor.

    PYTHONPATH=. python tests/bench/bench_collapse.py RESULTS [SEED [SECONDS]]     # goes on where it was
    PYTHONPATH=. python tests/bench/bench_collapse.py RESULTS --page [PICTURE]     # table, and the plot as a file

Generation 0: passages that people wrote, from the docstrings of this Python's standard library. Each generation tunes
the untouched embedded starter on its training texts, and writes as many new ones as there were at first. "replace"
trains on the texts of the generation before and nothing else, "accumulate" on all that there were, the real ones
included; both take equally many steps. The loss is on real passages that no generation saw.

What it shows holds for a model of 4.6 million parameters that writes poor English; it is about the direction.
"""

from __future__ import annotations

import ast
import re
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any, NamedTuple

from synth.curation.collapse import CollapseReport, Group, Limits, monitor
from synth.example import Example, Origin, make_example, user
from synth.storage import read_json, write_json

BASE = "starter-text"
TEXTS, HELD_OUT, GENERATIONS = 200, 100, 5
WORDS = 25
STEPS, BATCH, RATE = 60, 16, 1e-3
TEMPERATURE, MOST_TOKENS = 0.8, 110
WAYS = ("replace", "accumulate")
LEFT_OUT = ("site-packages", "dist-packages", "test", "idlelib", "lib2to3", "turtledemo")
CODE = re.compile(r"[<>|=_{}\\\[\]`]|--|\*\*|\S\(")


def passages(results: Path) -> list[str]:
    """The first words of every paragraph of prose in the standard library's docstrings, each once; kept in a file."""
    kept = results / "passages.json"
    if kept.is_file():
        return list(read_json(kept)["passages"])
    root, found = Path(sysconfig.get_path("stdlib")), {}
    for file in sorted(root.rglob("*.py")):
        if file.relative_to(root).parts[0] in LEFT_OUT:
            continue
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                for paragraph in re.split(r"\n\s*\n", ast.get_docstring(node) or ""):
                    words = paragraph.split()
                    if len(words) >= 25 and paragraph.rstrip().endswith((".", ":")) and not CODE.search(paragraph):
                        found[" ".join(words[:WORDS])] = None
    write_json(kept, {"passages": list(found)})
    return list(found)


class Made(NamedTuple):
    """A generation: the held-out loss (nats a token) of the model that wrote it, and its texts."""

    loss: float
    texts: list[str]


class Learner:
    """The starter, tuned anew for each generation."""

    def __init__(self, seed: int, held_out: list[str]) -> None:
        import torch

        self.torch, self.seed, self.held_out = torch, seed, held_out

    def made(self, texts: list[str], generation: int) -> Made:
        """Tune on texts, take the loss, write."""
        from recipes.models.loading import load_for_inference

        torch = self.torch
        torch.manual_seed(1000 * self.seed + generation)
        loaded = load_for_inference(BASE, dtype=torch.float32)
        self._tune(loaded, texts, Random(1000 * self.seed + generation))
        loaded.model.eval()
        with torch.no_grad():
            batches = [self.held_out[start : start + BATCH] for start in range(0, len(self.held_out), BATCH)]
            losses = [(self._loss(loaded, batch).item(), len(batch)) for batch in batches]
        loss = sum(value * count for value, count in losses) / len(self.held_out)
        return Made(round(loss, 4), self._written(loaded, generation))

    def _tune(self, loaded: Any, texts: list[str], chance: Random) -> None:
        torch = self.torch
        loaded.model.train()
        loaded.model.requires_grad_(True)
        optimiser = torch.optim.AdamW(loaded.model.parameters(), lr=RATE, weight_decay=0.01)
        falling = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / STEPS)
        order: list[str] = []
        for _ in range(STEPS):
            if len(order) < BATCH:
                order += chance.sample(texts, len(texts))
            batch, order = order[:BATCH], order[BATCH:]
            self._loss(loaded, batch).backward()
            torch.nn.utils.clip_grad_norm_(loaded.model.parameters(), 1.0)
            optimiser.step()
            falling.step()
            optimiser.zero_grad()

    def _loss(self, loaded: Any, batch: list[str]) -> Any:
        torch, end = self.torch, loaded.tokenizer.eos_token_id
        rows = [[end, *loaded.tokenizer(text, add_special_tokens=False)["input_ids"], end] for text in batch]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [end] * (longest - len(row)) for row in rows])
        known = torch.arange(longest) < torch.tensor([len(row) for row in rows])[:, None]
        return loaded.model(input_ids=ids, attention_mask=known.long(), labels=ids.masked_fill(~known, -100)).loss

    def _written(self, loaded: Any, generation: int) -> list[str]:
        from recipes.decode.decoder import Sampling, decode

        sampling = Sampling(TEMPERATURE, 1000 * self.seed + generation)
        prompts = [[loaded.tokenizer.eos_token_id]] * TEXTS
        done = sorted(decode(loaded, prompts, BATCH * 4, MOST_TOKENS, sampling=sampling))
        texts = (loaded.tokenizer.decode(one.tokens, skip_special_tokens=True) for one in done)
        return [" ".join(text.split()[:WORDS]) for text in texts if text.strip()]


def file_of(results: Path, seed: int, way: str, generation: int) -> Path:
    """Where a generation lies; the first is the same both ways."""
    return results / f"{seed}-{way if generation > 1 else 'first'}-{generation}.json"


def read(results: Path, seed: int, way: str) -> list[Made]:
    """The generations that there are, without the real texts."""
    files = (file_of(results, seed, way, number) for number in range(1, GENERATIONS + 1))
    return [Made(**read_json(file)) for file in files if file.is_file()]


def texts_of(results: Path, seed: int) -> tuple[list[str], list[str]]:
    """The texts of generation 0, and those for the loss."""
    found = passages(results)
    Random(seed).shuffle(found)
    return found[:TEXTS], found[TEXTS : TEXTS + HELD_OUT]


def run(results: Path, seed: int, seconds: float) -> None:
    """Make what is missing, as far as the seconds go."""
    real, held_out = texts_of(results, seed)
    end, learner = time.monotonic() + seconds, Learner(seed, held_out)
    for generation in range(1, GENERATIONS + 1):
        for way in WAYS:
            file = file_of(results, seed, way, generation)
            if file.is_file():
                continue
            if time.monotonic() > end:
                return
            before = [real, *(made.texts for made in read(results, seed, way)[: generation - 1])]
            started = time.monotonic()
            given = before[-1:] if way == "replace" else before
            made = learner.made([text for texts in given for text in texts], generation)
            write_json(file, made._asdict())
            spent = time.monotonic() - started
            print(f"seed {seed}, {way} {generation}: loss {made.loss}, {spent:.0f} s: {made.texts[0]}", flush=True)


def report_of(real: list[str], made: list[Made]) -> CollapseReport:
    """What `data check` would say of a dataset of the real texts and every generation."""

    def rows() -> Iterator[Example]:
        for generation, texts in enumerate([real, *(one.texts for one in made)]):
            origin = Origin(kind="teacher", by=BASE) if generation else Origin(kind="imported", by="docstrings")
            source = {"generation": generation}
            for text in texts:
                asked = [user("Write a passage of documentation.")]
                yield make_example(asked, text, family="all", template=text, source=source, origin=origin)

    return monitor(rows(), Limits())


class Line(NamedTuple):
    """One way and seed: the monitor's groups by generation, the losses of the writers, the groups that are faulty."""

    way: str
    seed: int
    groups: list[Group]
    losses: list[float]
    faulty: set[int]


def lines(results: Path) -> list[Line]:
    """Every seed that there is."""
    found = []
    for seed in sorted({int(file.name.split("-")[0]) for file in results.glob("*-first-1.json")}):
        real, _ = texts_of(results, seed)
        for way in WAYS:
            made = read(results, seed, way)
            report = report_of(real, made)
            faulty = {int(number) for fault in report.faults for number in re.findall(r"generation (\d+):", fault)}
            groups = sorted(report.groups, key=lambda group: group.generation)
            found.append(Line(way, seed, groups, [one.loss for one in made], faulty))
    return found


def table(found: list[Line]) -> str:
    """Markdown: a line for each way and generation, means over seeds."""
    text = ["| trained on | generation | held-out loss | compression | Self-BLEU | repeat 8 words | the gate fails |"]
    text.append("|---|---|---|---|---|---|---|")
    for way in WAYS:
        for number in range(GENERATIONS + 1):
            mine = [line for line in found if line.way == way and len(line.groups) > number]
            if not mine or (number == 0 and way != WAYS[0]):
                continue
            groups = [line.groups[number] for line in mine]
            losses = [line.losses[number - 1] for line in mine] if number else []
            loss = f"{fmean(losses):.2f}" if losses else "–"
            bleu = fmean(group.self_bleu or 0 for group in groups)
            gate = f"{sum(number in line.faulty for line in mine)} of {len(mine)}" if number else "–"
            ratio, repeated = (fmean(g.compression for g in groups), fmean(g.repeated for g in groups))
            who = way if number else "people wrote it"
            text.append(f"| {who} | {number} | {loss} | {ratio:.2f} | {bleu:.2f} | {repeated:.0%} | {gate} |")
    return "\n".join(text)


def plot(found: list[Line], picture: Path) -> None:
    """Four measures over the generations; thin lines are seeds, thick ones their means."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, places = plt.subplots(1, 4, figsize=(13, 3.2), layout="constrained")
    limits = Limits()
    for place, (title, name, limit) in zip(
        places,
        (
            ("Loss on real passages that none saw", "", None),
            ("Compression ratio", "compression", limits.compression),
            ("Self-BLEU", "self_bleu", limits.self_bleu),
            ("Texts that repeat 8 words of another", "repeated", limits.repeated),
        ),
        strict=True,
    ):
        for way, colour in zip(WAYS, ("#c0392b", "#2471a3"), strict=True):
            series = [
                [getattr(group, name) or 0 for group in line.groups] if name else line.losses
                for line in found
                if line.way == way
            ]
            first = 0 if name else 1
            for values in series:
                place.plot(range(first, first + len(values)), values, color=colour, alpha=0.25, linewidth=0.8)
            mean = [fmean(step) for step in zip(*series, strict=False)]
            place.plot(range(first, first + len(mean)), mean, color=colour, marker="o", markersize=3, label=way)
        if limit is not None:
            place.axhline(limit, color="#666666", linestyle=":", linewidth=1, label="least limit of the gate")
        place.set_title(title, fontsize=9)
        place.set_xlabel("generation", fontsize=8)
        place.tick_params(labelsize=8)
    places[1].legend(fontsize=7)
    figure.savefig(picture, dpi=100)


def main() -> None:
    """A seed, or the page of those that ran."""
    results = Path(sys.argv[1]).absolute()
    results.mkdir(parents=True, exist_ok=True)
    if "--page" in sys.argv:
        found = lines(results)
        print(table(found))
        if len(sys.argv) > 3:
            plot(found, Path(sys.argv[3]))
        return
    seed, seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 0, float(sys.argv[3]) if len(sys.argv) > 3 else 3600.0
    run(results, seed, seconds)


if __name__ == "__main__":
    main()
