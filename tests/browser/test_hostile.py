"""A hostile fleet in a real JupyterLab: nothing it says is executed, and no layout breaks."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.support.agents import Reply, served
from tests.support.bodies import position, trade

pytestmark = pytest.mark.timeout(180)
HOSTILE = (
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "<svg/onload=window.hacked=1>",
    "\x1b[31mred\x1b[0m\x07",
    "\u202eevil\u202c\u2066",
    '"><b onmouseover=window.hacked=1>',
    "$\\frac{1}{2}$ {{7*7}} ${7*7}",
    "A" * 10_000,
)


def poison(agent, place):
    """Let everything that an agent may say be hostile."""
    text = HOSTILE[place % len(HOSTILE)]
    agent.account |= {"account_name": text, "account_holder": text, "prop_firm": text}
    agent.positions = [position(900 + place, symbol=text[:200], comment=text)]
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()  # noqa: TID251  # real agents' time
    agent.trades = [trade(100 + n, yesterday, symbol=text[:200]) for n in range(3)]


def test_nothing_hostile_is_executed_and_no_layout_breaks(lab, new_page, tmp_path):
    """Names, firms, symbols, comments, errors; through every tab, dark and light."""
    with served(len(HOSTILE)) as agents:
        for place, agent in enumerate(agents):
            poison(agent, place)
        listed = agents.configured(time_zone="UTC")
        show = f"import fleetkit as fk\nfleet = fk.connect({listed!r})\nfleet.panel()"
        lab.write("hostile.ipynb", [show])
        page = new_page(1400, 1000)
        notebook = lab.open(page, "hostile.ipynb")
        notebook.run(0)
        expect(page.get_by_text("8 of 8 live")).to_be_visible()
        high = page.locator(".fks-row:visible").first.bounding_box()["height"]
        grid = page.get_by_role("grid", name="Accounts")
        grid.locator("xpath=ancestor::*[contains(@class,'fks-table')]").get_by_text(
            "Columns", exact=True
        ).click()
        for name in ("name", "holder"):
            page.get_by_label(name, exact=True).check()
        page.keyboard.press("Escape")
        agents[0].always("/accounts", Reply({"detail": HOSTILE[0] * 50}, status=500))
        for tab in ("Refresh", "Positions", "Health", "Results", "Accounts"):
            page.get_by_role("tab", name=tab).click()
            if tab == "Refresh":
                page.get_by_role("button", name=re.compile("Refresh all")).last.click()
                expect(page.get_by_text("1 failed")).to_be_visible()
            if tab == "Health":
                page.get_by_role("button", name=re.compile("Ask the doctor")).click()
                grid = page.get_by_role("grid", name="The doctor")
                expect(grid.locator(".fks-row:visible").first).to_be_visible()
            if tab == "Results":
                page.get_by_role("button", name=re.compile("Read 90 days")).click()
                expect(page.locator(".fks-picture svg").first).to_be_visible()
            page.wait_for_timeout(400)
            page.screenshot(path=tmp_path / f"{tab}.png")
            rows = page.locator(".fks-row:visible")
            heights = {round(row.bounding_box()["height"]) for row in rows.all()[:8]}
            assert heights <= {round(high)}, tab
            wide = page.locator(".fleetkit-panel").first.bounding_box()["width"]
            assert wide <= 1400, tab
        assert page.evaluate("window.hacked") is None
        assert page.locator(".fks-sheet script, .fks-sheet img, .fks-sheet b").count() == 0
        notebook.command("kernelmenu:shutdown")
