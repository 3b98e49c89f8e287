"""What callers may say of an order: exact numbers in any form, or a sentence that names it."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetkit.aio.order_words import (
    COMMENT_MAX,
    comment_of,
    flag_of,
    number_of,
    open_wish,
    order_id_of,
    side_of,
    stop_level,
    stop_of,
    ticket_of,
    volume_of,
)
from fleetkit.errors import UsageError
from fleetkit.model import Side
from fleetkit.trading import KEEP, REMOVE, OrderKind, Stop

ORDER: dict[str, Any] = {"account": 7_100_012, "symbol": "EURUSD", "side": "buy", "volume": 0.1}


@pytest.mark.parametrize(
    ("given", "exact"),
    [
        (0.1, "0.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1, "1"),
        ("0.1", "0.1"),
        (" 0.10 ", "0.10"),
        ("1e-2", "0.01"),
        (Decimal("0.07"), "0.07"),
        (np.float64(0.1), "0.1"),
        (np.float32(0.1), "0.1"),
        (np.float32(0.7), "0.7"),
        (np.float16(0.7), "0.7"),
        (np.int64(2), "2"),
        (np.uint8(2), "2"),
        (Fraction(1, 4), "0.25"),
        (pd.Series([0.3])[0], "0.3"),
        (np.str_("0.2"), "0.2"),
    ],
    ids=repr,
)
def test_a_number_is_read_with_the_digits_it_shows(given: object, exact: str) -> None:
    """What a cell shows as 0.7 is 0.7 lots and not a hair less, which would be rounded down."""
    found = number_of(given, "volume")
    assert (type(found), found, str(found)) == (Decimal, Decimal(exact), exact)


@pytest.mark.parametrize(
    "given",
    [
        True, False, np.bool_(True), None, math.nan, math.inf, -math.inf, np.nan, pd.NA, pd.NaT,
        0, 0.0, -0.0, -0.1, "-1", "0", "", " ", "0,5", "0.5 lots", "1.000,5", "half", "nan", "inf",
        "0_5", "sNaN", Decimal("NaN"), Decimal("-Infinity"), Decimal("sNaN"), b"0.1", 1j, [0.1],
        np.array([0.1]), (0.1,), {"volume": 0.1}, object(), pd.Series([0.1]),
    ],
    ids=repr,
)  # fmt: skip
def test_anything_else_is_refused_by_name(given: object) -> None:
    """One sentence with the name and what was found, and no exception of another kind."""
    with pytest.raises(UsageError, match="`sl_pips` is a number above 0") as raised:
        number_of(given, "sl_pips")
    assert len(str(raised.value)) < 130


@pytest.mark.parametrize(
    "given",
    ["1e400", "1e-400", 10**400, "9" * 5000, Decimal("1e999999")],
    ids=["huge", "tiny", "huge int", "digits", "huge Decimal"],
)
def test_a_number_that_no_broker_knows_is_refused(given: object) -> None:
    """It would be infinite or nothing in the request's JSON."""
    with pytest.raises(UsageError, match="`volume` is a number above 0"):
        volume_of(given)


@given(st.integers(1, 10**9).map(lambda cents: cents / 100))
def test_every_number_of_lots_survives(given: float) -> None:
    """There and back without a digit lost."""
    assert float(volume_of(given)) == given


@pytest.mark.parametrize("given", ["buy", "BUY", " Buy ", Side.BUY, np.str_("buy")])
def test_a_side_in_any_case(given: object) -> None:
    """As the terminal, the agent or a person writes it."""
    assert side_of(given) is Side.BUY


@pytest.mark.parametrize("given", ["long", "", "b", None, 0, 1, True, math.nan, b"buy", ["buy"]])
def test_no_other_word_is_a_side(given: object) -> None:
    """0 is MetaTrader's buy, and nobody's guess here."""
    with pytest.raises(UsageError, match="`side` is 'buy' or 'sell'"):
        side_of(given)


@pytest.mark.parametrize("given", [5_512_399, np.int64(5_512_399), np.uint64(5_512_399)])
def test_a_ticket_is_a_whole_number(given: object) -> None:
    """NumPy's too, as they come out of a frame's index."""
    assert (ticket_of(given), type(ticket_of(given))) == (5_512_399, int)


@pytest.mark.parametrize("given", [0, -1, 1.0, "5512399", True, None, math.nan, np.float64(7)])
def test_nothing_else_is_a_ticket(given: object) -> None:
    """A float may have lost its last digits already."""
    with pytest.raises(UsageError, match="A ticket is a positive whole number"):
        ticket_of(given)


def test_a_stop_is_given_in_one_way() -> None:
    """Twice is an error even where both mean the same."""
    assert stop_of("sl", None, None, None) == Stop()
    assert stop_of("sl", "1.08", None, None) == Stop(price=Decimal("1.08"))
    assert stop_of("tp", None, np.int64(20), None) == Stop(pips=Decimal(20))
    assert stop_of("tp", None, None, 12.5) == Stop(money=Decimal("12.5"))
    with pytest.raises(UsageError, match="sl_price and sl_pips say the same thing twice"):
        stop_of("sl", 1.08, 20, None)
    with pytest.raises(UsageError, match="tp_pips and tp_money say"):
        stop_of("tp", None, 0, 5)
    with pytest.raises(UsageError, match="`tp_money` is a number above 0"):
        stop_of("tp", None, None, math.nan)


def test_a_stop_level_is_kept_removed_or_set() -> None:
    """None and 0 could each mean two things, so they mean nothing."""
    assert stop_level(KEEP, "sl_price") is KEEP
    assert stop_level(REMOVE, "sl_price") is REMOVE
    assert stop_level("1.0800", "sl_price") == Decimal("1.0800")
    with pytest.raises(UsageError, match=r"say fk\.KEEP or fk\.REMOVE"):
        stop_level(None, "sl_price")
    for wrong in (0, 0.0, False, math.nan, "keep"):
        with pytest.raises(UsageError, match="`tp_price` is a number above 0"):
            stop_level(wrong, "tp_price")


@pytest.mark.parametrize("given", [None, "0123456789abcdefABCDEF_-xy", "-" * 26])
def test_an_order_id_is_26_plain_characters(given: str | None) -> None:
    """Or none, and then one is made."""
    assert order_id_of(given) == given


@pytest.mark.parametrize(
    "given", ["", "short", "x" * 25, "x" * 27, "x" * 25 + "é", "x" * 25 + " ", "x" * 26 + "\n",
              "x" * 25 + "/", 26, True, b"x" * 26, math.nan],
)  # fmt: skip
def test_any_other_order_id_is_refused(given: object) -> None:
    """It goes into a URL and a header."""
    with pytest.raises(UsageError, match="26 characters"):
        order_id_of(given)


@pytest.mark.parametrize("given", [None, "", "x" * COMMENT_MAX, "Käufe, Fluß 3"])
def test_a_comment_that_is_kept_whole(given: str | None) -> None:
    """As it was given."""
    assert comment_of(given) == given


@pytest.mark.parametrize("given", ["x" * (COMMENT_MAX + 1), "a\nb", "a\x00", "\ud800", 5, math.nan])
def test_a_comment_that_would_be_cut_or_break_is_refused(given: object) -> None:
    """Better than a comment that nobody finds again."""
    with pytest.raises(UsageError, match="printable text of up to 26"):
        comment_of(given)


@pytest.mark.parametrize(
    ("given", "flag"),
    [(True, True), (False, False), (np.bool_(True), True), (np.bool_(False), False)],
)
def test_a_flag_is_true_or_false(given: object, flag: bool) -> None:
    """NumPy's too."""
    assert flag_of(given, "again") is flag


@pytest.mark.parametrize("given", [math.nan, None, "no", "True", "", 0, 2, pd.NA, [], [0]])
def test_nothing_else_is_a_flag(given: object) -> None:
    """An empty cell of a frame is NaN, which Python takes for true: it must not send again."""
    with pytest.raises(UsageError, match="`again` is True or False"):
        flag_of(given, "again")
    with pytest.raises(UsageError, match="`override` is True or False"):
        open_wish(ORDER | {"override": given})
    with pytest.raises(UsageError, match="`again` is True or False"):
        open_wish(ORDER | {"again": given})


def test_a_wish_is_read_whole() -> None:
    """Every name of `open_position`, in its exact form."""
    wanted = open_wish(
        {
            **ORDER,
            "account": np.int64(7_100_012),
            "symbol": " EURUSD ",
            "sl_pips": 20,
            "tp_money": "12.50",
            "comment": "from a cell",
            "order_id": "x" * 26,
            "again": True,
            "override": False,
        }
    )
    assert wanted.kind is OrderKind.OPEN
    assert (wanted.account, wanted.symbol, wanted.side) == (7_100_012, "EURUSD", Side.BUY)
    assert (wanted.volume, wanted.sl, wanted.tp) == (
        Decimal("0.1"),
        Stop(pips=Decimal(20)),
        Stop(money=Decimal("12.50")),
    )
    assert (wanted.comment, wanted.order_id) == ("from a cell", "x" * 26)
    assert (wanted.again, wanted.override) == (True, False)
    assert wanted.ticket is None


@pytest.mark.parametrize("missing", list(ORDER))
def test_what_is_missing_is_named(missing: str) -> None:
    """With every name that there is."""
    order = {name: value for name, value in ORDER.items() if name != missing}
    with pytest.raises(UsageError, match=rf"An order needs {missing}\. Its names are account,"):
        open_wish(order)


@pytest.mark.parametrize("name", ["sl", "lot", "Volume", "ticket", "side ", 7])
def test_unknown_names_are_no_typos_to_be_ignored(name: object) -> None:
    """`sl=` without a unit would be an order without a stop."""
    with pytest.raises(UsageError, match=f"An order knows no {name}"):
        open_wish({**ORDER, name: 1})


@pytest.mark.parametrize("given", [None, 5, "account", list(ORDER), [("account", 1)]])
def test_what_is_no_dict_is_no_order(given: object) -> None:
    """A sentence says what an order looks like."""
    with pytest.raises(UsageError, match="An order is a dict"):
        open_wish(given)


@pytest.mark.parametrize(
    ("name", "value"),
    [("account", "7100012"), ("account", 0), ("symbol", ""), ("symbol", 5), ("symbol", None),
     ("side", None), ("volume", "0,5"), ("volume", True), ("sl_price", 0), ("tp_pips", math.nan)],
)  # fmt: skip
def test_a_wish_with_one_wrong_word_is_refused(name: str, value: object) -> None:
    """Nothing of the batch it is in was done by then."""
    with pytest.raises(UsageError):
        open_wish(ORDER | {name: value})
