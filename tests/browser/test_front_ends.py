"""Panels in JupyterLab 4 and Notebook 7: what a front end does to them, and they to it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.support.jupyter_servers import TOKEN

DEMO = "import fleetkit as fk\nfleet = fk.demo(accounts=9, seed=7)"
SHOW = "panel = fk.panels.accounts(fleet)\npanel"
COUNT = "import comm\nprint('comms', len(comm.get_comm_manager().comms), panel.hub)"
BLOCK = "import time\nfor _ in range(3):\n    fleet.refresh()\n    time.sleep(1)"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(params=["lab", "notebook7"])
def server(request):
    """Each of the two."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def opened(server, new_page):
    """The accounts panel of nine accounts, shown."""
    server.write("panel.ipynb", [DEMO, SHOW, COUNT, BLOCK])
    page = new_page()
    notebook = server.open(page, "panel.ipynb")
    notebook.run(0)
    notebook.run(1)
    expect(page.get_by_text("9 of 9 live")).to_be_visible()
    yield notebook
    if not page.is_closed() and page.url != "about:blank":
        notebook.command("kernelmenu:shutdown")


def test_a_cell_that_is_run_again_leaves_no_comm_behind(opened):
    """The panel of the run before is closed: comms and panels stay as many as they were."""
    before = opened.run_to_its_end(2)
    for _ in range(2):
        opened.run(1)
        expect(opened.page.get_by_text("9 of 9 live")).to_be_visible()
        opened.wait_ready()
    after = opened.run_to_its_end(2)
    numbers = [re.findall(r"comms (\d+) <Hub (\d+) panels", text)[0] for text in (before, after)]
    assert numbers[0] == numbers[1]


def test_keys_pressed_in_a_panel_stay_there(opened):
    """In command mode x cuts a cell and b adds one; not from a control of the panel."""
    page, cells = opened.page, opened.cells()
    opened.activate(1)
    for control in (
        page.locator(".fks-grid").first,
        page.get_by_role("button", name="Refresh all"),
        page.get_by_role("button", name="Halt"),
    ):
        control.focus()
        for key in ("x", "b", "a", "d", "d", "Shift+Enter", "Control+Enter"):
            page.keyboard.press(key)
    page.wait_for_timeout(300)  # a shortcut would have come through by then
    assert opened.cells() == cells


def test_updates_arrive_while_a_cell_blocks(opened):
    """The kernel is busy for three seconds, and the ages in the table start anew meanwhile."""
    page = opened.page
    page.wait_for_function(
        "() => [...document.querySelectorAll('.fks-row:not([hidden]) .fks-is-age')]"
        ".some(cell => parseInt(cell.textContent) >= 2)"
    )
    opened.run(3)
    page.wait_for_function(
        """() => {
            const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
            const ages = [...document.querySelectorAll('.fks-row:not([hidden]) .fks-is-age')];
            return kernel.status === 'busy' && ages.every(cell => parseInt(cell.textContent) < 2);
        }"""
    )
    opened.wait_ready()


def test_a_page_that_is_loaded_again_shows_the_panel_again(opened):
    """The kernel lives on, and so does the panel."""
    opened.save()
    opened.page.reload()
    opened.wait_ready()
    expect(opened.page.get_by_text("9 of 9 live")).to_be_visible()
    expect(opened.page.locator(".fks-row")).to_have_count(9)


def test_a_saved_notebook_has_a_note_and_no_figures(server, opened, new_page):
    """Without the kernel the note is read, not "Error displaying widget"."""
    saved = opened.save()
    text = str(saved)
    for secret in ("71000", "Tidewater", "READ ONLY", "48,646"):
        assert secret not in text, secret
    assert "widgets" not in saved["metadata"]
    opened.command("kernelmenu:shutdown")
    opened.page.goto("about:blank")
    again = new_page(expected="widget model not found")  # what the note stands in for
    folder = "lab/tree" if server.is_lab else "notebooks"
    again.goto(f"http://127.0.0.1:{server.port}/{folder}/panel.ipynb?token={TOKEN}&reset")
    expect(again.get_by_text("This panel shows live figures")).to_be_visible()
    again.wait_for_timeout(3000)  # as long as the front end looks for the widget
    expect(again.get_by_text("Error displaying widget")).to_be_hidden()
