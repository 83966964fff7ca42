"""What an export target is, what it is given, and how its folder is made and sealed.

A target writes into a folder that appears whole or not at all and never overwrites another; it is said first when the
disk is too full. Before the folder gets its name it is asked (see `Gate`): one that answers otherwise than the tuned
model is not kept. `manifest.json` holds lineage, what the gate found, and size and SHA-256 of every other file. Nothing
is fetched.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from recipes.export.licence import licence_of
from recipes.export.model_card import Figures, completed
from recipes.models.files import ModelRef, adapter_stamp, weights_sha256
from recipes.models.soundness import read_object
from synth.errors import StorageError, UserError
from synth.storage import JsonDict, atomic_dir, atomic_write_text, read_json, sha256_file, write_json

if TYPE_CHECKING:
    from recipes.models.loaded import Loaded
    from synth.dataset import DatasetDir
    from synth.example import Example

MANIFEST = "manifest.json"
SPARE_BYTES = 64 << 20  # left free beside the weights: tokenizer, card, and the file system's own needs


class Tuned(NamedTuple):
    """A base and the adapter of a run that was trained on it; `runs` is the folder that the run lies in, if it does."""

    run: str
    ref: ModelRef
    adapter: Path
    runs: Path | None = None


class Reply(NamedTuple):
    """What a runtime wrote, greedily, without special tokens. `tokens`: with the one that ended it, None = not told.

    `ended` is False where it was cut at its most tokens.
    """

    text: str
    tokens: int | None = None
    ended: bool = True


class PicturedChat(NamedTuple):
    """A question with pictures: turns as OpenAI's clients send them, and how many tokens the tuned model reads."""

    turns: list[dict[str, Any]]
    tokens: int


# (prompts, most tokens) -> a reply to each, one after the other. A prompt is what `bare_inputs` of the modality's
# runner gives: token ids, the pieces of a recording as features, or a chat with pictures.
Ask = Callable[[Sequence[Any], int], Iterator[Reply]]


def prompt_tokens(prompt: Any) -> int:
    """Tokens of a prompt that is no recording."""
    return prompt.tokens if isinstance(prompt, PicturedChat) else len(prompt)


def joined(pieces: Sequence[Reply]) -> Reply:
    """The transcripts of a recording's pieces as that of the recording."""
    return Reply(
        " ".join(one.text for one in pieces),
        sum(one.tokens or 0 for one in pieces),
        all(one.ended for one in pieces),
    )


class Artefact(NamedTuple):
    """One model of an export, as its own runtime answers with it.

    Attributes:
        name: of the number format, such as "q8_0".
        exact: it holds what was tuned to within float16, so that it must give the same answers.
        runtime: the program that answers, with its version.
        loaded: the model, where transformers is the runtime: it is asked as the tuned one is.
        opened: elsewhere: what it answers is held to a schema (`Grammar`'s), or free when None.
        files: its weights; empty where the folder is a model of transformers.
        holds: whether its runtime can hold answers to a schema.
        apart: whether the runtime is a process of its own, whose time and memory are not seen here.
        read_prompts: (chats) -> what each is to the artefact's own chat template and tokenizer: token ids, or with
            pictures how many tokens.
        handed_over: whether it is in the folder. One that is not is asked for comparison only, and refuses nothing.
    """

    name: str
    exact: bool
    runtime: str
    loaded: Callable[[], Loaded] | None = None
    opened: Callable[[JsonDict | None], Ask] | None = None
    files: tuple[Path, ...] = ()
    holds: bool = False
    apart: bool = False
    read_prompts: Callable[[Sequence[list[dict[str, Any]]]], Sequence[list[int] | int]] | None = None
    handed_over: bool = True


# What the artefacts of a folder answer, held against the tuned model: {"said": sentences, "artefacts": facts}, for card
# and manifest. Raises ModelError when they answer otherwise.
Gate = Callable[[Tuned, "list[Artefact]"], JsonDict]


# The figures of exactly this adapter on exactly this base, None where no comparison holds any.
Measured = Callable[[Tuned], Figures | None]


class Exporter(NamedTuple):
    """A target.

    Attributes:
        key, label: its name, and what it is for.
        supports: why a base cannot be exported so, in a sentence, or nothing.
        size: bytes that the weights will take.
        write: (tuned, folder, name) -> number format; writes the files into the folder. Raises ModelError.
        card: (name, facts of the manifest) -> README.md.
        artefacts: (tuned, folder) -> the models in it that can be asked here; none when no runtime is installed.
    """

    key: str
    label: str
    supports: Callable[[ModelRef], str]
    size: Callable[[Tuned], int]
    write: Callable[[Tuned, Path, str], str]
    card: Callable[[str, JsonDict], str]
    artefacts: Callable[[Tuned, Path], list[Artefact]] = lambda tuned, folder: []


def export(
    target: Exporter, tuned: Tuned, out: Path, gate: Gate | None = None, measured: Measured | None = None
) -> Path:
    """Make the folder `out` and return it. Raises ModelError and StorageError; then there is no `out`."""
    refuse_taken(out)
    refuse_full_disk(out, target.size(tuned))
    figures = measured(tuned) if measured else None
    with atomic_dir(out) as folder:
        dtype = target.write(tuned, folder, out.name)
        facts = describe(tuned.ref, tuned.adapter, target.key, dtype)
        facts["parity"] = gate(tuned, target.artefacts(tuned, folder)) if gate else {"said": [], "artefacts": []}
        said = "".join(f"- {sentence}\n" for sentence in facts["parity"]["said"])
        card = target.card(out.name, facts) + _how_it_was_asked(system_of(learned_rows(tuned)[0]))
        card += f"\nAsked before it was handed over:\n\n{said}" if said else ""
        run = tuned.runs / tuned.run if tuned.runs else None
        atomic_write_text(folder / "README.md", completed(card, facts, figures, run))
        write_manifest(folder, facts)
    return out


def refuse_taken(target: Path) -> None:
    """Raise StorageError when there is something at `target`."""
    if target.exists() or target.is_symlink():
        raise StorageError(f"{target} exists already.", "Choose another name, or delete it first.", "storage.exists")


def refuse_full_disk(target: Path, weight_bytes: int) -> None:
    """Raise StorageError when the disk of `target` has no room for the weights."""
    existing = next(parent for parent in target.absolute().parents if parent.exists())
    free, needed = shutil.disk_usage(existing).free, weight_bytes + SPARE_BYTES
    if free < needed:
        message = f"The export needs {needed / 1e9:.2f} GB, but {existing} has only {free / 1e9:.2f} GB free."
        raise StorageError(message, "Free some space, or choose another disk.", "storage.full")


def public_name(ref: ModelRef) -> str:
    """The base as others may read it: a folder by its last name, never by a path of this machine."""
    return ref.path.name if ref.kind == "path" else ref.name


def describe(ref: ModelRef, adapter: Path, target: str, dtype: str) -> dict[str, Any]:
    """Lineage of an export: JSON values."""
    stamp = adapter_stamp(adapter) or {}
    return {
        "version": 1,
        "target": target,
        "base_model": public_name(ref),
        "base_revision": ref.revision,
        "base_sha256": weights_sha256(ref.path),
        "licence": licence_of(ref)._asdict(),
        "adapter_sha256": sha256_file(adapter / "adapter_model.safetensors"),
        "run": stamp.get("run"),
        "recipe": stamp.get("recipe"),
        "modality": ref.modality,
        "model_type": read_object(ref.path / "config.json").get("model_type", ""),
        "quant": stamp.get("quant"),
        "dtype": dtype,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "libraries": {name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft")},
    }


def merged_from(facts: JsonDict) -> str:
    """What a merged model was made of, for its card."""
    rounded = " rounded to NF4 as in training" if facts["quant"] else ""
    return f"{facts['base_model']}{rounded}, with the adapter of run `{facts['run'] or 'unknown'}` merged in"


def write_manifest(folder: Path, facts: dict[str, Any]) -> None:
    """Write the manifest: `facts`, and size and SHA-256 of every other file in the folder and below it."""
    hashes = {name: {"bytes": f.stat().st_size, "sha256": sha256_file(f)} for name, f in _files(folder)}
    write_json(folder / MANIFEST, {**facts, "files": hashes})


def verify(path: Path) -> list[str]:
    """What differs from the manifest, as sentences; empty when every byte is as it was exported."""
    if not (path / MANIFEST).is_file():
        return [f"{path} has no {MANIFEST}: it is not an export, or was damaged."]
    faults = []
    files = read_json(path / MANIFEST)["files"]
    for name, facts in files.items():
        file = path / name
        if not file.is_file():
            faults.append(f"{name} is missing.")
        elif file.stat().st_size != facts["bytes"] or sha256_file(file) != facts["sha256"]:
            faults.append(f"{name} changed since the export.")
    return faults + [f"{name} was added after the export." for name, _ in _files(path) if name not in files]


def learned_rows(tuned: Tuned, most: int = 500) -> tuple[list[Example], str]:
    """Rows that the run was trained on, and the task of their dataset; nothing where it is gone."""
    from recipes.run.directory import Run

    try:
        if tuned.runs is None:
            return [], ""
        dataset: DatasetDir = Run(tuned.runs / tuned.run).dataset()
        return dataset.draw("train", most, seed=0), dataset.task.instruction
    except UserError:
        return [], ""


def system_of(rows: Sequence[Example]) -> str:
    """The system message that every row opens with; "" where they differ or have none."""
    systems = {"\n\n".join(turn.text for turn in row.prompt if turn.role == "system") for row in rows}
    return systems.pop() if len(systems) == 1 else ""


def _how_it_was_asked(system: str) -> str:
    """For the card: without the system message that it was tuned under, a model answers otherwise."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", system)), default=0))
    note = f"Every row that it learned opened with this system message; send it too:\n\n{fence}\n{system}\n{fence}\n"
    return f"\n## System message\n\n{note}" if system else ""


def _files(folder: Path) -> list[tuple[str, Path]]:
    """(name below the folder, path) of every file but the manifest, sorted."""
    found = ((f.relative_to(folder).as_posix(), f) for f in folder.rglob("*") if f.is_file())
    return sorted((name, f) for name, f in found if name != MANIFEST)
