"""``python -m fleetkit.sim --accounts 69 --seed 7``: a simulated fleet on loopback.

Prints one JSON line with agents and labels when it is ready, then reads commands
as JSON lines from standard input and answers each with one. The end of input
ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fleetkit.clock import Clock, SystemClock
from fleetkit.errors import ConfigError, DemoError
from fleetkit.sim.control import Control, Host
from fleetkit.sim.fleet import SimFleet

PAUSE_S: Final = 0.02  # of idle work, while clients wait
SERVERS: Final = ("uvicorn", "hypercorn", "h2", "trustme")  # what the extra brings


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m fleetkit.sim", description=__doc__)
    parser.add_argument("--accounts", type=int, default=69)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--layer", choices=("base", "extended"), default="base")
    parser.add_argument("--keep-alive-s", type=float, default=5.0)
    parser.add_argument("--start", help="ISO date whose day anchors the history; today in UTC")
    parser.add_argument("--tls-folder", type=Path, help="serve TLS; where to put what it needs")
    return parser.parse_args(arguments)


async def serve(options: argparse.Namespace) -> None:
    """Serve until told to stop."""
    clock = SystemClock()
    start = None if options.start is None else _utc(options.start)
    fleet = SimFleet(accounts=options.accounts, seed=options.seed, clock=clock, start=start)
    server = _server(options, fleet, clock)
    control = Control(server)
    helpers = [
        asyncio.create_task(control.run()),
        asyncio.create_task(warm_up(server, clock, control.announced)),
    ]
    await server.serve()
    for helper in helpers:
        helper.cancel()
    for outcome in await asyncio.gather(*helpers, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome


def _server(options: argparse.Namespace, fleet: SimFleet, clock: Clock) -> Host:
    if options.tls_folder is None:
        from fleetkit.sim.serve import FleetServer

        return FleetServer(fleet, clock, keep_alive_s=options.keep_alive_s, layer=options.layer)
    if options.layer != "extended":
        raise DemoError('TLS is of the extended layer: say layer="extended".')
    from fleetkit.sim.secure import SecureFleetServer

    return SecureFleetServer(
        fleet, clock, keep_alive_s=options.keep_alive_s, folder=options.tls_folder
    )


async def warm_up(server: Host, clock: Clock, announced: asyncio.Event) -> None:
    """Make every account's history in idle moments, so that first answers are quick."""
    await announced.wait()
    for seat in server.fleet.seats:
        while server.busy:
            await clock.sleep(PAUSE_S)
        server.fleet.terminal(seat.account).warm_up()
        await clock.sleep(0)


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop


def _utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def main() -> int:
    """Run the simulator; the exit code."""
    options = parsed(sys.argv[1:])
    try:
        with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
            runner.run(serve(options))
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in SERVERS:
            raise
        sys.stderr.write(
            f"The simulated fleet needs {missing}, which is not installed: "
            "pip install 'fleetkit[demo]'.\n"
        )
        return 2
    except (ConfigError, DemoError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    finally:
        if options.tls_folder is not None:
            shutil.rmtree(options.tls_folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
