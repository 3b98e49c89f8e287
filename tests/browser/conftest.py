"""A browser for all tests, pages that may not misbehave, and servers started when needed."""

from __future__ import annotations

import pytest

from tests.support.chromium import Conduct, launched
from tests.support.jupyter_servers import ROOT, Lab, Voila


@pytest.fixture(scope="session")
def browser():
    """The system's Chromium, one for the run."""
    with launched() as started:
        yield started


@pytest.fixture
def new_page(browser):
    """``new_page(width, height)`` → a page; what it must not have done fails the test."""
    opened = []

    def make(width=1500, height=950, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        page = context.new_page()
        page.set_default_timeout(30_000)
        opened.append((context, Conduct(page)))
        return page

    yield make
    complaints = [complaint for _, conduct in opened for complaint in conduct.complaints]
    for context, _ in opened:
        context.close()
    assert not complaints, complaints


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory):
    """JupyterLab 4."""
    server = Lab(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def notebook7(browser, tmp_path_factory):
    """Notebook 7."""
    server = Lab(tmp_path_factory.mktemp("notebook7"), "notebook")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def voila(browser, tmp_path_factory):
    """Voila over the notebook of the control panel."""
    server = Voila(tmp_path_factory.mktemp("voila"), ROOT / "notebooks" / "03_control_panel.ipynb")
    yield server
    server.stop()
