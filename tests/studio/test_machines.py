"""Machines that train one run meet before they begin: a missing one is named in a sentence, and so is a strange one."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from pathlib import Path

import filled
import pytest
from typer.testing import CliRunner

from recipes.__main__ import CODES
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from studio.cli import app
from studio.engines import launched, machines
from studio.engines.launched import Launch
from synth.errors import RecipeError, RunError
from synth.workspace import Workspace
from tests.ports import free_port


@pytest.fixture
def launch() -> Launch:
    return Launch(num_processes=3, num_machines=3, main_process_port=free_port())


def met(launch: Launch, marks: dict[int, str]) -> dict[int, str]:
    """What each machine that comes is told, "" where it may begin."""
    said = {}

    def come(rank: int) -> None:
        try:
            machines.meet(launch.model_copy(update={"machine_rank": rank}).place, marks[rank])
            said[rank] = ""
        except RunError as error:
            said[rank] = str(error)

    threads = [threading.Thread(target=come, args=(rank,)) for rank in marks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


def test_machines_begin_when_all_are_there_in_whatever_order_they_came(launch: Launch) -> None:
    assert met(launch, {2: "same", 0: "same", 1: "same"}) == {0: "", 1: "", 2: ""}
    with socket.create_server(("127.0.0.1", launch.main_process_port)):
        pass  # the port is free for those who train


def test_a_machine_that_does_not_come_is_named_to_all_within_the_time(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert machines.MEET_SEC < 30
    monkeypatch.setattr(machines, "MEET_SEC", 1.0)
    began = time.monotonic()
    said = met(launch, {0: "same", 1: "same"})
    assert time.monotonic() - began < 5
    assert all("Machine 2 of 3 did not come to 127.0.0.1:" in one and "nothing began" in one for one in said.values())
    alone = met(launch, {1: "same"})
    assert "The first machine was not at 127.0.0.1:" in alone[1]


def test_a_machine_that_would_train_something_else_is_sent_away(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "MEET_SEC", 2.0)
    said = met(launch, {0: "same", 1: "other", 2: "same"})
    assert "The first machine trains something else" in said[1]
    assert "Machine 1 of 3 did not come" in said[0]


def test_an_address_of_another_machine_is_refused(launch: Launch) -> None:
    with pytest.raises(RunError, match=r"This machine cannot listen at 192\.0\.2\.1:"):
        machines.meet(launch.model_copy(update={"main_process_ip": "192.0.2.1"}).place, "")


def test_a_run_that_the_first_machine_never_made_is_told(
    workspace: Workspace, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "MEET_SEC", 0.3)
    filled.dataset(workspace)
    recipe = load_recipe("starter-text-sft", ["data.dataset=invoices"])
    second = launch.model_copy(update={"machine_rank": 1})
    with pytest.raises(RunError, match="The first machine did not make never in this workspace"):
        launched.take_part(Run(workspace.runs / "never"), recipe, second)
    made = Run.create(workspace, recipe, "made")
    launched.choose(made, launch)
    other = load_recipe("starter-text-sft", ["data.dataset=invoices", "seed=7"])
    with pytest.raises(RunError, match="made of the first machine has other settings"):
        launched.take_part(made, other, second)
    with pytest.raises(RecipeError, match="There is no machine 3"):
        launched.check(recipe, launch.model_copy(update={"machine_rank": 3}))
    with pytest.raises(RecipeError, match="3 processes cannot be shared out evenly over 2 machines"):
        launched.check(recipe, launch.model_copy(update={"num_machines": 2}))


def test_a_run_whose_other_machine_did_not_come_ends_with_that_sentence_and_can_be_resumed(
    workspace: Workspace, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "MEET_SEC", 0.3)
    filled.dataset(workspace)
    run = Run.create(workspace, load_recipe("starter-text-sft", ["data.dataset=invoices"]), "shared")
    assert launched._supervise(run, launch, ()) == CODES["failed"]
    ended = run.exit()
    assert ended and ended.code == machines.MISSING and "Machines 1, 2 of 3 did not come" in ended.sentence
    assert run.status() == "failed" and not run.resume_blocker()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--num-machines", "2"], "Several machines need --engine accelerate"),
        (
            ["--engine", "accelerate", "--num-processes", "2", "--num-machines", "2"],
            "Several machines need a name for their run, and the address of the first",
        ),
    ],
)
def test_a_command_for_several_machines_says_what_it_lacks(workspace: Workspace, words: list[str], said: str) -> None:
    found = CliRunner().invoke(app, ["train", "starter-text-sft", *words])
    assert said in " ".join(str(found.exception or found.output).split())


def test_accelerate_is_told_which_machine_this_is(tmp_path: Path, launch: Launch) -> None:
    words = launched.command(tmp_path, launch.model_copy(update={"machine_rank": 2}), ())
    given = dict(itertools.pairwise(words))
    assert (given["--num_machines"], given["--machine_rank"], given["--main_process_ip"]) == ("3", "2", "127.0.0.1")
    assert given["--main_process_port"] == str(launch.main_process_port)
