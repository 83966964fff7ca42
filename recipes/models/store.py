"""Models that were added by name, on this machine: one small file for each name, one folder for each converted file.

    <home>/names/<name>.json        what the name stands for: the record `Added`
    <home>/converted/<sha256>/      weights that were converted, once for each file they came from

`<home>` is SMOLSTUDIO_MODELS, else smolstudio/models in the user's cache; all workspaces share it. It converts and
fetches nothing (`recipes.models.adding`).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from synth.errors import ModelError, StorageError
from synth.storage import read_json, write_json

ENVIRONMENT = "SMOLSTUDIO_MODELS"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class Added(BaseModel):
    """A name and its files. `precision` says what the weights lost before they came here, "" when nothing is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    name: str
    path: Path
    source: str
    sha256: str = ""
    revision: str | None = None
    precision: str = ""
    licence: str = ""

    @property
    def there(self) -> bool:
        """Whether its files are still where they were."""
        return (self.path / "config.json").is_file()

    @property
    def size_bytes(self) -> int:
        """Size of its weights on disk."""
        return sum(file.stat().st_size for file in self.path.glob("*.safetensors"))


def home() -> Path:
    """Where added models are kept."""
    if chosen := os.environ.get(ENVIRONMENT):
        return Path(chosen).expanduser().absolute()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "smolstudio" / "models"


def converted(sha256: str) -> Path:
    """The folder of what was converted from the file or folder with this hash."""
    return home() / "converted" / sha256


def find(name: str) -> Added | None:
    """What was added under this name, or None."""
    if not NAME.fullmatch(name) or not (file := _file(name)).is_file():
        return None
    try:
        return Added.model_validate(read_json(file))
    except (ValidationError, StorageError) as error:
        message = f"{file} does not say what {name} is."
        raise ModelError(message, f"Add it again: smolstudio models add … --as {name}.", "model.name") from error


def added() -> list[Added]:
    """Every added model whose record can be read, by name."""
    names = sorted(file.stem for file in (home() / "names").glob("*.json"))
    return [found for name in names if (found := readable(name))]


def readable(name: str) -> Added | None:
    """As `find`, and None where the record cannot be read: for lists, in which it must hide no other."""
    with contextlib.suppress(ModelError):
        return find(name)
    return None


def refuse_name(name: str) -> None:
    """Raise ModelError for what cannot be a name."""
    if not NAME.fullmatch(name):
        message = f"'{name[:80]}' cannot be the name of a model."
        raise ModelError(message, "Choose one of letters, digits, '.', '_' and '-' with --as.", "model.name")


def keep(model: Added) -> Added:
    """Give the model its name. Raises ModelError for a name that is none, or that stands for other weights."""
    refuse_name(model.name)
    before = readable(model.name)
    if before and before.path != model.path and before.there:
        remedy = f"Choose another name with --as, or remove it: smolstudio models remove {model.name}."
        raise ModelError(f"{model.name} is {before.source} already.", remedy, "model.name")
    _file(model.name).parent.mkdir(parents=True, exist_ok=True)
    write_json(_file(model.name), model.model_dump(mode="json"))
    return model


def remove(name: str) -> Added:
    """Forget a name, and delete its converted weights unless another name has them; a person's own folder stays.

    Raises ModelError for an unknown name.
    """
    model = find(name)  # a record that cannot be read may hide whose weights these are: it is replaced, not removed
    if model is None:
        known = ", ".join(found.name for found in added()) or "none"
        raise ModelError(
            f"No model was added as '{name}'.", f"Choose one of the added models: {known}.", "model.unknown"
        )
    _file(name).unlink()
    delete_unnamed(model.path)
    return model


def delete_unnamed(path: Path) -> None:
    """Delete a folder of converted weights that no name stands for; other folders stay."""
    if path.parent == home() / "converted" and not any(other.path == path for other in added()):
        shutil.rmtree(path, ignore_errors=True)


def _file(name: str) -> Path:
    return home() / "names" / f"{name}.json"
