"""The shape that the design promises: imports point upstream, sizes stay readable, dangerous calls stay out."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from synth.scoring.scorers import SCORERS

ROOT = Path(__file__).resolve().parents[1]
FLOW = ("synth", "recipes", "evaluate", "studio")
FILES = sorted(p for package in FLOW for p in (ROOT / package).rglob("*.py"))
BANNED = re.compile(
    r"(?<![\w.])(pickle|torch\.load|np\.load|eval|exec)\(|import pickle|shell=True|yaml\.load\(|unsafe_allow_html=True"
    r"|trust_remote_code=True"
)


@cache
def nodes(file: Path) -> tuple[ast.AST, ...]:
    """Every node of a module, the module first; read once for all tests."""
    return tuple(ast.walk(ast.parse(file.read_text())))


def imported(tree: Iterable[ast.AST]) -> Iterator[str]:
    for node in tree:
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
        assert not downstream & set(imported(nodes(file))), file


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in FILES}


def our_imports(file: Path) -> set[str]:
    """Modules of ours that a module imports anywhere, also inside functions and for type checking only."""
    found = set()
    for node in nodes(file):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in names}
    return (found & MODULES.keys()) - {module_name(file)}


def is_needed(name: str, graph: dict[str, set[str]]) -> bool:
    return any(name in needs for needs in graph.values())


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: our_imports(file) for name, file in MODULES.items()}
    while ends := [name for name, needs in graph.items() if not needs & graph.keys() or not is_needed(name, graph)]:
        for name in ends:
            del graph[name]
    assert sorted(graph) == []


def test_nothing_that_a_running_studio_imports_needs_how_the_starters_were_made() -> None:
    making = "recipes.starters.making"
    users = [name for name, file in MODULES.items() if any(m.startswith(making) for m in our_imports(file))]
    assert [name for name in users if not name.startswith(making)] == []


def places(found: Iterator[tuple[Path, int]], *allowed: str) -> list[str]:
    """Where something stands outside the rooms that may have it (paths, or beginnings of paths)."""
    named = sorted({f"{file.relative_to(ROOT)}:{line}" for file, line in found})
    return [place for place in named if not place.startswith(allowed)]


def calls(name: str) -> Iterator[tuple[Path, int]]:
    """Every call or mention of an attribute or name."""
    for file in FILES:
        for node in nodes(file):
            if (isinstance(node, ast.Attribute) and node.attr == name) or (
                isinstance(node, ast.Name) and node.id == name
            ):
                yield file, node.lineno


def compared_with_text(words: set[str], *suffixes: str) -> Iterator[tuple[Path, int]]:
    """Comparisons of something named so (`modality`, `row.scorer`) with one of the words."""
    for file in FILES:
        for node in nodes(file):
            if not isinstance(node, ast.Compare):
                continue
            sides = [node.left, *node.comparators]
            names = [getattr(side, "attr", getattr(side, "id", "")) for side in sides]
            texts = [leaf for side in sides for leaf in ast.walk(side) if isinstance(leaf, ast.Constant)]
            if any(name.lower().endswith(suffixes) for name in names) and any(t.value in words for t in texts):
                yield file, node.lineno


def test_only_the_records_of_modalities_know_their_names() -> None:
    assert (
        places(
            compared_with_text({"text", "vision", "audio"}, "modality"),
            "synth/modality.py",
            "recipes/modality.py",
            "synth/importing/kinds.py",
        )
        == []
    )


def test_only_the_home_of_scoring_knows_scorers_by_name() -> None:
    assert places(compared_with_text(set(SCORERS), "scorer", "metric"), "synth/scoring/") == []


def test_no_other_room_writes_the_name_of_a_scorer_of_speech_or_documents() -> None:
    """As an item of a tuple or a key as much as in a comparison; other scorers' names are also everyday words."""
    found = (
        (file, node.lineno)
        for file in FILES
        for node in nodes(file)
        if isinstance(node, ast.Constant) and node.value in ("wer", "cer", "anls", "vqa")
    )
    assert places(found, "synth/scoring/") == []


def test_only_an_engine_starts_processes() -> None:
    """espeak-ng's own process and that of chat templates excepted: they are libraries behind pipes, not work."""
    libraries = ("synth/audio/voices.py", "recipes/models/templates.py")
    assert places(calls("Popen"), "studio/engines/", *libraries) == []


def test_only_one_gate_decides_what_lies_inside_a_folder() -> None:
    # The others say where something lies; they open nothing.
    allowed = ("synth/media.py", "studio/doctor.py", "evaluate/lineage.py")
    assert places(calls("is_relative_to"), *allowed) == []


def test_only_one_gate_joins_a_folder_and_the_path_of_a_part() -> None:
    """Where the copy of a dataset puts a medium excepted: it writes, and the part has checked its path."""
    found = (
        (file, node.lineno)
        for file in FILES
        for node in nodes(file)
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Div)
        and isinstance(node.right, ast.Attribute)
        and node.right.attr == "path"
        and getattr(node.right.value, "attr", "") not in ("dataset", "plan")  # where a report's dataset lies
    )
    assert places(found, "synth/media.py", "synth/curation/derive.py") == []


def test_only_one_gate_unpacks_archives() -> None:
    """Others read single members in memory; `trafilatura.extract` takes the text out of a page."""
    names, files = ("extract", "extractall", "unpack_archive"), set()
    for file in FILES:
        for node in nodes(file):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names:
                files.add(file.relative_to(ROOT).as_posix())
    assert files == {"synth/importing/archives.py", "synth/documents/readers.py"}


def test_only_one_gate_loads_models_and_only_after_their_files_were_looked_at() -> None:
    """GGUF is read by transformers' own parser; whisper's is the constructor of a layer."""
    others = ("recipes/models/sources/gguf.py", "recipes/audio/whisper.py", "recipes/starters/making/")
    loading = places(calls("from_pretrained"), *others)
    assert {place.rpartition(":")[0] for place in loading} == {"recipes/models/loading.py", "recipes/models/lora.py"}
    for file, check in (("loading.py", "refuse_unsound_model"), ("lora.py", "refuse_unsound_adapter")):
        assert places((f, n) for f, n in calls(check) if f == ROOT / "recipes/models" / file)


def test_only_one_gate_writes_html() -> None:
    """The report's pages, whose templates escape; the studio writes a constant style and nothing else."""
    assert places(calls("Markup"), "evaluate/report/") == []
    others = ("evaluate/report/", "synth/documents/readers.py", "synth/importing/excerpts.py")  # the last two read it
    assert {place.rpartition(":")[0] for place in places(calls("html"), *others)} == {"studio/app.py"}
    written = [node for node in nodes(ROOT / "studio/app.py") if isinstance(node, ast.Call)]
    (style,) = [node for node in written if isinstance(node.func, ast.Attribute) and node.func.attr == "html"]
    assert [type(part) for part in style.args] == [ast.Constant]


def test_modules_and_functions_stay_readable() -> None:
    too_long = [f"{f.relative_to(ROOT)}: {n}" for f in FILES if (n := f.read_text().count("\n")) > 400]
    for file in FILES:
        for node in nodes(file):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
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
    silent = [str(f.relative_to(ROOT)) for f in FILES if not ast.get_docstring(nodes(f)[0])]  # type: ignore[arg-type]
    assert silent == []


def test_each_package_is_ours_even_in_isolated_mode() -> None:
    code = "import synth, recipes, evaluate, studio\nfor p in (synth, recipes, evaluate, studio): print(p.__file__)"
    out = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, cwd="/")
    homes = {Path(p).parents[1] for p in out.stdout.split()}
    assert len(homes) == 1  # `evaluate` and `recipes` are also names of other distributions
    assert (homes.pop() / "studio" / "app.py").is_file()


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
