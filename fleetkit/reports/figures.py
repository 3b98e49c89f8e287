"""Small figures of balances and profits, for a panel's corner as for a report's page.

Why: sparse pictures that suit a light page, a dark one and paper. May import `curves`, `html`
and matplotlib, which nothing but the modules `figures*` imports. The traps:
`matplotlib.pyplot` keeps the figures of all threads in one list and is never used; an
analyst's style sheet sets what is not said here, so everything that is seen is said; and a
symbol's name is hostile text, in which ``$`` would begin mathematics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num, num2date
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from fleetkit.html import visible_text
from fleetkit.reports.curves import decimated
from fleetkit.reports.figures_svg import ACCENT, BAD, GOOD, GRID, INK, MUTED, svg, text_ems

__all__ = ["EMPTY", "PANEL_SIZE", "balance_figure", "profit_figure", "svg"]

PANEL_SIZE: Final = (6.4, 2.5)  # inches, 72 units of the SVG each
EMPTY: Final = "No closed trades in this period."

_BARS: Final = 12
_FEWEST_ROWS: Final = 5  # of space: a single bar is not a wall
_POINTS_PER_INCH: Final = 75  # of a curve; more would not be seen
_NAME: Final = 16  # characters of a symbol
_LARGEST: Final = 1e12  # what an agent says beyond that is drawn as that
_TEXT: Final = 8  # size, in points
_FONT: Final = "DejaVu Sans"  # matplotlib's own, always there; the page's is written
_DASHES: Final = (0, (3, 3))
_HOUR: Final = 1 / 24  # matplotlib counts days


def balance_figure(curve: pd.DataFrame, size: tuple[float, float] = PANEL_SIZE) -> Figure:
    """The balance after each trade, with the fall below its running peak shaded.

    A dashed line is where it began, a grey one is zero; where the balance is not known, figures
    have signs and say what was won. Of a long curve every stretch's first, lowest, highest and
    last point is drawn, at most 75 points to the inch.

    Parameters
    ----------
    curve
        A frame of `balance_curve`.
    size
        Width and height in inches.

    Examples
    --------
    >>> import fleetkit as fk
    >>> from fleetkit.reports import balance_curve
    >>> from fleetkit.reports.figures import balance_figure
    >>> with fk.demo(accounts=3, seed=7) as fleet:
    ...     figure = balance_figure(balance_curve(fleet.trades(7100001, days=90)))
    >>> [float(inches) for inches in figure.get_size_inches()]
    [6.4, 2.5]
    """
    times, balances = _steps(curve)
    if not len(times):
        return _nothing(size)
    is_won = not curve.attrs.get("balance_known", True)
    axes = _balance_axes(size, times, balances, signed=is_won)
    peaks = np.maximum.accumulate(balances)
    # The highest and lowest of a stretch are kept, so that no peak is lost.
    kept = decimated(balances, int(size[0] * _POINTS_PER_INCH))
    shape = {"linewidth": 0, "step": "post", "alpha": 0.14}
    axes.fill_between(times[kept], balances[kept], peaks[kept], color=BAD, **shape)
    if balances.min() <= 0 <= balances.max():
        _level(axes, 0.0, "solid")
    if balances.min() < balances.max() and balances[0] != 0:
        _level(axes, float(balances[0]), _DASHES)
    _curve(axes, times[kept], balances[kept])
    return axes.figure  # type: ignore[no-any-return]  # matplotlib says little of its types


def profit_figure(table: pd.DataFrame, size: tuple[float, float] = PANEL_SIZE) -> Figure:
    """Bars of what each symbol made, the best first; the smallest ones together as "others".

    Parameters
    ----------
    table
        A frame of `profit_by`.
    size
        Width and height in inches.
    """
    names, values = _bars(table)
    if not values:
        return _nothing(size)
    span = max(map(abs, values))
    said = [_money(value, span, signed=True) for value in values]
    axes = _axes(size, left=_width(names) + 4, right=2, below=2)
    low, high = min(0.0, *values), max(0.0, *values)
    # Bars and the figures beside them share what is left of the width.
    wide = size[0] * 72 - _width(names) - 24
    room = (_width(said) + 6) / max(wide - 2 * _width(said) - 12, 0.3 * wide) * (high - low or 1.0)
    axes.set_xlim(low - room * (low < 0), high + room)
    spare = max(_FEWEST_ROWS - len(values), 0) / 2
    axes.set_ylim(len(values) - 0.4 + spare, -0.6 - spare)
    axes.xaxis.set_visible(False)
    _name_ticks(axes.yaxis, range(len(values)), names)
    for place, value in enumerate(values):
        colour = GOOD if value > 0 else BAD
        axes.barh(place, value, 0.62, color=colour, edgecolor="none", linewidth=0, alpha=0.85)
        side = -1 if value < 0 else 1  # and signs: colours alone are not seen by everybody
        _text(axes, said[place], (value, place), (4 * side, 0), "left" if side > 0 else "right")
    bottom = len(values) - 0.4
    axes.plot([0, 0], [-0.6, bottom], color=MUTED, lw=0.8, ls="solid", marker="None")
    return axes.figure  # type: ignore[no-any-return]  # as above


def _steps(curve: pd.DataFrame) -> tuple[Any, Any]:
    """Times in days and balances that can be drawn; the first is the balance before all trades."""
    after = curve["balance"].to_numpy(dtype=np.float64)
    known = np.isfinite(after)
    times = date2num(curve.index[known].tz_convert(None).to_numpy())
    if not len(times):
        return times, times
    before = after[known][0] - float(curve["net"].to_numpy(dtype=np.float64)[known][0])
    lead = 0.02 * (times[-1] - times[0]) or 6 * _HOUR
    balances = np.concatenate(([before], after[known]))
    return np.concatenate(([times[0] - lead], times)), np.clip(balances, -_LARGEST, _LARGEST)


def _balance_axes(size: tuple[float, float], times: Any, balances: Any, *, signed: bool) -> Any:
    """Axes with times and values named, and the last value beside the place where it ends."""
    low, high = float(balances.min()), float(balances.max())
    room = 0.1 * (high - low) or max(0.01 * abs(high), 1.0)
    span = high - low + 2 * room
    ticks = _ticks(low - room / 2, high + room / 2) if low < high else [low]
    names = [_money(tick, span, signed=signed) for tick in ticks]
    last = _money(float(balances[-1]), span, signed=signed)
    axes = _axes(size, left=_width(names), right=_width([last]) + 4, below=3.6 * _TEXT)
    axes.set_xlim(times[0], times[-1])
    axes.set_ylim(low - room, high + room)
    _name_times(axes)
    _name_ticks(axes.yaxis, ticks, names)
    axes.grid(visible=True, axis="y", color=GRID, lw=0.6, ls="solid", alpha=1.0)
    _text(axes, last, (times[-1], balances[-1]), (7, 0), "left")
    return axes


def _bars(table: pd.DataFrame) -> tuple[list[str], list[float]]:
    finite = table[np.isfinite(table["net"].to_numpy(dtype=np.float64))]
    values = [max(-_LARGEST, min(_LARGEST, float(net))) for net in finite["net"]]
    names = [_name(name) for name in finite.index]
    if len(values) <= _BARS:
        return names, values
    by_size = sorted(range(len(values)), key=lambda place: -abs(values[place]))
    shown = sorted(by_size[: _BARS - 1])
    rest = math.fsum(values[place] for place in by_size[_BARS - 1 :])
    others = f"{len(values) - len(shown):,} others"
    return [*(names[place] for place in shown), others], [*(values[n] for n in shown), rest]


def _name(name: object) -> str:
    # Twice: what nobody sees is long once it is made visible.
    return visible_text(visible_text(str(name), _NAME), _NAME)


def _money(value: float, span: float, *, signed: bool = False) -> str:
    """A figure with as many decimals as the others around it need."""
    decimals = 0 if span >= 20 else 1 if span >= 2 else 2
    text = f"{value:+,.{decimals}f}" if signed else f"{value:,.{decimals}f}"
    if not text.strip("+-0.,"):
        return text.lstrip("+-")
    return text.replace("-", "−")


def _ticks(low: float, high: float) -> list[float]:
    ticks = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in ticks if low <= tick <= high]


def _width(texts: Sequence[str]) -> float:
    return max((text_ems(text) for text in texts), default=0.0) * _TEXT


def _figure(size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=size, dpi=72, frameon=False)
    figure.set_layout_engine("none")
    return figure


def _axes(size: tuple[float, float], *, left: float, right: float, below: float) -> Any:
    """Bare axes, with margins in points around them."""
    figure = _figure(size)
    wide, high = size[0] * 72, size[1] * 72
    left, right = min(left + 8, 0.4 * wide), min(right + 6, 0.3 * wide)
    box = (left / wide, below / high, 1 - (left + right) / wide, 1 - (below + 6) / high)
    axes: Any = figure.add_axes(box, frameon=False)
    axes.grid(visible=False, which="both")
    axes.minorticks_off()
    axes.set_axisbelow(True)
    axes.tick_params(
        which="both",
        length=0,
        width=0,
        pad=5,
        labelsize=_TEXT,
        labelcolor=MUTED,
        labelfontfamily=_FONT,
        labelbottom=True,
        labelleft=True,
        labeltop=False,
        labelright=False,
        labelrotation=0,
    )
    return axes


def _name_times(axes: Any) -> None:
    low, high = axes.get_xlim()
    locator = AutoDateLocator(tz=UTC, minticks=3, maxticks=7, interval_multiples=True)
    found = locator.tick_values(num2date(low, UTC), num2date(high, UTC))
    ticks = [float(tick) for tick in found if low <= tick <= high]
    words = ConciseDateFormatter(
        locator,
        tz=UTC,
        formats=["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%H:%M:%S"],
        zero_formats=["%Y", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"],
        offset_formats=["", "%Y", "%Y", "%d %b %Y UTC", "%d %b %Y UTC", "%d %b %Y UTC"],
        usetex=False,
    )
    _name_ticks(axes.xaxis, ticks, words.format_ticks(ticks))
    # What all of them have in common, once, below the last.
    common = words.get_offset()
    place = {"xycoords": "axes fraction", "color": MUTED}
    _text(axes, common, (1, 0), (0, -2.7 * _TEXT), "right", **place)


def _name_ticks(axis: Any, ticks: Sequence[float], names: Sequence[str]) -> None:
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FuncFormatter(lambda _, place: names[place]))
    for tick in axis.get_major_ticks(len(ticks)):
        tick.label1.set(parse_math=False, usetex=False)


def _level(axes: Any, value: float, dashes: Any) -> None:
    # A width of 1, by which a style sheet may have dashes multiplied.
    style = {"color": MUTED, "alpha": 0.7, "lw": 1, "ls": dashes, "marker": "None"}
    axes.plot(axes.get_xlim(), [value, value], **style)


def _curve(axes: Any, times: Any, balances: Any) -> None:
    style = {"drawstyle": "steps-post", "lw": 1.4, "ls": "solid", "marker": "None"}
    axes.plot(times, balances, color=ACCENT, **style)
    axes.plot(times[-1:], balances[-1:], color=ACCENT, ls="None", marker="o", ms=4, mew=0)


def _text(
    axes: Any,
    text: str,
    place: tuple[float, float],
    aside: tuple[float, float],
    side: str,
    **style: Any,
) -> None:
    fixed = {"fontsize": _TEXT, "fontfamily": _FONT, "parse_math": False, "usetex": False}
    style = {"color": INK, "va": "center", "annotation_clip": False, **fixed, **style}
    axes.annotate(text, place, xytext=aside, textcoords="offset points", ha=side, **style)


def _nothing(size: tuple[float, float]) -> Figure:
    figure = _figure(size)
    style: dict[str, Any] = {"color": MUTED, "fontsize": _TEXT + 1, "fontfamily": _FONT}
    figure.text(0.5, 0.5, EMPTY, ha="center", va="center", usetex=False, **style)
    return figure
