"""Scripted agents and fleets connected to them, ended with the test."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

import fleetkit as fk
from tests.support.agents import served
from tests.support.fake_clock import FakeClock


@pytest.fixture
def ending(nothing_left_behind):
    """What is entered here is left when the test ends, newest first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def serve(ending):
    """``serve(69)`` → a `ScriptedFleet` of 69 agents."""
    return lambda agents=1, **more: ending.enter_context(served(agents, **more))


@pytest.fixture
def clock():
    """A clock that stands still until the test turns it."""
    return FakeClock()


@pytest.fixture
def connect(ending):
    """`fk.connect` without auto-recovery unless asked for; the fleet is closed with the test."""

    def connected(source, **settings):
        settings.setdefault("recovery", fk.RecoveryPolicy(enabled=False))
        return ending.enter_context(fk.connect(source, **settings))

    return connected
