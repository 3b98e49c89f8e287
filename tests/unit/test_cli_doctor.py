"""``fleetkit doctor``: a table, what to do in sentences, and an exit status that says it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from fleetkit import frames, sim
from fleetkit.cli import main
from fleetkit.sim import Faults


@pytest.fixture(scope="module")
def process() -> Iterator[sim.SimProcess]:
    """Four agents of our own kind."""
    with sim.SimProcess.start(accounts=4, seed=7, layer="extended") as started:
        yield started


@pytest.fixture
def agents(process: sim.SimProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[sim.SimProcess]:
    """The same four, healthy, as the fleet that the environment names."""
    agents = [{key: agent[key] for key in ("name", "url", "account")} for agent in process.agents]
    monkeypatch.setenv("FLEETKIT_AGENTS_JSON", json.dumps(agents))
    monkeypatch.setenv("COLUMNS", "110")
    process.faults.clear()
    yield process
    process.faults.clear()


def test_a_healthy_fleet(agents, capfd, nothing_left_behind) -> None:
    """Nothing to do: exit status 0, one row an agent, and nothing is missing for trading."""
    assert main(["doctor"]) == 0
    said = capfd.readouterr()
    heading, _, *rows = said.out.splitlines()
    assert heading.split()[:3] == ["agent", "account", "status"]
    assert len(rows) == 4
    assert all("extended" in row for row in rows)
    assert [line for line in said.err.splitlines() if "jupyter" not in line] == []


def test_what_is_wrong_is_said_in_sentences(agents, capfd) -> None:
    """The first thing to do for each agent, and what trading needs, once for all alike."""
    agents.faults[7_100_001] = Faults(refuse=True)
    agents.faults[7_100_002] = Faults(disconnected=True)
    agents.faults[7_100_003] = Faults(disconnected=True)
    assert main(["doctor"]) == 3
    said = capfd.readouterr().err.splitlines()
    (offline,) = [line for line in said if "Check that the VPS is up" in line]
    assert offline.startswith("fleetkit: vps")
    assert sum("fleet.reconnect(account)" in line for line in said) == 2
    needs = [line for line in said if line.startswith("fleetkit: before trading")]
    assert sum(line.count("vps") for line in needs) == 3
    assert len(needs) == 2  # those that answered need the same


def test_every_column_for_programs(agents, capfd) -> None:
    """JSON has what the frame has."""
    assert main(["doctor", "--format", "json"]) == 0
    rows = json.loads(capfd.readouterr().out)
    assert list(rows[0]) == ["agent", *frames.DOCTOR.names]
    assert {row["margin_mode_source"] for row in rows} == {"advertised"}
