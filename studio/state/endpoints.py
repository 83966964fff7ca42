"""Endpoints that a workspace knows: address, model, spend cap and the *name* of the key, never the key.

Also for which datasets a person agreed that rows may leave this machine, in `consents.json`.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synth.errors import StorageError
from synth.storage import read_json, write_json
from synth.workspace import Workspace

FILE = "endpoints.json"
CONSENTS = "consents.json"
TYPED = "typed questions"
"""What stands for a dataset where a person types or uploads a question; datasets have no blanks in their names."""


class Endpoint(BaseModel):
    """An OpenAI-compatible endpoint. Keys are never stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=60)
    base_url: str = Field(pattern=r"^https?://\S+$")
    model: str = Field(min_length=1)
    api_key_env: str = Field(default="OPENAI_API_KEY", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")

    spend_cap_usd: float | None = Field(default=None, gt=0)
    about: str = Field(default="", max_length=500)

    def system(self) -> dict[str, Any]:
        """The fields of a plan's system."""
        fields = {"kind": "endpoint", "base_url": self.base_url, "model": self.model, "api_key_env": self.api_key_env}
        return fields if self.spend_cap_usd is None else {**fields, "spend_cap_usd": self.spend_cap_usd}


def is_here(base_url: str) -> bool:
    """Whether an address is this machine's own, so that what is sent there does not leave it and needs no key."""
    host = (urlsplit(base_url).hostname or "").rstrip(".")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def place_of(base_url: str) -> str:
    """Host and port of an address: who gets the rows."""
    return urlsplit(base_url).netloc.rpartition("@")[2].lower()


def about_pipeline(name: str) -> str:
    """What stands for a dataset where a pipeline is given texts and documents."""
    return f"pipeline {name}"


def may_leave(workspace: Workspace, base_url: str, dataset: str) -> bool:
    """Whether rows of the dataset may be sent to that address: it is this machine, or a person agreed."""
    return is_here(base_url) or dataset in _consents(workspace).get(place_of(base_url), [])


def agree(workspace: Workspace, base_url: str, dataset: str) -> None:
    """Remember that a person agreed to it, for this host and this dataset only."""
    known = _consents(workspace)
    place = place_of(base_url)
    write_json(workspace.path / CONSENTS, {**known, place: sorted({*known.get(place, []), dataset})})


def withdraw(workspace: Workspace, dataset: str) -> None:
    """Forget every agreement about a dataset."""
    if known := _consents(workspace):
        left = {place: [name for name in names if name != dataset] for place, names in known.items()}
        write_json(workspace.path / CONSENTS, {place: names for place, names in left.items() if names})


def _consents(workspace: Workspace) -> dict[str, list[str]]:
    """Host and port -> datasets. A file that is not ours counts as no agreement."""
    file = workspace.path / CONSENTS
    value = read_json(file) if file.is_file() else {}
    if not isinstance(value, dict):
        return {}
    return {str(place): [str(n) for n in names] for place, names in value.items() if isinstance(names, list)}


def load_endpoints(workspace: Workspace) -> list[Endpoint]:
    """The workspace's endpoints; none when there is no file. Raises StorageError for one that is not ours."""
    file = workspace.path / FILE
    try:
        return [Endpoint.model_validate(item) for item in read_json(file)] if file.is_file() else []
    except (ValidationError, TypeError) as error:
        raise StorageError(
            f"{file} holds no list of endpoints.", "Correct or delete it.", "storage.endpoints"
        ) from error


def save_endpoints(workspace: Workspace, endpoints: list[Endpoint]) -> None:
    """Write the list."""
    write_json(workspace.path / FILE, [e.model_dump() for e in endpoints])
