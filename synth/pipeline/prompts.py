"""Prompts as templates (Jinja): `{{ text }}` is a field of the candidate or an input of the pipeline.

A template that ends in .md or .txt is a file beside the pipeline. Only the pipeline's author writes templates: what
seeds and teachers say is put in as it is and never read as one. Templates cannot reach Python. Besides Jinja's own
filters there are `language_name` (`{{ "fr" | language_name }}` is French), `numbered` (the sentences of a text, one a
line, with their numbers) and `figures` (the different numbers that stand in a text).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from synth.errors import RecipeError, did_you_mean, first_line
from synth.languages import NAMES
from synth.media import read_inside
from synth.pipeline.sentences import figures, numbered

FILES = (".md", ".txt")
PROMPTS = "prompts"
Template = Callable[[Mapping[str, Any]], str]


def is_file(text: str) -> bool:
    """Whether a prompt names a file rather than being the prompt."""
    return text.endswith(FILES) and "\n" not in text


def read_prompt(text: str, folder: Path) -> str:
    """The template itself: that of the file beside the pipeline (or in its `prompts/`), or the text as it stands."""
    if not is_file(text):
        return text
    place = f"{PROMPTS}/{text}" if (folder / PROMPTS / text).is_file() else text
    if not (folder / place).is_file():
        raise RecipeError(f"There is no prompt {text} in {folder}.", "Write it beside the pipeline.", "pipeline.prompt")
    return read_inside(folder, place, "prompt").decode("utf-8").strip()


def _language_name(given: object) -> str:
    """A language by its name where its code is given, for a model that does not know what `fr` asks of it."""
    return NAMES.get(str(given).strip().casefold(), str(given))


def template(text: str, folder: Path) -> Template:
    """A function from fields to the filled text. Raises RecipeError for a faulty template or an unknown field."""
    from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    source = read_prompt(text, folder)
    place = text if is_file(text) else f"'{source[:60]}'"
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"language_name": _language_name, "numbered": numbered, "figures": figures}
    try:
        compiled = environment.from_string(source)
    except TemplateSyntaxError as error:
        message = f"The prompt {place} is no template: {first_line(error)} (line {error.lineno})."
        raise RecipeError(message, "Fix the prompt.", "pipeline.prompt") from error

    def fill(fields: Mapping[str, Any]) -> str:
        try:
            return compiled.render(fields).strip()
        except UndefinedError as error:
            name = first_line(error).split("'")[1] if "'" in str(error) else ""
            known = sorted(name for name in fields if not name.startswith("_") and name != "fields")
            message = f"The prompt {place} uses a field that is not there: {first_line(error)}"
            remedy = f"Use one of those that are there: {', '.join(known)}."
            raise RecipeError(f"{message}{did_you_mean(name, known)}.", remedy, "pipeline.field") from error
        except (SecurityError, TypeError, ValueError, ArithmeticError) as error:
            message = f"The prompt {place} cannot be filled: {first_line(error)}."
            raise RecipeError(message, "Fix the prompt.", "pipeline.prompt") from error

    return fill
