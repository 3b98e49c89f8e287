"""A trade history decoded in pieces is the whole one, or the whole one's error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from fleetkit import contract
from fleetkit.contract import TRADE_HISTORY, BaseTradeWire, TradeHistoryWire, TradeWire
from fleetkit.frames import FrameError, TradeBlock, decode_history

TRADE: dict[str, Any] = {
    "symbol": "EURUSD",
    "side": "BUY",
    "lot": 0.5,
    "profit": 61.5,
    "entry_time": "2026-02-01T08:00:00",
    "exit_time": "2026-02-01T09:30:00",
    "entry_price": 1.08412,
    "exit_price": 1.08535,
    "position_id": 1,
}
ONE = json.dumps(TRADE)
NEVER_READ = ("tp_money", "sl_money")
REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

quick = settings(deadline=None, max_examples=400)

hostile = st.sampled_from(
    ['"trades":[', "},{", "}, {", "}", "]", "]}", '"', "\\", '\\"', "[{", "trades", "\n", "é", "["]
)
texts = st.lists(hostile, max_size=4).map("".join)
keys = st.sampled_from(
    ["trades", "profit", "account_number", "comment", 'x"trades', "total_trades"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)
extras = st.dictionaries(st.sampled_from(["comment", "trades", "side", "tags", "pips"]), values)
benign = st.builds(
    lambda number, comment: TRADE | {"position_id": number, "comment": comment},
    st.none() | st.integers(0, 5),
    texts,
)
odd = st.builds(lambda extra: TRADE | extra, extras)
trade_lists = st.lists(benign, max_size=8)
odd_lists = (
    st.lists(benign | odd, max_size=4)
    | values
    | trade_lists.map(lambda rows: {"trades": rows})
    | st.just([])
)
layouts = st.sampled_from([None, 0, 1, "\t"])


def written(members: list[tuple[str, Any]], indent: int | str | None, line: str = "\n") -> bytes:
    """A JSON object in which a key may stand twice."""
    separator = "," if indent is None else ",\n"
    body = separator.join(f"{key}:{json.dumps(value, indent=indent)}" for key, value in members)
    return f"{{{body}}}".replace("\n", line).encode()


spelled = st.sampled_from(['"trades"', '"tr\\u0061des"', '"x"', '"x\\"trades"', '"total_trades"'])
strange = st.lists(st.tuples(spelled, odd_lists), max_size=2)
members = st.one_of(
    st.tuples(trade_lists.map(lambda rows: [('"trades"', rows)]), st.just([])),
    st.tuples(trade_lists.map(lambda rows: [('"trades"', rows)]), strange),
    st.tuples(odd_lists.map(lambda rows: [('"trades"', rows)]), strange),
)
bodies = st.builds(
    written,
    members.flatmap(lambda pair: st.permutations([('"account_number"', 7), *pair[0], *pair[1]])),
    layouts,
    st.sampled_from(["\n", "\r\n", " "]),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A body in which a span was replaced by bytes that mean something to JSON."""
    body = draw(bodies)
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(len(body), start + 40)))
    patch = draw(
        st.lists(st.sampled_from([*'{}[],:"\\ ', '"trades":[', "},{", ONE]), max_size=3).map(
            "".join
        )
    )
    return body[:start] + patch.encode() + body[end:]


def whole(body: bytes) -> tuple[TradeHistoryWire, list[TradeWire]] | Exception:
    try:
        wire = TRADE_HISTORY.decode(body)
    except REFUSALS as error:
        return error
    return msgspec.structs.replace(wire, trades=[]), wire.trades


def with_every_field(trade: TradeWire | BaseTradeWire) -> TradeWire:
    """The same trade as the whole body's decoder makes it."""
    if isinstance(trade, TradeWire):
        return trade
    fields = msgspec.structs.asdict(trade)
    return TradeWire(**{name: fields[name] for name in fields if name not in NEVER_READ})


def in_pieces(
    body: bytes, piece_bytes: int
) -> tuple[TradeHistoryWire, list[list[TradeWire]]] | None:
    """What the pieces say, or ``None`` where they leave it to the whole."""
    try:
        header, pieces = contract.decode_history_in_pieces(body, piece_bytes)
        return header, list(pieces)
    except REFUSALS:
        return None


@quick
@given(bodies | damaged(), st.integers(0, 400))
def test_pieces_say_what_the_whole_says_or_nothing(body: bytes, piece_bytes: int) -> None:
    """No text, nesting, repetition, layout or damage makes the pieces say something else."""
    answer = in_pieces(body, piece_bytes)
    event("left to the whole" if answer is None else f"{min(len(answer[1]), 3)} pieces")
    if answer is not None:
        header, pieces = answer
        read = [with_every_field(trade) for piece in pieces for trade in piece]
        assert (header, read) == whole(body)


def adopted(body: bytes) -> tuple[TradeHistoryWire, pa.Table] | Exception:
    """What comes of the whole, decoded first and adopted then."""
    answer = whole(body)
    if isinstance(answer, Exception):
        return answer
    try:
        return answer[0], TradeBlock.from_wire(answer[1], None).table
    except FrameError as error:
        return error


@quick
@given(bodies | damaged())
def test_a_block_is_that_of_the_whole_or_its_error(body: bytes) -> None:
    """`decode_history` gives what decoding and adopting the whole gives, errors included."""
    expected = adopted(body)
    if isinstance(expected, Exception):
        with pytest.raises(type(expected)) as raised:
            decode_history(body, None)
        assert str(raised.value) == str(expected)
        assert vars(raised.value) == vars(expected)  # a FrameError has its path in it
        return
    header, block = decode_history(body, None)
    assert header == expected[0]
    assert block.table.equals(expected[1])


@pytest.mark.parametrize("indent", [None, 0, 1, "\t"])
@pytest.mark.parametrize("line", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_every_layout_is_cut(indent: int | str | None, line: str, last: bool) -> None:
    """Compact or pretty, `trades` last or first: cut into pieces and put together in order."""
    numbered = [TRADE | {"position_id": number} for number in range(50)]
    members = [('"account_number"', 7), ('"total_profit"', 1.5), ('"trades"', numbered)]
    answer = in_pieces(written(members if last else members[::-1], indent, line), 1_000)
    assert answer is not None
    header, pieces = answer
    assert len(pieces) > 5
    assert header == TradeHistoryWire(account_number=7, total_profit=1.5, trades=[])
    assert [trade.position_id for piece in pieces for trade in piece] == list(range(50))


@pytest.mark.parametrize("comment", ["[tp 1.0853]", "},{", "}", '"trades":[', "{", '\\"},', "a\nb"])
def test_texts_that_look_like_a_seam_do_not_change_a_trade(comment: str) -> None:
    """What stands in a string is text, whether the cut falls into it or not."""
    rows = [TRADE | {"comment": comment, "symbol": comment, "position_id": n} for n in range(20)]
    body = written([('"account_number"', 7), ('"trades"', rows)], None)
    for piece_bytes in range(0, 400, 7):
        answer = in_pieces(body, piece_bytes)
        if answer is not None:
            assert [trade.symbol for piece in answer[1] for trade in piece] == [comment] * 20
    _, block = decode_history(body, None)
    assert block.table["symbol"].to_pylist() == [comment] * 20


def test_line_breaks_in_texts_are_kept() -> None:
    """Texts are joined by line breaks on the way; one that has some itself is still one text."""
    symbols = ["EURUSD", "A\nB", "\n", "", "A", "B"]
    wires = [
        msgspec.convert(TRADE | {"symbol": symbol, "position_id": number}, TradeWire)
        for number, symbol in enumerate(symbols)
    ]
    for size in (1, 2, 6):
        pieces = (wires[start : start + size] for start in range(0, len(wires), size))
        block = TradeBlock.from_pieces(pieces, None)
        assert block.table["symbol"].to_pylist() == symbols


@pytest.mark.parametrize(
    "body",
    [
        f'{{"a\\"trades": [{ONE}], "account_number": 7, "trades": []}}',
        f'{{"a": {{"trades": [{ONE}]}}, "account_number": 7, "trades": []}}',
        f'{{"account_number": 7, "trades": [{ONE}], "trades": []}}',
        f'{{"account_number": 7, "trades": [], "trades": [{ONE}]}}',
        f'{{"account_number": 7, "trades": [{ONE}], "tr\\u0061des": []}}',
        f'{{"account_number": 7, "tr\\u0061des": [], "a": {{"trades": [{ONE}]}}}}',
        f'{{"account_number": 7, "tr\\u0061des": [], "a\\"trades": [{ONE}]}}',
        f'{{"account_number": 7, "trades": [], "a": {{"trades": [{ONE}]}}}}',
        f'{{"account_number": 7, "trades": [{ONE}], "others": [{ONE}]}}',
        f'{{"account_number": 7, "others": [{ONE}], "trades": [{ONE}]}}',
        f'{{"account_number": 7, "note": "\\"trades\\":[{{", "trades": [{ONE}]}}',
        f'{{"account_number": 7, "note": ["trades", [{ONE}]], "trades": []}}',
    ],
)
def test_the_last_key_of_the_answer_itself_counts(body: str) -> None:
    """Neither a key inside another value, nor an earlier one, nor a text is `trades`."""
    expected = TRADE_HISTORY.decode(body.encode())
    header, block = decode_history(body.encode(), None)
    assert len(block) == len(expected.trades)
    assert header == msgspec.structs.replace(expected, trades=[])


@pytest.mark.parametrize(
    "body",
    [
        f'{{"account_number": 7, "trades": [{ONE},]}}',
        f'{{"account_number": 7, "trades": [,{ONE}]}}',
        f'{{"account_number": 7, "trades": [{ONE} {ONE}]}}',
        f'{{"account_number": 7, "trades": [{ONE}], [{ONE}]}}',
        f'{{"account_number": 7, "trades": [{ONE}}}',
        f'{{"account_number": 7, "trades": [{ONE}]}} ]',
        f'{{"account_number": 7, "trades": [[{ONE}]]}}',
        f'{{"account_number": 7, "trades": ["bad"], "trades": [{ONE}]}}',
        f'{{"account_number": 7, "a": {{"trades": [{ONE}]}}}}',
        f'{{"trades": [{ONE}]}}',
        f'[{{"account_number": 7, "trades": [{ONE}]}}]',
        '"trades":[]',
        "]",
        "",
    ],
)
def test_what_is_malformed_stays_malformed(body: str) -> None:
    """A body that the whole decode refuses is refused with the same words."""
    expected = whole(body.encode())
    assert isinstance(expected, Exception)
    with pytest.raises(type(expected)) as raised:
        decode_history(body.encode(), None)
    assert str(raised.value) == str(expected)


def test_no_trades() -> None:
    """An empty array is an empty block, however it is written."""
    for inside in ("", " ", "\n"):
        header, block = decode_history(
            f'{{"account_number": 7, "trades": [{inside}]}}'.encode(), None
        )
        assert header.account_number == 7
        assert block.table.equals(TradeBlock.empty().table)


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("exit_time", "soon", "$.trades[5900].exit_time"),
        ("side", "HOLD", "$.trades[5900].side"),
        ("profit", "much", "$.trades[5900].profit"),
    ],
)
def test_a_mistake_in_a_late_piece_has_its_place_in_the_whole(
    field: str, value: str, path: str
) -> None:
    """The path counts from the first trade of the answer, not of a piece."""
    rows = [TRADE | {"position_id": number} for number in range(6_000)]
    rows[5_900][field] = value
    body = written([('"account_number"', 7), ('"trades"', rows)], None)
    assert len(body) > 2 * contract.PIECE_BYTES
    with pytest.raises((FrameError, msgspec.ValidationError)) as raised:
        decode_history(body, ZoneInfo("Europe/Athens"))
    assert path in (getattr(raised.value, "json_path", None) or str(raised.value))


def test_a_piece_is_let_go_before_the_next_is_asked_for() -> None:
    """Only so is its memory still warm when the next one is decoded into it."""
    alive: list[str] = []

    class Piece(list[TradeWire]):
        def __del__(self) -> None:
            alive.remove("piece")

    def pieces() -> Iterator[list[TradeWire]]:
        for number in range(3):
            assert alive == []
            alive.append("piece")
            yield Piece([msgspec.convert(TRADE | {"position_id": number}, TradeWire)])

    assert len(TradeBlock.from_pieces(pieces(), None)) == 3
