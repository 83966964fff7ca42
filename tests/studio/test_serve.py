"""Serving: which folder is served, and one real server that answers an OpenAI client."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path

import httpx
import openai
import pytest
import torch

from recipes.models.loading import load_trainable
from recipes.models.lora import save_adapter
from recipes.recipe.schema import load_recipe
from studio.cli import app
from studio.serving import model_server, serve, vllm
from studio.serving.servable import servable
from synth.errors import EndpointError, ModelError
from synth.workspace import Workspace
from tests.ports import free_port
from tests.tiny import tiny_llama

pytestmark = pytest.mark.slow


@pytest.fixture
def run_id(workspace: Workspace, tmp_path: Path) -> str:
    """A finished run on a tiny base, as far as serving looks at it."""
    base = tiny_llama(tmp_path / "base")
    torch.manual_seed(0)
    loaded = load_trainable(load_recipe({"base_model": str(base), "lora": {"r": 4}}))
    save_adapter(loaded, workspace.runs / "run-1/adapter", run="run-1", recipe="tiny")
    return "run-1"


def test_tuned_run_answers_an_openai_client_under_its_own_name(workspace: Workspace, run_id: str) -> None:
    folder = servable(run_id, None, workspace)
    port = free_port()
    start = serve.command(folder, "127.0.0.1", port, called=[run_id])
    with (workspace.path / "serve.log").open("w") as log:
        server = subprocess.Popen(start.argv, env=start.env, cwd=start.cwd, stdout=log, stderr=log)
    try:
        wait_until_healthy(server, f"http://127.0.0.1:{port}/health")
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
        for name in (folder.name, run_id):
            reply = client.chat.completions.create(
                model=name, messages=[{"role": "user", "content": "2 + 2?"}], max_tokens=4
            )
            assert reply.usage is not None
            assert 1 <= reply.usage.completion_tokens <= 4
        assert [model.id for model in client.models.list().data] == [folder.name, run_id]
        assert httpx.get(f"http://127.0.0.1:{port}/health", headers={"Host": "evil.test"}).status_code == 403
    finally:
        server.terminate()
        server.wait(20)


def wait_until_healthy(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended"
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail("the server did not become healthy")


def test_merged_copy_is_made_once_and_refused_when_damaged(workspace: Workspace, run_id: str) -> None:
    first = servable(run_id, None, workspace)
    made = (first / "model.safetensors").stat().st_mtime_ns
    again = servable(str(workspace.runs.parent.parent / "base"), run_id, workspace)
    assert again == first
    assert (again / "model.safetensors").stat().st_mtime_ns == made
    (first / "config.json").unlink()
    with pytest.raises(ModelError, match="damaged"):
        servable(run_id, None, workspace)


def test_base_is_served_from_where_it_lies(workspace: Workspace, tmp_path: Path) -> None:
    base = tiny_llama(tmp_path / "base")
    assert servable(str(base), None, workspace) == base


def test_taken_port_is_refused_before_anything_is_loaded(workspace: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(EndpointError, match="Cannot listen"):
        serve.serve("any", None, workspace, port=taken.getsockname()[1])


def test_an_unknown_engine_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ModelError, match=r"There is no engine 'vlm'\. Choose one of transformers, vllm\."):
        app(["serve", "any", "--engine", "vlm"], standalone_mode=False)


def test_missing_server_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "uvicorn" else True)
    with pytest.raises(ModelError, match=r"uvicorn.*smolstudio\[serve\]"):
        serve.refuse_without_parts()


# --- vLLM


def test_vllm_serves_the_base_with_the_adapter_as_lora_behind_our_gate(workspace: Workspace, run_id: str) -> None:
    start = vllm.command(run_id, None, workspace, "127.0.0.1", 8000, ["gpu.lab"])
    adapter, base = workspace.runs / run_id / "adapter", workspace.runs.parent.parent / "base"
    own = "studio.serving.vllm.OwnNames"
    at = start.argv.index("vllm.entrypoints.cli.main")
    first = ["serve", str(base), "--host", "127.0.0.1", "--port", "8000", "--served-model-name", "base"]
    assert start.argv[at + 1 : at + 9] == first
    assert start.argv[at + 9 :] == [
        "--enable-lora", "--lora-modules", f"run-1={adapter}", "--max-lora-rank", "8", "--dtype", "bfloat16",
        "--quantization", "bitsandbytes", "--middleware", own,
    ]  # fmt: skip
    assert {"127.0.0.1", "gpu.lab"} <= set(json.loads(start.env[vllm.NAMES]))


def test_vllm_s_middleware_refuses_foreign_names(monkeypatch: pytest.MonkeyPatch) -> None:
    from starlette.applications import Starlette
    from starlette.testclient import TestClient

    monkeypatch.setenv(vllm.NAMES, '["127.0.0.1"]')
    app = Starlette()
    app.add_middleware(vllm.OwnNames)
    client = TestClient(app)
    assert client.get("/", headers={"host": "127.0.0.1:8000"}).status_code == 404
    assert client.get("/", headers={"host": "evil.test"}).status_code == 403


def test_vllm_is_a_sentence_where_it_is_not_installed_or_cannot_serve_the_adapter(
    workspace: Workspace, run_id: str
) -> None:
    with pytest.raises(ModelError, match="vllm is not installed") as caught:
        serve.serve(run_id, None, workspace, engine="vllm")
    assert "pip install vllm" in caught.value.remedy
    file = workspace.runs / run_id / "adapter/adapter_config.json"
    config = json.loads(file.read_text())
    for change, sentence in (({"r": 600}, "up to rank 512"), ({"modules_to_save": ["lm_head"]}, "modules_to_save")):
        file.write_text(json.dumps({**config, **change}))
        with pytest.raises(ModelError, match=sentence):
            vllm.command(run_id, None, workspace, "127.0.0.1", 8000)


def test_a_base_of_another_class_than_it_says_is_a_sentence_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tiny_llama(tmp_path / "base")
    words = json.loads((base / "config.json").read_text())["vocab_size"]
    other = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 64, "n_layer": 2, "n_head": 4}
    (base / "config.json").write_text(json.dumps({**other, "vocab_size": words}))
    monkeypatch.setattr("sys.argv", ["model_server", str(base), "127.0.0.1", "0"])
    with pytest.raises(SystemExit) as ended:
        model_server.main()
    assert ended.value.code == 1
    assert "Error: " in (said := capsys.readouterr().err) and "of another class than its config.json says" in said
