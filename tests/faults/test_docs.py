"""The pages that promise something name tests and errors that exist; containers are built as they should be."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from studio import catalogue

ROOT = Path(__file__).resolve().parents[2]


def test_every_test_that_the_page_of_faults_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/faults.md").read_text("utf-8"))
    assert len(named) > 50
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text("utf-8")]
    assert missing == []


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
    assert all(port.startswith("127.0.0.1:") for port in services["studio"]["ports"])
    assert services["worker"]["profiles"] == ["worker"]
