"""One suite for every kind of agent: base over HTTP/1.1, extended over TLS and HTTP/2.

Each is served by the simulator on real sockets, healthy and with every fault that it
can have. What holds for one must hold for the other; what only one of them knows is
said in so many words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest

import fleetkit as fk
from fleetkit.sim import Faults, Latency, SimProcess

ACCOUNTS = 5
SICK = 7_100_003  # whose agent gets the faults; the others must not notice


@dataclass(frozen=True)
class Kind:
    """How the agents of a fleet are served."""

    name: str
    started: dict[str, Any]
    http_version: str

    @property
    def is_extended(self) -> bool:
        return self.name != "base"


BASE = Kind("base", {"layer": "base"}, "HTTP/1.1")
PLAIN = Kind("extended", {"layer": "extended"}, "HTTP/1.1")
SECURE = Kind("secure", {"layer": "extended", "tls": True}, "HTTP/2")
KINDS = (BASE, PLAIN, SECURE)


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture(scope="module")
def served(kind: Kind) -> Iterator[SimProcess]:
    with SimProcess.start(accounts=ACCOUNTS, seed=7, keep_alive_s=60, **kind.started) as process:
        yield process


@pytest.fixture
def fleet(served: SimProcess, tmp_path, nothing_left_behind) -> Iterator[fk.Fleet]:
    """A fleet that gives up after a second, of agents that are healthy at first."""
    served.faults.clear()
    with fk.connect(
        [dict(agent, time_zone="UTC") for agent in served.agents],
        home=tmp_path,
        timeouts=fk.Timeouts(read_deadline_s=2.0, history_deadline_s=5.0),
        recovery=fk.RecoveryPolicy(enabled=False),
        breaker=fk.BreakerPolicy(failures=1000),
    ) as connected:
        yield connected
    served.faults.clear()


def test_what_every_agent_tells(kind: Kind, fleet: fk.Fleet) -> None:
    """Accounts, positions, trades and quotes, over the HTTP version that was meant."""
    accounts = fleet.accounts(strict=True)
    assert accounts["status"].tolist() == ["connected"] * ACCOUNTS
    assert accounts["balance"].notna().all()
    assert len(fleet.positions()) > 0
    trades = fleet.trades(days=90)
    assert len(trades) > 100
    quote = fleet.quote(SICK, "EURUSD")
    assert quote.ask > quote.bid
    assert set(fleet.agents()["http_version"]) == {kind.http_version}


def test_what_only_extended_agents_tell(kind: Kind, fleet: fk.Fleet) -> None:
    """Equity, margin, swap, fee, deals and symbols are there or missing, never zero."""
    accounts = fleet.accounts()
    trades = fleet.trades(days=300)
    extended = kind.is_extended
    for column in ("equity", "margin", "margin_free", "currency", "leverage", "server"):
        assert accounts[column].notna().all() == extended, column
    for column in ("swap", "fee"):
        assert trades[column].notna().all() == extended, column
    assert fleet.doctor()["layer"].tolist() == ["extended" if extended else "base"] * ACCOUNTS
    if extended:
        assert len(fleet.deals(days=300)) > 2 * len(trades)
        assert fleet.symbol(SICK, "EURUSD").digits == 5
        return
    with pytest.raises(fk.PartialResult, match="base layer") as caught:
        fleet.deals()
    assert caught.value.missing == accounts.index.tolist()
    with pytest.raises(fk.NotSupported):
        fleet.symbol(SICK, "EURUSD")


READ_FAULTS: dict[str, tuple[Faults, str]] = {
    "hang": (Faults(hang=True), "timeout"),
    "disconnected": (Faults(disconnected=True), "disconnected"),
    "another account": (Faults(answers_account=7_100_001), "wrong_account"),
    "a stranger's account": (Faults(answers_account=7_199_999), "wrong_account"),
    "refuse": (Faults(refuse=True), "offline"),
    "500": (Faults(status_code=500), "error"),
    "a redirect": (Faults(status_code=302), "error"),
    "a proxy's page": (Faults(html_error=True), "error"),
    "cut off": (Faults(malformed_json=True), "error"),
    "wrong types": (Faults(wrong_types=True), "error"),
    "missing fields": (Faults(missing_fields=True), "error"),
    "trickling": (Faults(slow_body_bytes_per_s=20), "timeout"),
    "reset": (Faults(reset_in_body=True), "error"),
}


@pytest.mark.parametrize("name", READ_FAULTS)
def test_one_bad_agent_is_one_bad_row(name: str, served: SimProcess, fleet: fk.Fleet) -> None:
    """Marked, with a sentence and the last good figures; the others are live; it comes back."""
    faults, status = READ_FAULTS[name]
    good = fleet.accounts(strict=True)
    served.faults[SICK] = faults
    frame = fleet.refresh()
    others = frame.drop(index=SICK)
    assert others["source"].tolist() == ["live"] * (ACCOUNTS - 1)
    assert (frame.loc[SICK, "status"], frame.loc[SICK, "source"]) == (status, "stale")
    assert frame.loc[SICK, "error"].endswith((".", ")", "given")) or frame.loc[SICK, "error"]
    assert frame["balance"].equals(good["balance"])
    assert frame.attrs["missing"] == [SICK]
    served.faults.clear()
    assert fleet.refresh()["source"].tolist() == ["live"] * ACCOUNTS


HARMLESS: dict[str, Faults] = {
    "slow": Faults(latency=Latency.fixed(120)),
    "a list": Faults(shape="list"),
    "an envelope": Faults(shape="envelope"),
    "a clock that is off": Faults(clock_skew_s=3600.0),
    "a broker in Athens": Faults(broker_zone="Europe/Athens"),
    "old": Faults(no_health_route=True),
    "idle connections are cut": Faults(idle_cut_s=0.05),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_does_no_harm(name: str, served: SimProcess, fleet: fk.Fleet) -> None:
    """Rows are live, figures the same, three times in a row."""
    good = fleet.accounts(strict=True)
    served.faults[SICK] = HARMLESS[name]
    for _ in range(3):
        frame = fleet.refresh()
        assert frame["source"].tolist() == ["live"] * ACCOUNTS, frame["error"].dropna().tolist()
        assert frame["balance"].equals(good["balance"])


def test_vanished_positions_are_missing_not_flat(served: SimProcess, fleet: fk.Fleet) -> None:
    """An agent that lies about its positions on the base layer is not believed (T2)."""
    rows = fleet.positions()
    held = rows["account"].value_counts()
    victim = int(held.index[0])
    served.faults[victim] = Faults(empty_positions="zero")
    with pytest.raises(fk.PartialResult) as caught:
        fleet.positions(refresh=True)
    assert caught.value.missing == [victim]
    kept = fleet.positions(refresh=True, strict=False)
    assert (kept.loc[kept["account"] == victim, "source"] == "stale").all()
    assert len(kept[kept["account"] == victim]) == held.iloc[0]


def columns_of(frame: pd.DataFrame) -> list[str]:
    return [*frame.columns, *map(str, frame.dtypes)]


def test_frames_have_one_schema_whatever_the_agent(kind: Kind, fleet: fk.Fleet) -> None:
    """Columns and dtypes are those of the frame for no row."""
    from fleetkit import frames

    for frame, schema in (
        (fleet.accounts(), frames.ACCOUNTS),
        (fleet.positions(), frames.POSITIONS),
        (fleet.trades(), frames.TRADES),
    ):
        assert {name: frame[name].dtype for name in frame} == schema.dtypes
