"""Build the wheel and the sdist, install them where no checkout is, and use them: `python tests/faults/fresh.py`.

    --python python3.12     another interpreter; its libraries are then fetched from the package index (gigabytes)
    --borrow                install no libraries, read those of this interpreter (same Python version only)
    --sdist                 install from the sdist instead of the wheel

What is tried, in a folder of its own: doctor, generation, two steps of training, the first page of the studio; the same
as a user without rights, and under a umask that lets everybody write, or nobody read. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
PAGE_SEC = 120.0
ROWS = ["train=16", "val=2", "test=2", "test_ood=2"]
STEPS = ["optim.max_steps=2", "optim.per_device_train_batch_size=4", "optim.torch_compile=off"]


class Done(NamedTuple):
    """What a command said, and how it ended."""

    code: int
    said: str


def build(folder: Path) -> tuple[Path, Path]:
    """(wheel, sdist) of the checkout, made in `folder`."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


def install(package: Path, python: str, folder: Path, borrow: bool) -> Path:
    """A fresh environment with the package in it; returns its folder of commands."""
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin/pip"), "install", "-q", "--disable-pip-version-check"]
    if borrow:
        site = next(folder.glob("lib/python*/site-packages"))
        (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", str(package)], check=True)
    else:
        constraints = str(ROOT / "constraints.txt")
        subprocess.run([*pip, "-c", constraints, f"{package}[all]"], check=True)
    return folder / "bin"


class Place:
    """A user's folder, and how the user's commands are run there."""

    def __init__(self, commands: Path, folder: Path, umask: int = 0o022, user: int | None = None) -> None:
        folder.mkdir()
        folder.chmod(0o755)
        self.commands, self.folder, self.umask, self.user = commands, folder, umask, user
        if user is not None:
            os.chown(folder, user, user)
        hidden = ("PYTHONPATH", "SMOLSTUDIO_HOME", "SMOLSTUDIO_MODELS", "VIRTUAL_ENV")
        kept = {key: value for key, value in os.environ.items() if key not in hidden}
        self.environment = {**kept, "HOME": str(folder), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        """`smolstudio …` as this user."""
        rights = {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}
        return subprocess.Popen(
            [str(self.commands / "smolstudio"), *arguments], cwd=self.folder, env=self.environment, umask=self.umask,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **rights, **more,
        )  # fmt: skip

    def run(self, *arguments: str) -> Done:
        """The same, to its end."""
        process = self.start(*arguments)
        said = process.communicate(timeout=600)[0]
        return Done(process.returncode, said)

    def first_page(self) -> str:
        """The studio's first page, as a browser gets it before any script runs."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        served = self.start("ui", "--port", str(port))
        try:
            deadline = time.monotonic() + PAGE_SEC
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
                        return str(page.read().decode())
                except OSError:
                    if served.poll() is not None or time.monotonic() > deadline:
                        raise
                    time.sleep(0.2)
        finally:
            served.terminate()
            served.wait(20)


def use(place: Place, train: bool) -> dict[str, Any]:
    """What a newcomer does, and how each of it ended."""
    found: dict[str, Any] = {}
    steps = {"doctor": ("doctor",), "synth": ("synth", "math", "-n", "d", *ROWS), "show": ("data", "show", "d")}
    if train:
        steps["train"] = ("train", "starter-text-sft", "data.dataset=d", *STEPS)
    for name, arguments in steps.items():
        done = place.run(*arguments)
        found[name] = "ok" if done.code == 0 else f"exit {done.code}: {done.said[-400:]}"
        if "Traceback" in done.said:
            found[name] = f"traceback: {done.said[-600:]}"
    page = place.first_page()
    found["page"] = "ok" if "<html" in page and "streamlit" in page.lower() else f"odd: {page[:200]}"
    return found


def open_to_all(folder: Path) -> list[str]:
    """Files below that everybody may write."""
    return [str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file() and f.stat().st_mode & 0o002]


def campaign(python: str, borrow: bool, sdist: bool, root: Path, train: bool = True) -> dict[str, Any]:
    """Everything above with one interpreter; `root` is an empty folder that other users may enter."""
    root.chmod(0o755)
    (root / "dist").mkdir()
    wheel, archive = build(root / "dist")
    commands = install(archive if sdist else wheel, python, root / "venv", borrow)
    version = subprocess.run(
        [str(commands / "python"), "-V"], capture_output=True, text=True, check=True
    ).stdout.strip()
    found: dict[str, Any] = {"python": version, "from": "sdist" if sdist else "wheel"}
    found["plain"] = use(Place(commands, root / "plain"), train)
    found["umask 0"] = use(Place(commands, root / "open", umask=0), False)
    found["open to all"] = open_to_all(root / "open")
    if os.getuid() == 0 and not _hidden(commands / "python"):
        found["nobody"] = use(Place(commands, root / "nobody", user=NOBODY), train)
        closed = Place(commands, root / "closed", umask=0o777, user=NOBODY)
        done = closed.run("synth", "math", "-n", "d", *ROWS)
        found["nobody, umask 0777"] = f"exit {done.code}: {done.said.strip().splitlines()[-1] if done.said else ''}"
        if "Traceback" in done.said:
            found["nobody, umask 0777"] = f"traceback: {done.said[-600:]}"
    return found


def _hidden(program: Path) -> bool:
    """Whether others may not run it, because it lies in somebody's home."""
    return any(not folder.stat().st_mode & 0o001 for folder in program.resolve().parents)


def main() -> int:
    """Entry point; exit code 1 when anything did not work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--borrow", action="store_true")
    parser.add_argument("--sdist", action="store_true")
    parser.add_argument("--keep", type=Path, help="folder to work in, which stays")
    chosen = parser.parse_args()
    root = chosen.keep or Path(tempfile.mkdtemp(prefix="smolstudio-fresh-"))
    root.mkdir(parents=True, exist_ok=True)
    try:
        found = campaign(chosen.python, chosen.borrow, chosen.sdist, root)
    finally:
        if not chosen.keep:
            shutil.rmtree(root, ignore_errors=True)
    print(json.dumps(found, indent=1))
    return 0 if all(value == "ok" for key in ("plain", "umask 0") for value in found[key].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
