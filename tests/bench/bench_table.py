"""The live table on the wire and in the page, beside ipydatagrid in the same JupyterLab.

15 columns, every fifth row with six new figures. The longest task is what the browser reports
of its own main thread, and the longest gap between two frames where that is more.
"""

from __future__ import annotations

import random
import time

import msgspec
import pytest

from fleetkit.panels.sheet_model import Column, Rows, Table, first_message, next_message
from tests.support.chromium import launched
from tests.support.fake_page import SheetPage, sheet_server
from tests.support.jupyter_servers import Lab

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

COLUMNS = (
    Column("account", "account", "id"),
    Column("status", "status", "word", tones={"connected": "good", "timeout": "fair"}),
    Column("source", "source", "word", tones={"live": "good"}),
    Column("age", "age", "age"),
    Column("firm", "firm"),
    Column("phase", "phase"),
    *(Column(f"figure{n}", f"figure{n}", "money") for n in range(8)),
    Column("why", "why"),
)
GOALS = ("scroll", "sort", "filter")
BLOCKS = (Table("rows", "Rows", COLUMNS, row_tone="status"),)
OBSERVE = """() => {
  window.longest = 0;
  new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
    window.longest = Math.max(window.longest, entry.duration);
  })).observe({ type: 'longtask' });
  let last = performance.now();
  const frame = () => {
    const now = performance.now();
    window.gap = Math.max(window.gap ?? 0, now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  frame();
}"""
GRID = """
import ipydatagrid, numpy as np, pandas as pd
count, chance = {count}, np.random.default_rng(7)
figures = {{f"figure{{n}}": chance.uniform(-9e4, 9e4, count).round(2) for n in range(8)}}
frame = pd.DataFrame(figures)
for name in ("account", "status", "source", "age", "firm", "phase", "why"):
    frame[name] = [f"{{name}} {{n % 17}}" for n in range(count)]
grid = ipydatagrid.DataGrid(frame, layout={{"height": "400px"}})
grid
"""
UPDATE = """
rows = chance.choice(count, count // 5, replace=False)
changed = frame.copy()
six = [f"figure{n}" for n in range(6)]
changed.loc[rows, six] = chance.uniform(-9e4, 9e4, (len(rows), 6)).round(2)
grid.data = changed
"""


def tables(count):
    """The rows, and the same a tick later."""
    chance = random.Random(7)

    def row(key):
        figures = [round(chance.uniform(-9e4, 9e4), 2) for _ in range(8)]
        status = "timeout" if key % 9 == 0 else "connected"
        return (key, status, "live", 1.5, f"Firm {key % 17}", f"F{key % 5}", *figures, None)

    before = {7100000 + n: row(7100000 + n) for n in range(count)}
    after = dict(before)
    for key in chance.sample(list(before), count // 5):
        after[key] = (*before[key][:3], 9.5, *before[key][4:6], *row(key)[6:12], *before[key][12:])
    return Rows(before), Rows(after)


class Stopwatch:
    """The longest the page was blocked while something was done."""

    def __init__(self, page):
        self.page = page
        page.evaluate(OBSERVE)

    def longest_ms(self, do):
        self.page.wait_for_timeout(300)
        self.page.evaluate("() => { window.longest = 0; window.gap = 0; }")
        do()
        self.page.wait_for_timeout(800)
        return float(self.page.evaluate("Math.max(window.longest, window.gap)"))


@pytest.mark.parametrize(
    ("count", "prototype"), [(69, "2.3 / 28"), (1000, "17 / 182"), (5000, "82 / 847")]
)
def test_on_the_wire(table, count, prototype):
    """How much a tick sends, how much the first paint, and what comparing costs."""
    before, after = tables(count)
    took = []
    for _ in range(7):
        started = time.perf_counter()
        patch = next_message(2, 1.0, {"rows": before}, {"rows": after}, BLOCKS)
        took.append(time.perf_counter() - started)
    first = first_message(1, 0.0, {"rows": before}, BLOCKS)
    sizes = [len(msgspec.json.encode(message)) / 1000 for message in (patch, first)]
    assert sizes[0] < 100
    table.add(
        f"live table of {count:,} rows: kB of a tick / of the first paint",
        f"{sizes[0]:.1f} / {sizes[1]:.0f} kB; {min(took) * 1000:.1f} ms to compare",
        f"prototype {prototype} kB",
        f"1/{float(prototype.split(' ')[0]) / sizes[0]:.1f} of its tick",
        "no more",
    )


def test_in_the_page(table, tmp_path):
    """What blocks the page at 5,000 rows, beside one update of ipydatagrid."""
    before, after = tables(5000)
    with launched() as browser, sheet_server() as url:
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        sheet = SheetPage(page, url, BLOCKS)
        clock = Stopwatch(page)
        ours = {
            "first paint": clock.longest_ms(lambda: sheet.show({"rows": before})),
            "update": clock.longest_ms(lambda: sheet.show({"rows": after})),
            "scroll": clock.longest_ms(lambda: _scroll(page)),
            "sort": clock.longest_ms(lambda: page.click(".fks-sort >> text=figure3")),
            "sort by text": clock.longest_ms(lambda: page.click(".fks-sort >> text=firm")),
            "filter": clock.longest_ms(lambda: page.fill(".fks-filter", "firm figure1<0")),
        }
        theirs = _ipydatagrid(browser, tmp_path)
    for name, ms in ours.items():
        table.add(
            f"live table of 5,000 rows: the page blocked by {name}",
            f"{ms:.0f} ms",
            f"one update of ipydatagrid {theirs:.0f} ms",
            f"1/{theirs / ms:.0f}",
            "≤ 1/3" if name in GOALS else "–",
        )
    for name in GOALS:
        assert ours[name] <= theirs / 3, (name, ours[name], theirs)


def _scroll(page):
    for top in range(0, 110_000, 5_500):
        page.evaluate("top => { document.querySelector('.fks-grid').scrollTop = top; }", top)


def _ipydatagrid(browser, home):
    """The longest task of one update of the same table in JupyterLab."""
    server = Lab(home / "lab")
    try:
        server.write("grid.ipynb", [GRID.format(count=5000), UPDATE])
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        notebook = server.open(page, "grid.ipynb")
        notebook.run(0)
        page.wait_for_selector(".ipydatagrid-widget, .lm-DataGrid", timeout=60_000)
        notebook.wait_ready()
        return Stopwatch(page).longest_ms(lambda: notebook.run(1))
    finally:
        server.stop()
