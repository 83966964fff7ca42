"""Training one starter with several processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, os
import torch
from recipes.starters.making.team import join

team = join()
weight = torch.nn.Parameter(torch.zeros(2, 2))
weight.grad = torch.full((2, 2), float(1 + 2 * team.rank))
unused = torch.nn.Parameter(torch.zeros(3))
team.average([weight, unused])
agreed = [team.agree(7 if team.leads else 9), team.agree(None if team.leads else 9)]
line = json.dumps({"mean": weight.grad.flatten().tolist(), "agreed": agreed}) + "\\n"
os.write(1, line.encode())  # whole: both processes write to one pipe
"""


@pytest.mark.slow
def test_two_processes_average_their_gradients_and_follow_the_leader(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(launch, capture_output=True, text=True, timeout=180, check=True)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert said == [{"mean": [2.0] * 4, "agreed": [7, None]}] * 2
