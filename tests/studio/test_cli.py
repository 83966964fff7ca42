from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from evaluate.plan import Plan
from recipes.recipe.schema import Recipe
from studio.cli import app, main
from synth.dataset import DatasetDir
from synth.errors import DataError, RecipeError
from synth.importing.preview import shares_for
from synth.workspace import Workspace


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "studio", *arguments], capture_output=True, text=True, timeout=120)


def one_sentence(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("Error: ")
    return result.stderr


def test_synth_then_show_then_list(capsys: pytest.CaptureFixture[str], workspace: Workspace) -> None:
    app(["synth", "math", "train=30", "val=5", "test=5", "test_ood=5", "-n", "small", "--json"], standalone_mode=False)
    made = json.loads(capsys.readouterr().out)
    assert made["splits"] == {"train": 30, "val": 5, "test": 5, "test_ood": 5}
    assert made["rows_in"] == 45 + sum(made["rejected"].values())
    app(["data", "show", "small", "--split", "test", "--rows", "2"], standalone_mode=False)
    assert capsys.readouterr().out.count("Answer:") == 2
    app(["data", "list"], standalone_mode=False)
    assert "small" in capsys.readouterr().out
    assert (workspace.datasets / "small" / "README.md").is_file()


def test_real_rows_and_the_task_card_are_amended_headless(
    capsys: pytest.CaptureFixture[str], workspace: Workspace, tmp_path: Path
) -> None:
    def run(*words: str) -> str:
        app(["data", *words], standalone_mode=False)
        return capsys.readouterr().out

    app(["synth", "math", "train=30", "val=5", "test=5", "test_ood=5", "-n", "small"], standalone_mode=False)
    capsys.readouterr()
    lines = [{"q": f"A baker sold {n} pies for 3 dollars a piece. How much came in?", "a": 3 * n} for n in range(2, 9)]
    known = next(DatasetDir(workspace.datasets / "small").examples("train"))
    lines.append({"q": known.prompt[0].text, "a": known.answer or ""})
    file = tmp_path / "may.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    said = run("real", "small", str(file), "--map", "question=q", "--map", "answer=a", "--note", "Orders of May.")
    assert "7 rows added to test_real" in said
    assert "1 refused: the same prompt is in train" in said
    later = {"question": "A ferry took 9 cars for 8 dollars a car on Monday. How much?", "answer": "72", "till": "B"}
    judged = {"prompt": "A ferry took 3 vans for 9 dollars a van. How much?", "completion": "5", "label": False}
    file.write_text(json.dumps(later) + "\n" + json.dumps(judged) + "\n")
    said = run("real", "small", str(file))
    assert "1 rows added" in said and "not used: 'till' in 1 rows, for instance \"B\"" in said
    assert "1 refused: its answer is judged as bad" in said
    assert "Answer" in run("task", "small")
    assert "Work it out." in run("task", "small", "--instruction", "Work it out.")
    found = json.loads(run("check", "small", "--json"))
    assert found["faults"] == []
    assert found["rows"]["test_real"] == 8
    assert set(found["masked_overlap"]) == {"val", "test", "test_ood", "test_real"}
    assert found["masked_overlap"]["test_ood"] == 0
    with pytest.raises(DataError, match="did you mean 'hand'"):
        run("real", "small", str(file), "--origin", "hands")


def test_preview_writes_nothing(capsys: pytest.CaptureFixture[str], workspace: Workspace) -> None:
    app(["synth", "math", "--preview", "2"], standalone_mode=False)
    assert capsys.readouterr().out.count("Answer:") == 2
    assert not workspace.path.exists()


def test_unwritable_workspace_is_one_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    said = one_sentence(run("synth", "math", "train=3", "val=0", "test=0", "test_ood=0", "-w", str(blocked / "x")))
    assert "Cannot write" in said


@pytest.mark.slow
def test_wrong_inputs_are_one_sentence_each(tmp_path: Path) -> None:
    bad = tmp_path / "recipe.yaml"
    bad.write_text("method: text_sft\nbase_model: starter-text\noptim:\n  learning_rat: 1\n")
    assert "learning_rate" in one_sentence(run("train", str(bad)))
    assert "no recipe" in one_sentence(run("train", str(tmp_path / "absent.yaml")))
    assert "no plan" in one_sentence(run("compare", str(tmp_path / "absent.yaml")))
    assert "no dataset 'nothing'" in one_sentence(run("train", "starter-text-sft", "data.dataset=nothing"))
    assert "did you mean 'math'" in one_sentence(run("synth", "meth"))
    assert "no run" in one_sentence(run("runs", "show", "nothing"))


def test_user_errors_have_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["smolstudio", "synth", "math", "train"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == "Error: 'train' is not a setting. Write settings as key=value.\n"


@pytest.fixture
def small(workspace: Workspace) -> DatasetDir:
    import filled

    filled.dataset(workspace, "small", rows=5)
    return DatasetDir(workspace.datasets / "small")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    app(["data", *arguments], standalone_mode=False)
    return capsys.readouterr().out


@pytest.mark.slow
def test_rows_are_reviewed_and_the_dataset_made_headless(
    capsys: pytest.CaptureFixture[str], small: DatasetDir, workspace: Workspace
) -> None:
    first, second, third = (row.id for row in islice(small.examples("train"), 3))
    assert first[:12] in said(capsys, "show", "small", "--rows", "1")
    said(capsys, "review", "approve", "small", first[:12], "--by", "Ada")
    said(capsys, "review", "reject", "small", second, "--reason", "dull", "--by", "Ada")
    with pytest.raises(DataError, match="8 is not 2"):
        app(["data", "review", "edit", "small", third, "--target", "Answer: 8"], standalone_mode=False)
    edited = said(capsys, "review", "edit", "small", third, "--answer", "8", "--force", "--by", "Bo")
    assert "edited answer, target, by Bo" in edited
    listed = said(capsys, "review", "list", "small")
    assert "1 approved, 1 rejected, 1 edited of 35 rows" in listed
    assert "dull" in listed
    assert third[:12] not in said(capsys, "review", "list", "small", "--state", "rejected")
    trail = json.loads(said(capsys, "review", "list", "small", "--row", third, "--json"))["rows"][third]
    assert trail["decisions"][0]["changes"]["answer"] == {"before": "2", "after": "8"}
    made = json.loads(said(capsys, "review", "apply", "small", "--as", "clean", "--json"))
    assert made["splits"]["train"] == 4
    assert made["rejected"] == {"rejected by hand: dull": 1}
    said(capsys, "review", "reset", "small", first)
    assert "0 approved" in said(capsys, "review", "list", "small")


def test_curate_says_what_it_would_drop_and_drops_it_when_named(
    capsys: pytest.CaptureFixture[str], small: DatasetDir, workspace: Workspace
) -> None:
    looked = said(capsys, "curate", "small", "min_prompt_chars=18")
    assert "would keep 0 train" in looked
    assert "25: the question is too short\n[test · " in looked
    assert [p.name for p in workspace.datasets.iterdir()] == ["small"]
    with pytest.raises(RecipeError, match="did you mean 'near'"):
        app(["data", "curate", "small", "neer=1"], standalone_mode=False)
    made = json.loads(said(capsys, "curate", "small", "max_prompt_chars=17", "--as", "short", "--json"))
    assert made["rejected"] == {"the question is too long": 10}


def test_columns_of_pictures_are_mapped_headless(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, workspace: Workspace
) -> None:
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "rows.csv").write_text("bild,frage,antwort,split\na.png,Was?,Rot,test\n")
    columns = [o for pair in ("path=bild", "question=frage", "answer=antwort", "split=") for o in ("--map", pair)]
    arguments = ["import", str(tmp_path / "rows.csv"), "-n", "mine", "--modality", "vision", *columns]
    assert "1 rows kept, 0 set aside" in said(capsys, *arguments)
    assert DatasetDir(workspace.datasets / "mine").card.spec["mapping"]["split"] == ""


@pytest.mark.parametrize("rows", [3, 40])
@pytest.mark.parametrize(
    ("header", "asked", "answered"),
    [
        ("text,label", "text", "label"),
        ("message,category", "message", "category"),
        ("id,review,sentiment", "review", "sentiment"),
        ("question,answer", "", ""),
        ("prompt,completion", "", ""),
        ("text,label,split", "text", "label"),
        ("ticket_id,body,intent,created_at", "body", "intent"),
        ("article,summary", "article", "summary"),
    ],
)
def test_columns_that_can_be_read_in_one_way_need_no_map(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    workspace: Workspace,
    header: str,
    asked: str,
    answered: str,
    rows: int,
) -> None:
    question, answer = asked or header.split(",")[0], answered or header.split(",")[1]
    values = {"split": "train", "id": "7", "ticket_id": "7", "created_at": "2026-01-02"}
    lines = []
    for n in range(rows):
        row = {**values, question: f"what is said in message {n * 37}", answer: ("billing", "visits")[n % 2]}
        lines.append(",".join(row[name] for name in header.split(",")))
    (tmp_path / "rows.csv").write_text("\n".join([header, *lines]))
    arguments = ["import", str(tmp_path / "rows.csv"), "-n", "mine"]
    made = json.loads(said(capsys, *arguments, "--json"))
    assert made["kept"] == rows
    assert made.get("guessed", {}).get("question", "") == asked
    examples = list(DatasetDir(workspace.datasets / "mine").examples("train"))
    assert {example.target for example in examples} <= {"billing", "visits"}
    assert examples[0].prompt[-1].text.startswith("what is said in message")
    if asked:
        told = said(capsys, *arguments[:2], "-n", "again")
        assert f"question = {asked}" in told and f"answer = {answered}" in told and "--map question=COLUMN" in told


@pytest.mark.parametrize("rows", [3, 40])
@pytest.mark.parametrize(
    "header",
    ["message,category,urgency", "subject,body,label", "first,second", "prompt_id,rating", "text,summary,label"],
)
def test_columns_that_can_be_read_in_several_ways_are_asked_for(
    tmp_path: Path, workspace: Workspace, header: str, rows: int
) -> None:
    classes = ("category", "urgency", "label")
    lines = [
        ",".join(("high", "low")[n % 2] if name in classes else f"some words {n * 37}" for name in header.split(","))
        for n in range(rows)
    ]
    (tmp_path / "rows.csv").write_text("\n".join([header, *lines]))
    with pytest.raises(DataError):
        app(["data", "import", str(tmp_path / "rows.csv"), "-n", "mine"], standalone_mode=False)
    assert list(workspace.datasets.iterdir()) == []


def test_with_the_columns_of_the_answer_named_the_question_is_guessed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, workspace: Workspace
) -> None:
    lines = [f"words of message {n},{('billing', 'visits')[n % 2]},{('high', 'low')[n % 2]}" for n in range(40)]
    (tmp_path / "rows.csv").write_text("\n".join(["message,category,urgency", *lines]))
    arguments = ["import", str(tmp_path / "rows.csv"), "--answer-columns", "category,urgency", "-n", "mine"]
    assert "question = message" in said(capsys, *arguments)
    example = next(DatasetDir(workspace.datasets / "mine").examples("train"))
    assert set(json.loads(example.target)) == {"category", "urgency"}


def test_shares_and_an_answer_of_several_columns_are_named_headless(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, workspace: Workspace
) -> None:
    rows = "".join(f"message number {n},topic {n % 3},{n % 2}\n" for n in range(40))
    (tmp_path / "rows.csv").write_text(f"text,topic,urgent\n{rows}")
    arguments = ["import", str(tmp_path / "rows.csv"), "--map", "question=text", "--answer-columns", "topic, urgent"]
    assert "40 rows kept" in said(capsys, *arguments, "-n", "mine", "--shares", "50,20,30", "--split-near-duplicates")
    dataset = DatasetDir(workspace.datasets / "mine")
    assert dataset.card.splits == {"train": 20, "val": 8, "test": 12}
    assert set(json.loads(next(dataset.examples("train")).target)) == {"topic", "urgent"}
    assert dataset.card.notes["near_duplicates"]["looked_for"] == ""
    for shares in ("50,20", "50,20,x", "60,20,30", "0,50,50", "120,-10,-10"):
        with pytest.raises(DataError, match="share"):
            app(["data", *arguments, "-n", "other", "--shares", shares], standalone_mode=False)


def test_several_seeds_are_trained_in_turn_and_named_for_a_plan(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], workspace: Workspace
) -> None:
    trained: list[tuple[str | None, int]] = []

    def start(place: Workspace, recipe: Recipe, run_id: str | None = None) -> SimpleNamespace:
        trained.append((run_id, recipe.seed))
        return SimpleNamespace(id=run_id, path=place.runs / str(run_id))

    monkeypatch.setattr("studio.engines.jobs.start_training", start)
    monkeypatch.setattr(
        "studio.engines.jobs.follow", lambda run, on_event, since=0: SimpleNamespace(verdict="done", sentence="")
    )
    app(["train", "starter-text-sft", "data.dataset=d", "seed=4", "--id", "x", "--seeds", "3"], standalone_mode=False)
    assert trained == [("x-s4", 4), ("x-s5", 5), ("x-s6", 6)]
    plan = yaml.safe_load("".join(capsys.readouterr().out.partition("systems:")[1:]))
    systems = Plan.model_validate({"dataset": "d", **plan}).systems
    assert [(s.adapter, s.train_seed, s.seed_group) for s in systems] == [(f"x-s{n}", n, "x") for n in (4, 5, 6)]
    with pytest.raises(RecipeError, match="in turn"):
        app(["train", "starter-text-sft", "--seeds", "2", "--detach"], standalone_mode=False)


def test_of_few_rows_as_many_are_tested_on_as_the_page_presets_and_few_are_called_few(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, workspace: Workspace
) -> None:
    rows = [f"words of message {n},{('billing', 'visits')[n % 2]}" for n in range(160)]
    (tmp_path / "rows.csv").write_text("\n".join(["message,category", *rows]))
    said(capsys, "import", str(tmp_path / "rows.csv"), "-n", "mine")
    splits = DatasetDir(workspace.datasets / "mine").card.splits
    assert splits["test"] >= 30 and splits["test"] == round(160 * shares_for(160)["test"])
    assert "16 test rows are few" in said(
        capsys, "import", str(tmp_path / "rows.csv"), "-n", "b", "--shares", "80,10,10"
    )


def test_real_rows_are_read_by_the_columns_that_the_dataset_was_imported_from(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, workspace: Workspace
) -> None:
    def table(name: str, first: int) -> str:
        rows = [
            f"wording {n * 37} of it,{('yes', 'no')[n % 2]},{('a', 'b')[n // 2 % 2]}" for n in range(first, first + 40)
        ]
        (tmp_path / name).write_text("\n".join(["told,known,queue", *rows]))
        return str(tmp_path / name)

    own = table("rows.csv", 0)
    said(capsys, "import", own, "-n", "one", "--map", "question=told", "--map", "answer=queue")
    printed = said(capsys, "real", "one", table("more.csv", 900))
    assert "question = told, answer = queue" in printed and "40 rows added" in printed
    said(capsys, "import", own, "-n", "two", "--map", "question=told", "--answer-columns", "known,queue")
    said(capsys, "real", "two", str(tmp_path / "more.csv"))
    row = next(DatasetDir(workspace.datasets / "two").examples("test_real"))
    assert set(json.loads(row.target)) == {"known", "queue"}
