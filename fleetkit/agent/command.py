"""``fleetkit agent``: serve one terminal until Ctrl-C.

Why: what runs on a VPS is one command whose refusals say what to do. May import
the rest of `fleetkit.agent`, hypercorn when it is needed, and no simulator: whoever
adds the command says what ``--terminal simulated`` is.
The trap: an agent without token or TLS lets anybody who reaches its port trade. It
does not listen beyond this machine without both, unless it is told to.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import signal
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fleetkit.agent.app import DRAIN_S, AgentApp
from fleetkit.agent.mt5 import BrokerZone, Mt5Options, Mt5Terminal
from fleetkit.agent.mt5.thread import load
from fleetkit.agent.orders import OrderLog, OrderLogError
from fleetkit.agent.terminal import Terminal, TerminalError

if TYPE_CHECKING:
    from fleetkit.agent.serve import AgentServer

Simulated = Callable[[int | None], Terminal]

PORT: Final = 8001
TOKEN_LEAST: Final = 16  # characters
MAKE_TOKEN: Final = 'python -c "import secrets; print(secrets.token_urlsafe(32))" > token.txt'
NO_SERVER: Final = "The agent's server is not installed: run `pip install 'fleetkit[agent]'`."
OPEN_DOOR: Final = (
    "Refusing to listen on {host} without {missing}: whoever reaches that port could trade this "
    "account. Give --token-file, and --certificate with --key; or listen on 127.0.0.1 and let "
    "a tunnel or proxy do both; or say --insecure if the network itself is closed."
)
ENDINGS: Final = ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP")


class AgentCommandError(Exception):
    """The agent cannot be started as it was asked to; the message says what to do."""


def add_agent_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], simulated: Simulated
) -> None:
    """Add ``agent`` to a command line.

    Parameters
    ----------
    commands
        Where to.
    simulated
        Makes the terminal of ``--terminal simulated`` for an account number.
    """
    command = commands.add_parser(
        "agent",
        help="serve one MetaTrader 5 terminal over HTTP",
        description="Serve the MetaTrader 5 terminal of this Windows user, or a simulated one, "
        "as an agent. Ctrl-C ends it: orders in flight have up to --drain seconds.",
    )
    add = command.add_argument
    add("--host", default="127.0.0.1", help="where to listen (127.0.0.1, this machine only)")
    add("--port", type=_port, default=PORT, help=f"({PORT}); 0 takes a free one")
    add("--terminal", choices=("mt5", "simulated"), default="mt5", help="(mt5)")
    add("--layer", choices=("extended", "base"), default="extended", help="(extended)")
    add("--token-file", type=Path, help="a file with the token that callers must show")
    add("--certificate", type=Path, help="PEM file with the certificate chain: TLS and HTTP/2")
    add("--key", type=Path, help="PEM file with the certificate's key")
    add("--order-log", type=Path, help="file where orders with an id are kept; refused without")
    add("--account", type=int, help="the account number that must be logged in")
    add("--broker-zone", type=_zone, help="IANA zone of the broker's clock, or "
        "America/New_York+7; measured if not given")  # fmt: skip
    add("--terminal-path", help="of terminal64.exe, where several are installed")
    add("--magic", type=int, default=0, help="marks the positions that this agent opens (0)")
    add("--drain", type=float, default=DRAIN_S, help=f"seconds for orders at the end ({DRAIN_S:g})")
    add("--insecure", action="store_true", help="listen anywhere without token or TLS")
    command.set_defaults(run=partial(run_agent, simulated=simulated))


def run_agent(options: argparse.Namespace, simulated: Simulated) -> int:
    """Serve until a signal ends it; returns the exit status."""
    try:
        server = _server(options, simulated)
        what = f"The {options.layer} agent of a {options.terminal} terminal"
        asyncio.run(_serve(server, what, options.drain))
    except (AgentCommandError, OrderLogError, TerminalError) as error:
        _say(f"fleetkit: {error}")
        return 1
    return 0


async def _serve(server: AgentServer, what: str, drain_s: float) -> None:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()

    def stop(*_: object) -> None:
        loop.call_soon_threadsafe(stopping.set)

    for name in ENDINGS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)
    await server.start()
    _say(f"{what} listens on {server.url} (Ctrl-C ends it).")
    ended = asyncio.create_task(server.wait())
    asked = asyncio.create_task(stopping.wait())
    await asyncio.wait((ended, asked), return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        _say(f"Ending: requests in flight have a moment, orders up to {drain_s:g} s.")
    await server.stop()
    asked.cancel()
    with suppress(asyncio.CancelledError):
        await ended


def _server(options: argparse.Namespace, simulated: Simulated) -> AgentServer:
    token = _token(options.token_file)
    _check_door(options, token)
    _check_layer(options, token)
    try:
        from fleetkit.agent.serve import AgentServer
    except ImportError as error:
        raise AgentCommandError(NO_SERVER) from error
    _check_certificate(options.certificate, options.key)
    terminal = _terminal(options, simulated)
    log = None if options.order_log is None else OrderLog(options.order_log)
    app = AgentApp(terminal, layer=options.layer, token=token, order_log=log, drain_s=options.drain)
    try:
        return AgentServer(
            app,
            host=options.host,
            port=options.port,
            certificate=options.certificate,
            key=options.key,
        )
    except OSError as error:
        if log is not None:
            log.close()
        raise AgentCommandError(_cannot_listen(options, error)) from error


def _terminal(options: argparse.Namespace, simulated: Simulated) -> Terminal:
    if options.terminal == "simulated":
        return simulated(options.account)
    package = load()  # now, and not at the first request
    if options.account is None:
        _say("Serving whatever account is logged in: say --account to be sure which one it is.")
    mt5 = Mt5Options(
        account=options.account,
        broker_zone=options.broker_zone,
        path=options.terminal_path,
        magic=options.magic,
    )
    return Mt5Terminal(mt5, package=package)


def _token(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AgentCommandError(
            f"The token file {path} cannot be read: {_reason(error)}. Make one: {MAKE_TOKEN}"
        ) from error
    if len(token) < TOKEN_LEAST or not token.isascii() or not token.isprintable() or " " in token:
        raise AgentCommandError(
            f"The token in {path} must be one word of at least {TOKEN_LEAST} plain characters. "
            f"Make one: {MAKE_TOKEN}"
        )
    return token


def _check_door(options: argparse.Namespace, token: str | None) -> None:
    if options.insecure or _is_loopback(options.host):
        return
    missing = [
        name for name, there in (("a token", token), ("TLS", options.certificate)) if not there
    ]
    if missing:
        text = OPEN_DOOR.format(host=options.host, missing=" and ".join(missing))
        raise AgentCommandError(text)


def _check_layer(options: argparse.Namespace, token: str | None) -> None:
    if options.layer == "base" and (token is not None or options.order_log is not None):
        raise AgentCommandError(
            "The base layer knows no token and no order log: leave --token-file and --order-log "
            "out, or serve --layer extended."
        )
    if options.layer == "extended" and options.order_log is None:
        _say("Without --order-log, orders with an id are refused: nobody could tell their fate.")


def _check_certificate(certificate: Path | None, key: Path | None) -> None:
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        raise AgentCommandError("--certificate and --key go together: give both PEM files.")
    try:
        # A key with a password would ask for it on a console that a service has not.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            certificate, key, password=lambda: ""
        )
    except (OSError, ValueError) as error:
        raise AgentCommandError(
            f"The certificate {certificate} with the key {key} cannot be used: {_reason(error)}. "
            "Both must be PEM files that belong together, the key without a password."
        ) from error


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _cannot_listen(options: argparse.Namespace, error: OSError) -> str:
    where = f"{options.host}:{options.port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {options.port} is in use already on {options.host}: another agent may be "
            "running. End it, or say another --port."
        )
    return f"Cannot listen on {where}: {_reason(error)}. Say another --host or --port."


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65_535:
        msg = "from 0 to 65535"
        raise argparse.ArgumentTypeError(msg)
    return number


def _zone(text: str) -> BrokerZone:
    try:
        return BrokerZone(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _say(text: Any) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
