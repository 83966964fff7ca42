"""Training one starter with several processes."""

import json
import subprocess
import sys

import pytest

from tests import spare
from tests.rank import launched_env

PROGRAM = """
import json
import torch
from recipes.starters.making.team import join

team = join()
weight = torch.nn.Parameter(torch.zeros(2, 2))
weight.grad = torch.full((2, 2), float(1 + 2 * team.rank))
unused = torch.nn.Parameter(torch.zeros(3))
team.average([weight, unused])
agreed = [team.agree(7 if team.leads else 9), team.agree(None if team.leads else 9)]
print(json.dumps({"mean": weight.grad.flatten().tolist(), "agreed": agreed}))
"""


@pytest.mark.slow
def test_two_processes_average_their_gradients_and_follow_the_leader() -> None:
    python = [sys.executable, "-P", "-c", PROGRAM]
    both = [spare.fork(python, env=env, stdout=subprocess.PIPE) for env in launched_env(2)]
    said = [json.loads(one.communicate(180)[0]) for one in both]
    assert said == [{"mean": [2.0] * 4, "agreed": [7, None]}] * 2
