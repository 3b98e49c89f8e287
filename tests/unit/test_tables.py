"""Frames as text and files: readable, whole, and inert whatever an agent wrote."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from fleetkit import frames
from fleetkit.errors import UsageError
from fleetkit.frames.tables import FORMATS, age_text, table_text, totals_text, write_table
from fleetkit.model import Account, AccountStatus, Source

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)
HOSTILE = "\x1b[2J\x9b31m\u202eevil\r\nnext\t|"


def row(account: int, **given: object) -> Account:
    known: dict[str, object] = {
        "agent": f"vps{account % 100:02}-a1",
        "status": AccountStatus.CONNECTED,
        "source": Source.LIVE,
        "balance": 100_450.25,
        "pnl": -1_353.72,
        "has_open_position": True,
        "as_of": NOON,
        "age_s": 3.4,
    }
    return Account(account=account, **(known | given))  # type: ignore[arg-type]  # by field name


def accounts(*rows: Account) -> pd.DataFrame:
    return frames.accounts_frame(list(rows))


def cells(text: str, line: int) -> list[str]:
    return text.splitlines()[line].split()


def test_a_table_is_aligned_and_readable() -> None:
    """Numbers stand right with thousands, words left, the unknown is a dash."""
    frame = accounts(row(7100001), row(7100002, balance=None, has_open_position=None))
    shown = ["account", "status", "balance", "has_open_position", "as_of", "age_s", "source"]
    assert table_text(frame, shown).splitlines() == [
        "account  status        balance  open  as of (UTC)          age  source",
        "-------  ---------  ----------  ----  -------------------  ---  ------",
        "7100001  connected  100,450.25  yes   2026-02-01 12:00:00  3 s  live",
        "7100002  connected           -  -     2026-02-01 12:00:00  3 s  live",
    ]


def test_the_important_columns_win_a_narrow_screen() -> None:
    """No line is wider than the screen; what is left stands in the frame's order."""
    frame = accounts(row(7100001, name="x" * 30))
    importance = ["account", "balance", "source", "status", "name", "agent"]
    narrow = table_text(frame, importance, width=40)
    assert cells(narrow, 0) == ["account", "status", "balance", "source"]
    assert max(map(len, narrow.splitlines())) <= 40
    assert cells(table_text(frame, importance), 0)[1:3] == ["agent", "status"]


def test_columns_of_which_nothing_is_known_are_left_out() -> None:
    """Base agents tell no equity; an empty column is no news."""
    assert "equity" not in table_text(accounts(row(7100001)))
    assert "equity" in table_text(accounts(row(7100001), row(7100002, equity=1.0)))


def test_an_empty_frame_keeps_its_headings() -> None:
    """No rows are two lines of headings, not nothing."""
    lines = table_text(accounts(), ["account", "status"]).splitlines()
    assert [line.split() for line in lines] == [["account", "status"], ["-------", "------"]]


def test_wide_and_combining_characters_keep_columns_straight() -> None:
    """A Japanese or decomposed name takes the places it takes on a screen."""
    frame = accounts(row(7100001, holder="山田太郎"), row(7100002, holder="Ine\u0300s"))
    _, _, wide, combined = table_text(frame, ["account", "holder", "source"]).splitlines()
    assert wide == "7100001  山田太郎  live"
    assert combined == "7100002  Ine\u0300s      live"


@pytest.mark.parametrize(
    ("age_s", "text"),
    [(0.0, "0 s"), (0.99, "0 s"), (59.9, "59 s"), (60, "1 min"), (7_200, "2 h"), (200_000, "2 d")],
)
def test_ages_are_said_as_people_say_them(age_s: float, text: str) -> None:
    """An age never looks younger unit by unit; it is rounded down."""
    assert age_text(age_s) == text


def test_trades_show_prices_whole_and_durations_short() -> None:
    """Five decimals survive, a trade of more than a day is counted in hours."""
    frame = pd.DataFrame(
        {
            "entry_price": [1.08412],
            "exit_price": [2650.5],
            "duration": pd.array([timedelta(days=1, hours=2, minutes=3, seconds=4)]),
        }
    )
    assert cells(table_text(frame), 2) == ["1.08412", "2650.5", "26:03:04"]


def test_hostile_text_is_inert_in_a_table() -> None:
    """Escape sequences, direction marks and line breaks are shown, not obeyed."""
    text = table_text(accounts(row(7100001, holder=HOSTILE)), ["account", "holder"])
    assert len(text.splitlines()) == 3
    assert all(character.isprintable() for character in text.replace("\n", ""))
    assert "evil" in text


def test_a_long_text_is_cut() -> None:
    """One talkative agent does not push the table off the screen."""
    text = table_text(accounts(row(7100001, error="x" * 500)), ["error"])
    assert max(map(len, text.splitlines())) < 80
    assert "…" in text


def written(capfdbinary, frame: pd.DataFrame, kind: str) -> bytes:
    write_table(frame, kind)
    answer: bytes = capfdbinary.readouterr().out
    return answer


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t=", "\r=", "\n@", " =", "＝", "＋", "－", "＠"]
)
def test_formulas_in_csv_are_neutralised(capfdbinary, start: str) -> None:
    """A name that a spreadsheet would calculate is text with a ' before it."""
    answer = written(capfdbinary, accounts(row(7100001, holder=f"{start}1+1")), "csv").decode()
    (found,) = csv.DictReader(io.StringIO(answer))
    assert found["holder"].startswith("'")
    assert found["holder"].endswith("1+1")
    assert found["pnl"] == "-1353.72"


def test_csv_is_inert_in_a_terminal_too(capfdbinary) -> None:
    """What goes to a screen as CSV moves no cursor, and one row is one line."""
    answer = written(capfdbinary, accounts(row(7100001, holder=HOSTILE)), "csv").decode()
    assert len(answer.splitlines()) == 2
    assert answer.replace("\n", "").isprintable()


def test_json_has_every_column_and_escapes(capfdbinary) -> None:
    """Text comes back as it was, unknown is null, times are ISO in UTC."""
    answer = written(capfdbinary, accounts(row(7100001, holder=HOSTILE)), "json")
    assert answer.isascii()
    assert answer.count(b"\n") == 1
    (found,) = json.loads(answer)
    assert list(found) == ["account", *frames.ACCOUNTS.names]
    assert found["holder"] == HOSTILE
    assert (found["account"], found["balance"], found["equity"]) == (7100001, 100_450.25, None)
    assert found["as_of"] == "2026-02-01T12:00:00.000000Z"


def test_parquet_is_the_frame_itself(capfdbinary) -> None:
    """Columns, dtypes and text survive a round trip."""
    frame = accounts(row(7100001, holder=HOSTILE), row(7100002, source=Source.STALE))
    found = pd.read_parquet(io.BytesIO(written(capfdbinary, frame, "parquet")))
    pd.testing.assert_frame_equal(found.set_index("account"), frame)


@pytest.mark.parametrize("kind", FORMATS)
def test_writing_changes_nothing_in_the_frame(tmp_path: Path, kind: str) -> None:
    """The frame in hand is the same before and after."""
    frame = accounts(row(7100001, holder="=1"))
    frame.attrs["missing"] = []
    before = frame.copy()
    write_table(frame, kind, tmp_path / "file")
    pd.testing.assert_frame_equal(frame, before)
    assert frame.attrs == {"missing": []}
    assert (tmp_path / "file").stat().st_size > 0


def test_a_file_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    """The message names the file and what to do."""
    with pytest.raises(UsageError, match=r"cannot be written: .* Give another --output\."):
        write_table(accounts(row(7100001)), "csv", tmp_path / "no" / "such")


def test_parquet_does_not_go_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Binary data on a screen helps nobody."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    with pytest.raises(UsageError, match="--output"):
        write_table(accounts(row(7100001)), "parquet")


def test_a_screen_that_cannot_show_a_character_shows_a_sign(monkeypatch, tmp_path) -> None:
    """No name stops the table on an ASCII terminal."""
    with (tmp_path / "screen").open("w", encoding="ascii") as screen:
        monkeypatch.setattr("sys.stdout", screen)
        write_table(accounts(row(7100001, holder="Sørensen")), "table", importance=["holder"])
    assert "S?rensen" in (tmp_path / "screen").read_text(encoding="ascii")


def test_totals_are_one_sentence() -> None:
    """Counts, what is known of the money, and when it was read."""
    healthy = frames.summary_frame(accounts(row(7100001), row(7100002)), NOON)
    assert totals_text(healthy) == (
        "2 accounts, all connected; balance 200,900.50; read 2026-02-01 12:00:00 UTC.\n"
    )
    failed = row(7100001, status=AccountStatus.OFFLINE, source=Source.STALE, error="gone")
    assert totals_text(frames.summary_frame(accounts(failed), None)) == (
        "1 account, 0 connected, 1 not, 1 with older figures; balance 100,450.25; "
        "never read as a whole.\n"
    )


def test_totals_of_two_currencies_are_two_lines() -> None:
    """Money of two currencies has no sum."""
    mixed = accounts(row(7100001, currency="EUR"), row(7100002, currency="USD", profit=5.0))
    euro, dollar = totals_text(frames.summary_frame(mixed, NOON)).splitlines()
    assert "balance 100,450.25 EUR" in euro
    assert "profit 5.00 USD" in dollar
