"""An OpenAI-compatible model over HTTP: cache, adaptive rate, retry, deadline, budget.

    endpoint = Endpoint(Settings(base_url="http://127.0.0.1:8000/v1", model="m"), ReplyCache(folder))
    for index, reply in endpoint.ask_many(requests): ...

It knows nothing of prompts, teachers or scores. Keys come from the environment or the system's keyring (`keys`).
"""

from synth.endpoint.cache import ReplyCache
from synth.endpoint.client import Endpoint
from synth.endpoint.settings import Settings
from synth.endpoint.throttle import Purse
from synth.endpoint.wire import Ask, Piece, Reply

__all__ = ["Ask", "Endpoint", "Piece", "Purse", "Reply", "ReplyCache", "Settings"]
