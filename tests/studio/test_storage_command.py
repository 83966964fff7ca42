from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.cli import app
from synth import bucket as buckets
from synth.bucket import Bucket, address
from synth.build import build_dataset
from synth.dataset import DatasetDir
from synth.errors import StorageError
from synth.jobdir import JobDir
from synth.published import Item
from synth.shared import Shared, working_copy
from synth.workspace import Workspace, resolve_workspace
from tests import spare
from tests.s3_server import Fault, S3Server, s3_server

SMALL = {"train": 6, "val": 2, "test": 2}
BOXES = Item("datasets", "boxes")


@pytest.fixture(scope="module")
def served() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def store(served: S3Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty bucket."""
    served.faults.clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", served.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(buckets, "BROKEN_PAUSE_SEC", 0.05)
    monkeypatch.setattr(buckets, "RETRIES", 3)
    monkeypatch.setattr(buckets, "RETRY_SEC", 3.0)
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[-50:].strip("-")
    served.bucket(name)
    return f"s3://{name}/team"


def machine(tmp_path: Path, name: str) -> Workspace:
    return Workspace(tmp_path / name)


def made(place: Workspace, seed: int = 0, name: str = "boxes") -> DatasetDir:
    return build_dataset("urgency", {**SMALL, "seed": seed}, name, place)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != "lock"
    }


def manifests(served: S3Server, store: str) -> list[str]:
    keys = served.keys(address(store).bucket)
    return [key for key in keys if "/content/" not in key and not key.endswith("smolstudio.json")]


def sentence(error: pytest.ExceptionInfo[StorageError], code: str) -> str:
    assert error.value.code == code
    assert error.value.remedy
    return str(error.value)


def test_what_one_machine_publishes_another_fetches_byte_for_byte(store: str, tmp_path: Path) -> None:
    one, other = machine(tmp_path, "one"), machine(tmp_path, "other")
    dataset = made(one)
    shared = Shared(one, address(store))
    assert [shared.publish(BOXES), shared.publish(BOXES)] == ["published", "unchanged"]
    there = Shared(other, address(store))
    assert [there.fetch(BOXES), there.fetch(BOXES)] == ["fetched", "unchanged"]
    assert contents(other.datasets / "boxes") == contents(dataset.path)
    assert DatasetDir(other.datasets / "boxes").verify() == []


def test_of_two_machines_that_publish_one_name_at_once_one_wins_and_the_other_is_told(
    store: str, served: S3Server, tmp_path: Path
) -> None:
    machines = [machine(tmp_path, f"m{n}") for n in range(2)]
    for seed, place in enumerate(machines):
        made(place, seed)
    ready, ends = threading.Barrier(2), list[str]()

    def publish(place: Workspace) -> None:
        shared = Shared(place, address(store))
        enter = shared.bucket.create

        def together(key: str, data: bytes) -> str:
            if key == BOXES.key:
                ready.wait(20)  # both saw that the name was free
            return enter(key, data)

        shared.bucket.create = together  # type: ignore[method-assign]
        try:
            ends.append(shared.publish(BOXES))
        except StorageError as error:
            ends.append(f"{error.code}: {error}")

    threads = [threading.Thread(target=publish, args=(place,)) for place in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = next(end for end in ends if end != "published")
    assert sorted(ends) == sorted(["published", told])
    assert told.startswith("storage.conflict: datasets/boxes at ")
    assert "Both are kept." in told
    assert manifests(served, store) == ["team/datasets/boxes.json"]
    third = machine(tmp_path, "third")
    Shared(third, address(store)).fetch(BOXES)
    winner = machines[0] if contents(machines[0].datasets) == contents(third.datasets) else machines[1]
    assert contents(winner.datasets) == contents(third.datasets)


def test_a_change_goes_over_what_it_was_made_from_and_never_over_what_others_made(store: str, tmp_path: Path) -> None:
    one, other = machine(tmp_path, "one"), machine(tmp_path, "other")
    first, second = Shared(one, address(store)), Shared(other, address(store))
    dataset = made(one)
    first.publish(BOXES)
    second.fetch(BOXES)
    (dataset.path / "note.txt").write_text("of one")
    assert first.publish(BOXES) == "published"
    (other.datasets / "boxes" / "note.txt").write_text("of the other")
    with pytest.raises(StorageError) as refused:
        second.publish(BOXES)
    assert "--replace" in sentence(refused, "storage.conflict")
    with pytest.raises(StorageError) as refused:
        second.fetch(BOXES)
    sentence(refused, "storage.conflict")
    assert (other.datasets / "boxes" / "note.txt").read_text() == "of the other"
    assert second.fetch(BOXES, replace=True) == "fetched"
    assert contents(other.datasets / "boxes") == contents(dataset.path)
    (other.datasets / "boxes" / "note.txt").write_text("of the other, later")
    assert second.publish(BOXES) == "published"
    assert first.fetch(BOXES) == "fetched"  # nobody changed it here meanwhile
    assert (dataset.path / "note.txt").read_text() == "of the other, later"


@pytest.mark.parametrize("kind", ["503", "cut"])
def test_a_fault_that_passes_is_waited_out(kind: str, store: str, served: S3Server, tmp_path: Path) -> None:
    one = machine(tmp_path, "one")
    made(one)
    served.faults.append(Fault(kind, lambda method, path: method == "PUT", times=2))
    assert Shared(one, address(store)).publish(BOXES) == "published"


@pytest.mark.parametrize("kind", ["503", "cut"])
def test_an_upload_that_fails_leaves_nothing_to_be_seen_and_goes_on_later(
    kind: str, store: str, served: S3Server, tmp_path: Path
) -> None:
    one, other = machine(tmp_path, "one"), machine(tmp_path, "other")
    dataset = made(one)
    sent: list[str] = []

    def third(method: str, path: str) -> bool:
        if method == "PUT" and "/content/" in path:
            sent.append(path)
        return len(set(sent)) > 2 and method == "PUT" and "/content/" in path

    served.faults.append(Fault(kind, third))
    with pytest.raises(StorageError) as refused:
        Shared(one, address(store)).publish(BOXES)
    sentence(refused, "storage.unavailable")
    assert manifests(served, store) == []
    assert Shared(other, address(store)).listed() == {}
    served.faults.clear()
    assert Shared(one, address(store)).publish(BOXES) == "published"
    Shared(other, address(store)).fetch(BOXES)
    assert contents(other.datasets / "boxes") == contents(dataset.path)


@pytest.mark.parametrize("kind", ["503", "slow"])
def test_a_read_that_fails_leaves_no_half_of_a_folder(
    kind: str, store: str, served: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = machine(tmp_path, "one"), machine(tmp_path, "other")
    made(one)
    Shared(one, address(store)).publish(BOXES)
    monkeypatch.setattr(buckets, "TIMEOUT_SEC", 0.3)
    monkeypatch.setattr(buckets, "RETRIES", 1)
    served.faults.append(Fault(kind, lambda method, path: method == "GET" and "/content/" in path, seconds=1.0))
    with pytest.raises(StorageError) as refused:
        Shared(other, address(store)).fetch(BOXES)
    sentence(refused, "storage.unavailable")
    assert list(other.datasets.iterdir()) == []
    served.faults.clear()
    assert Shared(other, address(store)).fetch(BOXES) == "fetched"


def test_a_damaged_object_is_not_taken_for_what_was_published(store: str, served: S3Server, tmp_path: Path) -> None:
    one, other = machine(tmp_path, "one"), machine(tmp_path, "other")
    made(one)
    shared = Shared(one, address(store))
    shared.publish(BOXES)
    file = next(file for file in shared.manifest(BOXES)[0].files if file.path == "train.jsonl")
    shared.bucket.put(file.key, b"x" * file.bytes)
    with pytest.raises(StorageError) as refused:
        Shared(other, address(store)).fetch(BOXES)
    assert "train.jsonl" in sentence(refused, "storage.damaged")
    assert list(other.datasets.iterdir()) == []


@pytest.mark.parametrize("path", ["../outside", "/etc/outside", "a/../../outside", "C:/outside"])
def test_a_manifest_writes_nothing_outside_its_folder(path: str, store: str, tmp_path: Path) -> None:
    other = machine(tmp_path, "other")
    file = {"path": path, "sha256": "0" * 64, "bytes": 0}
    Bucket(address(store)).put(BOXES.key, json.dumps({"format": 1, "files": [file]}).encode())
    with pytest.raises(StorageError) as refused:
        Shared(other, address(store)).fetch(BOXES)
    sentence(refused, "storage.damaged")


def test_a_store_that_ignores_conditions_is_refused(store: str, served: S3Server, tmp_path: Path) -> None:
    made(machine(tmp_path, "one"))
    served.faults.append(Fault("unconditional", lambda method, path: method == "PUT"))
    with pytest.raises(StorageError) as refused:
        Shared(machine(tmp_path, "one"), address(store)).publish(BOXES)
    sentence(refused, "storage.unconditional")
    assert manifests(served, store) == []


def test_a_bucket_that_is_missing_and_keys_that_are_missing_are_named(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(machine(tmp_path, "one"))
    with pytest.raises(StorageError) as refused:
        Shared(machine(tmp_path, "one"), address("s3://not-there/x")).publish(BOXES)
    assert "no bucket 'not-there'" in sentence(refused, "storage.bucket")
    with pytest.raises(StorageError) as refused:
        Shared(machine(tmp_path, "one"), address("s3://not-there/x")).listed()
    sentence(refused, "storage.bucket")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with pytest.raises(StorageError) as refused:
        Bucket(address(store))
    assert "AWS_ACCESS_KEY_ID" in sentence(refused, "storage.credentials")
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert Bucket(address(store)).tags("datasets") == {}


def test_a_store_that_nobody_answers_for_is_one_sentence(
    store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(buckets, "RETRIES", 0)
    with pytest.raises(StorageError) as refused:
        Shared(machine(tmp_path, "one"), address(store)).listed()
    sentence(refused, "storage.unavailable")


@pytest.mark.parametrize("text", ["s3://", "s3://UPPER/x", "s3://team/../x", "gs://team/x", "s3:team"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(StorageError) as refused:
        address(text)
    sentence(refused, "storage.address")


def test_an_address_is_never_taken_for_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMOLSTUDIO_HOME", "s3://team/models")
    with pytest.raises(StorageError) as refused:
        resolve_workspace()
    sentence(refused, "storage.address")


def test_a_run_that_is_being_written_is_not_published_and_one_that_ended_is_without_its_checkpoints(
    store: str, served: S3Server, tmp_path: Path
) -> None:
    one, other = machine(tmp_path, "one"), machine(tmp_path, "other")
    run, item = JobDir(one.runs / "r1"), Item("runs", "r1")
    for file in ("recipe.yaml", "adapter/weights", "checkpoints/step-1/state", "worker.log"):
        (run.path / file).parent.mkdir(parents=True, exist_ok=True)
        (run.path / file).write_text(file)
    shared = Shared(one, address(store))
    with run.hold():
        with pytest.raises(StorageError) as refused:
            shared.publish(item)
        sentence(refused, "storage.busy")
        run.finish("stopped")
    assert shared.publish(item) == "published"
    assert "checkpoints/step-1/state" in {file.path for file in shared.manifest(item)[0].files}
    with run.hold():
        run.finish("done")
    assert shared.publish(item) == "published"
    Shared(other, address(store)).fetch(item)
    assert set(contents(other.runs / "r1")) == {"recipe.yaml", "adapter/weights", "exit.json"}
    assert JobDir(other.runs / "r1").status() == "done"


def test_what_is_asked_for_and_not_there_is_named(store: str, tmp_path: Path) -> None:
    one = machine(tmp_path, "one")
    made(one)
    shared = Shared(one, address(store))
    assert shared.find("boxes", shared.here()) == BOXES == shared.find("datasets/boxes", shared.here())
    with pytest.raises(StorageError) as refused:
        shared.find("dataset/boxes", shared.here())
    assert "did you mean 'datasets/boxes'" in sentence(refused, "storage.unknown")
    with pytest.raises(StorageError, match="did you mean 'boxes'"):
        shared.find("boxs", shared.here())


def test_a_workspace_fetches_what_is_new_and_publishes_what_it_made_and_leaves_deleted_things_alone(
    store: str, tmp_path: Path
) -> None:
    one, other = (Shared(machine(tmp_path, name), address(store)) for name in ("one", "other"))
    said: list[str] = []
    made(one.workspace)
    one.publish_made(said.append)
    other.fetch_new(said.append)
    assert said == [f"Published datasets/boxes to {store}.", f"Fetched datasets/boxes from {store}."]
    shutil.rmtree(other.workspace.datasets / "boxes")
    made(other.workspace, name="more")
    for shared in (other, one):
        shared.fetch_new(said.append)
        shared.publish_made(said.append)
    assert said[2:] == [f"Published datasets/more to {store}.", f"Fetched datasets/more from {store}."]
    assert not (other.workspace.datasets / "boxes").exists()
    assert other.fetch(BOXES) == "fetched"


def test_a_large_file_is_sent_in_parts_and_read_in_parts(store: str, served: S3Server, tmp_path: Path) -> None:
    one, other = machine(tmp_path, "one"), machine(tmp_path, "other")
    weights = made(one).path / "weights"
    weights.write_bytes(bytes(range(256)) * (9 << 12))
    served.faults.append(Fault("cut", lambda method, path: method == "PUT" and "/content/" in path, times=2))
    Shared(one, address(store)).publish(BOXES)
    assert ("POST", f"/{address(store).bucket}/team/content") in {
        (method, path.rpartition("/content/")[0] + "/content") for method, path in served.seen
    }
    Shared(other, address(store)).fetch(BOXES)
    assert (other.datasets / "boxes" / "weights").read_bytes() == weights.read_bytes()


def test_what_cannot_be_shared_is_named(store: str, tmp_path: Path) -> None:
    one = machine(tmp_path, "one")
    folder, shared = made(one).path, Shared(one, address(store))
    (folder / "away").symlink_to(tmp_path)
    with pytest.raises(StorageError) as refused:
        shared.publish(BOXES)
    sentence(refused, "storage.link")
    (folder / "away").unlink()
    (folder / "back\\slash").write_text("x")
    with pytest.raises(StorageError) as refused:
        shared.publish(BOXES)
    sentence(refused, "storage.name")
    assert shared.listed() == {}


def test_a_manifest_of_a_newer_version_is_refused(store: str, tmp_path: Path) -> None:
    Bucket(address(store)).put(BOXES.key, b'{"format": 2, "files": []}')
    with pytest.raises(StorageError) as refused:
        Shared(machine(tmp_path, "one"), address(store)).fetch(BOXES)
    sentence(refused, "storage.newer")


def test_rights_that_do_not_suffice_are_a_sentence(store: str, served: S3Server, tmp_path: Path) -> None:
    served.faults.append(Fault("403", lambda method, path: True))
    with pytest.raises(StorageError) as refused:
        Shared(machine(tmp_path, "one"), address(store)).listed()
    sentence(refused, "storage.refused")


def test_settings_that_the_client_does_not_know_are_a_sentence(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CHECKSUM_ALGORITHM", "rot13")
    with pytest.raises(StorageError) as refused:
        Bucket(address(store))
    sentence(refused, "storage.settings")


def smolstudio(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "XDG_DATA_HOME": str(home)}
    return spare.run([sys.executable, "-P", "-m", "studio", *words], env=env)


@pytest.mark.slow
def test_the_command_works_at_an_address_as_it_does_in_a_folder(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_here = smolstudio(
        "synth", "urgency", "train=6", "val=2", "test=2", "-n", "boxes", "-w", store, home=tmp_path / "home1"
    )
    assert made_here.returncode == 0, made_here.stderr
    assert f"Published datasets/boxes to {store}." in made_here.stderr
    read_there = smolstudio("data", "list", "-w", store, home=tmp_path / "home2")
    assert "boxes" in read_there.stdout
    assert f"Fetched datasets/boxes from {store}." in read_there.stderr
    app(["storage", "list", store], standalone_mode=False)
    assert "datasets/boxes" in capsys.readouterr().out
    app(["storage", "pull", store, "boxes"], standalone_mode=False)
    assert capsys.readouterr().out == "datasets/boxes: fetched\n"
    app(["storage", "push", store], standalone_mode=False)
    assert capsys.readouterr().out == "datasets/boxes: unchanged\n"
    assert not Path("s3:").exists()


def test_each_address_has_its_own_working_copy(store: str, tmp_path: Path) -> None:
    assert working_copy(address(store)).path.is_relative_to(tmp_path / "data" / "smolstudio")
    assert working_copy(address(store)) != working_copy(address(f"{store}2"))


def test_what_is_damaged_there_is_mended_by_publishing_it_again(store: str, tmp_path: Path) -> None:
    one, other = machine(tmp_path, "one"), machine(tmp_path, "other")
    made(one)
    shared = Shared(one, address(store))
    shared.publish(BOXES)
    file = next(file for file in shared.manifest(BOXES)[0].files if file.path == "train.jsonl")
    for damaged, data in ((file.key, b"x" * file.bytes), (file.key, b"x"), (BOXES.key, b"{")):
        shared.bucket.put(damaged, data)
        with pytest.raises(StorageError) as refused:
            Shared(other, address(store)).fetch(BOXES)
        assert "--replace" in sentence(refused, "storage.damaged")
        assert shared.publish(BOXES, replace=True) == "published"
    assert Shared(other, address(store)).fetch(BOXES) == "fetched"
    assert contents(other.datasets / "boxes") == contents(one.datasets / "boxes")


@pytest.mark.parametrize(
    "key", ["datasets/readme.txt", "datasets/datasets/x.json", "runs/-.json", "datasets/none.json"]
)
def test_what_others_put_there_keeps_nothing_away(key: str, store: str, tmp_path: Path) -> None:
    one, other = (Shared(machine(tmp_path, name), address(store)) for name in ("one", "other"))
    made(one.workspace, name="rows")
    one.bucket.put(key, b"{}")
    one.publish(Item("datasets", "rows"))
    said: list[str] = []
    other.fetch_new(said.append)
    assert said[-1] == f"Fetched datasets/rows from {store}."
    others = [line for line in said if line.startswith("Not fetched: The manifest of datasets/none cannot be read")]
    assert len(others) == len(said) - 1 == (key == "datasets/none.json")


def test_a_conflict_keeps_no_other_folder_away(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (Shared(machine(tmp_path, name), address(store)) for name in ("one", "other"))
    made(one.workspace)
    made(one.workspace, name="rows")
    made(other.workspace, seed=1)
    one.publish_made(print)
    said: list[str] = []
    other.fetch_new(said.append)
    assert said[0].startswith("Not fetched: datasets/boxes") and said[1].startswith("Fetched datasets/rows")
    shutil.rmtree(other.workspace.datasets / "rows")
    with pytest.raises(StorageError) as refused:
        app(["storage", "pull", store, "-w", str(other.workspace.path)], standalone_mode=False)
    sentence(refused, "storage.conflict")
    assert "datasets/rows: fetched" in capsys.readouterr().out


@pytest.mark.parametrize(
    "changed",
    [
        lambda files: [],
        lambda files: [file for file in files if file["path"] != "dataset.json"],
        lambda files: [*files, files[0]],
        lambda files: [*files, {**files[0], "path": f"{files[0]['path']}/x"}],
        *(lambda files, path=path: [*files, {**files[0], "path": path}] for path in (".", "a/./b", "lock", ".x.tmp")),
        lambda files: [*files[1:], {**files[0], "bytes": -1}],
        lambda files: [*files[1:], {**files[0], "bytes": 10**15}],
    ],
)
def test_a_manifest_that_lies_makes_no_folder(changed: Callable[[Any], Any], store: str, tmp_path: Path) -> None:
    one, other = (Shared(machine(tmp_path, name), address(store)) for name in ("one", "other"))
    made(one.workspace)
    one.publish(BOXES)
    manifest = json.loads(one.bucket.read(BOXES.key).data)
    one.bucket.put(BOXES.key, json.dumps({**manifest, "files": changed(manifest["files"])}).encode())
    with pytest.raises(StorageError) as refused:
        other.fetch(BOXES)
    sentence(refused, "storage.damaged")
    assert not (other.workspace.datasets / "boxes").exists()
