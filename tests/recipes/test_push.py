"""Taking an export to a hub, against a hub of our own over real HTTP: said first, private, never mixed with others."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recipes.export import exporter, push
from recipes.export.licence import Licence, licence_of, with_licence
from recipes.models.files import ModelRef, resolve
from studio.cli import app
from synth.errors import EndpointError, ModelError
from synth.storage import read_json, write_json

pytestmark = pytest.mark.slow

TOKEN = "hf_0123456789abcdef"


class Hub:
    """What was asked of a hub, and what it holds."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.repos: dict[str, dict[str, Any]] = {}
        self.forced: bool | None = None
        self.rights = True
        self.url = ""

    def add(self, repo: str, private: bool, *files: str) -> None:
        self.repos[repo] = {"private": private, "files": dict.fromkeys((".gitattributes", *files), b"")}

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and JSON."""
        path = path.partition("?")[0]
        if not self.rights:
            return 403, {"error": "You have no rights"}
        if path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            private = asked.get("private", asked.get("visibility") == "private")
            self.add(repo, bool(private) if self.forced is None else self.forced)
            return 200, {"url": f"{self.url}/{repo}", "name": repo}
        if path == "/api/validate-yaml":
            return 200, {"warnings": [], "errors": []}
        repo, _, rest = path.removeprefix("/api/models/").replace("/", "|", 1).partition("/")
        repo = repo.replace("|", "/")
        found = self.repos.get(repo)
        if found is None:
            return 404, {"error": "Repository not found"}
        if rest.startswith("preupload"):
            files = json.loads(body)["files"]
            return 200, {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]}
        if rest.startswith("commit"):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    found["files"][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            return 200, {"success": True, "commitOid": "a" * 40, "commitUrl": f"{self.url}/{repo}/commit/{'a' * 40}"}
        siblings = [{"rfilename": name} for name in found["files"]]
        return 200, {"id": repo, "private": found["private"], "siblings": siblings, "sha": "a" * 40, "tags": []}


@pytest.fixture
def hub() -> Iterator[Hub]:
    found = Hub()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            found.asked.append(f"{self.command} {self.path}")
            status, value = found.answer(self.command, self.path, body)
            raw = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            if status == 404:
                self.send_header("x-error-code", "RepoNotFound")
            self.end_headers()
            self.wfile.write(raw)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A folder as `smolstudio export` leaves it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    (folder / "README.md").write_text("---\nbase_model: starter-text\n---\n# mine\n")
    write_json(folder / "adapter_config.json", {"base_model_name_or_path": "/home/someone/base"})
    facts = {"base_model": "starter-text", "run": "first", "licence": {"name": "apache-2.0", "stated": "the card"}}
    exporter.write_manifest(folder, facts)
    return folder


@pytest.fixture
def reached(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    """The hub as huggingface_hub finds it, with a token."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub


def push_(folder: Path, *more: str) -> None:
    app(["push", str(folder), "--to", "hub:me/mine", *more], standalone_mode=False)


def test_without_yes_everything_is_said_and_nothing_is_asked_of_the_hub(
    reached: Hub, export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    push_(export)
    told = capsys.readouterr().out
    for said in ("me/mine (private", "adapter_model.safetensors", "first", "Licence of the base: apache-2.0."):
        assert said in told
    assert "adapter_config.json names a path of this machine: /home/someone/base" in told
    assert told.endswith("Nothing was sent. Add --yes to send it.\n")
    assert reached.asked == []


def test_with_yes_a_private_repository_holds_every_byte(
    reached: Hub, export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    push_(export, "--yes")
    told = capsys.readouterr()
    assert f"Sent: {reached.url}/me/mine" in told.out and TOKEN not in told.out + told.err
    assert reached.repos["me/mine"]["private"] is True
    held = {name: data for name, data in reached.repos["me/mine"]["files"].items() if name != ".gitattributes"}
    assert held == {file.name: file.read_bytes() for file in export.iterdir()}
    push_(export, "--yes", "--json")
    assert json.loads(capsys.readouterr().out)["url"] == f"{reached.url}/me/mine", "the same files may come again"


def test_a_repository_of_other_visibility_or_with_other_files_is_left_as_it_is(reached: Hub, export: Path) -> None:
    reached.add("me/mine", False)
    with pytest.raises(EndpointError, match=r"me/mine is public, and private was asked for\. Nothing was sent"):
        push_(export, "--yes")
    reached.add("me/mine", True, "model-00001-of-00002.safetensors")
    with pytest.raises(EndpointError, match=r"holds other files \(model-00001-of-00002\.safetensors\)"):
        push_(export, "--yes")
    del reached.repos["me/mine"]
    reached.forced = False
    with pytest.raises(EndpointError, match="me/mine is public, and private was asked for"):
        push_(export, "--yes")
    assert not any("commit" in line for line in reached.asked)


def test_no_token_no_network_and_no_rights_are_sentences(
    reached: Hub, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EndpointError, match="switched off by HF_HUB_OFFLINE"):
        push_(export, "--yes")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    reached.rights = False
    with pytest.raises(EndpointError, match=r"The hub did not take it \(.*403"):
        push_(export, "--yes")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(EndpointError, match=r"The hub did not take it \("):
        push_(export, "--yes")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(EndpointError, match=r"There is no token for the hub\. Set HF_TOKEN"):
        push_(export, "--yes")


def test_a_damaged_export_a_wrong_place_and_an_unknown_licence_are_refused(export: Path) -> None:
    with pytest.raises(ModelError, match=r"'me/mine' is no place on a hub\. Write --to hub:OWNER/NAME"):
        push.planned(export, "me/mine")
    facts = read_json(export / "manifest.json")
    write_json(export / "manifest.json", {**facts, "licence": {}})
    assert "The base states no licence." in push.planned(export, "hub:me/mine").said
    with pytest.raises(ModelError, match="Nobody states the licence of starter-text"):
        push.planned(export, "hub:me/mine", public=True)
    (export / "extra.bin").write_text("x")
    with pytest.raises(ModelError, match=r"extra\.bin was added after the export"):
        push.planned(export, "hub:me/mine")


def test_the_licence_is_that_of_the_base_and_heads_the_card(tmp_path: Path) -> None:
    assert licence_of(resolve("starter-text")) == Licence("apache-2.0", "the base's card")
    llama = licence_of(ModelRef("meta-llama/Llama-3.2-1B-Instruct", "hub", tmp_path, None, "text"))
    assert llama == Licence("Llama 3.2 Community Licence", "the catalogue", True)
    assert licence_of(ModelRef("mine", "path", tmp_path, None, "text")) == Licence()
    (tmp_path / "README.md").write_text("---\nlicense: other\nlicense_name: lfm1.0\n---\n")
    assert licence_of(ModelRef("mine", "path", tmp_path, None, "text")) == Licence("lfm1.0", "the base's card")
    (tmp_path / "README.md").write_text("---\nlicense: other\n---\n")
    assert licence_of(ModelRef("mine", "path", tmp_path, None, "text")) == Licence(), "other names none"
    card = with_licence("---\nbase_model: x\n---\n# y\n", llama)
    assert card.startswith("---\nlicense: other\nlicense_name: llama-3.2-community-licence\nbase_model: x\n---\n")
    assert with_licence("# y\n", Licence()) == "# y\n"
