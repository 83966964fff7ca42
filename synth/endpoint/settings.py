"""Where a model behind HTTP is, and how patient its client is."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from synth.errors import EndpointError


class Settings(NamedTuple):
    """Where a model is and how patient to be. `deadline_sec` bounds a question with all its retries and waits."""

    base_url: str
    model: str
    api_key_env: str = "OPENAI_API_KEY"
    concurrency: int = 8
    attempts: int = 6
    attempt_sec: float = 120.0
    deadline_sec: float = 300.0
    max_body_bytes: int = 16 << 20

    @property
    def url(self) -> str:
        """The base address without a trailing slash. Raises EndpointError when it is no plain http(s) address."""
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise EndpointError(
                "The endpoint address must look like https://host/v1, without user, password or query.",
                "Set `base_url`, and put the key into the environment variable that `api_key_env` names.",
                "endpoint.address",
            )
        return self.base_url.rstrip("/")
