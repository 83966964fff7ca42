"""From a run's accepted rows to a dataset folder: splits, card, lineage, counts of every step.

It asks nobody; what it reads is in the run's folder.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from synth.build import now_utc
from synth.context import Ledger
from synth.curation import collapse, leakage
from synth.curation.alike import overlapping
from synth.curation.runs import read_text
from synth.dataset import MEDIA, Card, DatasetDir, DatasetWriter
from synth.errors import RunError
from synth.example import AudioPart, Example, ImagePart, Split, media_parts
from synth.importing.splits import joined, share_out
from synth.media import AddMedia, read_inside
from synth.pipeline.candidate import Candidate
from synth.pipeline.plan import RunPlan
from synth.pipeline.prompts import template
from synth.pipeline.spec import Pipeline, SplitRule
from synth.pipeline.steps.row import ROW
from synth.scoring import names
from synth.storage import JsonDict, atomic_dir, atomic_write_bytes, read_json, read_jsonl, sha256_bytes
from synth.strict import validated
from synth.task import TaskCard
from synth.workspace import Workspace

ACCEPTED, REJECTED, COUNTS, PAID = "accepted.jsonl", "rejected", "counts.json", "paid.jsonl"
VERSION = 1
TERMS = {
    "gpt-": "OpenAI's terms forbid using output to develop models that compete with OpenAI.",
    "claude": "Anthropic's commercial terms forbid building competing products, and training competing models.",
    "gemini": "Google's terms forbid using output to develop models that compete with these services.",
    "llama": "Llama's licence wants models trained on its output to be named Llama.",
}
"""Beginning of a model's name → what its provider's terms say of training on answers; read them before you publish."""


def media_in(folder: Path) -> AddMedia:
    """Keeps pictures and recordings in a folder under their hash, as a dataset does."""

    def keep(data: bytes, suffix: str) -> str:
        reference = f"{MEDIA}/{sha256_bytes(data)}{suffix}"
        if not (folder / reference).is_file():
            atomic_write_bytes(folder / reference, data)
        return reference

    return keep


class Accepted(NamedTuple):
    """A row that was accepted. `split` is set where it must be that one; `cell` counts for the coverage."""

    row: Example
    split: Split | None
    cell: dict[str, Any]


def accepted_record(candidate: Candidate, coverage: Sequence[str]) -> JsonDict:
    """A candidate that passed the whole pipeline, as a line of `accepted.jsonl`."""
    cell = {name: candidate.fields[name] for name in coverage if name in candidate.fields}
    split = candidate.fields.get("split") if candidate.given else None
    return {"split": split, "cell": cell, "row": candidate.fields[ROW].model_dump()}


def read_accepted(folder: Path) -> Iterator[Accepted]:
    """Lines of `accepted.jsonl`."""
    if (folder / ACCEPTED).is_file():
        for line in read_jsonl(folder / ACCEPTED):
            if line.value is not None:
                yield Accepted(Example.model_validate(line.value["row"]), line.value["split"], line.value["cell"])


class Overlaps(NamedTuple):
    """Extracts of documents that stand in others too, whole or in half: two versions of a file, a page that was copied.

    Attributes:
        groups: places of the rows that are from extracts of one group, each place in one group at most.
        extracts: how many of them are not alone.
    """

    groups: list[list[int]]
    extracts: int

    def note(self, splits: Sequence[Split], rule: SplitRule) -> JsonDict:
        """For the card: figures, and a sentence where there is anything to say."""
        rows = sum(map(len, self.groups))
        said = ""
        if self.groups:
            groups = "one group, which is" if len(self.groups) == 1 else f"{len(self.groups):,} groups, each"
            said = (
                f"{rows:,} rows are from {self.extracts:,} extracts that are nearly the same, in {groups} in one split."
            )
            if empty := [split for split, share in rule.shares().items() if share and split not in splits]:
                said += f" No row was left for {' and '.join(empty)}: give more documents, or only one version of each."
        return {"groups": len(self.groups), "extracts": self.extracts, "rows": rows, "said": said}


def overlaps_of(rows: Sequence[Accepted]) -> Overlaps:
    """The rows that must not be parted because their extracts overlap."""
    places: dict[str, list[int]] = {}
    for place, one in enumerate(rows):
        if extract := _extract(one.row):
            places.setdefault(extract, []).append(place)
    texts = list(places)
    groups = overlapping([read_text(text) for text in texts])
    return Overlaps([[place for at in group for place in places[texts[at]]] for group in groups], sum(map(len, groups)))


def _extract(row: Example) -> str:
    """The piece of a document that a row is from, by its lineage; empty for rows from elsewhere."""
    notes = row.source.get("lineage", ())
    return next((str(note["text"]) for note in notes if "document" in note and "text" in note), "")


def splits_of(rows: Sequence[Accepted], rule: SplitRule, overlaps: Sequence[Sequence[int]] = ()) -> list[Split]:
    """The split of each row: those that the user brought where they belong, whole families held out, the rest shared.

    Rows of one template stay together, and so do the places of each of the `overlaps` with their templates and, where
    families are held out, their families. Each answer of a closed set is in its share.
    """
    free = [place for place, one in enumerate(rows) if one.split is None]
    families = joined([one.row.family for one in rows], overlaps) if rule.held_out_families else []
    given = {family for family, one in zip(families, rows, strict=False) if one.split is not None}
    held_out = _held_out(set(families) - given, rule.held_out_families)
    splits: list[Split] = [one.split or "test_ood" for one in rows]
    templates = joined([one.row.template for one in rows], overlaps)
    rest = [place for place in free if not families or families[place] not in held_out]
    labels = [rows[place].row.answer or "" for place in rest]
    keys = [templates[place] for place in rest]
    for place, split in zip(rest, share_out(keys, labels, rule.shares()), strict=True):
        splits[place] = split
    return splits


def _held_out(families: set[str], share: float) -> set[str]:
    """Families of test_ood, chosen by their hash: none of fewer than four, else at least one; all with a share of 1."""
    if not share or (share < 1 and len(families) < 4):
        return set()
    ordered = sorted(families, key=lambda family: sha256_bytes(family.encode("utf-8", "replace")))
    return set(ordered[: max(1, round(share * len(ordered)))])


def write_dataset(folder: Path, plan: RunPlan, pipeline: Pipeline, workspace: Workspace) -> DatasetDir:
    """The dataset of a run's folder, under the run's name. Raises RunError when no row was accepted."""
    rows = list(read_accepted(folder))
    if not rows:
        raise RunError("No row was accepted.", "Look at what was rejected, and why.", "pipeline.nothing_accepted")
    target = workspace.datasets / folder.name
    task = task_card(pipeline, plan)
    with atomic_dir(target) as made:
        writer = DatasetWriter(made)
        overlaps = overlaps_of(rows)
        splits = splits_of(rows, pipeline.file.split, overlaps.groups)
        for one, split in zip(rows, splits, strict=True):
            for part in media_parts(one.row):
                writer.add_media(read_inside(folder, part.path), Path(part.path).suffix)
            writer.keep(_finished(one.row, split, pipeline, folder.name, task))
        for step in read_json(folder / COUNTS)["steps"]:
            for record in _rejected(folder, step["step"]):
                writer.reject(record, f"{step['step']}: {record.pop('reason')}")
        variety = collapse.monitor((one.row for one in rows), collapse.Limits())
        card = _card(folder, plan, pipeline, rows, task, variety)
        if any(_extract(one.row) for one in rows):
            card.notes[leakage.EXTRACTS] = overlaps.note(splits, pipeline.file.split)
        writer.finish(card)
        leakage.record(made)
    return DatasetDir(target)


def task_card(pipeline: Pipeline, plan: RunPlan) -> TaskCard:
    """What the dataset asks of a model, from the pipeline's `task` and the inputs."""
    inputs = pipeline.read_inputs(plan.inputs)
    values = pipeline.task(inputs)
    for name in ("instruction", "answer_format"):
        values[name] = template(values[name], pipeline.path.parent)(inputs)
    values["labels"] = dict.fromkeys(map(str, values["labels"] or ()), "")
    return validated(TaskCard, values, "task")


def _finished(row: Example, split: Split, pipeline: Pipeline, run: str, task: TaskCard) -> Example:
    source = {**row.source, "pipeline": pipeline.name, "run": run}
    scorer = names.LABEL if task.labels and row.answer in task.labels and row.scorer == names.EXACT else row.scorer
    if scorer == names.LABEL:
        source["labels"] = list(task.labels)
    return row.model_copy(update={"split": split, "source": source, "scorer": scorer})


def _rejected(folder: Path, step: str) -> Iterator[JsonDict]:
    file = folder / REJECTED / f"{step}.jsonl"
    if file.is_file():
        yield from (line.value for line in read_jsonl(file) if line.value is not None)


def _card(
    folder: Path,
    plan: RunPlan,
    pipeline: Pipeline,
    rows: Sequence[Accepted],
    task: TaskCard,
    variety: collapse.CollapseReport,
) -> Card:
    counts = read_json(folder / COUNTS)
    coverage: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one in rows:
        for name, value in one.cell.items():
            coverage[name][str(value)] += 1
    notes = {
        "pipeline": {
            "name": pipeline.name,
            "sha256": pipeline.sha256(),
            "yaml": pipeline.path.read_text("utf-8"),
            "prompts": pipeline.prompts(),
        },
        "steps": counts["steps"],
        "teachers": {name: _teacher(one.model_dump(), counts["ended"]) for name, one in plan.teachers.items()},
        "coverage": {name: dict(counter.most_common()) for name, counter in coverage.items()},
        "variety": variety.model_dump(),
        **({"routes": counts["routes"]} if "routes" in counts else {}),
    }
    pictures = any(isinstance(part, ImagePart) for one in rows for part in media_parts(one.row))
    sounds = any(isinstance(part, AudioPart) for one in rows for part in media_parts(one.row))
    return Card(
        name=folder.name,
        modality="vision" if pictures else "audio" if sounds else "text",
        generator=f"pipeline:{pipeline.name}",
        generator_version=VERSION,
        spec=plan.model_dump(mode="json", exclude={"teachers"}),
        task=task,
        created=now_utc(),
        seconds=counts["seconds"],
        usd=Ledger(folder / PAID).usd,
        notes=notes,
    )


def _teacher(plan: JsonDict, asked: str) -> JsonDict:
    model = plan["model"].rsplit("/", 1)[-1].lower()
    terms = next((said for start, said in TERMS.items() if model.startswith(start)), "not known here; read them")
    return {"model": plan["model"], "base_url": plan["base_url"], "last_asked": asked, "terms": terms}
