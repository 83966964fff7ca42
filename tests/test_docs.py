"""What the documents and docstrings cite exists: files, modules, functions, commands."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("synth", "recipes", "evaluate", "studio")
TOP = (*PACKAGES, "tests", "docs", "docker", "examples")
PATH = re.compile(
    rf"(?<![\w/.-])(?<!\]\()((?:{'|'.join(TOP)})/[\w./-]*\w\.(?:py|md|yaml|toml|json|png|svg|jpg|j2|js|css))\b"
)
DOTTED = re.compile(rf"(?<![\w/.-])((?:{'|'.join(PACKAGES)})(?:\.\w+)+)(?![\w/])")
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
MADE_BY_USERS = re.compile(r"^(recipes|evaluate|studio|synth)\.(yaml|json|jsonl|md|html|log|csv|example)$")


@cache
def texts() -> list[tuple[Path, str]]:
    """Every tracked Markdown and Python file, the tests' own excepted."""
    listed = subprocess.run(["git", "ls-files", "*.md", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in listed.stdout.splitlines()]
    return [(f, f.read_text("utf-8")) for f in files if f.is_file() and "tests" not in f.relative_to(ROOT).parts]


def prose(file: Path, text: str) -> Iterator[str]:
    """Lines of a document, and of a module its docstrings and comments."""
    inside = False
    for line in text.splitlines():
        quotes = line.count('"""')
        if file.suffix == ".md" or inside or quotes or "# " in line:
            yield line
        inside = inside != (quotes % 2 == 1)


def cited(pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    for file, text in texts():
        for line in prose(file, text):
            for match in pattern.finditer(line):
                yield str(file.relative_to(ROOT)), match.group(1)


def test_there_are_citations_to_check() -> None:
    assert len(list(cited(PATH))) > 20
    assert len(list(cited(DOTTED))) > 100


def test_every_cited_file_exists() -> None:
    missing = [f"{place}: {path}" for place, path in cited(PATH) if not (ROOT / path).exists()]
    assert missing == []


def exists(dotted: str) -> bool:
    """Is this a module of ours, or a name that stands in one?"""
    parts = dotted.split(".")
    for size in range(len(parts), 0, -1):
        stem = ROOT.joinpath(*parts[:size])
        module = stem.with_suffix(".py") if stem.with_suffix(".py").is_file() else stem / "__init__.py"
        if module.is_file():
            names = parts[size:]
            return not names or re.search(rf"\b{re.escape(names[0])}\b", module.read_text("utf-8")) is not None
    return False


def test_every_cited_module_and_name_exists() -> None:
    missing = {
        f"{place}: {dotted}"
        for place, dotted in cited(DOTTED)
        if not MADE_BY_USERS.match(dotted) and not exists(dotted.removesuffix(".py"))
    }
    assert sorted(missing) == []


@pytest.mark.parametrize("document", sorted(str(f.relative_to(ROOT)) for f, _ in texts() if f.suffix == ".md"))
def test_every_link_leads_somewhere(document: str) -> None:
    folder, text = (ROOT / document).parent, (ROOT / document).read_text("utf-8")
    assert [link for link in LINK.findall(text) if not (folder / link).exists()] == []
