from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from studio.cli import app, main
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


def test_preview_writes_nothing(capsys: pytest.CaptureFixture[str], workspace: Workspace) -> None:
    app(["synth", "math", "--preview", "2"], standalone_mode=False)
    assert capsys.readouterr().out.count("Answer:") == 2
    assert not workspace.path.exists()


def test_unwritable_workspace_is_one_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    said = one_sentence(run("synth", "math", "train=3", "val=0", "test=0", "test_ood=0", "-w", str(blocked / "x")))
    assert "Cannot write" in said


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
