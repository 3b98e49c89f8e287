"""The `fleetkit` command: demo, accounts, trades, doctor, agent, and those of `cli_orders`.

Why: a first look without a notebook, and one-off tables for other programs. An
entry point: it may import everything. The trap: standard output carries the table
and nothing else, so that it can be piped; everything said goes to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import Final, NoReturn

import fleetkit
from fleetkit.agent.command import add_agent_command
from fleetkit.agent.terminal import Terminal as AgentTerminal
from fleetkit.cli_orders import Console, add_order_commands
from fleetkit.clock import SystemClock
from fleetkit.demo_fleet import demo
from fleetkit.errors import FleetkitError, PartialResult
from fleetkit.fleet import Fleet, connect
from fleetkit.frames import DataFrame
from fleetkit.frames.tables import FORMATS, totals_text, write_table
from fleetkit.html import visible_text
from fleetkit.sim.fleet import MOST_ACCOUNTS, SimFleet
from fleetkit.sim.people import FIRST_ACCOUNT

ACCOUNTS_SHOWN: Final = (
    "account", "status", "balance", "pnl", "age_s", "source", "pnl_pct", "phase", "vs_group",
    "agent", "has_open_position", "days_operating", "equity", "profit", "holder", "firm", "name",
    "initial_balance", "currency", "margin_level", "residual", "as_of",
)  # fmt: skip
TRADES_SHOWN: Final = (
    "account", "symbol", "side", "volume", "exit_time", "net", "source", "pips", "age_s",
    "entry_time", "duration", "entry_price", "exit_price", "profit", "swap", "commission", "fee",
    "position_id", "comment",
)  # fmt: skip
DOCTOR_SHOWN: Final = (
    "agent", "account", "status", "terminal", "layer", "http_version", "latency_ms",
    "clock_skew_s", "binding", "breaker", "advice", "handshakes", "requests", "lane_wait_ms",
    "stops_unit", "margin_mode", "tls_expires", "time_zone", "last_error",
)  # fmt: skip
PIPE_COLUMNS: Final = 120  # where neither a terminal nor COLUMNS says how wide a line may be
REASONS_SHOWN: Final = 10
LAB_ENDS_S: Final = 1.0  # to end by itself, before it is ended

EXIT_STATUSES: Final = """\
exit status: 0 all is there, 1 an error, 2 a mistake in the command line,
3 the table is there but some accounts are missing or stale in it, or orders unknown"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = command_parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except FleetkitError as error:
        _say(f"fleetkit: {error}")
        return 1
    except BrokenPipeError:
        # Whoever read the table has enough of it (`| head`).
        _forget_output()
        return 0
    except OSError as error:
        _forget_output()
        _say(f"fleetkit: the output cannot be written: {error.strerror or error}.")
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _forget_output() -> None:
    """Keep the interpreter from trying to write the rest when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def command_parser() -> argparse.ArgumentParser:
    """Every command and option there is."""
    parser = argparse.ArgumentParser(
        prog="fleetkit",
        description="MetaTrader 5 accounts and trades of a whole fleet.",
        epilog=EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fleetkit {fleetkit.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo_command = commands.add_parser(
        "demo",
        help="start a simulated fleet, show its accounts, open the notebooks",
        description="Start a simulated fleet, print its accounts and totals, and open "
        "JupyterLab on the notebooks where it is installed. Ctrl-C ends all of it. "
        "Prints and ends where standard output is no terminal.",
    )
    demo_command.add_argument("--accounts", type=_count, default=69, help="how many (69)")
    demo_command.add_argument("--seed", type=int, default=7, help="same seed, same figures (7)")
    demo_command.add_argument("--once", action="store_true", help="print, and end")
    demo_command.set_defaults(run=_demo)

    accounts = commands.add_parser("accounts", help="the accounts of a fleet")
    _add_common(accounts)
    accounts.set_defaults(run=_accounts)

    trades = commands.add_parser("trades", help="closed trades of a fleet, newest exit first")
    _add_common(trades)
    trades.add_argument("accounts", type=int, nargs="*", help="account numbers; all if none")
    trades.add_argument("--days", type=_days, default=None, help="how many days back (30)")
    trades.set_defaults(run=_trades)

    doctor = commands.add_parser(
        "doctor",
        help="ask every agent how it is, and say what to do",
        description="Ask every agent two questions, how it is and whose it is, and say what to "
        "do and what is missing before its account may be traded. Exit status 3 if there is "
        "something to do.",
    )
    _add_common(doctor)
    doctor.set_defaults(run=_doctor)

    add_order_commands(commands, Console(_add_fleet, _add_output, _days, _write, _say))
    add_agent_command(commands, _simulated_terminal)
    return parser


def _simulated_terminal(account: int | None) -> AgentTerminal:
    fleet = SimFleet(accounts=1, seed=7, clock=SystemClock())
    return fleet.terminal(FIRST_ACCOUNT if account is None else account)


def _add_common(command: argparse.ArgumentParser) -> None:
    _add_fleet(command)
    _add_output(command)


def _add_fleet(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--fleet",
        metavar="FILE",
        default=None,
        help="TOML file, or JSON list of {name, url}; FLEETKIT_AGENTS_JSON if not given",
    )


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--format",
        choices=FORMATS,
        default=None,
        help="table (the columns that fit the screen), or csv, json, parquet with all of them; "
        "without it the ending of --output decides; text in CSV that a spreadsheet would take "
        "for a formula gets a ' before it",
    )
    command.add_argument("--output", type=Path, default=None, help="a file instead of the screen")


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_ACCOUNTS:
        msg = f"from 1 to {MOST_ACCOUNTS:,}"
        raise argparse.ArgumentTypeError(msg)
    return number


def _days(text: str) -> float:
    number = float(text)
    if not 0 < number < inf:
        msg = "a number above 0"
        raise argparse.ArgumentTypeError(msg)
    return number


def _say(text: str) -> None:
    # An agent's words may be in it.
    print(visible_text(text, 2_000), file=sys.stderr, flush=True)


def _accounts(options: argparse.Namespace) -> int:
    with connect(options.fleet) as fleet:
        frame, reasons = _with_reasons(lambda: fleet.accounts(strict=True))
    _write(frame, options, ACCOUNTS_SHOWN)
    return _missing(reasons)


def _trades(options: argparse.Namespace) -> int:
    with connect(options.fleet) as fleet:
        frame, reasons = _with_reasons(
            lambda: fleet.trades(options.accounts or None, days=options.days)
        )
    _write(frame, options, TRADES_SHOWN)
    return _missing(reasons)


def _doctor(options: argparse.Namespace) -> int:
    with connect(options.fleet) as fleet:
        frame = fleet.doctor()
    _write(frame, options, DOCTOR_SHOWN)
    ill = frame["advice"].dropna()
    for sentence in frame.attrs["notebook"]:
        _say(f"fleetkit: {sentence}")
    for agent, advice in list(ill.items())[:REASONS_SHOWN]:
        _say(f"fleetkit: {agent}: {advice}")
    _say_more(len(ill) - REASONS_SHOWN)
    for needs, agents in frame["trading_needs"].dropna().groupby(frame["trading_needs"]):
        _say(f"fleetkit: before trading, {_named(list(agents.index))}: {needs}")
    return 3 if len(ill) else 0


def _named(agents: Sequence[str]) -> str:
    first = ", ".join(agents[:3])
    return first if len(agents) <= 3 else f"{first} and {len(agents) - 3:,} more"


def _with_reasons(call: Callable[[], DataFrame]) -> tuple[DataFrame, Mapping[int | str, str]]:
    try:
        return call(), {}
    except PartialResult as partial:
        return partial.frame, partial.reasons


def _write(frame: DataFrame, options: argparse.Namespace, shown: Sequence[str]) -> None:
    width = _screen_columns() if options.output is None else None
    write_table(frame, _format(options), options.output, importance=shown, width=width)


def _format(options: argparse.Namespace) -> str:
    """The format asked for, or the one that the file's name promises."""
    if options.format is not None:
        return str(options.format)
    ending = options.output.suffix.lower().removeprefix(".") if options.output else ""
    return ending if ending in FORMATS else "table"


def _screen_columns() -> int:
    return shutil.get_terminal_size((PIPE_COLUMNS, 24)).columns


def _missing(reasons: Mapping[int | str, str]) -> int:
    for name, sentence in list(reasons.items())[:REASONS_SHOWN]:
        _say(f"fleetkit: {name} is missing or stale: {sentence}")
    _say_more(len(reasons) - REASONS_SHOWN)
    return 3 if reasons else 0


def _say_more(more: int) -> None:
    if more > 0:
        _say(f"fleetkit: … and {more:,} more.")


def _demo(options: argparse.Namespace) -> int:
    with _signals_as_exceptions(), demo(options.accounts, options.seed) as fleet:
        try:
            _show(fleet)
            if options.once or not sys.stdout.isatty():
                return 0
            return _stay(fleet.demo.agents[0]["url"])
        finally:
            # A second Ctrl-C would leave the clean-up half done; it takes a second at most.
            signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """A supervisor's SIGTERM, or a closed terminal, ends the agents like Ctrl-C does."""
    endings = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, _exit_on_signal) for number in endings}
    before[signal.SIGINT] = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_on_signal(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _show(fleet: Fleet) -> None:
    write_table(fleet.accounts(), "table", importance=ACCOUNTS_SHOWN, width=_screen_columns())
    sys.stdout.write("\n" + totals_text(fleet.summary()))
    sys.stdout.flush()


def _stay(first_url: str) -> int:
    """Keep the agents running, with JupyterLab where it is, until Ctrl-C."""
    notebooks = _notebooks()
    _say("")
    try:
        if notebooks is not None and find_spec("jupyterlab") is not None:
            _say(f"Opening JupyterLab on {notebooks}. Ctrl-C ends it and the simulated agents.")
            return _run_lab(notebooks)
        _say(f"The simulated agents run until Ctrl-C; the first one is at {first_url}")
        if notebooks is not None:
            _say("With JupyterLab (pip install jupyterlab) this command opens the notebooks.")
        forever = threading.Event()
        while not forever.wait(1.0):  # Windows delivers Ctrl-C between two waits only
            pass
    except KeyboardInterrupt:
        return 0
    return 0


def _notebooks() -> Path | None:
    """The notebooks, in the current folder or beside the package."""
    beside = Path(fleetkit.__file__).parents[1] / "notebooks"
    return next((path for path in (Path("notebooks"), beside) if path.is_dir()), None)


def _run_lab(notebooks: Path) -> int:
    # This environment's own JupyterLab, whatever is on PATH: its kernel knows fleetkit. In a
    # session of its own, or it would ask a question at the same Ctrl-C that ends us.
    lab = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", str(notebooks)],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return lab.wait()
    finally:
        lab.terminate()
        try:
            lab.wait(LAB_ENDS_S)
        except subprocess.TimeoutExpired:
            lab.kill()
            lab.wait()


if __name__ == "__main__":
    sys.exit(main())
