"""The pages that promise something name tests and errors that exist; containers are built as they should be."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from studio import catalogue

ROOT = Path(__file__).resolve().parents[2]


def test_every_test_that_the_page_of_faults_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/faults.md").read_text("utf-8"))
    assert len(named) > 50
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text("utf-8")]
    assert missing == []


@pytest.mark.slow
def test_every_code_has_a_sentence_with_a_remedy_and_stands_in_the_catalogue() -> None:
    found = catalogue.entries()
    assert len(found) > 150
    assert [entry for entry in found if not (entry.code and entry.sentence and entry.remedy)] == []
    page = (ROOT / "docs/errors.md").read_text("utf-8")
    missing = sorted({entry.code for entry in found if f"`{entry.code}`" not in page})
    assert missing == [], "run: python -m studio.catalogue > docs/errors.md"


def test_containers_are_pinned_watched_and_not_run_by_root() -> None:
    lines = (ROOT / "docker/Dockerfile").read_text().splitlines()
    steps = [line.split()[0] for line in lines if re.match("[A-Z]+ ", line)]
    assert all(re.search(r":\d+\.\d+\.\d+-|^FROM base ", line) for line in lines if line.startswith("FROM"))
    assert [line for line in lines if line.startswith("USER")] == ["USER studio"]
    assert "HEALTHCHECK" in steps and "ADD" not in steps
    services = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
    assert all(port.startswith("127.0.0.1:") for one in services.values() for port in one.get("ports", ()))
    assert services["worker"]["profiles"] == ["worker"]
    targets = {line.split()[-1] for line in lines if line.startswith("FROM base AS")}
    assert {one["build"]["target"] for one in services.values()} <= targets


def test_the_service_units_say_what_the_command_takes_and_run_without_rights(tmp_path: Path) -> None:
    text = (ROOT / "docker/smolstudio@.service").read_text()
    unit = configparser.ConfigParser(strict=True, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    service = unit["Service"]
    assert service["ExecStart"].startswith("/opt/smolstudio/bin/smolstudio serve %i ")
    assert service["User"] == "smolstudio" and service["NoNewPrivileges"] == service["PrivateTmp"] == "yes"
    assert "MemoryDenyWriteExecute" not in service, "torch compiles at run time"
    named = set(re.findall(r"(?<=\s)--[a-z-]+", re.search(r"SERVE_OPTIONS=(.*)", text)[0]))  # type: ignore[index]
    compose = (ROOT / "docker/compose.yaml").read_text()
    named |= set(re.findall(r"(?<=[\s\"])--(?:rows|casc)[a-z-]+", compose))
    offered = (ROOT / "docs/cli.md").read_text().partition("`smolstudio serve ")[2].partition("\n## ")[0]
    assert named and all(f"`{option}" in offered for option in named), named
    if analyze := shutil.which("systemd-analyze"):
        program = tmp_path / "smolstudio"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        here = tmp_path / "smolstudio@.service"
        here.write_text(
            text.replace("/opt/smolstudio/bin/smolstudio", str(program)).replace("User=smolstudio", "User=root")
        )
        found = subprocess.run([analyze, "verify", "--man=no", str(here)], capture_output=True, text=True, check=False)
        said = [line for line in found.stderr.splitlines() if here.name in line or "smolstudio@" in line]
        assert said == []
