"""The limit of open files is raised to what a fleet needs, or the fleet is told it cannot fit."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fleetkit.config import fit_open_files
from fleetkit.errors import ConfigError


class Limits:
    """Limits of a system that exists on paper."""

    def __init__(self, soft, hard, refuses=False):
        self.soft, self.hard, self.refuses = soft, hard, refuses
        self.raised = []

    def read(self):
        return self.soft, self.hard

    def raise_to(self, soft):
        if self.refuses:
            raise ValueError("current limit exceeds maximum limit")
        self.raised.append(soft)


def test_a_limit_that_suffices_is_left_alone():
    """It is only ever raised, and only when needed."""
    limits = Limits(1024, 4096)
    assert fit_open_files(69, 69, limits=limits) == 1024
    assert limits.raised == []


@pytest.mark.parametrize("hard", [4096, None])
def test_a_soft_limit_is_raised_to_the_need(hard):
    """Connections, and what the kernel itself has open."""
    limits = Limits(256, hard)
    assert fit_open_files(1000, 1500, limits=limits) == 1756
    assert limits.raised == [1756]


def test_unlimited_needs_nothing():
    """No limit, no need to set one."""
    limits = Limits(None, None)
    assert fit_open_files(10_000, 10_000, limits=limits) is None
    assert limits.raised == []


@pytest.mark.parametrize("limits", [Limits(256, 1024), Limits(256, None, refuses=True)])
def test_a_fleet_that_cannot_fit_says_so(limits):
    """With the number it needs, the number there is, and what to do."""
    with pytest.raises(ConfigError, match=r"1,000 agents needs 1,256 open files") as caught:
        fit_open_files(1000, 1000, limits=limits)
    assert "ulimit -Hn" in str(caught.value)
    assert limits.raised == []


PROBE = """
import resource
from fleetkit.config import fit_open_files
from fleetkit.errors import ConfigError
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 600))
print(fit_open_files(200, 200), *resource.getrlimit(resource.RLIMIT_NOFILE))
try:
    fit_open_files(400, 400)
except ConfigError as error:
    print(type(error).__name__)
"""


def test_the_limit_of_a_real_process_is_raised():
    """In a process of its own, because a lowered hard limit never comes back."""
    run = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.split() == ["456", "456", "600", "ConfigError"]
