"""Small figures as SVG that suits a light page, a dark one and paper.

Why: a picture without a script or a font from elsewhere, whose colours are the page's. May
import `curves`, `html` and matplotlib; the one place that does. The traps: `matplotlib.pyplot`
keeps figures of all threads in one list and is never used; the settings of SVG are global,
so only one thread at a time may save (`svg` holds a lock); and a symbol's name is hostile text,
in which ``$`` would begin mathematics.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fleetkit.html import visible_text
from fleetkit.reports.curves import decimated

PANEL_SIZE: Final = (6.4, 2.5)  # inches; 72 points each in the SVG
POINTS: Final = 360  # of a curve; more would not be seen
BARS: Final = 12
EMPTY: Final = "No closed trades in this period."

# Colours that nothing else has: they are looked for in the SVG and become the page's own.
INK, MUTED, GRID = "#010101", "#020202", "#030303"
ACCENT, GOOD, BAD = "#040404", "#050505", "#060606"
_COLOURS: Final = {
    INK: "var(--jp-ui-font-color1, CanvasText)",
    MUTED: "var(--jp-ui-font-color2, GrayText)",
    GRID: "var(--jp-border-color2, #9994)",
    ACCENT: "var(--jp-brand-color1, #1976d2)",
    GOOD: "var(--jp-success-color1, #388e3c)",
    BAD: "var(--jp-error-color1, #d32f2f)",
}
_SETTINGS: Final = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "fleetkit",  # the same figure is the same bytes
}
_FONT: Final = re.compile(r"font-family: [^;\"]*")
_SAVING: Final = threading.Lock()

# Text stays text and is drawn with the page's fonts; that matplotlib's own lacks a letter only
# makes its width a guess.
warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)


def balance_figure(curve: pd.DataFrame, size: tuple[float, float] = PANEL_SIZE) -> Figure:
    """The balance after each trade, with the fall below its running peak shaded.

    Parameters
    ----------
    curve
        A frame of `balance_curve`.
    size
        Width and height in inches.
    """
    figure, axes = _figure(size)
    if curve.empty:
        return _nothing(figure, axes)
    balance = curve["balance"].to_numpy(dtype=np.float64)
    start = balance[0] - float(curve["net"].iloc[0])
    peaks = np.maximum.accumulate(np.maximum(balance, start))
    kept = decimated(balance, POINTS)
    times = curve.index.to_numpy()[kept]
    axes.fill_between(times, balance[kept], peaks[kept], step="post", color=BAD, alpha=0.16, lw=0)
    axes.plot(times, balance[kept], drawstyle="steps-post", color=ACCENT, lw=1.4)
    axes.annotate(
        f"{balance[-1]:,.0f}",
        (times[-1], balance[-1]),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        color=INK,
        fontsize=8,
    )
    locator = AutoDateLocator(minticks=2, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.get_offset_text().set(fontsize=8, color=MUTED)
    axes.margins(x=0.02, y=0.12)
    return figure


def profit_figure(table: pd.DataFrame, size: tuple[float, float] = PANEL_SIZE) -> Figure:
    """Bars of what each symbol made; the smallest ones together as "others".

    Parameters
    ----------
    table
        A frame of `profit_by`.
    size
        Width and height in inches.
    """
    figure, axes = _figure(size)
    if table.empty:
        return _nothing(figure, axes)
    names, values = _bars(table)
    places = np.arange(len(values))[::-1]
    colours = [GOOD if value >= 0 else BAD for value in values]
    axes.barh(places, values, color=colours, height=0.62, lw=0)
    axes.axvline(0, color=MUTED, lw=0.8)
    room = max(map(abs, values)) or 1.0
    for place, value in zip(places, values, strict=True):
        # Signs, too: colours alone are not seen by everybody.
        axes.annotate(
            f"{value:+,.0f}",
            (value, place),
            xytext=(4 if value >= 0 else -4, 0),
            textcoords="offset points",
            ha="left" if value >= 0 else "right",
            va="center",
            fontsize=8,
            color=INK,
        )
    axes.set_xlim(min(0.0, *values) - 0.22 * room, max(0.0, *values) + 0.22 * room)
    axes.set_yticks(places, [visible_text(name, 16) for name in names], parse_math=False)
    axes.xaxis.set_visible(False)
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    return figure


def svg(figure: Figure, title: str) -> str:
    """A figure as SVG, the same bytes each time, in the colours of whatever page it is in.

    Parameters
    ----------
    figure
        Of this module; it may be drawn on any thread.
    title
        What it shows, for those who do not see it.
    """
    written = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with _SAVING, mpl.rc_context(_SETTINGS):
        figure.savefig(written, format="svg", metadata=metadata, transparent=True)
    text = written.getvalue()
    text = text[text.index("<svg") :]
    for colour, page in _COLOURS.items():
        text = text.replace(colour, page)
    text = _FONT.sub("font-family: var(--jp-ui-font-family, system-ui, sans-serif)", text)
    return text.replace("<defs>", f"<title>{_escaped(title)}</title><defs>", 1)


def _bars(table: pd.DataFrame) -> tuple[Sequence[str], Sequence[float]]:
    names = [str(name) for name in table.index]
    values = [float(value) for value in table["net"]]
    if len(values) <= BARS:
        return names, values
    by_size = sorted(range(len(values)), key=lambda place: -abs(values[place]))
    shown = sorted(by_size[: BARS - 1])
    rest = sum(values[place] for place in by_size[BARS - 1 :])
    others = f"{len(values) - len(shown)} others"
    return [*(names[place] for place in shown), others], [*(values[p] for p in shown), rest]


def _figure(size: tuple[float, float]) -> tuple[Figure, Any]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    axes.tick_params(colors=MUTED, labelsize=8, length=0)
    axes.grid(axis="y", color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "left")
        spine.set_color(GRID)
    axes.spines["left"].set_visible(False)
    return figure, axes


def _nothing(figure: Figure, axes: Any) -> Figure:
    axes.set_axis_off()
    axes.text(0.5, 0.5, EMPTY, color=MUTED, ha="center", va="center", fontsize=9)
    return figure


def _escaped(text: str) -> str:
    from markupsafe import escape

    return str(escape(visible_text(text)))
