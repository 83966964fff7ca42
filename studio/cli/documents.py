"""`smolstudio documents search | topics`: what seeds a folder of documents holds, before a pipeline uses them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studio.cli.options import JsonOption, print_json

if TYPE_CHECKING:
    from synth.documents.extracts import Extract

documents_app = typer.Typer(no_args_is_help=True, help="Look through documents that pipelines may start from.")
Place = Annotated[Path, typer.Argument(help="A file or folder: text, Markdown, HTML, PDF, DOCX, CSV, JSONL")]
Chars = Annotated[int, typer.Option(help="Characters of an extract, about", min=100, max=20_000)]


def add(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.add_typer(documents_app, name="documents")


def _extracts(documents: Path, chars: int) -> list[Extract]:
    """All extracts; what of a folder cannot be read is said on stderr."""
    from synth.documents.extracts import extracts

    return list(extracts(documents, chars, on_left_out=lambda one: print(one.sentence, file=sys.stderr)))


@documents_app.command()
def search(
    documents: Place,
    query: Annotated[str, typer.Argument(help="What to look for")],
    by: Annotated[str, typer.Option(help="words (BM25), meaning (embeddings) or both")] = "words",
    most: Annotated[int, typer.Option(help="How many extracts", min=1)] = 5,
    chars: Chars = 1000,
    as_json: JsonOption = False,
) -> None:
    """Print the extracts that fit a query best, with their place."""
    from typing import get_args

    from synth.documents.search import By, Index
    from synth.errors import RecipeError

    way: By | None = next((one for one in get_args(By) if one == by), None)
    if way is None:
        raise RecipeError(f"There is no search by '{by}'.", f"Choose one of {', '.join(get_args(By))}.")
    found = Index(_extracts(documents, chars)).search(query, most, way)
    if as_json:
        print_json([extract._asdict() for extract in found])
        return
    for extract in found:
        page = f", page {extract.page}" if extract.page else ""
        print(f"[{extract.document}{page}, {extract.start} to {extract.end}]\n{extract.text}\n")
    if not found:
        print("No extract has anything to do with it.")


@documents_app.command()
def topics(
    documents: Place,
    count: Annotated[int, typer.Option(help="How many topics", min=1, max=200)] = 10,
    chars: Chars = 1000,
    as_json: JsonOption = False,
) -> None:
    """Cluster the extracts, and print each topic's telling words, size and most typical extract."""
    from synth.documents.topics import topics as clustered

    found = clustered(_extracts(documents, chars), count)
    if as_json:
        print_json([{"topic": topic.name, "extracts": [one._asdict() for one in topic.extracts]} for topic in found])
        return
    for topic in found:
        typical = topic.extracts[0]
        text = " ".join(typical.text.split())[:160]
        print(f"{len(topic.extracts)} extracts: {topic.name}\n    {text} [{typical.document}]")
