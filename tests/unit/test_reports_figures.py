"""Figures as SVG: the same bytes each time, no script, the colours of the page."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import style as styles
from matplotlib.figure import Figure

from fleetkit.reports import balance_curve, profit_by
from fleetkit.reports.figures import EMPTY, balance_figure, profit_figure, svg
from fleetkit.reports.figures_svg import COLOURS

START = pd.Timestamp("2026-01-05 10:00", tz="UTC")
ELEMENTS = {"svg", "title", "desc", "path", "text"}
ATTRIBUTES = {"viewBox", "width", "height", "role", "aria-label", "style", "d", "x", "y"}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    r"$\frac{1}{2}$",
    "\x1b[31m",
    "\u202eevil" * 40,
    "A" * 10_000,
    "&amp;",
    "#010101",
    "font-family: x",
    "]]>",
    "a\ufffeb",
    "a\nb\tc",
]


def trades(count, symbols=("EURUSD", "XAUUSD", "US30"), scale=1.0):
    hours = np.arange(count)
    return pd.DataFrame(
        {
            "account": 7100001,
            "position_id": hours,
            "symbol": [symbols[n % len(symbols)] for n in hours],
            "volume": 0.1,
            "net": (((hours * 37) % 200) - 95.0) * scale,
            "exit_time": START + pd.to_timedelta(hours, unit="h"),
        }
    )


def pictures(frame, balance=10_000.0):
    curve, table = balance_curve(frame, balance), profit_by(frame)
    return [svg(balance_figure(curve), "Balance"), svg(profit_figure(table), "Profit by symbol")]


def elements(picture):
    """Name, attributes and text of everything in a picture."""
    return [
        (found.tag.removeprefix("{http://www.w3.org/2000/svg}"), found.attrib, found.text or "")
        for found in ElementTree.fromstring(picture).iter()
    ]


def texts(picture):
    return [text for name, _, text in elements(picture) if name == "text"]


def test_the_same_figure_is_the_same_bytes():
    """Nothing of a date, a process or a counter is in it, nor of an order of arrival."""
    frame = trades(200)
    wanted = pictures(frame)
    assert pictures(frame) == wanted
    assert pictures(frame.sample(frac=1, random_state=7)) == wanted


@pytest.mark.parametrize("style", ["classic", "dark_background", "ggplot", "Solarize_Light2"])
def test_an_analysts_style_changes_no_figure(style):
    """What style sheets and settings say is for the analyst's own figures."""
    wanted = pictures(trades(90))
    settings = {
        "text.usetex": True,
        "font.size": 30,
        "font.family": "monospace",
        "lines.marker": "x",
        "lines.linestyle": ":",
        "xtick.minor.visible": True,
        "ytick.minor.visible": True,
        "xtick.top": True,
        "xtick.labeltop": True,
        "timezone": "Asia/Tokyo",
        "figure.constrained_layout.use": True,
        "path.simplify": False,
        "axes.grid": True,
        "axes.grid.axis": "x",
        "date.interval_multiples": False,
        "svg.fonttype": "path",
        "figure.dpi": 300,
    }
    with mpl.rc_context({**styles.library[style], **settings}):
        assert pictures(trades(90)) == wanted


def test_drawing_changes_no_setting():
    """They belong to all threads of the process, and to the analyst."""
    before = dict(mpl.rcParams)
    pictures(trades(30))
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("count", [0, 1, 2, 300, 5000])
def test_figures_are_small_and_inert(count):
    """Whatever there is to draw: shapes and text, no script, handler, id or reference."""
    for picture in pictures(trades(count)):
        assert len(picture.encode()) < 40_000
        found = elements(picture)
        assert {name for name, _, _ in found} <= ELEMENTS
        assert {key for _, attributes, _ in found for key in attributes} <= ATTRIBUTES
        assert not re.search(r"url\(|@import|://(?!www\.w3\.org/2000/svg\")", picture)
        assert "nan" not in picture


def test_a_report_may_have_them_larger():
    """The size is asked for; a longer curve is drawn in more detail."""
    curve = balance_curve(trades(5000), 10_000.0)
    small, large = (svg(balance_figure(curve, size), "x") for size in ((4.0, 2.0), (8.0, 4.0)))
    assert 'width="288" height="144"' in small
    assert 'viewBox="0 0 576 288"' in large
    assert len(small) < len(large) < 40_000


def test_nothing_to_draw_is_said():
    """An empty period is a sentence and no empty frame."""
    for picture in pictures(trades(0)):
        assert texts(picture) == [EMPTY]


def test_colours_and_font_are_the_pages_own():
    """Variables with fallbacks, for light, dark and paper; no colour of its own is left."""
    balance, profit = pictures(trades(50))
    for picture in (balance, profit):
        assert "font-family: var(--jp-ui-font-family, system-ui, sans-serif)" in picture
        told = re.findall(r"(?:fill|stroke): ([^;\"]+)", picture)
        assert set(told) - {"none"} <= set(COLOURS.values())
    assert "--fk-accent" in balance
    assert "--fk-good" in profit
    assert "--fk-bad" in profit


def test_gain_and_loss_are_told_without_colour():
    """By their sign, for readers who see no red; a zero has none."""
    frame = trades(3).assign(net=[1234.5, -20.0, 0.0])
    said = set(texts(pictures(frame)[1]))
    assert {"+1,234", "−20", "0"} <= said or {"+1,235", "−20", "0"} <= said


@pytest.mark.parametrize("symbol", HOSTILE)
def test_hostile_symbols_are_text(symbol):
    """Names are escaped, clipped and made visible; a dollar begins no mathematics."""
    _, picture = pictures(trades(9, (symbol, "EURUSD")))
    assert {name for name, _, _ in elements(picture)} <= ELEMENTS
    names = texts(picture)
    assert len(names) == 4
    name = names[0] if names[1] == "EURUSD" else names[1]
    assert len(name) <= 17
    assert name.isprintable()
    if len(symbol) < 16 and symbol.isprintable():
        assert name == symbol


def test_others_are_told_together():
    """Of many symbols the largest have bars of their own; the rest is one bar, and adds up."""
    frame = trades(400, [f"S{n:03}" for n in range(40)])
    said = texts(pictures(frame)[1])
    assert "29 others" in said
    assert len(said) == 24


def test_where_the_balance_is_not_known_gains_are_told():
    """With signs, so that nobody reads a balance."""
    frame = trades(3).assign(net=[100.0, 50.0, -30.0])
    assert texts(pictures(frame, None)[0])[-1] == "+120"
    assert texts(pictures(frame, 10_120.0)[0])[-1] == "10,120"


@pytest.mark.parametrize("scale", [0.0, 1e-4, 1e9, 1e300])
def test_any_amount_is_drawn_within_the_picture(scale):
    """Flat, tiny and absurd: figures stay short, and no shape leaves the page."""
    for picture in pictures(trades(30, scale=scale)):
        assert max(map(len, texts(picture))) < 24
        for _, attributes, _ in elements(picture):
            for number in re.findall(r"-?\d+(?:\.\d+)?", attributes.get("d", "")):
                assert -1 <= float(number) <= 462


def test_words_for_those_who_do_not_see():
    """A title and what there is to see, escaped."""
    picture = svg(Figure((1, 1)), "Balance <of> 3", 'It fell by "9"')
    assert "<title>Balance &lt;of&gt; 3</title><desc>" in picture
    root = ElementTree.fromstring(picture)
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'Balance <of> 3. It fell by "9"'


def test_other_threads_may_draw():
    """Several at once come to the same bytes as one alone."""
    wanted = pictures(trades(100))
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda _: pictures(trades(100)), range(8)))
    assert drawn == [wanted] * 8


def test_fleetkit_imports_no_plotting_library():
    """Nor widgets: they come with the panels; and figures never need pyplot."""
    code = (
        "import sys, fleetkit as fk, fleetkit.reports; fk.connect, fk.demo, fk.Fleet; "
        "print([n for n in ('matplotlib', 'ipywidgets', 'anywidget') if n in sys.modules]); "
        "from fleetkit.reports.figures import profit_figure, svg; "
        "from fleetkit.frames import trades_frame; "
        "svg(profit_figure(fleetkit.reports.profit_by(trades_frame([]))), 'x'); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["[]", "False"]
