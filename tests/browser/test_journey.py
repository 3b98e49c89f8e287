"""The control panel's notebook from the first cell to the halt, in a real browser.

With FLEETKIT_SCREENSHOTS set to a folder, its pictures are those of the README.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from fleetkit.sim import SimProcess
from fleetkit.sim.faults import Faults, Latency
from tests.support.jupyter_servers import ROOT

pytestmark = pytest.mark.timeout(240)
FIRST = 7100001
LOSE = "fleet.demo.faults[7100001] = fk.sim.Faults(lost_answer=True, routes=('open',))"
BLIND = (
    "fleet.demo.faults[7100001] = "
    "fk.sim.Faults(routes=('positions', 'trade_history'), status_code=500)"
)
HEAL = "fleet.demo.faults.clear()"
COUNT = "print('executed', [len(fleet.demo.executed(n)) for n in (7100001, 7100002)])"
STATE = "print('journal', fleet.orders()['outcome'].astype(str).value_counts().to_dict())"
HANG = "fleet.demo.faults[7100005] = fk.sim.Faults(hang=True)"


def picture(page, name, tmp_path):
    folder = Path(os.environ.get("FLEETKIT_SCREENSHOTS") or tmp_path)
    page.locator(".fleetkit-panel").first.screenshot(path=folder / f"{name}.png")


def shown_notebook(server):
    """The shipped notebook's cells, and some of ours that break things."""
    shipped = json.loads((ROOT / "notebooks" / "03_control_panel.ipynb").read_text())
    code = ["".join(c["source"]) for c in shipped["cells"] if c["cell_type"] == "code"]
    return [*code[:2], LOSE, BLIND, HEAL, COUNT, STATE, HANG]


@pytest.fixture
def opened(lab, new_page):
    """The notebook in JupyterLab, its panel shown."""
    lab.write("journey.ipynb", shown_notebook(lab))
    page = new_page(1400, 1100)
    notebook = lab.open(page, "journey.ipynb")
    page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    notebook.run(0)
    notebook.run(1)
    expect(page.get_by_text("69 of 69 live")).to_be_visible()
    yield notebook
    notebook.command("kernelmenu:shutdown")


def press(page, name):
    page.get_by_role("button", name=re.compile(name)).locator("visible=true").first.click()


def tab(page, name):
    page.get_by_role("tab", name=name).click()


def table(page, label):
    return page.get_by_role("grid", name=label).locator("visible=true")


def choose_accounts(page, *numbers):
    grid = table(page, "Accounts")
    for place, number in enumerate(numbers):
        modifiers = ["Control"] if place else []
        grid.get_by_role("row").filter(has_text=str(number)).click(modifiers=modifiers)


def test_the_whole_journey_in_jupyterlab(opened, tmp_path):
    """Sort, filter, select, refresh, watch, trade, lose an answer, reconcile, halt."""
    page = opened.page
    grid = table(page, "Accounts")
    grid.get_by_role("columnheader", name="pnl", exact=True).get_by_role("button").click()
    first = grid.locator(".fks-row:visible").first
    sorted_by = grid.get_by_role("columnheader", name=re.compile("^pnl[▴▾]?$"))
    expect(sorted_by).to_have_attribute("aria-sort", "ascending")
    expect(first).to_contain_text("-")
    page.locator(".fks-filter:visible").fill("phase:F1 pnl<0 open:yes")
    expect(page.get_by_text("of 69 shown")).to_be_visible()
    page.locator(".fks-filter:visible").fill("")
    grid.get_by_role("columnheader", name=re.compile("^account")).get_by_role("button").click()
    choose_accounts(page, FIRST, FIRST + 1)
    picture(page, "accounts", tmp_path)

    tab(page, "Refresh")
    opened.run_to_its_end(7)  # one agent hangs from here on
    press(page, "Refresh all")
    expect(page.get_by_text(re.compile("does not answer, asked"))).to_be_visible()
    expect(page.get_by_text("68 of 69")).to_be_visible()
    picture(page, "watch", tmp_path)
    opened.run_to_its_end(4)
    expect(page.get_by_text(re.compile("69 refreshed in|68 refreshed in"))).to_be_visible()

    tab(page, "Trade")
    page.get_by_role("textbox", name="symbol").fill("EURUSD")
    page.get_by_role("textbox", name="lots").fill("0.02")
    page.get_by_role("textbox", name="stop loss").fill("60")
    expect(page.get_by_text(re.compile(r"bid 1\.\d+"))).to_be_visible()
    press(page, "Review")
    expect(table(page, "What would be sent")).to_contain_text("refused")
    press(page, "Arm")
    expect(page.locator(".fks-badge").first).to_contain_text("ARMED")
    press(page, "Review")
    expect(page.get_by_text("2 orders to confirm within")).to_be_visible()
    page.wait_for_timeout(600)  # to read it
    picture(page, "ticket", tmp_path)
    page.get_by_role("button", name="Send 2 orders").dblclick()
    expect(
        table(page, "Receipts").get_by_role("gridcell", name="filled", exact=True)
    ).to_have_count(2)
    assert "executed [1, 1]" in opened.run_to_its_end(5)

    opened.run_to_its_end(2)
    page.get_by_role("textbox", name="lots").fill("0.01")
    tab(page, "Accounts")
    choose_accounts(page, FIRST)
    tab(page, "Trade")
    press(page, "Review")
    expect(page.get_by_text("1 order to confirm within")).to_be_visible()
    page.wait_for_timeout(600)
    press(page, "Send 1")
    expect(
        table(page, "Receipts").get_by_role("gridcell", name="unknown", exact=True)
    ).to_be_visible()
    opened.run_to_its_end(4)
    press(page, "Reconcile")
    expect(
        table(page, "Receipts").get_by_role("gridcell", name="filled", exact=True)
    ).to_have_count(3)
    assert "executed [2, 1]" in opened.run_to_its_end(5)
    assert "{'filled': 3}" in opened.run_to_its_end(6)

    tab(page, "Positions")
    expect(table(page, "Open positions").locator(".fks-row:visible").first).to_be_visible()
    press(page, "Halt")
    expect(page.locator(".fks-badge").first).to_have_text("HALTED")
    tab(page, "Health")
    expect(table(page, "Journal of orders").locator(".fks-row:visible")).to_have_count(3)
    press(page, "Ask the doctor")
    expect(table(page, "The doctor").locator(".fks-row:visible").first).to_be_visible()
    tab(page, "Results")
    press(page, "Read 90 days")
    expect(page.locator(".fks-picture svg").first).to_be_visible()
    page.wait_for_timeout(500)
    picture(page, "results", tmp_path)


def test_an_interrupt_loses_no_receipt(opened):
    """The order goes on to its end, whatever the kernel is told meanwhile."""
    page = opened.page
    choose_accounts(page, FIRST)
    tab(page, "Trade")
    page.get_by_role("textbox", name="symbol").fill("EURUSD")
    page.get_by_role("textbox", name="lots").fill("0.02")
    press(page, "Arm")
    expect(page.locator(".fks-badge").first).to_contain_text("ARMED")
    press(page, "Review")
    expect(page.get_by_text("1 order to confirm within")).to_be_visible()
    page.wait_for_timeout(600)
    press(page, "Send 1")
    opened.command("notebook:interrupt-kernel")
    expect(
        table(page, "Receipts").get_by_role("gridcell", name="filled", exact=True)
    ).to_be_visible()
    opened.wait_ready()
    assert "executed [1, 0]" in opened.run_to_its_end(5)
    assert "{'filled': 1}" in opened.run_to_its_end(6)


def test_a_kernel_that_is_restarted_in_mid_order_finds_it_again(lab, new_page):
    """The next kernel's panel knows the order, settles it from evidence, and it was sent once."""
    with SimProcess.start(accounts=2, seed=7) as agents:
        listed = [dict(agent, time_zone="UTC", stops_unit="price") for agent in agents.agents]
        show = f"import fleetkit as fk\nfleet = fk.connect({listed!r})\nfleet.panel()"
        lab.write("restart.ipynb", [show])
        page = new_page(1400, 1100)
        notebook = lab.open(page, "restart.ipynb")
        notebook.run(0)
        expect(page.get_by_text("2 of 2 live")).to_be_visible()
        choose_accounts(page, FIRST)
        tab(page, "Trade")
        page.get_by_role("textbox", name="symbol").fill("EURUSD")
        page.get_by_role("textbox", name="lots").fill("0.02")
        press(page, "Arm")
        expect(page.locator(".fks-badge").first).to_contain_text("ARMED")
        agents.faults[FIRST] = Faults(routes=("open",), latency=Latency.fixed(2000))
        press(page, "Review")
        expect(page.get_by_text("1 order to confirm within")).to_be_visible()
        page.wait_for_timeout(600)
        press(page, "Send 1")
        expect(page.get_by_text("each order goes out once")).to_be_visible()
        notebook.restart()
        agents.faults.clear()
        notebook.run(0)
        expect(page.get_by_text("2 of 2 live")).to_be_visible()
        tab(page, "Health")
        cell = table(page, "Journal of orders").get_by_role("gridcell", name="filled", exact=True)
        expect(cell).to_be_visible(timeout=90_000)
        assert len(agents.persons.executed(FIRST)) == 1
        notebook.command("kernelmenu:shutdown")


def test_two_tabs_are_one_ticket(lab, opened, new_page):
    """What one tab reviewed the other may confirm; both at once come to one order."""
    page = opened.page
    choose_accounts(page, FIRST)
    tab(page, "Trade")
    page.get_by_role("textbox", name="symbol").fill("EURUSD")
    page.get_by_role("textbox", name="lots").fill("0.02")
    press(page, "Arm")
    expect(page.locator(".fks-badge").first).to_contain_text("ARMED")
    opened.save()
    other = new_page(1400, 1100)
    second = lab.open(other, "journey.ipynb")
    tab(other, "Trade")
    expect(other.get_by_role("textbox", name="symbol")).to_have_value("EURUSD")
    press(page, "Review")
    for each in (page, other):
        expect(each.get_by_role("button", name="Send 1 order")).to_be_enabled()
    page.wait_for_timeout(600)
    for each in (page, other, page, other):
        # A click that waits for nothing: the button may be disabled by then.
        each.get_by_role("button", name=re.compile("^.?\\W*Send")).last.dispatch_event("click")
    for each in (page, other):
        expect(
            table(each, "Receipts").get_by_role("gridcell", name="filled", exact=True)
        ).to_have_count(1)
    second.page.close()
    assert "executed [1, 0]" in opened.run_to_its_end(5)


def test_notebook_7_shows_it_too(notebook7, new_page):
    """The shorter journey: all cells, select, halt, dark."""
    notebook7.write("journey.ipynb", shown_notebook(notebook7)[:2])
    page = new_page(1200, 900, color_scheme="dark")
    notebook = notebook7.open(page, "journey.ipynb")
    notebook.run_all()
    expect(page.get_by_text("69 of 69 live")).to_be_visible()
    choose_accounts(page, FIRST)
    tab(page, "Trade")
    expect(page.get_by_text("1 account", exact=True)).to_be_visible()
    press(page, "Halt")
    expect(page.locator(".fks-badge").first).to_have_text("HALTED")
    notebook.command("kernelmenu:shutdown")


def test_voila_serves_it_as_an_app(voila, new_page):
    """No code, no request that leaves this machine; the panel lives."""
    page = new_page(1200, 900)
    page.goto(voila.url)
    expect(page.get_by_text("69 of 69 live")).to_be_visible(timeout=60_000)
    assert page.locator("text=import fleetkit").count() == 0
    choose_accounts(page, FIRST)
    tab(page, "Trade")
    expect(page.get_by_text("1 account", exact=True)).to_be_visible()
    press(page, "Halt")
    expect(page.locator(".fks-badge").first).to_have_text("HALTED")
