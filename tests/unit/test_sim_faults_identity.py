"""Faults of identity and time over real sockets: tokens, roll-backs, clocks and zones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from fleetkit.agent.app import Layer
from fleetkit.errors import ConfigError, DemoError
from fleetkit.sim import Faults, SimProcess

FIRST, SECOND = 7_100_001, 7_100_002
SPRING = datetime(2026, 4, 17, tzinfo=UTC)  # Europe's clocks went forward on 29 March
WHOLE = "/trade-history?from_date=2025-06-01T00:00:00"


@pytest.fixture(scope="module")
def fleets() -> Iterator[dict[Layer, SimProcess]]:
    with (
        SimProcess.start(accounts=3, seed=7, start=SPRING) as base,
        SimProcess.start(accounts=3, seed=7, start=SPRING, layer="extended") as extended,
    ):
        yield {"base": base, "extended": extended}


@pytest.fixture(params=["base", "extended"])
def layer(request: pytest.FixtureRequest) -> Layer:
    chosen: Layer = request.param
    return chosen


@pytest.fixture
def demo(fleets: dict[Layer, SimProcess], layer: Layer) -> Iterator[SimProcess]:
    """A fleet of each layer, healthy before and after the test."""
    yield fleets[layer]
    fleets[layer].faults.clear()


@pytest.fixture
def extended(fleets: dict[Layer, SimProcess]) -> Iterator[SimProcess]:
    """A fleet of the extended layer."""
    yield fleets["extended"]
    fleets["extended"].faults.clear()


def get(demo: SimProcess, path: str, account: int = FIRST) -> httpx.Response:
    url = next(agent["url"] for agent in demo.agents if agent["account"] == account)
    return httpx.get(url + path, timeout=10)


def read(demo: SimProcess, path: str, account: int = FIRST) -> Any:
    reply = get(demo, path, account)
    assert reply.status_code == 200
    return reply.json()


@pytest.mark.parametrize(("token", "said"), [("wrong", None), ("expired", "The token expired")])
def test_a_token_that_is_not_taken(extended: SimProcess, token: Any, said: str | None) -> None:
    """401 for everything but /health, with the challenge of a bearer token."""
    extended.faults[FIRST] = Faults(token=token)
    for path in ("/accounts", "/positions", "/no-such-route"):
        reply = get(extended, path)
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"].startswith('Bearer realm="agent"')
        assert ("invalid_token" in reply.headers["www-authenticate"]) == (token == "expired")
        assert said is None or reply.json() == {"detail": said}
    assert get(extended, "/health").status_code == 200
    assert get(extended, "/accounts", SECOND).status_code == 200
    extended.faults[FIRST] = Faults(token=token, routes=("positions",))
    assert get(extended, "/accounts").status_code == 200


def test_a_rolled_back_agent(extended: SimProcess) -> None:
    """It answers as a base agent, until it is brought forward again."""
    before = read(extended, "/health")
    assert before["capabilities"]
    extended.faults[FIRST] = Faults(rolled_back=True)
    after = read(extended, "/health")
    assert sorted(after) == ["accounts_monitored", "mt5_initialized", "status", "timestamp"]
    for path in ("/deals", "/symbols/EURUSD", "/orders/01JK-test_0000000000000001"):
        assert get(extended, path).json() == {"detail": "Not Found"}
    assert len(read(extended, "/accounts")) == 10
    assert datetime.fromisoformat(read(extended, "/accounts")["last_updated"]).tzinfo is None
    url = extended.agents[0]["url"]
    order = {"symbol": "NOSUCH", "lot": 0.1, "order_type": "BUY"}
    refused = httpx.post(url + "/positions/open", json=order)
    assert (refused.status_code, list(refused.json())) == (400, ["detail"])
    extended.faults.clear(FIRST)
    assert read(extended, "/health")["capabilities"] == before["capabilities"]


def test_what_base_agents_do_not_have(fleets: dict[Layer, SimProcess]) -> None:
    """A sentence that says what to do, and nothing is set."""
    for faults in (Faults(token="wrong"), Faults(rolled_back=True)):
        with pytest.raises(DemoError, match=r'extended layer: say layer="extended"'):
            fleets["base"].faults[FIRST] = faults
        assert fleets["base"].faults[FIRST] == Faults()


@pytest.mark.parametrize("fault", ["certificate", "stream_limit", "slow_tls_s"])
def test_what_needs_tls(demo: SimProcess, fault: str) -> None:
    """Without TLS these faults would be silent; they are refused, for one agent and for all."""
    value: dict[str, Any] = {"certificate": "expired", "stream_limit": 3, "slow_tls_s": 1.0}
    with pytest.raises(DemoError, match=f"Faults.{fault} needs TLS: start the fleet with tls=True"):
        demo.faults.set(None, Faults(**{fault: value[fault]}))
    assert repr(demo.faults) == "<FaultControl 3 agents, none faulty>"


def test_what_needs_tls_from_the_start() -> None:
    """The same sentence where a fleet is to begin with it, and no process stays behind."""
    with pytest.raises(DemoError, match=r"Faults\.stream_limit needs TLS"):
        SimProcess.start(accounts=1, faults=Faults(stream_limit=1))


@pytest.mark.parametrize("skew_s", [-300.0, 7_200.0])
def test_a_machine_whose_clock_is_wrong(demo: SimProcess, skew_s: float) -> None:
    """The agent's times and the Date header are off together; what was booked is not."""
    booked = read(demo, WHOLE)["trades"]
    demo.faults[FIRST] = Faults(clock_skew_s=skew_s)
    reply = get(demo, "/health")
    assert reply.headers.get_list("date")[1:] == []
    now = datetime.now(UTC)  # noqa: TID251 - the other process has the real clock
    dates = [parsedate_to_datetime(reply.headers["date"])]
    dates += [moment(reply.json()["timestamp"])]
    dates += [moment(read(demo, "/accounts")["last_updated"])]
    dates += [moment(read(demo, "/quote/EURUSD")["timestamp"])]
    for date in dates:
        assert (date - now).total_seconds() == pytest.approx(skew_s, abs=5)
    healthy = parsedate_to_datetime(get(demo, "/health", SECOND).headers["date"])
    assert abs((healthy - now).total_seconds()) < 5
    assert read(demo, WHOLE)["trades"] == booked


def moment(text: str) -> datetime:
    said = datetime.fromisoformat(text)
    return said.replace(tzinfo=said.tzinfo or UTC)


def test_zones_with_daylight_saving(fleets: dict[Layer, SimProcess]) -> None:
    """A history crosses the change: two hours ahead in winter, three in summer (T7)."""
    demo = fleets["base"]
    plain = entries(demo)
    try:
        demo.faults[FIRST] = Faults(broker_zone="Europe/Athens")
        assert ahead(plain, entries(demo)) == {2.0, 3.0}
        demo.faults[FIRST] = Faults(machine_zone="Europe/London", zone_offset_s=-1_800)
        assert ahead(plain, entries(demo)) == {-0.5, 0.5}
        demo.faults[FIRST] = Faults(broker_zone="Europe/Athens", broker_offset_s=3_600)
        assert ahead(plain, entries(demo)) == {3.0, 4.0}
        demo.faults[FIRST] = Faults(machine_zone="Asia/Tokyo")
        skew = moment(read(demo, "/health")["timestamp"]) - moment(
            read(demo, "/health", SECOND)["timestamp"]
        )
        assert skew.total_seconds() == pytest.approx(9 * 3_600, abs=5)
    finally:
        demo.faults.clear()


def entries(demo: SimProcess) -> dict[int, datetime]:
    trades = read(demo, WHOLE)["trades"]
    return {trade["position_id"]: moment(trade["entry_time"]) for trade in trades}


def ahead(plain: dict[int, datetime], shifted: dict[int, datetime]) -> set[float]:
    assert plain.keys() == shifted.keys()
    return {(shifted[each] - plain[each]) / timedelta(hours=1) for each in plain}


def test_our_own_agent_writes_utc_in_every_zone(extended: SimProcess) -> None:
    """Only what it says about the broker's clock changes."""
    plain = entries(extended)
    extended.faults[FIRST] = Faults(broker_zone="Asia/Tokyo", machine_zone="America/New_York")
    assert entries(extended) == plain
    assert read(extended, "/health")["server_utc_offset_s"] == 9 * 3_600


def test_a_terminal_logged_into_another_account(extended: SimProcess) -> None:
    """`/health` says whose it is now, and so does everything else."""
    assert read(extended, "/health")["account_number"] == FIRST
    extended.faults[FIRST] = Faults(answers_account=SECOND)
    assert read(extended, "/health")["account_number"] == SECOND
    assert read(extended, "/deals")["deals"] == read(extended, "/deals", SECOND)["deals"]


def test_our_own_agents_keep_an_order_log(extended: SimProcess) -> None:
    """Each says so, and knows orders it never received."""
    assert "orders" in read(extended, "/health")["capabilities"]
    never = get(extended, "/orders/01JK-test_0000000000000001")
    assert (never.status_code, never.json()["status"]) == (404, "never_received")


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"broker_zone": "Europe/Atlantis"}, "IANA name"),
        ({"machine_zone": "../etc/passwd"}, "IANA name"),
        ({"clock_skew_s": 1e9}, "clock_skew_s"),
        ({"token": "stolen"}, "'wrong', 'expired'"),
        ({"goaway": True}, "'before', 'after'"),
        ({"certificate": "self_signed"}, "'untrusted'"),
        ({"foreign_trade": "same"}, "'identical', 'other'"),
        ({"stops_unit": "points"}, "'price', 'pips'"),
        ({"partial_fill": 1.0}, "a share of the volume from 0.01 to 0.99"),
        ({"late_execution_s": -1}, "seconds from 0"),
        ({"retcode": 42}, "from 10000 to 10999"),
        ({"executed_as_400": ""}, "the text of the answer"),
        ({"executed_as_400": 7}, "the text of the answer"),
        ({"idle_cut_s": 0}, "idle_cut_s"),
        ({"stream_limit": 0}, "streams from 1"),
        ({"slow_tls_s": -1}, "slow_tls_s"),
        ({"lost_answer": "yes"}, "True or False"),
    ],
)
def test_impossible_faults_say_what_is_allowed(faults: dict[str, Any], said: str) -> None:
    """Refused where they are made, with the field and what it may be."""
    with pytest.raises(ConfigError, match=said) as refused:
        Faults(**faults)
    assert f"Faults.{next(iter(faults))}" in str(refused.value)


def test_a_fault_can_be_seen_in_the_help() -> None:
    """Every field has a line of its own in the docstring, in its group."""
    text, fields = Faults.__doc__ or "", set(Faults.__struct_fields__)
    headings = [line.strip().split(", ") for line in text.splitlines()]
    assert {name for names in headings if set(names) <= fields for name in names} == fields
    groups = ["Data and replies", "Trades", "Identity and time", "Connections"]
    places = [text.index(f"**{group}**") for group in groups]
    assert places == sorted(places)
