"""Figures as SVG: the same bytes each time, no script, the colours of the page."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import pandas as pd
import pytest

from fleetkit.reports import balance_curve, profit_by
from fleetkit.reports.figures import EMPTY, balance_figure, profit_figure, svg

START = pd.Timestamp("2026-01-05 10:00", tz="UTC")
HOSTILE = [
    "<script>alert(1)</script>",
    r"$\frac{1}{2}$",
    "\x1b[31m",
    "\u202eevil",
    "A" * 10_000,
    "&amp;",
]


def trades(count, symbols=("EURUSD", "XAUUSD", "US30")):
    hours = range(count)
    return pd.DataFrame(
        {
            "account": 7100001,
            "position_id": hours,
            "symbol": [symbols[n % len(symbols)] for n in hours],
            "volume": 0.1,
            "net": [((n * 37) % 200) - 95.0 for n in hours],
            "exit_time": [START + pd.Timedelta(hours=n) for n in hours],
        }
    )


def pictures(frame):
    curve, table = balance_curve(frame, 10_000.0), profit_by(frame)
    return [svg(balance_figure(curve), "Balance"), svg(profit_figure(table), "Profit by symbol")]


def test_the_same_figure_is_the_same_bytes():
    """Nothing of a date, a process or a counter is in it."""
    assert pictures(trades(200)) == pictures(trades(200))


@pytest.mark.parametrize("count", [0, 1, 2, 300, 5000])
def test_figures_are_small_well_formed_and_inert(count):
    """Whatever there is to draw: no script, no handler, nothing from elsewhere."""
    for picture in pictures(trades(count)):
        ElementTree.fromstring(picture)
        assert len(picture) < 60_000
        assert not re.search(r"<script|\son\w+=|foreignObject|<image|href=\"(?!#)|@import", picture)
        assert not re.findall(r"url\((?!#)", picture)


def test_nothing_to_draw_is_said():
    """An empty period is a sentence and no empty frame."""
    for picture in pictures(trades(0)):
        assert EMPTY in picture


def test_colours_and_font_are_the_pages_own():
    """Variables with fallbacks; none of the colours that they stand for is left."""
    for picture in pictures(trades(50)):
        assert "var(--jp-ui-font-color1, CanvasText)" in picture
        assert "var(--jp-ui-font-family, system-ui, sans-serif)" in picture
        assert not re.search(r"#0[1-6]0[1-6]0[1-6]", picture)
        assert "DejaVu" not in picture


@pytest.mark.parametrize("symbol", HOSTILE)
def test_hostile_symbols_are_text(symbol):
    """Names are escaped, clipped and made visible; a dollar begins no mathematics."""
    _, picture = pictures(trades(9, (symbol, "EURUSD")))
    ElementTree.fromstring(picture)
    assert "<script" not in picture
    assert "\x1b" not in picture
    assert "\u202e" not in picture
    assert "A" * 50 not in picture
    if symbol.startswith("$"):
        assert r"\frac" in picture


def test_equal_values_and_a_title_are_drawn():
    """A flat curve has an axis; the title is there for those who do not see."""
    flat = trades(5).assign(net=0.0)
    picture = svg(balance_figure(balance_curve(flat, 100.0)), "Balance <of> 3")
    assert "<title>Balance &lt;of&gt; 3</title>" in picture


def test_other_threads_may_draw():
    """Several at once come to the same bytes as one alone."""
    wanted = pictures(trades(100))
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda _: pictures(trades(100)), range(8)))
    assert drawn == [wanted] * 8


def test_fleetkit_imports_no_plotting_library():
    """Nor widgets: they come with the panels, when the first one is asked for."""
    code = (
        "import sys, fleetkit as fk; fk.connect, fk.demo, fk.Fleet; "
        "print([name for name in ('matplotlib', 'ipywidgets', 'anywidget') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
