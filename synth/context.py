"""What a generator is given besides its settings: chance, a place for media, a way to stop, and what money has bought.

Generators that call models use the same contract: they ask `endpoints` by the names of their settings, and record each
answer with its price in the `ledger` before they use it, so that stopped work never pays for the same answer twice.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from synth.media import AddMedia
from synth.storage import Journal, JsonDict, read_jsonl

if TYPE_CHECKING:
    from synth.endpoint import Endpoint
    from synth.example import Split


def usd_in(row: Mapping[str, Any], key: str) -> float | None:
    """A sum of money in a line of a journal; None for what is none, such as NaN, which is above no cap."""
    value = row.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    return None


class Ledger:
    """Results that cost money, by key, with what each cost: a journal on disk, or nothing but memory without a file.

    A key must name all that the result depends on. The file is made at the first entry; a later session reads it.
    `durable=False`: an entry survives the end of this process, but not a power cut; for what is also kept elsewhere.
    """

    def __init__(self, path: Path | None = None, durable: bool = True) -> None:
        self.path = path
        self.durable = durable
        self._found: dict[str, JsonDict] = {}
        self._usd: float | None = 0.0  # None once a price is unknown
        self._journal: Journal | None = None
        if path is not None and path.is_file():
            for line in read_jsonl(path):
                row = line.value or {}
                if isinstance(key := row.get("key"), str) and isinstance(value := row.get("value"), dict):
                    self._found[key] = value
                    self._add(usd_in(row, "usd"))

    def __len__(self) -> int:
        return len(self._found)

    @property
    def usd(self) -> float | None:
        """What everything cost, in this session and those before it; None for nothing, or when a price is unknown."""
        return self._usd if self._found else None

    def values(self) -> Iterable[JsonDict]:
        """All results, by when their key was first recorded."""
        return self._found.values()

    def find(self, key: str) -> JsonDict | None:
        """The result that was paid for under that key, or None."""
        return self._found.get(key)

    def record(self, key: str, value: JsonDict, usd: float | None) -> None:
        """Keep a result and its price (None: unknown); on disk when this returns. Raises StorageError."""
        if self._journal is None and self.path is not None:
            self._journal = Journal(self.path, self.durable)
        if self._journal is not None:
            self._journal.append({"key": key, "usd": usd, "value": value})
        self._found[key] = value
        self._add(usd)

    def _add(self, usd: float | None) -> None:
        self._usd = None if usd is None or self._usd is None else self._usd + usd

    def close(self, forget: bool = False) -> None:
        """Close the file; delete it when what it holds is kept elsewhere by now."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if forget and self.path is not None:
            self.path.unlink(missing_ok=True)


def _never() -> bool:
    return False


@dataclasses.dataclass(frozen=True)
class Context:
    """What `generate(spec, context)` may use.

    Attributes:
        add_media: where pictures and recordings go; answers with the reference for the row.
        random: the random stream of a name. All chance comes from here, so that the same settings give the same rows.
        stop: whether somebody asked to stop; for work that takes long between two rows.
        ledger: what was paid for.
        endpoints: models that may be asked, by the names that the settings use; none for generators that ask nobody.
        made: `Units.of` of units that were made elsewhere (`synth.ranged`); None where all is made here.
    """

    add_media: AddMedia
    random: Callable[[str], Random] = Random
    stop: Callable[[], bool] = _never
    ledger: Ledger = dataclasses.field(default_factory=Ledger)
    endpoints: Mapping[str, Endpoint] = dataclasses.field(default_factory=dict)
    made: Callable[[Split, int, int], Iterable[Any]] | None = None
