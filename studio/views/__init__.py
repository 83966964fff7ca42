"""The pages. A file here that says `PAGE = {"title": …, "icon": …, "order": …}` is one; the others are their parts.

Streamlit runs a page's file as a script, so what it says of itself is read from its text, without running it.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Any

FOLDERS = [Path(__file__).parent]


def pages() -> list[dict[str, Any]]:
    """The arguments of `st.Page` for each page, in their order; the first is where the studio opens."""
    found = sorted(
        ((facts["order"], file, facts) for folder in FOLDERS for file in folder.glob("*.py") if (facts := _page(file))),
        key=lambda page: page[:2],
    )
    return [
        {
            "page": file,
            "title": facts["title"],
            "icon": facts["icon"],
            "url_path": file.stem,
            "default": position == 0,
        }
        for position, (_, file, facts) in enumerate(found)
    ]


@functools.cache
def _page(file: Path) -> dict[str, Any] | None:
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and [getattr(name, "id", "") for name in node.targets] == ["PAGE"]:
            return dict(ast.literal_eval(node.value)) if isinstance(node.value, ast.Dict) else None
    return None
