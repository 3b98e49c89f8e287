"""A browser for all tests here, pages that may not misbehave, and servers started when needed.

The trap: while playwright's browser is open an event loop counts as running in this thread, and
`asyncio.run` of any other test refuses. So nothing here lives longer than this package.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.support.chromium import launched, well_behaved
from tests.support.jupyter_servers import ROOT, Lab, Voila

PATIENCE_MS = 20_000  # a busy machine takes its time to open a notebook; nobody waits for naught


@pytest.fixture(scope="package")
def browser():
    """The system's Chromium, one for the run."""
    expect.set_options(timeout=PATIENCE_MS)
    with launched() as started:
        yield started


@pytest.fixture
def new_page(browser):
    """``new_page(width, height)`` → a page; what it must not have done fails the test."""
    with well_behaved(browser) as make:
        yield make


@pytest.fixture(scope="package")
def lab(browser, tmp_path_factory):
    """JupyterLab 4."""
    server = Lab(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture(scope="package")
def notebook7(browser, tmp_path_factory):
    """Notebook 7."""
    server = Lab(tmp_path_factory.mktemp("notebook7"), "notebook")
    yield server
    server.stop()


@pytest.fixture(scope="package")
def voila(browser, tmp_path_factory):
    """Voila over the notebook of the control panel."""
    server = Voila(tmp_path_factory.mktemp("voila"), ROOT / "notebooks" / "03_control_panel.ipynb")
    yield server
    server.stop()
