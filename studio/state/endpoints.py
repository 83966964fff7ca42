"""Endpoints that a workspace knows: address, model and the *name* of the key, never the key."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synth.errors import StorageError
from synth.storage import read_json, write_json
from synth.workspace import Workspace

FILE = "endpoints.json"


class Endpoint(BaseModel):
    """An OpenAI-compatible endpoint. Keys are never stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=60)
    base_url: str = Field(pattern=r"^https?://\S+$")
    model: str = Field(min_length=1)
    api_key_env: str = Field(default="OPENAI_API_KEY", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")

    def system(self) -> dict[str, Any]:
        """The fields of a plan's system."""
        return {"kind": "endpoint", "base_url": self.base_url, "model": self.model, "api_key_env": self.api_key_env}


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
