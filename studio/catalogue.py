"""Every error that a user can meet, read from the source: `python -m studio.catalogue > docs/errors.md`.

Code, sentence and remedy of each place that raises one of `synth.errors`; `…` stands for what is filled in. Places
whose sentence is built elsewhere are left out.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from synth import errors

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("synth", "recipes", "evaluate", "studio")
KINDS = {
    name: kind.default_code
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.UserError)
}
HEAD = """# Errors

Every failure that a user can do something about has a stable code (`--json` and exit.json carry it), one sentence of
what happened and was kept, and what to do next. This page is written by `python -m studio.catalogue > docs/errors.md`;
`…` stands for what is filled in.
"""


class Entry(NamedTuple):
    """One place that raises."""

    code: str
    sentence: str
    remedy: str


@cache
def entries(root: Path = ROOT) -> tuple[Entry, ...]:
    """Every place, by code and sentence, each once."""
    files = sorted(file for package in PACKAGES for file in (root / package).rglob("*.py"))
    found = {entry for file in files for entry in _of_file(ast.parse(file.read_text("utf-8")))}
    return tuple(sorted(found))


def _of_file(tree: ast.Module) -> Iterator[Entry]:
    seen: set[ast.Call] = set()
    for function in ast.walk(tree):  # outer ones first: their names are known in inner ones
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes = list(ast.walk(function))
            assigned = [*_assigned(tree.body), *_assigned(nodes)]
            for node in nodes:
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
                    if node not in seen:
                        yield from _entry(node, {name: text for line, name, text in assigned if line <= node.lineno})
                    seen.add(node)


def _assigned(nodes: Iterable[ast.AST]) -> list[tuple[int, str, ast.expr]]:
    """Line, name and value of each assignment to a name, in the order of the lines."""
    found = [
        (node.lineno, target, node.value) for node in nodes if isinstance(node, ast.Assign) for target in node.targets
    ]
    named = [(line, target.id, value) for line, target, value in found if isinstance(target, ast.Name)]
    return sorted(named, key=lambda one: one[0])


def _entry(call: ast.Call, names: dict[str, ast.expr]) -> Iterator[Entry]:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    parts: list[ast.expr | None] = [*call.args, None, None, None]
    message, remedy, code = (given.get(key, parts[at]) for at, key in enumerate(("message", "remedy", "code")))
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    sentence = _text(message, names)
    if sentence.strip("… "):
        yield Entry(_text(code, names) or KINDS[name], sentence, _text(remedy, names))


def _text(node: ast.expr | None, names: dict[str, ast.expr], depth: int = 0) -> str:
    """A string expression as it will read, on one line."""
    if isinstance(node, ast.Constant):
        text = node.value if isinstance(node.value, str) else ""
    elif isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    elif isinstance(node, ast.Name) and node.id in names and depth < 2:
        text = _text(names[node.id], names, depth + 1)
    elif isinstance(node, ast.BinOp):
        text = _text(node.left, names, depth) + _text(node.right, names, depth)
    else:
        text = "…" if node is not None else ""
    return " ".join(text.split())


def markdown() -> str:
    """The page."""
    rows = [f"| `{e.code}` | {_cell(e.sentence)} | {_cell(e.remedy)} |" for e in entries()]
    return "\n".join([HEAD, "| code | what happened | what to do |", "|---|---|---|", *rows]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.stdout.write(markdown())
