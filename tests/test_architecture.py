"""The shape that the design promises: imports point upstream, sizes stay readable, dangerous calls stay out."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOW = ("synth", "recipes", "evaluate", "studio")
FILES = sorted(p for package in FLOW for p in (ROOT / package).rglob("*.py"))
BANNED = re.compile(
    r"(?<![\w.])(pickle|torch\.load|np\.load|eval|exec)\(|import pickle|shell=True|yaml\.load\(|unsafe_allow_html=True"
    r"|trust_remote_code=True"
)


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def test_there_are_files_to_check() -> None:
    assert len(FILES) > 40


@pytest.mark.parametrize("package", FLOW)
def test_imports_point_upstream(package: str) -> None:
    downstream = set(FLOW[FLOW.index(package) + 1 :])
    for file in (ROOT / package).rglob("*.py"):
        assert not downstream & set(imported(ast.parse(file.read_text()))), file


def test_modules_and_functions_stay_readable() -> None:
    too_long = [f"{f.relative_to(ROOT)}: {n}" for f in FILES if (n := f.read_text().count("\n")) > 400]
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno
                if length > 60:
                    too_long.append(f"{file.relative_to(ROOT)}:{node.name}: {length}")
    assert too_long == []


def test_nothing_dangerous_is_called() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in FILES
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if BANNED.search(line)
    ]
    assert found == []


def test_every_module_says_what_it_does() -> None:
    silent = [str(f.relative_to(ROOT)) for f in FILES if not ast.get_docstring(ast.parse(f.read_text()))]
    assert silent == []


def test_each_package_is_ours_even_in_isolated_mode() -> None:
    code = "import synth, recipes, evaluate, studio\nfor p in (synth, recipes, evaluate, studio): print(p.__file__)"
    out = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert all(Path(p).is_relative_to(ROOT) for p in out.stdout.split())


def test_help_is_quick_because_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, runpy; sys.argv = ['smolstudio', '--help']\n"
        "try: runpy.run_module('studio', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'streamlit', 'pandas', 'scipy', 'matplotlib', 'openai'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in out.stdout


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_a_running_studio_imports_nothing_of_how_the_starters_were_made() -> None:
    making = "recipes.starters.making"
    outside = [file for file in FILES if not module_name(file).startswith(making)]
    assert len(outside) < len(FILES)
    for file in outside:
        text = file.read_text()
        assert making not in text and "starters import making" not in text, file
