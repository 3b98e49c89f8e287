"""Several kernels on one store: what one of them says of an account, the others show."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager

import pytest

import fleetkit as fk
from tests.support.agents import Reply
from tests.support.bodies import account_body

KERNEL = """
import json, sys
import fleetkit as fk
fleet = fk.connect(json.loads(sys.argv[1]))
first, second = (int(number) for number in sys.argv[2:4])
print("ready", flush=True)
"""
OBEY = """
for line in sys.stdin:
    print(repr(eval(line)), flush=True)
"""
LABEL_FOR_EVER = """
for number in range(1_000_000):
    fleet.set_phase(first, f"p{number}")
    print(number, flush=True)
"""


@pytest.fixture
def agents(serve):
    return serve(2)


@contextmanager
def kernel(agents, script):
    """Another process with a fleet over the same agents and the same store."""
    arguments = [json.dumps(agents.config()), *map(str, agents.numbers)]
    process = subprocess.Popen(
        [sys.executable, "-c", KERNEL + script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def ask(process, expression):
    process.stdin.write(expression + "\n")
    process.stdin.flush()
    return eval(process.stdout.readline())


def test_a_label_of_one_kernel_is_in_the_others_next_frame(agents, connect):
    """Without a request, both ways, from the snapshot and from the loop."""
    fleet = connect(agents.config())
    first, second = agents.numbers
    with kernel(agents, OBEY) as other:
        fleet.accounts(), fleet.accounts()
        ask(other, "len(fleet.accounts())")
        agents.forget_requests()

        ask(other, "fleet.set_phase(first, 'F2')")
        assert fleet.accounts().loc[first, "phase"] == "F2"
        ask(other, "fleet.set_vs_group(second, 'left')")
        assert fleet.account(second).vs_group == "left"
        assert fleet.labels()["vs_group"].to_dict() == {first: "", second: "left"}

        fleet.set_phase(second, "WIN")
        assert ask(other, "fleet.accounts()['phase'].tolist()") == ["F2", "WIN"]
        fleet.load_labels({first: "left"}, field="vs_group")
        with pytest.raises(fk.LabelError, match="already pairs accounts"):
            fleet.load_labels({second + 1: "left"}, field="vs_group")
        assert agents.count() == 0


def test_labels_survive_a_killed_kernel(agents, connect):
    """Each label whose call returned is there, and the store still works."""
    with kernel(agents, LABEL_FOR_EVER) as other:
        acknowledged = [int(other.stdout.readline()) for _ in range(50)]
        other.kill()
        acknowledged += [int(line) for line in other.stdout if line.endswith("\n")]
    fleet = connect(agents.config())
    (phase,) = fleet.labels()["phase"]
    assert int(phase[1:]) - acknowledged[-1] in (0, 1)
    fleet.set_phase(agents.numbers[0], "after")
    assert fleet.accounts()["phase"].tolist() == ["after", "F1"]


def test_a_binding_one_kernel_learned_is_the_next_ones(agents, connect):
    """Another process meets the cross-wired agent with what this one knows."""
    with kernel(agents, OBEY) as other:
        assert ask(other, "len(fleet.accounts())") == 2
    agents[0].always("/accounts", Reply(account_body(5)))
    frame = connect(agents.config()).accounts()
    assert frame["status"].tolist() == ["wrong_account", "connected"]
