"""What the doctor concludes from what it was told: clocks, versions, what trading needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetkit.config import AgentConfig
from fleetkit.doctor.notebooks import SAFE, notebook_advice
from fleetkit.doctor.readiness import Known, margin_mode, stops_unit, trading_needs
from fleetkit.doctor.timekeeping import Timekeeping, clock_advice, timekeeping
from fleetkit.model import (
    AccountReading,
    Binding,
    Breaker,
    Capabilities,
    MarginMode,
    StopsUnit,
)

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
ATHENS = ZoneInfo("Europe/Athens")


def known(
    said: datetime | None, zone: str | None = None, date_skew_s: float | None = None
) -> Timekeeping:
    """Of an agent that was asked at `NOW` and took 0.2 s."""
    read_as = said
    if said is not None and said.tzinfo is None:
        read_as = said.replace(tzinfo=UTC if zone is None else ZoneInfo(zone))
    return timekeeping(
        said, read_as, zone=zone, date_skew_s=date_skew_s, asked_at=NOW, latency_s=0.2
    )


def test_a_time_with_an_offset_tells_the_clock_alone() -> None:
    """To a tenth of a second, better than the header, whatever zone it is written in."""
    late = (NOW + timedelta(seconds=90.1)).astimezone(ATHENS)
    found = known(late, date_skew_s=91.0)
    assert found.skew_s == pytest.approx(90.0)
    assert found.evidence == "time with an offset in /health"
    assert "off by about 90 s" in (clock_advice(found, None) or "")


def test_within_the_time_an_answer_took_a_clock_is_right() -> None:
    """Somewhere between question and answer it looked at its clock."""
    for early_s in (0.0, 0.1, 0.2):
        assert known(NOW + timedelta(seconds=early_s)).skew_s == 0.0


def test_a_naive_time_that_is_hours_ahead_is_a_zone() -> None:
    """The header says that the clock is right, so the wall time tells the zone."""
    wall = (NOW + timedelta(hours=2)).replace(tzinfo=None)
    found = known(wall, date_skew_s=0.0)
    assert found == Timekeeping(0.0, "Date header, whole seconds", pytest.approx(7199.9))
    assert clock_advice(found, None) == "Its times run at UTC+2 h: set `time_zone` for this agent."
    assert "runs +2 h from the configured Europe/Paris" in (
        clock_advice(found, "Europe/Paris") or ""
    )


def test_a_wrong_clock_in_a_known_zone_is_a_wrong_clock() -> None:
    """Also where it is off by exactly an hour: the header is in UTC."""
    wall = (NOW + timedelta(hours=1)).astimezone(ATHENS).replace(tzinfo=None)
    found = known(wall, "Europe/Athens", date_skew_s=3600.0)
    assert "off by about 3600 s" in (clock_advice(found, "Europe/Athens") or "")


def test_a_naive_time_without_a_header_is_weaker_evidence_and_says_so() -> None:
    """Clock and zone cannot be told apart; the words say what was assumed."""
    wall = NOW.astimezone(ATHENS).replace(tzinfo=None)
    assert known(wall).evidence == "naive time in /health, zone assumed UTC"
    assert "UTC+2 h" in (clock_advice(known(wall), None) or "")
    sure = known(wall, "Europe/Athens")
    assert sure.evidence == "naive time in /health, zone Europe/Athens as configured"
    assert clock_advice(sure, "Europe/Athens") is None
    assert known(None) == Timekeeping(None, None, None)
    assert clock_advice(known(None), None) is None


@given(skew_s=st.floats(-1e6, 1e6), zone_h=st.integers(-12, 14), has_date=st.booleans())
def test_a_clock_that_is_off_never_goes_unsaid(skew_s: float, zone_h: int, has_date: bool) -> None:
    """More than a few seconds are always worth a sentence, whatever the zone is."""
    wall = (NOW + timedelta(seconds=skew_s + 0.1, hours=zone_h)).replace(tzinfo=None)
    found = known(wall, date_skew_s=skew_s if has_date else None)
    if abs(skew_s) > 6 and (has_date or abs(skew_s + zone_h * 3600) > 6):
        assert clock_advice(found, None) is not None


# The notebook server


def installed(**versions: str) -> Any:
    def version(package: str) -> str:
        if package not in versions:
            raise PackageNotFoundError(package)
        return versions[package]

    return version


@pytest.mark.parametrize(
    ("lab", "is_safe"),
    [
        ("4.6.6", True),
        ("4.6.10", True),
        ("4.5.11", True),
        ("5.0.0", True),
        ("4.6.5", False),
        ("4.6.6rc1", False),
        ("4.6.0", False),
        ("4.5.10", False),
        ("4.4.10", False),
        ("3.6.8", False),
        ("nonsense", False),
    ],
)
def test_versions_known_to_be_safe(lab: str, is_safe: bool) -> None:
    """The mended version of each line, and everything newer than the newest one."""
    said = notebook_advice(installed(jupyterlab=lab))
    assert (said == []) == is_safe
    if not is_safe:
        assert said == [
            f"jupyterlab {lab} has known security holes: pip install --upgrade 'jupyterlab>=4.6.6'."
        ]


def test_what_is_not_installed_is_not_mentioned() -> None:
    """A kernel without a server of its own has nothing to upgrade."""
    assert notebook_advice(installed()) == []
    (said,) = notebook_advice(installed(jupyter_server="2.20.0"))
    assert "jupyter_server>=2.21.0" in said


def test_the_lab_extra_asks_for_a_safe_one() -> None:
    """What fleetkit itself installs is not what its doctor warns of."""
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"jupyterlab>={SAFE["jupyterlab"][-1]}"' in project
    assert f'"jupyter_server>={SAFE["jupyter_server"][-1]}"' in project


# What trading needs

READY: dict[str, Any] = {
    "healthy": True,
    "binding": Binding.CONFIGURED,
    "breaker": Breaker.CLOSED,
    "stops": Known("price", "configured"),
    "margin": Known("hedging", "advertised"),
    "reading": AccountReading(account=7, balance=1.0, trade_allowed=True, login_ok=True),
    "is_network_fs": False,
}


def test_an_agent_that_is_ready_needs_nothing() -> None:
    """A confirmed binding will do as well as a configured one."""
    assert trading_needs(**READY) == []
    assert trading_needs(**{**READY, "binding": Binding.CONFIRMED}) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"healthy": False}, "must answer and be connected"),
        ({"reading": None}, "must answer and be connected"),
        ({"binding": Binding.LEARNED}, "Set `account`"),
        ({"binding": Binding.CONFLICT}, "Set `account`"),
        ({"margin": Known(None, None)}, "Set `margin_mode`"),
        ({"margin": Known("netting", "configured", True)}, "the agent says the other"),
        ({"stops": Known("pips", "configured", True)}, "the agent says the other"),
        ({"stops": Known(None, None)}, "For orders with stops: set `stops_unit`"),
        ({"breaker": Breaker.OPEN}, "fleet.refresh(account)"),
        ({"is_network_fs": True}, "FLEETKIT_HOME"),
        (
            {"reading": AccountReading(account=7, balance=1.0, trade_allowed=False)},
            "does not allow trading",
        ),
        ({"reading": AccountReading(account=7, balance=1.0, login_ok=False)}, "not logged in"),
    ],
)
def test_each_missing_thing_has_its_sentence(change: dict[str, Any], sentence: str) -> None:
    """And nothing else is said."""
    (need,) = trading_needs(**{**READY, **change})
    assert sentence in need


def test_a_configured_word_wins_and_a_contradiction_is_seen() -> None:
    """The agent's own word serves where nothing is configured."""
    extended = Capabilities(api="1.1", stops_unit=StopsUnit.PRICE)
    reading = AccountReading(account=7, balance=1.0, margin_mode=MarginMode.NETTING)

    def agent(**more: Any) -> AgentConfig:
        return AgentConfig(name="a", url="http://127.0.0.1:1", **more)

    assert stops_unit(agent(), None) == Known(None, None)
    assert stops_unit(agent(), extended) == Known("price", "advertised")
    assert stops_unit(agent(stops_unit=StopsUnit.PIPS), None) == Known("pips", "configured")
    assert stops_unit(agent(stops_unit=StopsUnit.PIPS), extended) == Known(
        "pips", "configured", True
    )
    assert stops_unit(agent(stops_unit=StopsUnit.PRICE), extended).conflict is False
    assert margin_mode(agent(), reading) == Known("netting", "advertised")
    assert margin_mode(agent(margin_mode=MarginMode.HEDGING), reading).conflict
