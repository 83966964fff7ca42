"""Which test raises which code of docs/errors.md: `raised.json`, and the proof of it while the tests run.

SMOLSTUDIO_CODES=codes.txt python -m pytest -m "not real"      notes every code and the test that raised it
python tests/raised.py codes.txt                               writes raised.json from that, one test a code
"""

from __future__ import annotations

import functools
import json
import os
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")
CODES: dict[str, str] = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
PROMISED: defaultdict[str, set[str]] = defaultdict(set)  # test -> the codes that it raises
for _code, _test in CODES.items():
    PROMISED[_test].add(_code)
SEEN: set[str] = set()  # codes raised in the test that runs now


def watch() -> None:
    """Note the code of every UserError that is made from now on."""
    from synth.errors import UserError

    make, notes = UserError.__init__, os.environ.get("SMOLSTUDIO_CODES")

    def noting(self: UserError, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        if notes and self.code not in SEEN and (test := os.environ.get("PYTEST_CURRENT_TEST")):
            with Path(notes).open("a", encoding="utf-8") as file:
                file.write(json.dumps([self.code, test.rpartition(" ")[0]]) + "\n")
        SEEN.add(self.code)

    UserError.__init__ = noting  # type: ignore[method-assign]


def main(notes: Path) -> None:
    """Keep what is known, and add for each code that had none the test whose name sorts first."""
    found = sorted((code, test) for code, test in map(json.loads, notes.read_text("utf-8").splitlines()))
    known = dict(reversed([*CODES.items(), *found]))
    kept = {code: test for code, test in sorted(known.items()) if any(fits(code, one) for one in catalogued())}
    FILE.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")


@functools.cache
def catalogued() -> list[str]:
    """The codes of docs/errors.md; `…` stands for a word that is filled in."""
    from studio import catalogue

    return sorted({entry.code for entry in catalogue.entries()})


def fits(code: str, pattern: str) -> bool:
    """Whether a code is one of the catalogue's; a code that is all filled in is none of its own."""
    return pattern != "…" and re.fullmatch(re.escape(pattern).replace("…", ".+"), code) is not None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
