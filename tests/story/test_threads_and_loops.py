"""One fleet under everything a process can do: patched loops, interrupts, forks, its end."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.other_process import ended, outcome, running
from tests.support.raw_server import Exchange, RawServer, base_agent

TRIES = 3  # the quickest counts: a busy machine is late by itself


def now_s() -> float:
    """The wall this test measures the outside of a process against."""
    return time.perf_counter()


async def hang(exchange: Exchange) -> None:
    await exchange.hang()


def given(server: RawServer, **extra: Any) -> str:
    """A server's agents as a script's argument."""
    return json.dumps(server.agents(**extra))


EVERY_WAY = """
import asyncio
async def in_a_running_loop():
    called = fleet.accounts(refresh=True)  # as a cell does
    awaited = await fleet.aio.accounts(refresh=True)
    several = await asyncio.gather(fleet.aio.accounts(refresh=True), fleet.aio.positions())
    assert set(called["status"]) == set(awaited["status"]) == {"connected"}, called
    assert len(several[0]) == len(AGENTS)
def in_every_way():
    assert set(fleet.accounts(refresh=True)["status"]) == {"connected"}
    asyncio.run(in_a_running_loop())
    asyncio.run(in_a_running_loop())
    threads = [threading.Thread(target=fleet.accounts, args=(True,)) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""


# Loops.


@pytest.mark.parametrize("where", ["caller", "loop thread"])
def test_with_uvloop(where: str, authority: Authority) -> None:
    """uvloop as the caller's loop, and as the loop thread's: HTTP/1.1 and HTTP/2, up to the end."""
    script = EVERY_WAY + {
        "caller": """
        import uvloop
        fleet = connect()
        in_every_way()
        uvloop.run(in_a_running_loop())
        """,
        "loop thread": """
        import warnings, uvloop
        warnings.simplefilter("ignore", DeprecationWarning)  # policies, on newer Pythons
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        fleet = connect()
        assert "uvloop" in repr(type(fleet._loop._loop)), type(fleet._loop._loop)
        in_every_way()
        before = fleet.agents()["connections"].tolist()
        in_every_way()
        assert fleet.agents()["connections"].tolist() == before == [1, 1], before
        """,
    }[where].replace("\n        ", "\n")
    script += "say(sorted(fleet.agents()['http_version']))\nfleet.close()\nsay('closed')"
    tls = authority.server("h2")
    with RawServer() as plain, RawServer(tls=tls) as secure:
        agents = [
            *plain.agents(account=7100001),
            {"name": "s", "url": secure.url, "ca_file": str(authority.file)},
        ]
        secure.script = second_account
        output = outcome(script, json.dumps(agents))
        assert output == "['HTTP/1.1', 'HTTP/2']\nclosed\n"
        plain.wait_until_left()
        secure.wait_until_left()


async def second_account(exchange: Exchange) -> None:
    exchange.request.agent = 1
    await base_agent(exchange)


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("patch", ["fleetkit", "nest_asyncio"])
def test_with_nested_loops(patch: str, order: str) -> None:
    """Before and after the patch, by us with the maintained package, by hand with the archived."""
    applied = "say(fk.allow_nested_asyncio())" if patch == "fleetkit" else f"{patch}.apply()"
    imported = "" if patch == "fleetkit" else f"import {patch}"
    script = f"""
{EVERY_WAY}
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # the packages', on newer Pythons
{imported}
async def patched():
    {applied}
    nested = asyncio.run(fleet.aio.accounts(refresh=True))
    assert len(nested) == len(AGENTS)
    await in_a_running_loop()
async def early():
    {applied}
if "{order}" == "before":
    asyncio.run(early())
    fleet = connect()
else:
    fleet = connect()
    in_every_way()
asyncio.run(patched())
in_every_way()
if "{patch}" == "nest_asyncio":
    say(fk.allow_nested_asyncio())
fleet.close()
say("closed")
"""
    with RawServer(agents=2) as server:
        output = outcome(script, given(server))
        assert output.endswith("closed\n")
        if patch == "fleetkit":
            assert "nest_asyncio2" in output
        if patch == "nest_asyncio":
            assert "had patched this process already" in output
        server.wait_until_left()


# Interrupts.


@pytest.mark.parametrize("way", ["called", "awaited", "in a running loop"])
def test_an_interrupt_ends_the_call_and_not_the_fleet(way: str) -> None:
    """Within half a second: the caller is back, the agent's socket is closed, the fleet works."""
    call = {
        "called": "fleet.accounts()",
        "awaited": "asyncio.run(fleet.aio.accounts())",
        "in a running loop": "asyncio.run(blocking_in_loop())",
    }[way]
    script = f"""
    import asyncio
    fleet = connect()
    async def blocking_in_loop():
        fleet.accounts()
    for _ in range({TRIES}):
        try:
            {call}
        except KeyboardInterrupt:
            say("interrupted")
        sys.stdin.readline()
    say(fleet.accounts()["status"].tolist())
    """
    took_s = []
    with RawServer(hang) as server, running(script, given(server)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(1, TRIES + 1):
            server.wait_for_requests(number)
            started = now_s()
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
            server.wait_until_left()
            took_s.append(now_s() - started)
            if number == TRIES:
                server.script = base_agent
            process.stdin.write("go\n")
            process.stdin.flush()
        assert ended(process) == (0, "['connected']\n", "")
    assert min(took_s) < 0.5, took_s


# Forks.


def test_a_forked_child_gets_an_error_and_a_fresh_fleet() -> None:
    """Forked while requests are in flight: no deadlock, no shared socket, the parent goes on."""
    script = """
    import asyncio, warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # a fork with threads, on newer Pythons
    fleet = connect()
    assert len(fleet.accounts()) == len(AGENTS)
    stop = threading.Event()
    def busy():
        while not stop.is_set():
            fleet.accounts(refresh=True)
    threads = [threading.Thread(target=busy) for _ in range(3)]
    [thread.start() for thread in threads]

    def refused(call):
        try:
            call()
        except fk.ForkedProcess as error:
            assert "connect" in str(error)
            return True
        return False

    def in_the_child():
        assert refused(fleet.accounts)
        assert refused(lambda: fleet.positions(7100001))
        assert refused(fleet.cache.stats)
        assert refused(lambda: asyncio.run(fleet.aio.accounts()))
        fleet.close()
        assert "2 agents" in repr(fleet)
        fresh = connect()
        assert set(fresh.accounts()["status"]) == {"connected"}
        fresh.close()

    for number in range(4):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                in_the_child()
                status = 0
            except BaseException:
                import traceback
                traceback.print_exc()
            finally:
                if number % 2:
                    os._exit(status)
                stop.set()
                sys.exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    stop.set()
    [thread.join() for thread in threads]
    assert set(fleet.accounts(refresh=True)["status"]) == {"connected"}
    say("parent", fleet.agents()["failures"].sum())
    """
    with RawServer(agents=2) as server:
        assert outcome(script, given(server)) == "parent 0\n"
        server.wait_until_left()


# The end.


@pytest.mark.parametrize("options", [[], ["-X", "dev"]], ids=["plain", "dev"])
def test_leaving_with_an_open_fleet(options: list[str]) -> None:
    """The interpreter ends at once and prints nothing, also in development mode."""
    with RawServer(agents=3) as server:
        script = """
        import logging
        logging.getLogger("asyncio").setLevel(logging.ERROR)  # -X dev warns of a busy machine
        fleet = connect()
        fleet.accounts()
        say("done")
        """
        assert outcome(script, given(server), options=options) == "done\n"
        server.wait_until_left()


@pytest.mark.parametrize("call", ["fleet.accounts", "lambda: fleet.quote(7100001, 'EURUSD')"])
def test_leaving_with_a_request_that_hangs(call: str) -> None:
    """In less than two seconds, without a word on standard error, and the socket closes."""
    script = f"""
    fleet = connect()
    threading.Thread(target={call}, daemon=True).start()
    sys.stdin.readline()
    """
    with RawServer(hang) as server, running(script, given(server, account=7100001)) as process:
        server.wait_for_requests(1)
        started = now_s()
        output, errors = process.communicate("leave\n", timeout=20)
        assert now_s() - started < 2.0
        assert (process.returncode, output, errors) == (0, "", "")
        server.wait_until_left()


def test_leaving_by_an_error_shows_that_error_only() -> None:
    """A script that fails with a fleet open prints its own traceback and no second one."""
    with (
        RawServer() as server,
        running("fleet = connect()\nfleet.accounts()\n1 / 0", given(server)) as process,
    ):
        code, output, errors = ended(process)
        assert (code, output) == (1, "")
        assert errors.count("Traceback") == 1
        assert errors.endswith("ZeroDivisionError: division by zero\n")
        server.wait_until_left()


def test_a_killed_process_leaves_the_agents_alone() -> None:
    """Nothing lingers at an agent when its client is killed."""
    script = "fleet = connect()\nfleet.accounts()\nsay('ready')\nsys.stdin.readline()"
    with RawServer(agents=2) as server, running(script, given(server)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
        server.wait_until_left()
        assert process.wait(10) == -signal.SIGKILL
