"""Does an endpoint answer, and which models does it offer? One GET of /models: nothing is generated, nothing is paid.

For the Settings page. Asking questions is `synth.endpoint`'s.
"""

from __future__ import annotations

import json

from synth.endpoint import Settings
from synth.endpoint.keys import find_key
from synth.endpoint.redact import redacted
from synth.errors import EndpointError

WAIT_SEC = 10.0
MAX_BYTES = 4 << 20
MAX_MODELS = 500
CODE = "endpoint.probe"


def models(base_url: str, api_key_env: str) -> list[str]:
    """Names of the models at an address, in its own order. Raises EndpointError with what is wrong and what to do."""
    import httpx

    url, key = Settings(base_url, "", api_key_env).url, find_key(api_key_env)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with (
            httpx.Client(headers=headers, timeout=WAIT_SEC, follow_redirects=False) as client,
            client.stream("GET", f"{url}/models") as reply,
        ):
            body = b""
            for piece in reply.iter_bytes():
                body += piece
                if len(body) > MAX_BYTES:
                    raise EndpointError("The list of models does not end.", "Check the address.", CODE)
            status = reply.status_code
    except httpx.HTTPError as error:
        why = redacted(str(error) or type(error).__name__, key)
        remedy = "Check the address, and that the server runs; most end in /v1."
        raise EndpointError(f"{url} does not answer: {why}.", remedy, CODE) from None
    if status in (401, 403):
        has = "does not accept its key" if key else "wants a key"
        raise EndpointError(f"{url} {has} ({status}).", f"Give the key of {api_key_env} below.", CODE)
    if status != 200:
        remedy = "Check the address; most end in /v1. A server without a list of models can be added by typing one."
        raise EndpointError(f"{url}/models answered with status {status}.", remedy, CODE)
    return _names(body)


def _names(body: bytes) -> list[str]:
    try:
        value = json.loads(body)
        found = [str(item["id"]) for item in value["data"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        remedy = "Check the address; most end in /v1."
        raise EndpointError("What answered there is no OpenAI-compatible server.", remedy, CODE) from None
    return found[:MAX_MODELS]
