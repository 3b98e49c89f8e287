"""The `fleetkit` command: demo, accounts, trades.

Why: a first look without a notebook, and one-off tables for other programs. An
entry point: it may import everything. The trap: standard output carries the table
and nothing else, so that it can be piped; everything said goes to standard error.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import fleetkit
from fleetkit.demo_fleet import DemoFleet, demo
from fleetkit.errors import FleetkitError
from fleetkit.fleet import Fleet, connect
from fleetkit.frames import DataFrame
from fleetkit.frames.tables import FORMATS, write_table

BRIEF = [
    "agent", "status", "balance", "pnl", "pnl_pct", "days_operating", "has_open_position",
    "phase", "vs_group", "age_s", "source",
]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except FleetkitError as error:
        _say(f"fleetkit: {error}")
        return 1
    except BrokenPipeError:
        # Whoever read the table has enough of it (`| head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fleetkit",
        description="MetaTrader 5 accounts, positions and trades of a whole fleet.",
    )
    parser.add_argument("--version", action="version", version=f"fleetkit {fleetkit.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo_command = commands.add_parser(
        "demo",
        help="start a simulated fleet, show its accounts, open the notebooks",
        description="Start a simulated fleet, print its accounts and totals, and open "
        "JupyterLab on the notebooks where it is installed.",
    )
    demo_command.add_argument("--accounts", type=_count, default=69, help="how many (69)")
    demo_command.add_argument("--seed", type=int, default=7, help="same seed, same figures (7)")
    demo_command.add_argument("--once", action="store_true", help="print, and end")
    demo_command.set_defaults(run=_demo)

    accounts = commands.add_parser("accounts", help="the accounts table of a fleet")
    _add_common(accounts)
    accounts.set_defaults(run=_accounts)

    trades = commands.add_parser("trades", help="closed trades of a fleet")
    _add_common(trades)
    trades.add_argument("accounts", type=int, nargs="*", help="account numbers; all if none")
    trades.add_argument("--days", type=float, default=None, help="how many days back (30)")
    trades.set_defaults(run=_trades)
    return parser


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--fleet",
        metavar="FILE",
        default=None,
        help="TOML file, or JSON list of {name, url}; FLEETKIT_AGENTS_JSON if not given",
    )
    command.add_argument("--format", choices=FORMATS, default="table")
    command.add_argument("--output", type=Path, default=None, help="a file instead of the screen")


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 10_000:
        msg = "from 1 to 10,000"
        raise argparse.ArgumentTypeError(msg)
    return number


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _accounts(options: argparse.Namespace) -> int:
    with connect(options.fleet) as fleet:
        frame = fleet.accounts()
    write_table(frame, options.format, options.output)
    return _missing(frame)


def _trades(options: argparse.Namespace) -> int:
    with connect(options.fleet) as fleet:
        frame = fleet.trades(options.accounts or None, days=options.days, strict=False)
    write_table(frame, options.format, options.output)
    return _missing(frame)


def _missing(frame: DataFrame) -> int:
    missing = frame.attrs["missing"]
    if missing:
        named = ", ".join(str(name) for name in missing[:10])
        _say(f"fleetkit: {len(missing)} missing or stale: {named}{' …' * (len(missing) > 10)}")
    return 3 if missing else 0


def _demo(options: argparse.Namespace) -> int:
    # A supervisor's SIGTERM must end the simulated agents like Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with demo(options.accounts, options.seed) as fleet:
        _show(fleet)
        if options.once or not sys.stdout.isatty():
            return 0
        return _stay(fleet)


def _show(fleet: Fleet) -> None:
    frame = fleet.accounts()
    write_table(frame[BRIEF], "table", None)
    print()
    write_table(fleet.summary(), "table", None)


def _stay(fleet: DemoFleet) -> int:
    lab = shutil.which("jupyter-lab", path=os.pathsep.join(_program_folders()))
    notebooks = Path("notebooks")
    if lab is None or not notebooks.is_dir():
        _say("\nInstall JupyterLab (pip install 'fleetkit[lab]') to open notebooks/01_tour.ipynb.")
        _say(
            "The simulated agents run until Ctrl-C; the first one is at "
            + fleet.demo.agents[0]["url"]
        )
        signal.pause() if hasattr(signal, "pause") else input()
        return 0
    _say("\nOpening JupyterLab on notebooks/ — Ctrl-C ends it.")
    return subprocess.run([lab, str(notebooks)], check=False).returncode


def _program_folders() -> list[str]:
    """The environment this runs in comes first, activated or not."""
    return [str(Path(sys.executable).parent), *os.environ.get("PATH", "").split(os.pathsep)]


if __name__ == "__main__":
    sys.exit(main())
