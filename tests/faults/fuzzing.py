"""What the fuzzers do to a file, and whom they hand it to. The seeds are in `tests/faults/corpus`, a folder a parser.

Half of the mutations are of bytes. The other half are of values: a JSON or YAML file is parsed, one value in it becomes
something that no writer of the parser thought of, and it is written again.
"""

from __future__ import annotations

import copy
import json
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from synth.workspace import Workspace

CORPUS = Path(__file__).with_name("corpus")
Parser = Callable[[Path, Path], object]  # the file or folder, and an empty folder to work in

BYTES = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"[" * 3000, b"(" * 3000, b"{", b"}", b'"', b"'", b"\n", b"\r", b",",
    b"\t", b"|",
    b"9" * 5000, b"-1", b"1e999", b"NaN", b"null", b"true", b"\xed\xa0\x80", b'"\\ud800"', b"2020-01-01",
    b"!!binary AAAA",
    b"&a [*a]", b"*a", b": ", b"- ", b"#", b"%", b"{{", b"{%", b"../../x", b"/etc/passwd", b"C:\\x",
    b"\xe2\x80\xae", b"\x1b[2J",
    b"PK\x03\x04", b"\x1f\x8b\x08", b"<script>", b"data: ", b"\x80\x04\x95", b"a" * 140_000,
    *(struct.pack(kind, number) for kind in ("<I", ">I", "<H", "<Q") for number in (0, 1, 2, 0x7FFF, 0xFFFF)),
    *(struct.pack(kind, number) for kind in ("<I", ">I", "<Q") for number in (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)),
]  # fmt: skip


def _nested(kind: str, depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind == "list" else {"a": value}
    return value


VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, float("nan"),
    float("inf"),
    "", " ", "a", "\x00", "\ud800", "\u202e", "\x1b[2J", "../../x", "/etc/passwd", "C:\\x", ".", "..", "nan",
    "1e999", "9" * 5000,
    "2020-01-01", "True", "a" * 140_000, "\n", [], {}, [[]], [{}], [None], {"": None}, {"a": {"b": {}}}, [1, "a",
    None, {}],
    _nested("list", 60), _nested("dict", 60), _nested("list", 600), ["a"] * 1000, "{{ 9**9**9 }}", "<|im_end|>",
    "😀" * 50,
]  # fmt: skip


@st.composite
def of_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with one to four changes."""
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["insert", "over", "flip", "cut", "drop", "twice"]))
        length = draw(st.integers(1, 64))
        if kind == "insert":
            data = data[:place] + draw(st.sampled_from(BYTES)) + data[place:]
        elif kind == "over":
            new = draw(st.sampled_from(BYTES))
            data = data[:place] + new + data[place + len(new) :]
        elif kind == "flip" and place < len(data):
            data = data[:place] + bytes([data[place] ^ (1 << draw(st.integers(0, 7)))]) + data[place + 1 :]
        elif kind == "cut":
            data = data[:place]
        elif kind == "drop":
            data = data[:place] + data[place + length :]
        else:
            data = data[:place] + data[place : place + length] * 2 + data[place + length :]
    return data


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


@st.composite
def of_value(draw: st.DrawFn, value: Any) -> Any:
    """The value with one to three of its parts replaced, removed, renamed or doubled."""
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(_places(value))))
        new = copy.deepcopy(draw(st.sampled_from(VALUES)))
        if not path:
            value = new if draw(st.integers(0, 9)) == 0 else value
            continue
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        key = path[-1]
        kind = draw(st.sampled_from(["replace", "replace", "replace", "remove", "rename", "wrap", "add"]))
        if kind == "remove":
            del parent[key]
        elif kind == "rename" and isinstance(parent, dict):
            parent[str(new)[:50]] = parent.pop(key)
        elif kind == "wrap":
            parent[key] = [parent[key]]
        elif kind == "add" and isinstance(parent, list):
            parent.append(new)
        else:
            parent[key] = new
    return value


def _parsed(data: bytes, suffix: str) -> Any:
    """The value of a seed of JSON, JSONL or YAML; None for others."""
    if suffix in (".json", ".yaml"):
        return yaml.safe_load(data)
    return [json.loads(line) for line in data.splitlines()] if suffix == ".jsonl" else None


@st.composite
def mutated(draw: st.DrawFn, seed: Path) -> dict[str, bytes]:
    """The files of a seed (a file or a folder), one of them changed; by their path in it, "" for the seed itself."""
    files = [seed] if seed.is_file() else sorted(f for f in seed.rglob("*") if f.is_file())
    chosen = draw(st.sampled_from(files))
    made = {f.relative_to(seed).as_posix() if f != seed else "": f.read_bytes() for f in files}
    name = chosen.relative_to(seed).as_posix() if chosen != seed else ""
    value = _parsed(made[name], chosen.suffix)
    if value is not None and draw(st.booleans()):
        new = draw(of_value(value))
        lines = new if chosen.suffix == ".jsonl" and isinstance(new, list) else [new]
        made[name] = "\n".join(json.dumps(line, default=str) for line in lines).encode()
    else:
        made[name] = draw(of_bytes(made[name]))
    return made


def write(files: dict[str, bytes], seed: Path, folder: Path) -> Path:
    """The changed seed on disk, under its own name."""
    place = folder / seed.name
    for name, data in files.items():
        file = place / name if name else place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return place


# --- parsers


def rows(path: Path, folder: Path) -> None:
    from synth.dataset import DatasetDir
    from synth.importing.importer import import_data

    place = Workspace(folder / "workspace")
    report = import_data(path, "mine", place)
    made = DatasetDir(place.datasets / "mine")
    kept = sum(1 for split in made.splits() for _ in made.examples(split))
    assert (report.kept, report.kept + report.rejected_rows) == (kept, made.card.rows_in)


def dataset(path: Path, folder: Path) -> None:
    from synth.dataset import DatasetDir
    from synth.media import read_inside

    made = DatasetDir(path)
    assert made.task
    for split in made.splits():
        for row in made.examples(split):
            for message in row.prompt:
                for part in message.content:
                    if part.type != "text":
                        read_inside(path, part.path)


def yaml_file(path: Path, folder: Path) -> object:
    from synth.strict import read_yaml

    return read_yaml(path, "plan")


def recipe(path: Path, folder: Path) -> None:
    from recipes.recipe.schema import dump_recipe, load_recipe

    made = load_recipe(str(path), notices=[])
    (folder / "again.yaml").write_text(dump_recipe(made), "utf-8")
    assert load_recipe(str(folder / "again.yaml")) == made


def plan(path: Path, folder: Path) -> None:
    from evaluate.plan import dump_plan, load_plan

    made = load_plan(path)
    (folder / "again.yaml").write_text(dump_plan(made), "utf-8")
    assert load_plan(folder / "again.yaml") == made


def prices(path: Path, folder: Path) -> None:
    import datetime

    from evaluate.cost.prices import check, load

    sheet = load(path)
    check(sheet, datetime.date(2026, 1, 1))
    sheet.merged(load())


def picture(path: Path, folder: Path) -> None:
    from synth.importing.uploads import as_png

    assert as_png(path.read_bytes())[:4] == b"\x89PNG"


def sound(path: Path, folder: Path) -> None:
    from synth.importing.uploads import as_flac

    assert as_flac(path.read_bytes())[:4] == b"fLaC"


def predictions(path: Path, folder: Path) -> object:
    from evaluate.predict.imported import read_predictions

    return read_predictions(path)


def endpoint(path: Path, folder: Path) -> None:
    """The answers of a server, whole and streamed; what is unreadable is retried by the client."""
    import contextlib

    from synth.endpoint.bodies import reply_of
    from synth.endpoint.wire import Unreadable, chat_reply, lines, read_body, streamed_piece, transcription_reply

    body = path.read_bytes()
    for read in (chat_reply, transcription_reply, reply_of):
        with contextlib.suppress(Unreadable):
            assert isinstance(read(read_body(body)).text, str)
    for line in lines(body[at : at + 37] for at in range(0, len(body), 37)):
        with contextlib.suppress(Unreadable):
            streamed_piece(line)


def template(path: Path, folder: Path) -> object:
    from recipes.models import templates
    from tests.tiny import tiny_tokenizer

    tokenizer = _kept("tokenizer", lambda: _tokenizer(tiny_tokenizer))
    tokenizer.chat_template = path.read_bytes().decode("utf-8", "replace")
    if not hasattr(tokenizer.apply_chat_template, "__wrapped__"):
        templates.limit(tokenizer, "fuzzed", seconds=1.0)
    return tokenizer.apply_chat_template([{"role": "user", "content": "How many?"}], tokenize=False)


def adapter(path: Path, folder: Path) -> None:
    """An adapter on a tiny base, whose configuration was changed."""
    from recipes.models import files, lora

    base = _kept("base", _base)
    model, ref = copy.deepcopy(base[0]), files.resolve(str(base[1]))
    lora.with_adapter(model, ref, path, trainable=False)


def model(path: Path, folder: Path) -> None:
    """A tiny base, whose configuration was changed."""
    from recipes.models import loading

    base = _kept("base", _base)[1]
    for file in base.iterdir():
        if not (path / file.name).exists():
            (path / file.name).symlink_to(file)
    loading.load_for_inference(str(path))


_made: dict[str, Any] = {}


def _kept(name: str, make: Callable[[], Any]) -> Any:
    if name not in _made:
        _made[name] = make()
    return _made[name]


def _scratch() -> Path:
    import atexit
    import tempfile

    folder = tempfile.mkdtemp(prefix="smolstudio-fuzz-")
    atexit.register(shutil.rmtree, folder, True)
    return Path(folder)


def _tokenizer(make: Callable[[Path], None]) -> Any:
    from transformers import AutoTokenizer

    folder = _scratch()
    make(folder)
    return AutoTokenizer.from_pretrained(folder)


def _base() -> Any:
    from transformers import AutoModelForCausalLM

    from tests.tiny import tiny_llama

    folder = tiny_llama(_scratch() / "base")
    return AutoModelForCausalLM.from_pretrained(folder), folder


PARSERS: dict[str, Parser] = {
    "rows": rows, "folders": rows, "archives": rows, "dataset": dataset, "yaml": yaml_file, "recipe": recipe,
    "plan": plan,
    "prices": prices, "pictures": picture, "sounds": sound, "predictions": predictions, "endpoint": endpoint,
    "templates": template, "adapters": adapter, "models": model,
}  # fmt: skip
