"""What lies in an imported folder and was not read: tables elsewhere in it, pictures that no row names, other files.

Says so in a sentence; reads and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from synth.importing.excerpts import SUBTITLES

_ABOUT = ("readme", "license", "licence", "citation", "thumbs")
"""Names of files about the others."""
_OF_DATASETS = ("dataset_info", "dataset_infos", "dataset_dict", "state")


def note(folder: Path, read: Collection[Path]) -> str:
    """The sentence about files of the folder that were not read; "" when all were. `read` are resolved paths."""
    if not folder.is_dir() or (folder / "dataset.json").is_file():
        return ""
    recordings = {file.with_suffix("") for file in read}  # of recordings with subtitles
    left: list[str] = []
    number, folder = 0, folder.resolve()
    for file in folder.rglob("*"):
        inside = file.relative_to(folder)
        if any(part.startswith((".", "__MACOSX")) for part in inside.parts) or not file.is_file():
            continue
        if file.stem.lower() in (*_ABOUT, *_OF_DATASETS) or file.suffix.lower() == ".md":
            continue
        if file in read or (file.is_symlink() and file.resolve() in read):
            continue
        if file.suffix.lower() in SUBTITLES and file.with_suffix("") in recordings:
            continue
        number += 1
        if len(left) < 1000:
            left.append(str(inside))
    if not number:
        return ""
    shown = ", ".join(f"'{name[:100]}'" for name in sorted(left)[:5]) + (", …" if number > 5 else "")
    return f"{number:,} files of the folder were not read, because no table or layout names them: {shown}"
