"""Does a model that learns from its own texts collapse, and does keeping the old rows stop it? By our own monitor.

    PYTHONPATH=. python tests/bench/bench_collapse.py [PICTURE]      # a table, and the plot as a file

Generation 0: passages that people wrote, from the docstrings of this Python's standard library. Each generation counts
a model anew on its training texts, and writes as many new ones as there were at first. "replace" trains on the texts of
the generation before and on nothing else, "accumulate" on all that there were, the real ones included.

The model is one of trigrams of words, so that many generations and seeds take minutes: what it shows is the direction,
and no figure of it holds for a neural teacher. The loss is on real passages that no generation saw.
"""

from __future__ import annotations

import ast
import math
import re
import sys
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from random import Random
from statistics import fmean
from typing import NamedTuple

from synth.curation.collapse import CollapseReport, Group, Limits, monitor
from synth.example import Example, Origin, make_example, user

MODEL = "trigrams"
TEXTS, HELD_OUT, GENERATIONS, SEEDS = 400, 200, 6, 3
WORDS = 32
WAYS = ("replace", "accumulate")
TEMPERATURES = (1.0, 0.8)
END = "\n"
LEFT_OUT = ("site-packages", "dist-packages", "test", "idlelib", "lib2to3", "turtledemo")
CODE = re.compile(r"[<>|=_{}\\\[\]`]|--|\*\*|\S\(")
Context = tuple[str, ...]


def passages() -> list[str]:
    """The first words of every paragraph of prose in the standard library's docstrings, each once."""
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
    return list(found)


class Trigrams:
    """Counts of words after two, one and no words before them, mixed as Witten and Bell (1991) do."""

    def __init__(self, texts: list[str], vocabulary: int, temperature: float) -> None:
        self.vocabulary, self.temperature = vocabulary, temperature
        self._drawn: dict[Context, tuple[list[str], list[float]]] = {}
        self.after: defaultdict[Context, Counter[str]] = defaultdict(Counter)
        for text in texts:
            words = [END, END, *text.split(), END]
            for place in range(2, len(words)):
                for order in range(3):
                    self.after[tuple(words[place - order : place])][words[place]] += 1

    def _share(self, context: Context) -> float:
        """How far a context is believed against the shorter one."""
        counts = self.after.get(context)
        return sum(counts.values()) / (sum(counts.values()) + len(counts)) if counts else 0.0

    def chance(self, context: Context, word: str) -> float:
        """Of a word after two others; unseen words share what is left evenly."""
        value = 1 / self.vocabulary
        for order in range(3):
            known = context[2 - order :]
            if (share := self._share(known)) > 0:
                counts = self.after[known]
                value = share * counts[word] / sum(counts.values()) + (1 - share) * value
        return value

    def loss(self, texts: list[str]) -> float:
        """Nats a word."""
        total = words = 0.0
        for text in texts:
            said = [END, END, *text.split(), END]
            for place in range(2, len(said)):
                total -= math.log(self.chance((said[place - 2], said[place - 1]), said[place]))
                words += 1
        return total / words

    def _words(self, context: Context) -> tuple[list[str], list[float]]:
        """What may follow, with cumulative weights."""
        if context not in self._drawn:
            counts = self.after[context]
            weights = accumulate(count ** (1 / self.temperature) for count in counts.values())
            self._drawn[context] = list(counts), list(weights)
        return self._drawn[context]

    def write(self, chance: Random) -> str:
        """One text; words that were never seen are not drawn."""
        said = [END, END]
        while len(said) < WORDS + 2:
            context: Context = (said[-2], said[-1])
            while context and chance.random() > self._share(context):
                context = context[1:]
            words, weights = self._words(context)
            (word,) = chance.choices(words, cum_weights=weights)
            if word == END:
                break
            said.append(word)
        return " ".join(said[2:])


class Line(NamedTuple):
    """One way and seed: the monitor's groups by generation, the losses of the writers, the generations at fault."""

    way: str
    temperature: float
    groups: list[Group]
    losses: list[float]
    faulty: set[int]


def line_of(way: str, temperature: float, seed: int, found: list[str]) -> Line:
    """All generations of a way."""
    texts = Random(seed).sample(found, len(found))
    real, held_out = texts[:TEXTS], texts[TEXTS : TEXTS + HELD_OUT]
    vocabulary = len({word for text in found for word in text.split()}) + 1
    chance, made, losses = Random(f"{seed}/{way}/{temperature}"), [real], []
    for _ in range(GENERATIONS):
        given = made[-1:] if way == "replace" else made
        model = Trigrams([text for texts in given for text in texts], vocabulary, temperature)
        losses.append(model.loss(held_out))
        written: list[str] = []
        while len(written) < TEXTS:
            text = model.write(chance)
            written += [text] if len(text.split()) >= WORDS // 4 else []
        made.append(written)
    report = report_of(made)
    faulty = {int(number) for fault in report.faults for number in re.findall(r"generation (\d+):", fault)}
    return Line(way, temperature, sorted(report.groups, key=lambda group: group.generation), losses, faulty)


def report_of(made: list[list[str]]) -> CollapseReport:
    """What `data check` would say of a dataset of the real texts and every generation."""

    def rows() -> Iterator[Example]:
        asked = [user("Write a passage of documentation.")]
        for generation, texts in enumerate(made):
            origin = Origin(kind="teacher", by=MODEL) if generation else Origin(kind="imported", by="docstrings")
            source = {"generation": generation}
            for text in texts:
                yield make_example(asked, text, family="all", template=text, source=source, origin=origin)

    return monitor(rows(), Limits())


def table(lines: list[Line]) -> str:
    """Markdown: a line for each way and some generations, means over seeds."""
    text = [
        "| temperature | trained on | generation | loss on real texts | compression | Self-BLEU | repeat 8 words "
        "| the gate fails |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for temperature in TEMPERATURES:
        for way in WAYS:
            mine = [line for line in lines if (line.way, line.temperature) == (way, temperature)]
            for number in range(GENERATIONS + 1):
                groups = [line.groups[number] for line in mine]
                loss = f"{fmean(line.losses[number - 1] for line in mine):.2f}" if number else "–"
                ratio, bleu = (
                    fmean(group.compression for group in groups),
                    fmean(group.self_bleu or 0 for group in groups),
                )
                gate = f"{sum(number in line.faulty for line in mine)} of {len(mine)}" if number else "–"
                repeated = fmean(group.repeated for group in groups)
                who = f"{temperature:g} | {way if number else '(people)'} | {number}"
                text.append(f"| {who} | {loss} | {ratio:.2f} | {bleu:.2f} | {repeated:.0%} | {gate} |")
    return "\n".join(text)


def plot(lines: list[Line], picture: Path) -> None:
    """Four measures over the generations for each temperature; thin lines are seeds, thick ones their means."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    limits = Limits()
    measures = (
        ("Loss on real passages, nats a word", "", None),
        ("Compression ratio", "compression", limits.compression),
        ("Self-BLEU", "self_bleu", limits.self_bleu),
        ("Texts that repeat 8 words of another", "repeated", limits.repeated),
    )
    figure, places = plt.subplots(len(TEMPERATURES), 4, figsize=(13, 5.6), layout="constrained", sharex=True)
    for row, temperature in zip(places, TEMPERATURES, strict=True):
        for place, (title, name, limit) in zip(row, measures, strict=True):
            for way, colour in zip(WAYS, ("#c0392b", "#2471a3"), strict=True):
                series = [
                    [getattr(group, name) or 0 for group in line.groups] if name else line.losses
                    for line in lines
                    if (line.way, line.temperature) == (way, temperature)
                ]
                first = 0 if name else 1
                for values in series:
                    place.plot(range(first, first + len(values)), values, color=colour, alpha=0.25, linewidth=0.8)
                mean = [fmean(step) for step in zip(*series, strict=True)]
                place.plot(range(first, first + len(mean)), mean, color=colour, marker="o", markersize=3, label=way)
            if limit is not None:
                place.axhline(limit, color="#666666", linestyle=":", linewidth=1, label="the gate's limit")
            place.set_title(f"{title}, temperature {temperature:g}" if not name else title, fontsize=9)
            place.tick_params(labelsize=8)
        row[1].legend(fontsize=7)
    for place in places[-1]:
        place.set_xlabel("generation (0: people)", fontsize=8)
    figure.savefig(picture, dpi=90)


def main() -> None:
    """Every way, temperature and seed."""
    found = passages()
    print(f"{len(found)} passages", flush=True)
    runs = [(way, heat, seed) for heat in TEMPERATURES for way in WAYS for seed in range(SEEDS)]
    lines = [line_of(way, heat, seed, found) for way, heat, seed in runs]
    print(table(lines))
    if sys.argv[1:]:
        plot(lines, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
