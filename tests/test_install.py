"""What is installed: the extras, what works without them, and what the two wheels hold."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from recipes.models import files
from synth.errors import ModelError
from synth.extras import APART, EXTRA_OF, missing_extra
from tests.faults import fresh

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REFERENCES = tomllib.loads((ROOT / "recipes/starters/references/pyproject.toml").read_text())

WITHOUT = """
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {blocked!r}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)
sys.meta_path.insert(0, Nothing())
sys.path[:0] = [{root!r}, {tests!r}]
{code}
"""


def run_without(blocked: list[str], code: str) -> subprocess.CompletedProcess[str]:
    """Run code as where these libraries are not installed."""
    program = WITHOUT.format(blocked=set(blocked), root=str(ROOT), tests=str(ROOT / "tests"), code=code)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)


def smolstudio_without(blocked: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as where these libraries are not installed."""
    command = ["smolstudio", *arguments]
    return run_without(blocked, f"sys.argv = {command!r}\nfrom studio.cli import main\nmain()")


def test_text_is_generated_checked_without_any_extra() -> None:
    made = smolstudio_without(list(EXTRA_OF), "synth", "math", "--name", "bare", "train=20", "val=4", "test=4")
    assert made.returncode == 0, made.stderr
    checked = smolstudio_without(list(EXTRA_OF), "data", "check", "bare")
    assert "bare" in checked.stdout, checked.stderr


def test_reports_and_statistics_need_no_torch() -> None:
    code = (
        "from plausible import results\n"
        "from evaluate.report import render_html, render_md, report_json\n"
        "report = report_json.build(results())\n"
        "assert '<html' in render_html.render(report) and render_md.render(report)\n"
        "print('rendered')"
    )
    out = run_without(list(EXTRA_OF), code)
    assert out.stdout.strip() == "rendered", out.stderr


def test_a_missing_extra_is_named_with_the_command_that_installs_it() -> None:
    asked = smolstudio_without(["transformers", "torch"], "doctor")
    assert asked.returncode == 1
    assert "Traceback" not in asked.stderr
    assert "smolstudio[train]" in asked.stderr


def test_what_all_leaves_out_is_not_promised_by_it() -> None:
    everything = PROJECT["optional-dependencies"]["all"][0]
    assert {extra for extra in EXTRA_OF.values() if extra not in everything} == set(APART)
    assert "[all]" not in str(missing_extra(ModuleNotFoundError("No module named 'ray'", name="ray")))


def test_a_bug_of_ours_is_not_taken_for_a_missing_extra() -> None:
    assert missing_extra(ModuleNotFoundError("No module named 'synth.gone'", name="synth.gone")) is None


def test_every_extra_that_a_sentence_names_is_one_of_the_projects() -> None:
    extras = PROJECT["optional-dependencies"]
    assert set(EXTRA_OF.values()) <= set(extras)
    assert extras["all"] == ["smolstudio[train,audio,export,ui,serve,documents,sweep,s3]"]
    base = {name.split(">")[0].split("[")[0] for name in PROJECT["dependencies"]}
    assert not base & {"torch", "transformers", "trl", "peft", "bitsandbytes", "datasets", "streamlit", "torchaudio"}


def test_the_large_starters_are_the_second_distribution_and_only_there() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    included = REFERENCES["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert "recipes/starters/weights/*-large" in wheel["exclude"]
    assert {Path(target).name for target in included.values()} == set(files.REFERENCES)
    assert REFERENCES["project"]["version"] == PROJECT["version"]
    small = [
        f
        for f in files.STARTERS.rglob("*")
        if f.is_file() and not f.relative_to(files.STARTERS).parts[0].endswith("-large")
    ]
    assert sum(f.stat().st_size for f in small) < 60 * 2**20


def test_a_reference_that_is_not_installed_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "STARTERS", tmp_path)
    with pytest.raises(ModelError, match="pip install smolstudio-references"):
        files.resolve("starter-text-large")


def test_the_wheel_works_outside_the_checkout_for_any_user_and_umask() -> None:
    """`tests/faults/fresh.py` does the same with other Pythons, libraries of their own and a training."""
    mine = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = next(
        (p for folder in ("/usr/bin", "/usr/local/bin") if (p := shutil.which(mine, path=folder))), sys.executable
    )
    folder = Path(tempfile.mkdtemp(prefix="smolstudio-fresh-"))
    try:
        used = fresh.campaign(found, True, False, folder, train=False)
    finally:
        shutil.rmtree(folder)
    for user in ("plain", "umask 0", "nobody"):
        assert set(used.get(user, {"-": "ok"}).values()) == {"ok"}, used
    assert "Permission denied" in used.get("nobody, umask 0777", "Permission denied"), used


# Under the GPL, so never in this environment; what it asks for.
ELSEWHERE: dict[str, tuple[str, ...]] = {"piper-tts": ("onnxruntime", "pathvalidate"), "pathvalidate": ()}


def test_everything_that_is_installed_with_us_is_pinned() -> None:
    """What constraints.txt lacks would be another version tomorrow, and no audit of the file would see it."""
    pinned = {line.split("==")[0].lower().replace("_", "-").replace(".", "-") for line in pins()}
    wanted, seen = [Requirement(name) for name in PROJECT["dependencies"]], set()
    for lines in PROJECT["optional-dependencies"].values():
        wanted += [Requirement(line) for line in lines if not line.startswith("smolstudio")]
    while wanted:
        need = wanted.pop()
        name = need.name.lower().replace("_", "-").replace(".", "-")
        if (name, tuple(need.extras)) in seen or (need.marker and not need.marker.evaluate({"extra": ""})):
            continue
        seen.add((name, tuple(need.extras)))
        for line in ELSEWHERE[name] if name in ELSEWHERE else metadata.requires(need.name) or ():
            inner = Requirement(line)
            extras = [*need.extras, ""]
            if not inner.marker or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                inner.marker = None
                wanted.append(inner)
    given = {"setuptools"}  # comes with the environment on Python 3.11; torch takes what is there
    assert sorted({name for name, _ in seen} - pinned - given) == []
    assert len(seen) > 100


def pins() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if "==" in line]
