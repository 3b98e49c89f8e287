"""A figure as a small SVG in the colours and fonts of the page that it is in.

Why: matplotlib's own writer of SVG obeys settings that all threads of a process share (fonts,
ids, what a style sheet says), and changing those for a moment changes what an analyst draws at
that moment. This one has no setting, no id and no lock. May import `html` and matplotlib.
The traps: colours are names here, `COLOURS`; they become the page's own only as whole values of
a style, never by a search through text that holds symbols. Nothing is clipped: what leaves its
axes is seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from markupsafe import escape
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.path import Path

from fleetkit.html import visible_text

# What figures are drawn with: colours that stand for those of the page.
INK, MUTED, GRID = "#010101", "#020202", "#030303"
ACCENT, GOOD, BAD = "#040404", "#050505", "#060606"

COLOURS: Final[Mapping[str, str]] = MappingProxyType(
    {
        INK: "var(--fk-ink, var(--jp-ui-font-color1, CanvasText))",
        MUTED: "var(--fk-muted, var(--jp-ui-font-color2, GrayText))",
        GRID: "var(--fk-grid, var(--jp-border-color2, #9994))",
        ACCENT: "var(--fk-accent, var(--jp-brand-color1, #1976d2))",
        GOOD: "var(--fk-good, var(--jp-success-color1, ForestGreen))",
        BAD: "var(--fk-bad, var(--jp-error-color1, Crimson))",
    }
)
FONT: Final = "var(--jp-ui-font-family, system-ui, sans-serif)"
UNITS_PER_INCH: Final = 72  # of the SVG; a unit is a point on paper

_ANCHORS: Final = MappingProxyType({"left": "start", "center": "middle", "right": "end"})
# How far below its place a line of text stands, in parts of its size.
_DROPS: Final = MappingProxyType({"center": 0.35, "center_baseline": 0.35, "top": 0.8})
# XML has no way to write these; all others that nobody sees are made visible before.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def svg(figure: Figure, title: str, alt: str | None = None) -> str:
    """A figure as SVG: the same bytes each time, without script, id or reference.

    Parameters
    ----------
    figure
        Of `balance_figure` or `profit_figure`; any thread may draw it.
    title
        What it shows, in a few words.
    alt
        What there is to see in it, for those who do not see it.

    Examples
    --------
    >>> from fleetkit.reports import profit_by
    >>> from fleetkit.reports.figures import profit_figure, svg
    >>> import fleetkit as fk
    >>> with fk.demo(accounts=3, seed=7) as fleet:
    ...     table = profit_by(fleet.trades(days=90))
    >>> svg(profit_figure(table), "Profit by symbol").startswith("<svg ")
    True
    """
    figure.set_dpi(UNITS_PER_INCH)
    wide, high = (float(inches) * UNITS_PER_INCH for inches in figure.get_size_inches())
    pen = _Pen(wide, high)
    figure.draw(pen)
    said = visible_text(title if alt is None else f"{title}. {alt}", 1000)
    described = "" if alt is None else f"<desc>{_xml(visible_text(alt, 1000))}</desc>"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(wide)} {_n(high)}"'
        f' width="{_n(wide)}" height="{_n(high)}" role="img" aria-label="{_xml(said)}"'
        f' style="font-family: {FONT}">'
        f"<title>{_xml(visible_text(title))}</title>{described}{''.join(pen.written)}</svg>"
    )


class _Pen(RendererBase):
    """What matplotlib draws with, as elements of SVG: filled and stroked paths, and text."""

    def __init__(self, wide: float, high: float) -> None:
        super().__init__()
        self._size = (wide, high)
        self.written: list[str] = []

    def get_canvas_width_height(self) -> tuple[float, float]:
        return self._size

    def get_text_width_height_descent(
        self, s: str, prop: Any, ismath: Any
    ) -> tuple[float, float, float]:
        # The page's font is not known here; and no font has to be read for a guess.
        size = prop.get_size_in_points()
        return size * text_ems(s), size, size * 0.2

    # matplotlib's name of it, and it is given by name
    def draw_path(self, gc: Any, path: Path, transform: Any, rgbFace: Any = None) -> None:  # noqa: N803
        drawn = _path(path, transform, self._size[1])
        if drawn:
            self.written.append(f'<path d="{drawn}" style="{_style(gc, rgbFace)}"/>')

    def draw_text(
        self,
        gc: Any,
        x: float,
        y: float,
        s: str,
        prop: Any,
        angle: float,
        ismath: Any = False,
        mtext: Any = None,
    ) -> None:
        anchor, drop = "start", 0.0
        size = prop.get_size_in_points()
        if mtext is not None:  # its own place, so that it stays aligned in any font
            x, y = mtext.get_transform().transform(mtext.get_unitless_position())
            y = self._size[1] - y
            anchor = _ANCHORS[mtext.get_horizontalalignment()]
            drop = _DROPS.get(mtext.get_verticalalignment(), 0.0) * size
        self.written.append(
            f'<text x="{_n(x)}" y="{_n(y + drop)}"'
            f' style="fill: {_colour(gc.get_rgb())}; font-size: {_n(size)}px;'
            f' text-anchor: {anchor}">{_xml(s)}</text>'
        )

    def draw_tex(
        self, gc: Any, x: float, y: float, s: str, prop: Any, angle: float, *, mtext: Any = None
    ) -> None:
        # Where an analyst has set text.usetex; a symbol's name is no program.
        self.draw_text(gc, x, y, s, prop, angle, mtext=mtext)


def text_ems(text: str) -> float:
    """About how wide a line of text is, in parts of its size, in an ordinary font."""
    return sum(map(_ems, text))


def _ems(character: str) -> float:
    if not character.isascii():
        return 1.0
    if character.isupper():
        return 0.7
    return 0.34 if character in " .,:;|'il" else 0.64


def _path(path: Path, transform: Any, high: float) -> str:
    """The commands of a path, with a step of a curve as what it is: a line across or down."""
    words: list[str] = []
    last = ("", "")
    for points, code in path.iter_segments(transform, simplify=False):
        if code == Path.CLOSEPOLY:
            words.append("z")
            continue
        flat = [_n(high - value) if n % 2 else _n(value) for n, value in enumerate(points)]
        x, y = flat[-2], flat[-1]
        if code == Path.LINETO:
            if (x, y) == last:
                continue
            words.append(f"V{y}" if x == last[0] else f"H{x}" if y == last[1] else f"L{x} {y}")
        else:
            letter = {Path.MOVETO: "M", Path.CURVE3: "Q", Path.CURVE4: "C"}[code]
            words.append(letter + " ".join(flat))
        last = (x, y)
    return "".join(words)


def _style(gc: Any, face: Any) -> str:
    rules = ["fill: none"]
    if face is not None:
        rules = [f"fill: {_colour(face)}"]
        opacity = gc.get_alpha() if gc.get_forced_alpha() else [*face, 1.0][3]
        if opacity < 1:
            rules.append(f"fill-opacity: {_n(opacity, 2)}")
    if gc.get_linewidth() > 0:
        rules.append(f"stroke: {_colour(gc.get_rgb())}")
        if gc.get_rgb()[3] < 1:
            rules.append(f"stroke-opacity: {_n(gc.get_rgb()[3], 2)}")
        rules.append(f"stroke-width: {_n(gc.get_linewidth(), 2)}")
        rules.append("stroke-linejoin: round")
        _, dashes = gc.get_dashes()
        if dashes is not None:
            rules.append(f"stroke-dasharray: {' '.join(_n(dash) for dash in dashes)}")
    return "; ".join(rules)


def _colour(rgb: Any) -> str:
    name = to_hex(rgb[:3])
    return COLOURS.get(name, name)


def _n(value: float, digits: int = 1) -> str:
    """A number, as short as it can be written."""
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _xml(text: str) -> str:
    return str(escape(_NOT_XML.sub("�", text)))
