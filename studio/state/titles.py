"""What people call datasets, runs and comparisons, in any script, and a line about each: `titles.json`.

The name in addresses, recipes and reports stays the folder's, so that nothing that was hashed or written down changes.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from synth.errors import StorageError
from synth.storage import DirLock, read_json, write_json
from synth.workspace import Workspace

Kind = Literal["datasets", "runs", "comparisons"]
FILE = "titles.json"
LONGEST_TITLE, LONGEST_ABOUT = 80, 500
WAIT_SEC = 10.0


class Title(NamedTuple):
    """A name for people and what it is; "" where nobody gave one."""

    title: str = ""
    about: str = ""


def title_of(workspace: Workspace, kind: Kind, name: str) -> Title:
    """What people call it. A file that is not ours counts as none."""
    return _all(workspace).get(kind, {}).get(name, Title())


def shown(workspace: Workspace, kind: Kind, name: str) -> str:
    """The title with the name in brackets, or the name alone."""
    return all_shown(workspace, kind)(name)


def all_shown(workspace: Workspace, kind: Kind) -> Callable[[str], str]:
    """`shown` for many names, of which the titles are looked up once."""
    known = _all(workspace).get(kind, {})

    def show(name: str) -> str:
        title = known[name].title if name in known else ""
        return f"{title} ({name})" if title and title != name else name

    return show


def set_title(workspace: Workspace, kind: Kind, name: str, title: Title) -> None:
    """Write or, where it is empty, forget it. Raises StorageError when the disk refuses or the file is locked."""
    clean = Title(_line(title.title)[:LONGEST_TITLE], title.about.strip()[:LONGEST_ABOUT])
    workspace.path.mkdir(parents=True, exist_ok=True)
    with DirLock(workspace.path, WAIT_SEC):
        found = {k: {n: t._asdict() for n, t in names.items()} for k, names in _all(workspace).items()}
        of_kind = {n: t for n, t in found.get(kind, {}).items() if n != name}
        if clean != Title():
            of_kind[name] = clean._asdict()
        write_json(workspace.path / FILE, {**found, kind: of_kind})


def folder_name(title: str) -> str:
    """A name for the folder of something that people call so: its Latin letters and digits, or "data"."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._")[:80] or "data"


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _all(workspace: Workspace) -> dict[str, dict[str, Title]]:
    file = workspace.path / FILE
    try:
        return _read(file, file.stat().st_mtime_ns)
    except OSError:
        return {}


@functools.lru_cache(8)
def _read(file: Path, changed_ns: int) -> dict[str, dict[str, Title]]:
    try:
        return {
            str(kind): {str(n): Title(str(t["title"]), str(t["about"])) for n, t in names.items()}
            for kind, names in read_json(file).items()
        }
    except (StorageError, AttributeError, KeyError, TypeError):
        return {}
