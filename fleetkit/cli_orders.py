"""The commands about orders: `orders`, `reconcile`, `halt`, `resume`.

Why: whoever must stop trading, or find out what became of an order, may have no notebook at
hand. May import `fleet` and below.
The trap: `orders`, `halt` and `resume` work on the store of this machine and need no agent;
they must not wait for one that is down, least of all on a bad day.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, Final, NamedTuple

from fleetkit.fleet import connect
from fleetkit.frames import DataFrame

ORDERS_SHOWN: Final = (
    "order_id", "account", "kind", "symbol", "side", "volume", "outcome", "ticket", "reason",
    "created_at", "price", "filled_volume", "stops_ok", "evidence", "retcode", "settled_at",
    "sent_at", "pair_id",
)  # fmt: skip
SENTENCES_SHOWN: Final = 10

_Add = Callable[[argparse.ArgumentParser], None]


class Console(NamedTuple):
    """What the command line has for all of its commands."""

    add_fleet: _Add  # the option that names the fleet
    add_output: _Add  # those that say how and where a table is written
    days: Callable[[str], float]
    write: Callable[[DataFrame, argparse.Namespace, Sequence[str]], None]
    say: Callable[[str], None]


def add_order_commands(commands: Any, console: Console) -> None:
    """Add the commands to those of `argparse`."""
    orders = commands.add_parser(
        "orders",
        help="the journal of orders, and what became of each",
        description="The journal of orders on this machine; no agent is asked. Exit status 3 if "
        "an order in it is unknown or under way.",
    )
    orders.add_argument("accounts", type=int, nargs="*", help="account numbers; all if none")
    orders.add_argument("--days", type=console.days, default=None, help="how many days back")
    orders.add_argument("--open", action="store_true", help="only what is not settled yet")
    _add(orders, console, _orders)

    reconcile = commands.add_parser(
        "reconcile",
        help="look for proof of what became of unknown orders",
        description="Read accounts again whose orders are unknown, and show what is still open. "
        "Nothing is sent again. Exit status 3 if something is.",
    )
    reconcile.add_argument(
        "--wait", type=_seconds, default=0.0, metavar="S", help="so many seconds at most (0)"
    )
    _add(reconcile, console, _reconcile)

    halt = commands.add_parser(
        "halt",
        help="stop all opening of positions, in every kernel of this machine",
        description="Refuse every order that opens a position, in every kernel on this store, "
        "until `fleetkit resume`. Closing stays possible. No agent is asked.",
    )
    halt.add_argument("--why", default="", metavar="TEXT", help="kept, and shown to whoever asks")
    _add(halt, console, _halt, table=False)

    resume = commands.add_parser(
        "resume",
        help="end the halt",
        description="End the halt. Positions can be opened again inside of `fleet.armed(...)`. "
        "No agent is asked.",
    )
    _add(resume, console, _resume, table=False)


def _add(
    command: argparse.ArgumentParser,
    console: Console,
    run: Callable[[argparse.Namespace, Console], int],
    *,
    table: bool = True,
) -> None:
    console.add_fleet(command)
    if table:
        console.add_output(command)
    command.set_defaults(run=lambda options: run(options, console))


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < inf:
        msg = "0 or more"
        raise argparse.ArgumentTypeError(msg)
    return number


def _orders(options: argparse.Namespace, console: Console) -> int:
    with connect(options.fleet) as fleet:
        frame = fleet.orders(options.accounts or None, days=options.days, open_only=options.open)
    console.write(frame, options, ORDERS_SHOWN)
    return _told(frame, console)


def _reconcile(options: argparse.Namespace, console: Console) -> int:
    with connect(options.fleet) as fleet:
        frame = fleet.reconcile(wait_s=options.wait)
    console.write(frame, options, ORDERS_SHOWN)
    return _told(frame, console)


def _halt(options: argparse.Namespace, console: Console) -> int:
    with connect(options.fleet) as fleet:
        fleet.halt(options.why)
    console.say(
        "fleetkit: Trading is halted: nothing is opened, from any kernel on this store, until "
        "`fleetkit resume`. Closing stays possible."
    )
    return 0


def _resume(options: argparse.Namespace, console: Console) -> int:
    with connect(options.fleet) as fleet:
        fleet.resume()
    console.say("fleetkit: The halt is over; opening needs an arming, as always.")
    return 0


def _told(frame: DataFrame, console: Console) -> int:
    """Say which orders are open, and what to do; the exit status."""
    unsettled = frame[frame["settled_at"].isna() | (frame["outcome"] == "unknown")]
    for order_id, row in list(unsettled.to_dict("index").items())[:SENTENCES_SHOWN]:
        console.say(f"fleetkit: {_sentence(str(order_id), row)}")
    more = len(unsettled) - SENTENCES_SHOWN
    if more > 0:
        console.say(f"fleetkit: … and {more:,} more.")
    if len(unsettled):
        console.say(
            "fleetkit: Send none of them again: it may have been executed. `fleetkit reconcile "
            "--wait 60` looks for proof; where the terminal shows what happened, "
            "fleet.resolve(order_id, executed=...) in a notebook settles it."
        )
    return 3 if len(unsettled) else 0


def _sentence(order_id: str, row: Mapping[Any, Any]) -> str:
    state = row["outcome"] if isinstance(row["outcome"], str) else "under way"
    reason = f": {row['reason']}" if isinstance(row["reason"], str) and row["reason"] else "."
    return f"order {order_id} ({row['kind']} on {row['account']}) is {state}{reason}"
