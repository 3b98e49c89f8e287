"""Fixtures of every test: a store of its own, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.leftovers import Leftovers
from tests.support.recorded_comms import RecordedFront


@pytest.fixture(autouse=True)
def fleetkit_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a store of its own, and no fleet from outside."""
    home = tmp_path / "fleetkit-home"
    monkeypatch.setenv("FLEETKIT_HOME", str(home))
    monkeypatch.delenv("FLEETKIT_AGENTS_JSON", raising=False)
    return home


@pytest.fixture
def nothing_left_behind() -> Iterator[None]:
    """No thread, socket or task of the client outlives the test."""
    before = Leftovers.now()
    yield
    Leftovers.check(before)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority that no system trusts."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch) -> RecordedFront:
    """A front end that records what widgets send."""
    return RecordedFront.instead(monkeypatch)
