"""From rows to an export where there is no network at all: a namespace with its own loopback and no route."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
UNSHARE = ["unshare", "--map-root-user", "--net"]

# Brings the loopback up, proves that nothing else can be reached, and then does the work in this process and others.
JOURNEY = """
import fcntl, json, socket, struct, sys, time
from pathlib import Path

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    request = bytearray(struct.pack("16sh22x", b"lo", 0))
    fcntl.ioctl(control, 0x8913, request)
    flags = struct.unpack_from("h", request, 16)[0] | 1
    fcntl.ioctl(control, 0x8914, struct.pack("16sh22x", b"lo", flags))
for address in (("1.1.1.1", 53), ("10.255.255.1", 80)):
    try:
        socket.create_connection(address, timeout=2)
        sys.exit("there is a network after all")
    except OSError as error:
        assert error.errno in (101, 113), error

import httpx

from evaluate.compare import run_comparison
from evaluate.plan import Plan
from recipes.export.targets import export_run
from recipes.recipe.schema import load_recipe
from studio.engines import jobs
from studio.serving import server
from studio.stub.endpoint import serve_in_thread
from synth.build import build_dataset
from synth.workspace import Workspace
from tests.tiny import tiny_llama

root = Path(sys.argv[1])
place = Workspace(root / "ws")
base = tiny_llama(root / "base")
settings = {"train": 24, "val": 4, "test": 6, "test_ood": 4}
build_dataset("math", settings, "sums", place)
recipe = load_recipe({"base_model": str(base), "dataset": "sums", "max_steps": 3, "torch_compile": "off", "lora_r": 4})
run = jobs.start_training(place, recipe, "tuned")
ended = jobs.follow(run, lambda event: None)
assert ended.verdict == "done", (ended, jobs.log_tail(run))
with serve_in_thread() as stub:
    systems = [
        {"id": "large", "kind": "endpoint", "model": "m", "base_url": stub.base_url},
        {"id": "small", "model": str(base), "adapter": "tuned", "max_new_tokens": 8},
    ]
    plan = Plan.model_validate({"dataset": "sums", "systems": systems, "small": "small", "large": "large"})
    report = run_comparison(plan, place, comparison_id="c")
for to in ("merged", "adapter"):
    export_run("tuned", place.runs, root / to, to)

import subprocess

command = server.command(8599)
ui = subprocess.Popen(command, env=server.environment(place))
try:
    for _ in range(200):
        try:
            pages = [httpx.get(f"http://127.0.0.1:8599/{page}").status_code for page in ("", "runs", "compare")]
            break
        except httpx.TransportError:
            time.sleep(0.2)
finally:
    ui.terminate()
    ui.wait(10)
print(json.dumps({"pages": pages, "report": report.is_file(), "merged": (root / "merged/manifest.json").is_file()}))
"""


def can_unshare() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_everything_but_endpoints_works_without_any_network(tmp_path: Path) -> None:
    if not can_unshare():
        pytest.skip("this system lets nobody make a network namespace (unshare --net)")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    env["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-c", JOURNEY, str(tmp_path)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"pages": [200, 200, 200], "report": True, "merged": True}
