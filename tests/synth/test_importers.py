"""Importing text: every known format is read, every fault is set aside with its line, good rows are kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth.dataset import DatasetDir
from synth.errors import DataError, StorageError
from synth.example import Example, make_example, user
from synth.importing import json_rows
from synth.importing.detect import detect
from synth.importing.importer import Options, import_data
from synth.importing.preview import columns_of, guess_roles, only_reading
from synth.importing.report import ImportReport
from synth.importing.splits import split_of
from synth.workspace import Workspace

GOOD = {"question": "What is 2 + 3?", "answer": "5"}
Run = Callable[..., tuple[ImportReport, list[Example]]]


def import_text(path: Path, name: str, workspace: Workspace, **options: Any) -> ImportReport:
    return import_data(path, name, workspace, Options("text", **options))


def good(n: int) -> dict[str, str]:
    return {"question": f"What is {n} + 3?", "answer": str(n + 3)}


def jsonl(path: Path, *rows: Any) -> Path:
    """Each row an object, or bytes to write as they are."""
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


@pytest.fixture
def run(workspace: Workspace) -> Run:
    def imported(path: Path, name: str = "mine", **options: Any) -> tuple[ImportReport, list[Example]]:
        report = import_text(path, name, workspace, **options)
        dataset = DatasetDir(workspace.datasets / name)
        card = dataset.card
        assert card.rows_in == report.kept + len(report.rejected)
        assert sum(1 for _ in dataset.rejected()) == len(report.rejected)
        return report, [e for split in dataset.splits() for e in dataset.examples(split)]

    return imported


FORMATS: dict[str, tuple[dict[str, Any], str]] = {
    "question and answer": (GOOD, "question_answer"),
    "prompt and completion": ({"prompt": "What is 2 + 3?", "completion": "5"}, "prompt_completion"),
    "prompt and completion as turns": (
        {
            "prompt": [{"role": "user", "content": "What is 2 + 3?"}],
            "completion": [{"role": "assistant", "content": "5"}],
        },
        "prompt_completion",
    ),
    "messages": (
        {"messages": [{"role": "user", "content": "What is 2 + 3?"}, {"role": "assistant", "content": "5"}]},
        "messages",
    ),
    "messages of text parts": (
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "What is 2 + 3?"}]},
                {"role": "assistant", "content": "5"},
            ]
        },
        "messages",
    ),
    "sharegpt": (
        {"conversations": [{"from": "human", "value": "What is 2 + 3?"}, {"from": "gpt", "value": "5"}]},
        "messages",
    ),
    "instruction": ({"instruction": "What is 2 + 3?", "input": "", "output": "5"}, "instruction"),
    "preference": ({"prompt": "What is 2 + 3?", "chosen": "5", "rejected": "6"}, "preference"),
    "preference as conversations": (
        {
            "chosen": [{"role": "user", "content": "What is 2 + 3?"}, {"role": "assistant", "content": "5"}],
            "rejected": [{"role": "user", "content": "What is 2 + 3?"}, {"role": "assistant", "content": "6"}],
        },
        "preference",
    ),
    "our own": (
        make_example((user("What is 2 + 3?"),), "5", answer="5", scorer="math", family="f", template="t").model_dump(),
        "example",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_row(name: str, tmp_path: Path, run: Run) -> None:
    row, format_name = FORMATS[name]
    path = jsonl(tmp_path / "rows.jsonl", row)
    assert detect(path).format == format_name
    report, (example,) = run(path)
    assert report.kept == 1
    assert example.prompt[0].text == "What is 2 + 3?"
    assert (example.target, example.answer, example.scorer) == ("5", "5", "math")
    assert example.rejected == ("6" if format_name == "preference" else None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"question": "torn', "not JSON (torn or malformed)"),
        (b'{"question": "caf\xe9 \x81", "answer": "5"}', "not UTF-8"),
        (b'{"question": "a?", "question": "b?", "answer": "5"}', "the key 'question' comes twice"),
        (b'{"question": "a\x00b", "answer": "5"}', "contains NUL bytes"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "nested too deeply"),
        (b'{"question": ' + b"[" * 100 + b"]" * 100 + b"}", "nested too deeply"),
        (b"[1, 2]", "not a JSON object"),
        (b'{"question": "\\ud800 ?", "answer": "5"}', "broken Unicode (lone surrogate)"),
        (b'{"question": "", "answer": "5"}', "no question"),
        (b'{"question": " ", "answer": "5"}', "an empty turn"),
        (b'{"question": "a?", "answer": " "}', "the answer is empty"),
        (b'{"question": "a?", "answer": null}', "no answer"),
        (b'{"question": ["a"], "answer": "5"}', "the question is not text"),
        (b'{"foo": "a?", "bar": "5"}', "no column for the question and the answer"),
        (b'{"question": "a?", "answer": "5", "split": "holdout"}', "unknown split"),
        (b'{"prompt": "a?", "chosen": "5", "rejected": "5"}', "the chosen and the rejected answer are equal"),
        (b'{"messages": []}', "no turns"),
        (b'{"messages": [{"role": "user", "content": "a"}]}', "no assistant turn at the end"),
        (b'{"messages": [{"role": "robot", "content": "a"}]}', "wrong roles: not system, user, assistant or tool"),
        (b'{"messages": ["a"]}', "a turn is not an object"),
        (b'{"messages": [{"role": "assistant", "content": "a"}]}', "wrong roles: user and assistant do not alternate"),
        (b'{"messages": [{"role": "user", "content": ""}]}', "an empty turn"),
        (
            b'{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a.png"}}]}]}',
            "has a picture; import it as vision",
        ),
        (
            b'{"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}, '
            b'{"role": "assistant", "content": "c"}]}',
            "wrong roles: a system turn after the first",
        ),
        (json.dumps(GOOD).encode(), "same prompt as line 1"),
        (b'{"prompt": [{"role": "user", "content": "x"}], "target": "5", "template": "t"}', "not a row of ours"),
    ],
)  # fmt: skip
def test_a_faulty_line_is_set_aside_and_its_neighbours_are_kept(
    raw: bytes, reason: str, tmp_path: Path, run: Run
) -> None:
    report, examples = run(jsonl(tmp_path / "rows.jsonl", GOOD, raw, good(7)))
    assert len(examples) == 2
    ((line, given),) = report.rejected
    assert line == 2
    assert given.startswith(reason)


def test_ids_that_come_twice_lose_no_row_and_a_row_that_comes_twice_is_one(tmp_path: Path, run: Run) -> None:
    rows = [{"id": "same", **good(1)}, {"id": "same", **good(2)}, {"id": "other", **good(1)}]
    report, examples = run(jsonl(tmp_path / "rows.jsonl", *rows))
    assert [(line, reason.partition(" (")[0]) for line, reason in report.rejected] == [(3, "same prompt as line 1")]
    assert len({example.id for example in examples}) == len(examples) == 2


def test_bom_crlf_and_blank_lines_are_no_fault(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n\r\n".join(json.dumps(good(n)).encode() for n in range(3)))
    report, examples = run(path)
    assert report.rejected == []
    assert len(examples) == 3


def test_a_huge_line_is_skipped_in_pieces(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "MAX_LINE", 1000)
    path = jsonl(tmp_path / "rows.jsonl", GOOD, b'{"question": "' + b"x" * 50_000 + b'"}', good(7))
    report, examples = run(path)
    assert [line for line, _ in report.rejected] == [2]
    assert report.rejected[0][1].startswith("longer than")
    assert len(examples) == 2


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf \r\n\n"])
def test_an_empty_file_is_refused(content: bytes, tmp_path: Path, workspace: Workspace) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is empty"):
        import_text(path, "mine", workspace)
    with pytest.raises(DataError, match="is empty"):
        detect(path)


def test_a_file_with_no_good_row_is_refused_and_leaves_nothing(tmp_path: Path, workspace: Workspace) -> None:
    path = jsonl(tmp_path / "rows.jsonl", b"{torn", b"also torn")
    with pytest.raises(DataError, match=r"None of the 2 rows .* line 1: not JSON"):
        import_text(path, "mine", workspace)
    assert list(workspace.datasets.iterdir()) == []


def test_columns_of_other_names_end_with_the_mapping_that_would_read_them(tmp_path: Path, workspace: Workspace) -> None:
    path = tmp_path / "tickets.csv"
    path.write_text("Beschwerde;Kategorie\nParcel lost;delivery\n")
    with pytest.raises(DataError, match="--map question='Beschwerde' --map answer='Kategorie'"):
        import_text(path, "mine", workspace)
    import_text(path, "mine", workspace, mapping={"question": "Beschwerde", "answer": "Kategorie"})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"PK\x03\x04 rest", "not a zip file"),
        ("a.jsonl", b"%PDF-1.7", "binary"),
        ("a.xyz", b"hello", "neither JSONL"),
        ("a.json", b'[{"a": 1}, {', "cannot be read as JSON"),
        ("a.json", b"[" * 100_000, "nested too deeply"),
        ("a.json", b"3\n", "holds no list"),
        ("a.csv", b"q,q\n1,2\n", "names two columns 'q'"),
    ],
)
def test_a_file_of_another_kind_is_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        detect(tmp_path / name)


def test_a_missing_file_and_a_taken_name_are_refused(tmp_path: Path, workspace: Workspace, run: Run) -> None:
    with pytest.raises(DataError, match="no file"):
        import_text(tmp_path / "none.jsonl", "mine", workspace)
    with pytest.raises(DataError, match="no layout that is known"):
        import_text(tmp_path, "mine", workspace)
    path = jsonl(tmp_path / "rows.jsonl", GOOD)
    run(path)
    with pytest.raises(StorageError, match="exists already"):
        import_text(path, "mine", workspace)


def test_json_array_and_wrapped_list_are_read(tmp_path: Path, run: Run) -> None:
    array, wrapped = tmp_path / "a.json", tmp_path / "w.json"
    array.write_text(json.dumps([GOOD, 3, good(7)]))
    wrapped.write_text(json.dumps({"name": "x", "data": [GOOD, good(8)]}, indent=1))
    report, examples = run(array, "a")
    assert report.rejected == [(2, "not a JSON object")]
    assert len(examples) == 2
    assert run(wrapped, "w")[0].kept == 2


def test_csv_with_other_columns_is_mapped(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(
        '\ufeffNo;Frage;Lösung;Thema\n1;"Was ist\n2 + 3?";5;plus\n2;kaputt\n3;Was ist 4 + 4?;8;plus\n', "utf-8"
    )
    guess = detect(path)
    assert guess.columns == ("No", "Frage", "Lösung", "Thema")
    assert guess.format == "columns"
    report, examples = run(path, mapping={"question": "Frage", "answer": "Lösung", "group": "Thema"})
    assert report.rejected == [(4, "another number of fields than the header")]
    assert {e.prompt[0].text for e in examples} == {"Was ist\n2 + 3?", "Was ist 4 + 4?"}
    assert {(e.family, e.template) for e in examples} == {("plus", "plus")}


def test_csv_faults_are_set_aside(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(
        b"question,answer\r\nWhat?,5\r\ncaf\xe9?,5\r\nnul\x00?,5\r\n" + b"x" * 200_000 + b",5\r\n\r\nThen?,6\r\n"
    )
    report, examples = run(path)
    assert report.rejected == [(3, "not UTF-8"), (4, "contains NUL bytes")]
    assert len(examples) == 3


ASIDE = {
    "key": lambda n: f"3f2504e0-4f89-41d3-9a0c-0305e82c{n:04d}",
    "when": lambda n: f"2026-11-30T12:{n % 60:02d}:00.000000+00:00",
    "who": lambda n: f"somebody.with.a.long.name.{n}@hospital.example.org",
    "link": lambda n: f"https://hospital.example.org/tickets/{n}/messages/first",
    "street": lambda n: f"{n} Schulstraße, Frankfurt",
    "more": lambda n: {"browser": "a long name of a browser", "seen": [n]},
}


@pytest.mark.parametrize("aside", ASIDE)
def test_the_column_with_words_is_preset_as_what_is_asked(tmp_path: Path, aside: str) -> None:
    asked = ("Where can I park?", "My pills ran out.", "Is it open today?", "駐車場はどこですか。")
    rows = [
        {aside: ASIDE[aside](n), "body_of": f"{asked[n % 4]} {chr(97 + n % 26)}", "kind": ("fees", "drugs")[n % 2]}
        for n in range(40)
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    assert guess_roles(columns_of(file), {}) == {"question": "body_of", "answer": "kind"}


TEXTS = ("Kann ich morgen einen Termin bekommen?", "Die Rechnung ist falsch", "Mein Rezept fehlt noch")
KINDS = ("Termin", "Rechnung", "Rezept")
NAMED: dict[str, tuple[dict[str, Callable[[int], Any]], dict[str, str]]] = {
    "short columns before the one that is called so": (
        {
            "salutation": lambda n: ("Ms", "Mr")[n % 2],
            "channel": lambda n: ("web", "phone")[n % 2],
            "message": lambda n: f"{TEXTS[n % 3]} {n}",
            "interne Kategorie": lambda n: KINDS[n % 3],
        },
        {"question": "message", "answer": "interne Kategorie"},
    ),
    "accents, and words of a name": (
        {
            "Geschl.": lambda n: ("w", "m")[n % 2],
            "Nachricht des Patienten": lambda n: f"{TEXTS[n % 3]} {n}",
            "ZUSTÄNDIG": lambda n: KINDS[n % 3],
        },
        {"question": "Nachricht des Patienten", "answer": "ZUSTÄNDIG"},
    ),
    "two texts": (
        {
            "Mensaje": lambda n: f"{TEXTS[n % 3]} {n}",
            "Respuesta": lambda n: f"Guten Tag, vielen Dank für Ihre Nachricht. Wir melden uns bald bei Ihnen {n}",
        },
        {"question": "Mensaje", "answer": "Respuesta"},
    ),
    "a longer text that no name tells": (
        {
            "Wiadomość": lambda n: f"{TEXTS[n % 3]} {n}",
            "klasa": lambda n: KINDS[n % 3],
            "interne Notiz": lambda n: f"Intern: {' '.join(TEXTS)} {n}",
        },
        {"question": "Wiadomość", "answer": "klasa"},
    ),
    "inside objects": (
        {
            "id": lambda n: n,
            "payload": lambda n: {"text": f"{TEXTS[n % 3]} {n}", "from": "a@b.de"},
            "annotation": lambda n: {"label": KINDS[n % 3], "by": ("anna", "otto")[n % 2]},
        },
        {"question": "payload.text", "answer": "annotation.label"},
    ),
    "a code and a date beside the answer": (
        {
            "zip_code": lambda n: ("Nord", "Ost")[n % 2],
            "Texte": lambda n: f"{TEXTS[n % 3]} {n}",
            "date réponse": lambda n: ("lundi", "mardi")[n % 2],
            "catégorie": lambda n: KINDS[n % 3],
        },
        {"question": "Texte", "answer": "catégorie"},
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_usual_name_wins_over_the_first_short_column_on_the_page_and_by_command(name: str, tmp_path: Path) -> None:
    columns, roles = NAMED[name]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps({key: of(n) for key, of in columns.items()}) for n in range(36)), "utf-8")
    assert guess_roles(columns_of(file), {}) == only_reading(file, "text") == roles
    kept = import_data(file, "rows", Workspace(tmp_path / "w"), Options(mapping=roles)).kept
    assert kept == 36


def test_of_several_short_columns_that_no_name_tells_none_is_preset_and_the_command_asks(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    rows = [f"{TEXTS[n % 3]} {n},{('ja', 'nein')[n % 2]},{('Dr. A', 'Dr. B')[n % 2]}" for n in range(36)]
    file.write_text("\n".join(["Anfrage,Stammpatient,Arzt", *rows]), "utf-8")
    assert guess_roles(columns_of(file), {}) == {"question": "Anfrage"} and only_reading(file, "text") == {}
    with pytest.raises(DataError, match="No column is chosen for the answer"):
        import_data(file, "rows", Workspace(tmp_path / "w"), Options("text", {"question": "Anfrage"}))


def test_usual_column_names_are_guessed(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("Problem,Solution,Answer,Topic\na,b,c,d\n")
    guess = detect(path)
    assert guess.format == "question_answer"
    assert guess.mapping == {"question": "Problem", "answer": "Answer", "target": "Solution"}


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"question": "quesion", "answer": "answer"}, r"no column 'quesion' \(did you mean 'question'\?\)"),
        ({"question": "question"}, "No column is chosen for the answer"),
        ({"questions": "question", "answer": "answer"}, r"no role 'questions' \(did you mean 'question'\?\)"),
    ],
)
def test_a_wrong_mapping_is_refused(
    mapping: dict[str, str], message: str, tmp_path: Path, workspace: Workspace
) -> None:
    with pytest.raises(DataError, match=message):
        import_text(jsonl(tmp_path / "rows.jsonl", GOOD), "mine", workspace, mapping=mapping)


def test_a_worked_answer_keeps_its_working_and_its_short_gold(tmp_path: Path, run: Run) -> None:
    gsm = {"question": "How many?", "answer": "3 * 4 = 12\n#### 12"}
    mapped = {"question": "And now?", "answer": "7", "target": "3 + 4 = 7\nAnswer: 7"}
    by_target = {e.target: e for e in run(jsonl(tmp_path / "rows.jsonl", gsm, mapped))[1]}
    assert by_target["3 * 4 = 12\n#### 12"].answer == "12"
    assert by_target["3 + 4 = 7\nAnswer: 7"].answer == "7"
    assert {e.scorer for e in by_target.values()} == {"math"}


@pytest.mark.parametrize(
    ("answer", "scorer"),
    [
        ("$1,200.50", "math"),
        ("09:05", "math"),
        ("3/4", "math"),
        ("B", "choice"),
        ('{"a": 1}', "json"),
        ("Paris in 1990", "exact"),
    ],
)
def test_the_scorer_follows_from_the_answer(answer: str, scorer: str, tmp_path: Path, run: Run) -> None:
    ((example,)) = run(jsonl(tmp_path / "rows.jsonl", {"question": "?!", "answer": answer}))[1]
    assert example.scorer == scorer


def test_long_answers_are_never_compared_word_for_word_and_the_report_says_so(tmp_path: Path, run: Run) -> None:
    long = "A summary of many words which nobody would ever repeat in just this way, word for word."
    rows = [{"question": "Sum it up?", "answer": long}, {"question": "Who?", "answer": "Ada"}]
    report, examples = run(jsonl(tmp_path / "rows.jsonl", *rows))
    assert sorted(example.scorer for example in examples) == ["exact", "free_text"]
    assert [note for note in report.notes if note.startswith("1 rows have long answers that no rule can grade")]


def test_system_text_and_several_turns_stay_in_the_prompt(tmp_path: Path, run: Run) -> None:
    turns = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "2 + 3?"), ("assistant", "5")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    ((example,)) = run(jsonl(tmp_path / "rows.jsonl", row))[1]
    assert [(m.role, m.text) for m in example.prompt] == turns[:-1]


def test_splits_follow_the_row_then_the_hash_and_groups_stay_together(tmp_path: Path, run: Run) -> None:
    rows = [{**good(n), "group": f"g{n % 40}"} for n in range(800)]
    named = [
        {"question": f"named {split}?", "answer": "x", "split": split} for split in ("test_ood", "validation", "dev")
    ]
    report, examples = run(jsonl(tmp_path / "rows.jsonl", *rows, *named))
    assert report.splits["test_ood"] == 1
    assert sum(e.split == "val" and e.answer == "x" for e in examples) == 2
    for group in {e.template for e in examples}:
        assert len({e.split for e in examples if e.template == group}) == 1
    assert 500 < report.splits["train"] < 740


def test_the_hash_shares_rows_out_as_asked() -> None:
    splits = [split_of(str(n), {"train": 0.5, "val": 0.2, "test": 0.3}) for n in range(5000)]
    assert abs(splits.count("train") / 5000 - 0.5) < 0.03
    assert abs(splits.count("test") / 5000 - 0.3) < 0.03


def test_a_line_of_a_file_that_is_no_lines_is_said_to_be_a_row(tmp_path: Path, run: Run) -> None:
    rows = [{"question": "How much?", "answer": "2"}, {"question": "", "answer": "3"}]
    (tmp_path / "rows.json").write_text(json.dumps(rows, indent=4))
    report, _ = run(tmp_path / "rows.json")
    assert [line for line, _ in report.rejected] == [2]
    assert "a “line” of rows.json is a row, counted from 1: it may be anywhere in the file" in report.notes
    assert not any("counted from 1" in note for note in run(jsonl(tmp_path / "rows.jsonl", *rows), "lines")[0].notes)


def test_leaks_between_named_splits_are_reported(tmp_path: Path, run: Run) -> None:
    text = "The shop sells 3 pens to {} for 4 dollars each and is paid with a note of fifty"
    rows = [
        {"question": text.format("Ava"), "answer": "12", "split": "train"},
        {"question": text.format("Ben"), "answer": "12", "split": "test"},
    ]
    (leak,) = run(jsonl(tmp_path / "rows.jsonl", *rows))[0].leaks
    assert leak == "1 row of test is a near-duplicate of rows of train"


def test_our_own_rows_keep_family_template_and_split(tmp_path: Path, run: Run) -> None:
    example = make_example((user("2?"),), "2", family="f", template="t", split="test_ood", source={"a": 1})
    ((again,)) = run(jsonl(tmp_path / "rows.jsonl", example.model_dump()))[1]
    assert again == example


FUZZED = st.lists(st.one_of(st.binary(max_size=60), st.just(json.dumps(GOOD).encode())), min_size=1, max_size=6)


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=FUZZED, suffix=st.sampled_from(["jsonl", "json", "csv", "tsv"]))
def test_no_bytes_break_the_import(lines: list[bytes], suffix: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / f"rows.{suffix}"
    path.write_bytes(b"\n".join(lines))
    place = Workspace(folder / "workspace")
    try:
        detect(path)
        report = import_text(path, "mine", place)
    except DataError as error:
        assert error.remedy
        assert not list(place.datasets.glob("*"))
    else:
        assert DatasetDir(place.datasets / "mine").card.rows_in == report.kept + len(report.rejected)
