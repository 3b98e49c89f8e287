"""HTML reprs: hostile text is inert and visible, what is known is shown, the rest is named."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetkit.html import LONGEST, Refusable, card_html, record_html, refusable_html, visible_text
from fleetkit.model import (
    Account,
    AccountStatus,
    AgentInfo,
    Breaker,
    CacheStats,
    Quote,
    Source,
)

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</td></table></div><h1>gone",
    "{{ 7 * 7 }}{% raw %}",
    "\x1b[31mred\x1b[0m\x00\x07",
    "txt\u202egnp.exe\u2066\u200f",
    "a\nb\r\nc\u2028d",
    "A" * 10_000,
    "\ud800",
]
OURS = {"div", "style", "table", "thead", "tbody", "tr", "th", "td", "bdi"}


class Reader(HTMLParser):
    """What a browser would find: the elements, their attributes, the text outside the style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def account(**figures: object) -> Account:
    return msgspec.structs.replace(
        Account(
            account=7100012, agent="vps-03", status=AccountStatus.CONNECTED, source=Source.LIVE
        ),
        **figures,
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_a_record_is_inert(text: str) -> None:
    """No element, attribute or invisible character comes from an agent's text."""
    page = record_html(account(name=text, holder=text, error=text))
    read = Reader(page)
    assert set(read.tags) <= OURS
    assert read.attributes <= {"class", "scope"}
    assert read.open == []
    assert all(character.isprintable() or character == "\n" for character in page)
    assert len(page) < 10_000


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_anywhere_in_a_card_is_inert(text: str) -> None:
    """Title, names, facts, heads, cells and note are all escaped and clipped."""
    page = card_html(text, [(text, text)], [text], [[text]], note=text, warnings=[text])
    read = Reader(page)
    assert set(read.tags) <= OURS
    assert read.open == []
    assert all(character.isprintable() or character == "\n" for character in page)
    assert len(page) < 10_000


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_a_refusal_is_inert(text: str) -> None:
    """Rows, refusals and warnings are escaped and clipped like everything else."""
    page = refusable_html(text, [text], [Refusable([text], text, [text])], note=text)
    read = Reader(page)
    assert set(read.tags) <= OURS
    assert read.attributes <= {"class", "scope", "colspan"}
    assert read.open == []
    assert all(character.isprintable() or character == "\n" for character in page)
    assert len(page) < 10_000


@given(st.text())
def test_any_text_comes_out_visible_and_bounded(text: str) -> None:
    """Whatever the text, nothing invisible but joiners of scripts is left of it."""
    shown = visible_text(text, 20)
    invisible = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert not [
        character
        for character in shown
        if unicodedata.category(character) in invisible and character not in "\u200c\u200d"
    ]
    assert len(shown) <= 20 * len("‹U+10FFFF›") + 1


def test_invisible_characters_are_named() -> None:
    """Escape codes show as pictures, direction overrides as their numbers."""
    assert visible_text("\x1b[31m\u202ex\x7f") == "␛[31m‹U+202E›x␡"


def test_long_text_is_clipped_with_an_ellipsis() -> None:
    """A text over the bound ends in an ellipsis; one at the bound does not."""
    assert visible_text("A" * (LONGEST + 1)) == "A" * LONGEST + "…"
    assert visible_text("A" * LONGEST) == "A" * LONGEST


def test_names_in_other_scripts_are_left_alone() -> None:
    """Arabic, Persian with joiners, accents and emoji stay as written."""
    for name in ("محمد الحداد", "می\u200cخواهم", "Zoë Ünal", "👩\u200d💻"):
        assert visible_text(name) == name


def test_a_record_shows_what_is_known_and_names_the_rest() -> None:
    """Known figures are rows; unknown ones are one line, and no zero stands for them."""
    text = Reader(record_html(account(balance=100450.25, days_operating=1200))).text
    assert "Account 7100012" in text
    assert "100,450.25" in text
    assert "1,200" in text
    assert re.search(r"not known: .*equity.*margin", text)


def test_figures_keep_their_digits() -> None:
    """Account numbers are not grouped, prices keep five decimals, points are not exponents."""
    quote = Quote(
        account=7100012,
        symbol="EURUSD",
        bid=1.08412,
        ask=1.08424,
        point=0.00001,
        time=datetime(2026, 2, 1, 10, 15, tzinfo=UTC),
    )
    text = Reader(record_html(quote)).text
    for figure in ("7100012", "1.08412", "0.00001", "0.00012", "2026-02-01 10:15:00 UTC"):
        assert figure in text


def test_properties_of_a_record_are_shown() -> None:
    """A hit rate is a row like the counters it is made of."""
    stats = CacheStats(
        accounts_cached=68,
        agents_cached=69,
        last_full_refresh=None,
        ttl_s=60.0,
        hits=3,
        misses=1,
        stale_hits=0,
        flights_joined=0,
        invalidations=0,
        evictions=0,
    )
    text = Reader(record_html(stats)).text
    assert re.search(r"hit_rate\s*0\.75", text)


@pytest.mark.parametrize(
    ("record", "tone"),
    [
        (account(), "fk-good"),
        (account(status=AccountStatus.TIMEOUT, source=Source.CACHE), "fk-fair"),
        (account(status=AccountStatus.WRONG_ACCOUNT, source=Source.NONE), "fk-bad"),
        (AgentInfo(agent="a", url="u", breaker=Breaker.OPEN), "fk-bad"),
    ],
)
def test_our_own_words_have_a_colour(record: msgspec.Struct, tone: str) -> None:
    """Statuses carry a mark of their tone."""
    assert f'class="{tone}"' in record_html(record)


def test_an_agents_words_have_no_colour() -> None:
    """An agent cannot paint itself connected: only our enums have a tone."""
    assert 'class="fk-good"' not in card_html("x", [("status", "connected")])


def test_unknown_cells_are_dashes_and_numbers_stand_right() -> None:
    """None and NaN are a dash; a column of numbers and dashes is aligned right."""
    page = card_html("x", columns=["agent", "latency_ms"], rows=[["a", 12.5], ["b", float("nan")]])
    assert Reader(page).text.count("–") == 1
    assert page.count("fk-right") == 3 + 1  # two cells, their head, and the rule


def test_every_colour_follows_the_theme() -> None:
    """Colours are theme variables with a fallback, so dark notebooks are dark."""
    style = card_html("x").split("<style>")[1].split("</style>")[0]
    assert not re.search(r"#[0-9a-f]{3}|rgb", style)
    for rule in re.findall(
        r"(?<![\w-])(?:color|background|border(?:-top|-bottom)?): ([^;]+);", style
    ):
        assert re.search(r"var\(--jp-[\w-]+, \w+\)|transparent|\b0\b|collapse", rule), rule


def test_what_is_no_record_is_refused() -> None:
    """A dict is not shown by accident."""
    with pytest.raises(TypeError, match="neither"):
        record_html({"a": 1})
