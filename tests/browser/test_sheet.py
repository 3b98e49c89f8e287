"""The sheet in a page without Jupyter: rows, order, filter, selection, keys, hostile text."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from fleetkit.panels.sheet_model import (
    Column,
    Drawing,
    Line,
    Note,
    Picture,
    Rows,
    Segment,
    Table,
)
from tests.support.fake_page import SheetPage, sheet_server

TONES = {"connected": "good", "timeout": "fair", "offline": "bad"}
COLUMNS = (
    Column("account", "account", "id"),
    Column("status", "status", "word", tones=TONES, tip="error"),
    Column("firm", "firm"),
    Column("phase", "phase"),
    Column("balance", "balance", "number"),
    Column("pnl", "pnl", "money"),
    Column("open", "open", "flag"),
    Column("age", "age", "age"),
    Column("error", "why"),
    Column("holder", "holder", shown=False),
)
TABLE = Table("accounts", "Accounts", COLUMNS, row_tone="status")
BLOCKS = (Note("problem"), Line("totals", "Totals"), TABLE, Picture("curve", "Curve"))
ACCOUNT, STATUS, FIRM, PHASE, BALANCE, PNL, OPEN, AGE, WHY = range(1, 10)
HOSTILE = (
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "<svg onload=window.hacked=1>",
    "javascript:window.hacked=1",
    "\x1b[31mred\x1b[0m",
    "\u202eevil\u202c",
    "\x00\x01\x7f",
    "A" * 10_000,
    "\n".join("line" for _ in range(200)),
)


DANGEROUS = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"
viewBox="0 0 10 10"><script>window.hacked=1</script>
<foreignObject><body xmlns="http://www.w3.org/1999/xhtml"><b>no</b></body></foreignObject>
<path d="M0 0L5 5" onclick="window.hacked=1"
  style="stroke: var(--jp-brand-color1, red); behavior: url(x)"/>
<use xlink:href="http://example.com/x#y"/><image href="http://example.com/x.png"/>
<rect width="1" height="1" fill="u\\72l(http://example.com/w)"/>
<text style="fill: url(http://example.com/z)">12 &lt;b&gt;</text></svg>"""


def account(number, status="connected", firm="Tidewater", phase="F1", balance=1000.0, pnl=0.0,
            is_open=False, born=90.0, error=None):  # fmt: skip
    return (number, status, firm, phase, balance, pnl, is_open, born, error, "Anna Lindqvist")


def fleet(count=9):
    return {
        7100000 + place: account(
            7100000 + place,
            status=("connected", "timeout", "offline")[place % 3],
            firm=f"Firm {place % 4}",
            phase=f"F{place % 2 + 1}",
            balance=1000.0 + 37 * ((place * 7) % 11),
            pnl=float((place * 5) % 7 - 3) * 100,
            is_open=place % 2 == 0,
            born=100.0 - 10 * place,
            error=None if place % 3 == 0 else f"reason {place}",
        )
        for place in range(count)
    }


@pytest.fixture(scope="module")
def url():
    with sheet_server() as address:
        yield address


@pytest.fixture
def sheet(new_page, url):
    """Nine accounts, shown."""
    opened = SheetPage(new_page(), url, BLOCKS)
    opened.show({"accounts": Rows(fleet())})
    return opened


def test_only_rows_in_sight_are_in_the_page(new_page, url):
    """Of 5,000 rows a few dozen are elements, wherever one scrolls to."""
    sheet = SheetPage(new_page(), url, BLOCKS)
    sheet.show({"accounts": Rows(fleet(5000))})
    expect(sheet.page.get_by_role("grid")).to_have_attribute("aria-rowcount", "5001")
    sheet.page.evaluate("document.querySelector('.fks-grid').scrollTop = 60000")
    expect(sheet.page.get_by_text("7102500", exact=True)).to_be_visible()
    assert sheet.page.locator(".fks-row").count() < 60


def test_a_patch_changes_cells_and_nothing_else(sheet):
    """Changed, removed and added rows are where they belong."""
    rows = fleet()
    del rows[7100002]
    rows[7100001] = account(7100001, balance=55.5)
    rows[7100100] = account(7100100, firm="New")
    sheet.show({"accounts": Rows(rows)})
    assert sheet.column(ACCOUNT) == [str(number) for number in rows]
    assert sheet.column(BALANCE)[1] == "55.50"
    assert sheet.column(FIRM)[-1] == "New"
    expect(sheet.page.locator(".fks-count")).to_have_text("9 rows")


def test_a_gap_is_asked_for_once_and_not_applied(sheet):
    """A patch on a version that was never seen is dropped."""
    lost = {"kind": "patch", "version": 7, "base": 6, "now": 101.0, "blocks": {"problem": "lost"}}
    sheet.deliver(lost)
    sheet.deliver({**lost, "version": 8, "base": 7})
    assert sheet.sent("resync") == [{"kind": "resync", "have": 1}]
    expect(sheet.page.locator(".fks-note")).to_be_hidden()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 9),
        ("firm", 9),
        ('"firm 1"', 2),
        ("status:timeout", 3),
        ("status:timeout phase:F2", 2),
        ("-status:connected", 6),
        ("-timeout -offline", 3),
        ("pnl<0", 4),
        ("pnl>=0", 5),
        ("balance>1,100 open:yes", 3),
        ("age>45", 4),
        ("why:reason", 6),
        ("lindqvist", 9),
        ("71000 F1", 5),
        ("nobody", 0),
    ],
)
def test_the_filter_understands(sheet, text, count):
    """Words, columns, comparisons, quotes and a minus, all of which must hold."""
    sheet.page.locator(".fks-filter").fill(text)
    expect(sheet.page.locator(".fks-row:visible")).to_have_count(count)
    shown = f"{count} of 9 shown" if text else "9 rows"
    expect(sheet.page.locator(".fks-count")).to_have_text(shown)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("colour:red", "There is no column “colour”. Columns: account, status"),
        ("pnl<x", "needs a number"),
        ("pnl<", "such as pnl<100"),
    ],
)
def test_a_filter_that_makes_no_sense_is_explained_and_filters_nothing(sheet, text, sentence):
    """The hint says what to write; all rows stay."""
    sheet.page.locator(".fks-filter").fill(text)
    expect(sheet.page.locator(".fks-hint")).to_contain_text(sentence)
    expect(sheet.page.locator(".fks-row:visible")).to_have_count(9)


def test_sorting_goes_up_down_and_back(sheet):
    """Three clicks on a heading; numbers as numbers, and what is unknown last."""
    rows = fleet()
    rows[7100003] = account(7100003, pnl=None, firm=None)
    sheet.show({"accounts": Rows(rows)})
    heading = sheet.page.get_by_role("columnheader", name="pnl")
    heading.get_by_role("button").click()
    up = sheet.column(PNL)
    assert up[-1] == "–"
    numbers = [float(text.replace(",", "")) for text in up[:-1]]
    assert numbers == sorted(numbers)
    expect(heading).to_have_attribute("aria-sort", "ascending")
    heading.get_by_role("button").click()
    down = sheet.column(PNL)
    assert down[-1] == "–"
    assert down[:-1] == up[:-1][::-1] or sorted(down) == sorted(up)
    assert float(down[0]) == max(numbers)
    heading.get_by_role("button").click()
    assert sheet.column(ACCOUNT) == [str(number) for number in rows]
    expect(heading).to_have_attribute("aria-sort", "none")


@pytest.mark.parametrize("text", ["-", "status:", "-status:", '"'])
def test_a_term_that_is_still_being_typed_hides_nothing(sheet, text):
    """Or the table would blink empty with every word."""
    sheet.page.locator(".fks-filter").fill("nobody")
    expect(sheet.page.locator(".fks-count")).to_have_text("0 of 9 shown")
    sheet.page.locator(".fks-filter").fill(text)
    expect(sheet.page.locator(".fks-row:visible")).to_have_count(9)


def test_rows_come_back_when_a_filter_is_taken_away(sheet):
    """The same rows, at the same places."""
    before = sheet.column(ACCOUNT)
    sheet.page.locator(".fks-filter").fill("nobody")
    expect(sheet.page.locator(".fks-row:visible")).to_have_count(0)
    sheet.page.locator(".fks-filter").fill("")
    expect(sheet.page.locator(".fks-row:visible")).to_have_count(9)
    assert sheet.column(ACCOUNT) == before


def test_rows_pass_a_filter_of_ages_as_time_passes(new_page, url):
    """Nothing is sent, and what becomes old enough is there."""
    page = new_page()
    page.clock.install()
    sheet = SheetPage(page, url, BLOCKS)
    sheet.show({"accounts": Rows({1: account(1, born=50.0), 2: account(2, born=95.0)})})
    page.locator(".fks-filter").fill("age>20")
    expect(page.locator(".fks-row:visible")).to_have_count(1)
    page.clock.run_for(20_000)
    expect(page.locator(".fks-row:visible")).to_have_count(2)


def test_every_view_sorts_for_itself(sheet):
    """What one view has shown already is news to the other."""
    sheet.page.evaluate("() => { second(); }")
    for place in ("#host", "#second"):
        sheet.page.locator(place).get_by_role("button", name="balance").click()
    sheet.page.wait_for_timeout(300)  # rows do not move right after somebody pressed
    sheet.show({"accounts": Rows({**fleet(), 7100000: account(7100000, balance=999_999.0)})})
    for place in ("#host", "#second"):
        last = sheet.page.locator(f"{place} .fks-row[aria-rowindex='10']")
        expect(last).to_contain_text("999,999.00")


def test_the_answer_to_an_earlier_click_does_not_undo_the_later_one(sheet):
    """Python may be a click behind; what it says in the end holds."""
    row = sheet.page.locator(".fks-row:visible")
    row.nth(0).click()
    row.nth(2).click(modifiers=["Control"])
    sheet.show({"accounts": Rows(fleet(), frozenset({7100000}))})
    row.nth(4).click(modifiers=["Control"])
    assert sheet.sent("select")[-1]["keys"] == [7100000, 7100002, 7100004]
    sheet.show({"accounts": Rows(fleet(), frozenset({7100005}))})
    chosen = sheet.page.locator(".fks-row[aria-selected=true]")
    expect(chosen).to_have_count(1)
    expect(chosen).to_contain_text("7100005")


def test_the_place_of_the_keyboard_moves_with_its_row(sheet):
    """What is read out is the row that Enter opens, also after rows changed places."""
    grid = sheet.page.get_by_role("grid")
    sheet.page.get_by_role("button", name="balance").click()
    grid.focus()
    sheet.page.keyboard.press("Home")
    key = sheet.column(ACCOUNT)[0]
    sheet.page.wait_for_timeout(300)  # rows do not move right after somebody pressed
    sheet.show({"accounts": Rows({**fleet(), int(key): account(int(key), balance=1e6)})})
    active = sheet.page.locator(f"#{grid.get_attribute('aria-activedescendant')}")
    expect(active).to_have_attribute("aria-rowindex", "10")
    expect(active).to_contain_text(key)
    expect(active).to_have_class("fks-row fks-active")


def test_headings_are_one_stop_of_tab_and_arrows_go_along(sheet):
    """And Enter sorts by the one that has the focus."""
    sheet.page.locator(".fks-sort").first.focus()
    sheet.page.keyboard.press("ArrowRight")
    sheet.page.keyboard.press("ArrowRight")
    sheet.page.keyboard.press("Enter")
    heading = sheet.page.get_by_role("columnheader", name="firm")
    expect(heading).to_have_attribute("aria-sort", "ascending")
    expect(heading.get_by_role("button")).to_be_focused()
    assert sheet.page.locator(".fks-sort[tabindex='0']").count() == 1


def test_what_is_lost_is_asked_for_again(new_page, url):
    """Should the answer be lost, too; once it is there nobody asks."""
    page = new_page()
    page.clock.install()
    sheet = SheetPage(page, url, BLOCKS)
    sheet.show({"accounts": Rows(fleet())})
    sheet.deliver({"kind": "patch", "version": 9, "base": 8, "now": 101.0, "blocks": {}})
    page.clock.run_for(6_000)
    assert len(sheet.sent("resync")) == 2
    sheet.version = 0
    sheet.show({"accounts": Rows(fleet())})
    page.clock.run_for(20_000)
    assert len(sheet.sent("resync")) == 2


def test_a_view_says_once_a_minute_that_it_is_seen(new_page, url):
    """Should the first word of it be lost; and one that knows nothing keeps asking."""
    page = new_page()
    page.clock.install()
    sheet = SheetPage(page, url, BLOCKS)
    page.wait_for_function("() => window.sent.length === 2")
    page.clock.run_for(6_000)
    assert len(sheet.sent("hello")) == 2
    sheet.show({"accounts": Rows(fleet())})
    page.clock.run_for(61_000)
    assert len(sheet.sent("visible")) == 2
    assert len(sheet.sent("hello")) == 2


def test_a_closed_view_leaves_the_other_one_guarded(sheet):
    """Two sheets of one panel: keys stay in it for as long as one of them is there."""
    sheet.page.evaluate(
        """() => {
            const el = document.createElement('div');
            document.querySelector('.fleetkit-panel').append(el);
            widget.render({ model: { get: () => null, on() {}, send() {} }, el });
        }"""
    )
    expect(sheet.page.locator(".fks-sheet")).to_have_count(2)
    sheet.page.locator(".fks-sheet").last.locator(".fks-row").first.wait_for()
    sheet.page.evaluate("() => { close_view(); }")
    sheet.page.locator("#beside").focus()
    sheet.page.keyboard.press("x")
    assert sheet.page.evaluate("window.keys_outside") == []


def test_a_moment_that_no_calendar_knows_breaks_nothing(new_page, url):
    """An agent may say anything; the rows are there all the same."""
    table = Table("t", "T", (Column("at", "at", "time"), Column("firm", "firm")))
    sheet = SheetPage(new_page(), url, (table,))
    sheet.show({"t": Rows({1: (1e18, "first"), 2: (1763967792, "second"), 3: ("soon", "third")})})
    assert sheet.column(1) == ["1000000000000000000", "2025-11-24 07:03:12", "soon"]
    assert sheet.column(2) == ["first", "second", "third"]


def test_rows_move_under_a_live_sort_and_the_selection_moves_with_them(sheet):
    """What is chosen is an account and not a place."""
    sheet.page.get_by_role("columnheader", name="balance").get_by_role("button").click()
    sheet.page.locator(".fks-row:visible").first.click()
    chosen = sheet.sent("select")[-1]["keys"]
    assert len(chosen) == 1
    rows = fleet()
    rows[chosen[0]] = account(chosen[0], balance=999_999.0)
    sheet.page.wait_for_timeout(300)  # rows do not move right after somebody pressed
    sheet.show({"accounts": Rows(rows, frozenset(chosen))})
    last = sheet.page.locator(".fks-row[aria-selected=true]")
    expect(last).to_have_count(1)
    expect(last).to_contain_text("999,999.00")
    assert sheet.column(ACCOUNT)[-1] == str(chosen[0])


def test_rows_are_chosen_with_mouse_and_modifiers(sheet):
    """Click, ctrl-click, shift-click, and the box of the heading for all that are shown."""
    row = sheet.page.locator(".fks-row:visible")
    row.nth(0).click()
    row.nth(2).click(modifiers=["Control"])
    assert sheet.sent("select")[-1]["keys"] == [7100000, 7100002]
    row.nth(1).click()
    row.nth(4).click(modifiers=["Shift"])
    assert sheet.sent("select")[-1]["keys"] == [7100001, 7100002, 7100003, 7100004]
    sheet.page.locator(".fks-filter").fill("status:offline")
    sheet.page.get_by_role("checkbox", name="Choose all rows that are shown").check()
    assert set(sheet.sent("select")[-1]["keys"]) == {
        7100001, 7100002, 7100003, 7100004, 7100005, 7100008,
    }  # fmt: skip


def test_the_grid_is_operable_by_keyboard(sheet):
    """Arrows, Home and End move; Space chooses, Enter opens, ctrl-A takes all, Escape none."""
    grid = sheet.page.get_by_role("grid")
    grid.focus()
    press = sheet.page.keyboard.press
    press("ArrowDown")
    press("ArrowDown")
    press(" ")
    assert sheet.sent("select")[-1]["keys"] == [7100001]
    press("End")
    press("Enter")
    assert sheet.sent("act") == [{"kind": "act", "block": "accounts", "key": 7100008}]
    active = grid.get_attribute("aria-activedescendant")
    expect(sheet.page.locator(f"#{active}")).to_contain_text("7100008")
    press("Control+a")
    assert len(sheet.sent("select")[-1]["keys"]) == 9
    press("Escape")
    assert sheet.sent("select")[-1]["keys"] == []


def test_keys_do_not_leave_the_panel(sheet):
    """Not from the grid, the filter, a button beside; and shortcuts are told to keep away."""
    for place in (".fks-grid", ".fks-filter", "#beside", ".fks-sort"):
        sheet.page.locator(place).first.focus()
        for key in ("x", "d", "Enter", "Shift+Enter", "Control+Enter", "ArrowDown"):
            sheet.page.keyboard.press(key)
        assert sheet.page.evaluate("document.activeElement.dataset.lmSuppressShortcuts") == "true"
    outside = sheet.page.evaluate("window.keys_outside")
    assert set(outside) <= {"Control", "Shift"}


def test_ages_count_on_by_themselves(sheet):
    """Nothing is sent, and a second later every age is a second more."""
    before = [int(text.split()[0]) for text in sheet.column(AGE)]
    sheet.page.wait_for_function(
        "least => parseInt(document.querySelector('.fks-row .fks-is-age').textContent) >= least",
        arg=before[0] + 2,
    )


def test_a_hidden_view_tells_it_and_does_nothing(sheet):
    """Out of sight patches change no element; back in sight all is there."""
    assert sheet.sent("visible")[-1]["visible"] is True
    sheet.page.evaluate("document.getElementById('around').style.display = 'none'")
    sheet.page.wait_for_function("() => window.sent.at(-1).visible === false")
    rows = fleet()
    rows[7100000] = account(7100000, firm="Changed meanwhile")
    sheet.show({"accounts": Rows(rows)})
    assert "Changed meanwhile" not in sheet.column(FIRM)
    sheet.page.evaluate("document.getElementById('around').style.display = ''")
    expect(sheet.page.get_by_text("Changed meanwhile")).to_be_visible()


def test_a_view_that_is_closed_says_so(sheet):
    """And a second view of the same widget shows the same."""
    sheet.page.evaluate("() => { second(); }")
    expect(sheet.page.locator("#second .fks-row:visible")).to_have_count(9)
    sheet.page.evaluate("() => { close_view(); }")
    assert len(sheet.sent("gone")) == 1


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_executes_nothing_and_breaks_no_layout(sheet, text):
    """In cells, tooltips, lines, notices and pictures."""
    high = sheet.page.locator(".fks-row").first.bounding_box()["height"]
    rows = fleet()
    rows[7100000] = account(7100000, firm=text, error=text, phase=text, status="offline")
    shape = f'<svg xmlns="http://www.w3.org/2000/svg" onload="window.hacked=1">{text[:100]}</svg>'
    sheet.show(
        {
            "accounts": Rows(rows),
            "totals": (Segment(text, "bad", "badge", title=text),),
            "problem": text,
            "curve": Drawing(shape, text),
        }
    )
    sheet.page.wait_for_timeout(50)
    assert sheet.page.evaluate("window.hacked") is None
    assert sheet.page.locator(".fks-row").first.bounding_box()["height"] == high
    assert (
        sheet.page.evaluate("document.querySelectorAll('.fks-sheet script, .fks-sheet img').length")
        == 0
    )
    assert sheet.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    shown = sheet.column(FIRM)[0]
    assert len(shown) < 1000
    assert not any(ord(letter) < 32 or letter in "\u202e\u202c" for letter in shown)


def test_a_picture_has_shapes_and_text_only(sheet):
    """Scripts, handlers, links out, foreign elements are left behind; the page's colours stay."""
    sheet.show(
        {
            "accounts": Rows(fleet()),
            "curve": Drawing(
                DANGEROUS,
                "The balance rose.",
            ),
        }
    )
    picture = sheet.page.get_by_role("img", name="The balance rose.")
    html = picture.inner_html()
    for word in ("script", "foreignObject", "onclick", "example.com", "image", "behavior"):
        assert word not in html, word
    assert "--jp-brand-color1" in html
    assert picture.locator("text").text_content() == "12 <b>"


def test_columns_are_chosen_by_keyboard_too(sheet):
    """The menu opens, shows a column, and closes on Escape."""
    summary = sheet.page.get_by_text("Columns", exact=True)
    summary.focus()
    sheet.page.keyboard.press("Enter")
    sheet.page.get_by_label("holder").check()
    expect(sheet.page.get_by_role("columnheader", name="holder")).to_be_visible()
    sheet.page.keyboard.press("Escape")
    expect(sheet.page.get_by_label("holder")).to_be_hidden()
    assert sheet.column(WHY + 1)[0] == "Anna Lindqvist"
    summary.click()
    expect(sheet.page.get_by_label("holder")).to_be_visible()
    sheet.page.locator(".fks-label").click()
    expect(sheet.page.get_by_label("holder")).to_be_hidden()


def test_a_wait_is_explained_and_saved_rows_are_shown(new_page, url):
    """Without a kernel behind it a sheet says so; what was saved on purpose is there."""
    waiting = SheetPage(new_page(), url, BLOCKS)
    expect(waiting.page.get_by_text("run its cell to connect it again")).to_be_visible()
    saved = {
        "kind": "full", "version": 3, "now": 100.0,
        "blocks": {"accounts": {"keys": [1], "rows": [list(account(1))], "selected": []}},
    }  # fmt: skip
    kept = SheetPage(new_page(), url, BLOCKS, saved)
    expect(kept.page.locator(".fks-row:visible")).to_have_count(1)


@pytest.mark.parametrize("width", [380, 1600])
def test_narrow_and_wide_pages_scroll_inside_of_the_table(new_page, url, width):
    """The page itself never scrolls sideways."""
    sheet = SheetPage(new_page(width, 700), url, BLOCKS)
    sheet.show(
        {"accounts": Rows(fleet(40)), "totals": tuple(Segment(f"part {n}") for n in range(12))}
    )
    assert sheet.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
