"""Speed, finds and memory of curation, and speed of learned filters: `python tests/bench/bench_curation.py [ROWS …]`.

Finds: 100,000 different texts of some 45 words with numbers, 1,000 planted near-duplicates (two words of a text
changed), 100 planted training rows that nearly stand in the test split, and 1,000 pairs that differ in one number only,
which are no duplicates. Time: processor time on one core. Memory: the peak of a process that cleans ROWS rows from
disk, without writing them. Filters: 20,000 rows of the same kind scored, reading them from disk not counted.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

ROWS, PLANTED, LEAKS = 100_000, 1_000, 100
SIZES = (10_000, 100_000, 1_000_000)
_SYLLABLES = ("ba", "ke", "lo", "mi", "nu", "ra", "se", "to", "vi", "zu", "dan", "fer", "gil", "hos", "jun", "pol")


def vocabulary() -> list[str]:
    """4,096 words; what is drawn of them squared is as uneven as language is."""
    return [a + b + c for a in _SYLLABLES for b in _SYLLABLES for c in _SYLLABLES]


def text(rng: Random, words: list[str]) -> str:
    """Some 45 words with a number among them."""
    drawn = [words[int(rng.random() ** 2 * len(words))] for _ in range(rng.randrange(35, 56))]
    drawn[rng.randrange(len(drawn))] = str(rng.randrange(10_000))
    return " ".join(drawn)


def changed(said: str, rng: Random, words: list[str]) -> str:
    """The text with two neighbouring words changed, near its end, numbers left alone."""
    parts = said.split()
    places = [n for n in range(len(parts) - 1) if not parts[n].isdigit() and not parts[n + 1].isdigit()]
    place = places[-1]
    parts[place], parts[place + 1] = rng.choice(words), rng.choice(words)
    return " ".join(parts)


def finds() -> None:
    """Time and finds over ROWS rows in memory."""
    from synth.curation.curate import Dropped, Rules, curate
    from synth.example import make_example, user

    rng, words = Random(0), vocabulary()
    base = [text(rng, words) for _ in range(ROWS - PLANTED - LEAKS - PLANTED)]
    numbered = [" ".join("7" + w if w.isdigit() else w for w in said.split()) for said in base[:PLANTED]]
    near = [changed(said, rng, words) for said in base[PLANTED : 2 * PLANTED]]
    tests = [text(rng, words) for _ in range(1000)]
    leaks = [changed(said, rng, words) for said in tests[:LEAKS]]
    kinds = {said: kind for kind, some in (("near", near), ("leak", leaks), ("number", numbered)) for said in some}
    rows = [make_example([user(said)], "a", family="f", template=str(n)) for n, said in enumerate([*base, *kinds])]
    Random(1).shuffle(rows)
    rows += [
        make_example([user(said)], "a", family="f", template=f"t{n}", split="test") for n, said in enumerate(tests)
    ]
    began, wall = time.process_time(), time.monotonic()
    dropped: dict[tuple[str, str], int] = {}
    originals = {*base[PLANTED : 2 * PLANTED]}
    for result in curate(rows, Rules()):
        if isinstance(result, Dropped):
            said = result.example.prompt[0].text
            kind = "near" if said in originals else kinds.get(said, "none")
            dropped[kind, result.reason] = dropped.get((kind, result.reason), 0) + 1
    seconds = time.process_time() - began
    print(
        f"{len(rows):,} rows in memory: {seconds:.1f} s of processor time, {time.monotonic() - wall:.1f} s on the clock"
    )
    right = sum(n for (kind, reason), n in dropped.items() if kind == "near" and "duplicate" in reason)
    leaked = sum(n for (kind, reason), n in dropped.items() if kind == "leak" and "test split" in reason)
    wrong = sum(n for (kind, _), n in dropped.items() if kind in ("none", "number"))
    print(f"near-duplicates found: {right} of {PLANTED}; leaks found: {leaked} of {LEAKS}")
    share = 100 * wrong / (len(rows) - PLANTED - LEAKS)
    print(
        f"dropped without cause: {wrong} ({share:.3f} %), of them rows with another number: {dropped.get('number', 0)}"
    )


def write_dataset(folder: Path, rows: int) -> None:
    """A dataset of so many rows; lines are filled in by hand, because validating them is not what is measured."""
    from synth.dataset import CARD, Card
    from synth.example import make_example, user

    folder.mkdir(parents=True)
    rng, words = Random(0), vocabulary()
    tests = min(1000, rows // 10)
    for split, count in (("test", tests), ("train", rows - tests)):
        line = make_example([user("TEXT")], "a", family="f", template="t", split=split).model_dump_json()
        row_id = json.loads(line)["id"]
        with (folder / f"{split}.jsonl").open("w") as file:
            for _ in range(count):
                said = line.replace("TEXT", text(rng, words)).replace(row_id, f"{rng.getrandbits(128):032x}")
                file.write(said + "\n")
    card = Card(name=folder.name, splits={"train": rows - tests, "test": tests})
    (folder / CARD).write_text(card.model_dump_json())


def peak_mib(folder: Path) -> tuple[float, float]:
    """Peak memory of a process that cleans the dataset and counts its rows, and its seconds."""
    code = (
        "import re, sys, time; from pathlib import Path; from synth.curation.curate import Rules, preview_curation; "
        "from synth.dataset import DatasetDir; began = time.process_time(); "
        "preview_curation(DatasetDir(Path(sys.argv[1])), Rules()); "  # ru_maxrss would be that of who started it
        "peak = int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]); "
        "print(peak / 1024, time.process_time() - began)"
    )
    said = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    peak, seconds = said.stdout.split()
    return float(peak), float(seconds)


def filters(rows: int = 20_000) -> None:
    """Rows scored per second of processor time, embeddings and n-grams."""
    from synth.filtering.features import in_batches
    from synth.filtering.heads import NgramClassifier, RubricHead
    from synth.filtering.ratings import Rating

    rng, words = Random(0), vocabulary()
    texts = [text(rng, words) for _ in range(rows)]
    head = RubricHead.fit([Rating(said, n % 6) for n, said in enumerate(texts[:300])])
    classifier = NgramClassifier.fit(texts[:500], texts[500:1000])
    for name, score in (("embeddings and a linear head", head.score), ("n-gram classifier", classifier.score)):
        score(texts[:512])
        began = time.process_time()
        for batch in in_batches(texts):
            score(batch)
        print(f"{name}: {rows / (time.process_time() - began):,.0f} rows/s of some 45 words")


def whole_filter(place: Path, rows: int = 20_000) -> None:
    """The whole of `data filter` on a dataset on disk, fitting included: rows of train per second of processor time.

    The time to import the library that fits is told apart.
    """
    from synth.dataset import DatasetDir
    from synth.filtering.filtering import Filter, preview_filter
    from synth.workspace import Workspace

    write_dataset(place / "filtered", rows)
    rng, words = Random(0), vocabulary()
    rated = [{"text": text(rng, words), "rating": n % 6} for n in range(300)]
    (place / "rated.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rated))
    for name in ("good", "bad"):
        lines = [{"whole": text(rng, words)} for _ in range(500)]
        (place / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    began = time.process_time()
    import sklearn.linear_model  # noqa: F401  # a second or two that no row takes

    imported = time.process_time() - began
    by_rubric = Filter(way="rubric", ratings=str(place / "rated.jsonl"))
    by_ngrams = Filter(way="ngrams", good=str(place / "good.jsonl"), bad=str(place / "bad.jsonl"))
    for chosen in (by_rubric, by_ngrams):
        began = time.process_time()
        seen = preview_filter(DatasetDir(place / "filtered"), chosen, Workspace(place))
        seconds, count = time.process_time() - began, seen.kept["train"] + sum(seen.dropped.values())
        whole = count / (seconds + imported)
        print(f"data filter way={chosen.way}: {count / seconds:,.0f} rows/s, {whole:,.0f} with the import of sklearn")


def main() -> None:
    """All of it, with the load of the machine."""
    print(f"load {os.getloadavg()[0]:.1f}")
    filters()
    finds()
    print(f"this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    with tempfile.TemporaryDirectory() as place:
        whole_filter(Path(place))
        for rows in [int(given) for given in sys.argv[1:]] or SIZES:
            folder = Path(place) / f"d{rows}"
            write_dataset(folder, rows)
            peak, seconds = peak_mib(folder)
            print(f"{rows:,} rows from disk: at most {peak:.0f} MiB, {seconds:.1f} s of processor time")
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
