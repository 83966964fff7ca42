"""The command reference as Markdown, from the commands themselves: `python -m studio.cli.reference > docs/cli.md`.

It describes; it runs no command.
"""

from __future__ import annotations

from typing import Any

HEAD = """# Every command

`--help` after any of them says the same. `--workspace` (or `SMOLSTUDIO_HOME`) names the workspace, `--json` prints for
machines.
This page is made by `python -m studio.cli.reference`; a test holds it to the commands.
"""


def reference() -> str:
    """docs/cli.md: a section for each command with its arguments and options."""
    import typer

    from studio.cli import app

    group = typer.main.get_command(app)
    return HEAD + "".join(_sections("smolstudio", group))


def _sections(name: str, command: Any) -> list[str]:
    subcommands = getattr(command, "commands", None)
    if subcommands:
        return [section for key in subcommands for section in _sections(f"{name} {key}", subcommands[key])]
    about = " ".join((command.help or "").split())
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name not in ("workspace", "as_json")]
    usage = " ".join([name, *(_placeholder(p) for p in arguments), *(["[options]"] if options else [])])
    rows = [f"| `{_spelling(p)}` | {_about(p)} |" for p in (*arguments, *options)]
    table = ["", "| | |", "|---|---|", *rows] if rows else []
    return ["\n".join(["", f"## `{usage}`", "", about, *table, ""])]


def _placeholder(argument: Any) -> str:
    name = argument.name.upper() + ("…" if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _spelling(parameter: Any) -> str:
    return parameter.name.upper() if parameter.param_type_name == "argument" else ", ".join(parameter.opts)


def _about(parameter: Any) -> str:
    text = " ".join((getattr(parameter, "help", "") or "").split()).replace("|", "\\|")
    default = parameter.default
    shown = (
        default if isinstance(default, int | float | str) and not isinstance(default, bool) and default != "" else None
    )
    return text if shown is None else f"{text} (default {shown})".strip()


if __name__ == "__main__":
    print(reference(), end="")
