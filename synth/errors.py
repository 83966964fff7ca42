"""The small tree of errors that a user can meet: one sentence of what happened, and the next step.

Anything else that escapes is a fault of ours, and is shown as such.
"""

from __future__ import annotations


class UserError(Exception):
    """A failure that the user can do something about.

    Args:
        message: one sentence, what happened and what was kept.
        remedy: one sentence, what to do next.
        code: a stable identifier for scripts, such as ``data.torn``.
    """

    default_code = "error"

    def __init__(self, message: str, remedy: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.code = code or self.default_code

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class DataError(UserError):
    """Rows, files or media that cannot be used."""

    default_code = "data"


class RecipeError(UserError):
    """A recipe, plan or spec that cannot be followed."""

    default_code = "recipe"


class ModelError(UserError):
    """A base model, adapter or artefact that cannot be loaded or does not fit."""

    default_code = "model"


class EndpointError(UserError):
    """A model behind HTTP that refuses, fails or costs more than allowed."""

    default_code = "endpoint"


class StorageError(UserError):
    """A disk, folder or lock that does not allow the work."""

    default_code = "storage"


class RunError(UserError):
    """A run that cannot be started, resumed or finished."""

    default_code = "run"


def did_you_mean(word: str, known: list[str]) -> str:
    """`` (did you mean 'x'?)`` for the nearest of `known`, or an empty string."""
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""


def first_line(error: BaseException) -> str:
    """The first line of what another library says, without its full stop, to be put into a sentence of ours."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__).rstrip(".")[:200]
