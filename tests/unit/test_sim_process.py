"""The simulator's process: its start, its orders, and every way it may end."""

from __future__ import annotations

import gc
import json
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import IO, Any, cast

import pytest

from fleetkit.errors import DemoError
from fleetkit.sim import Faults, SimProcess

ROOT = Path(__file__).parents[2]


def spawn(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "fleetkit.sim", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )


def pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    return cast(
        tuple[IO[bytes], IO[bytes], IO[bytes]], (process.stdin, process.stdout, process.stderr)
    )


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def test_the_ready_line_and_each_command_is_one_line_of_json() -> None:
    """Agents and labels first, then one answer a command, mistakes included."""
    with spawn("--accounts", "3", "--seed", "5") as process:
        stdin, stdout, stderr = pipes(process)
        ready = json.loads(stdout.readline())
        assert [agent["account"] for agent in ready["agents"]] == [7100001, 7100003, 7100002]
        assert ready["labels"]["7100001"]["vs_group"] == ready["labels"]["7100002"]["vs_group"]

        def tell(line: str) -> Any:
            stdin.write(line.encode() + b"\n")
            stdin.flush()
            return json.loads(stdout.readline())

        assert tell('{"id": 1, "requests": null}') == {"id": 1, "requests": {}}
        good = '{"id": 2, "set_faults": {"agent": null, "faults": {"hang": true}}}'
        assert tell(good) == {"id": 2, "set_faults": None}
        assert "vps9" in tell('{"set_faults": {"agent": "vps9", "faults": {}}}')["error"]
        assert "hangs" in tell('{"set_faults": {"agent": null, "faults": {"hangs": 1}}}')["error"]
        assert "not a command" in tell("{")["error"]
        assert "dance" in tell('{"dance": null}')["error"]
        assert tell('{"id": 3, "stop": null}') == {"id": 3, "stop": None}
        assert process.wait(5) == 0
        assert stderr.read() == b""


def test_the_end_of_input_ends_it_while_requests_hang() -> None:
    """A closed pipe is an order, and nobody waits for a hanging answer."""
    with SimProcess.start(accounts=2, faults=Faults(hang=True)) as demo:
        process = demo._child._process
        with socket.create_connection(("127.0.0.1", port_of(demo.agents[0]["url"]))) as raw:
            raw.sendall(b"GET /accounts HTTP/1.1\r\nHost: agent\r\n\r\n")
            demo._child._input.close()
            assert process.wait(3) == 0


def test_it_ends_when_its_parent_is_killed() -> None:
    """A parent that dies without a word leaves no fleet behind."""
    program = (
        "from fleetkit.sim import SimProcess\n"
        "demo = SimProcess.start(accounts=2)\n"
        "print(demo.agents[0]['url'], flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        port = port_of(parent.stdout.readline().decode().strip())
        socket.create_connection(("127.0.0.1", port)).close()
        parent.kill()
    assert eventually_refused(port)


def eventually_refused(port: int) -> bool:
    deadline = time.perf_counter() + 3
    while time.perf_counter() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return True
    return False


def test_what_tls_needs_is_gone_when_its_parent_is_killed() -> None:
    """Certificates and tokens do not outlive the fleet, whoever ends it."""
    program = (
        "from fleetkit.sim import SimProcess\n"
        "demo = SimProcess.start(accounts=2, layer='extended', tls=True)\n"
        "print(demo.agents[0]['ca_file'], flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        file = Path(parent.stdout.readline().decode().strip())
        assert file.is_file()
        parent.kill()
    deadline = time.perf_counter() + 5
    while file.parent.exists():
        assert time.perf_counter() < deadline


def test_the_end_of_input_ends_a_secure_fleet_while_requests_hang() -> None:
    """Nobody waits for a hanging answer, nor for a handshake that never comes."""
    with SimProcess.start(accounts=2, layer="extended", tls=True) as demo:
        demo.faults.set(None, Faults(hang=True, slow_tls_s=600))
        where = ("127.0.0.1", port_of(demo.agents[0]["url"]))
        with socket.create_connection(where, timeout=5) as half_made:
            demo._child._input.close()
            assert demo._child._process.wait(3) == 0
            half_made.close()


def test_stop_is_quick_final_and_may_be_repeated() -> None:
    """No zombie, no open pipe, and a sentence for who asks afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        demo = SimProcess.start(accounts=2)
        started = time.perf_counter()
        demo.stop()
        demo.stop()
        assert time.perf_counter() - started < 2
        assert demo._child._process.returncode == 0
        assert repr(demo) == "<SimProcess of 2 agents, ended>"
        with pytest.raises(DemoError, match="has ended"):
            demo.requests()
        with pytest.raises(DemoError, match="has ended"):
            demo.faults.clear()
        del demo
        gc.collect()


def test_a_forgotten_handle_ends_the_fleet() -> None:
    """Without a reference to it there is no process."""
    demo = SimProcess.start(accounts=1)
    process = demo._child._process
    del demo
    gc.collect()
    assert process.returncode == 0


def test_a_killed_fleet_is_reported() -> None:
    """Commands to a process that was ended from outside say so."""
    with SimProcess.start(accounts=1) as demo:
        demo._child._process.kill()
        demo._child._process.wait()
        with pytest.raises(DemoError, match="has ended"):
            demo.requests()


def test_a_start_that_fails_says_why() -> None:
    """The simulator's own sentence is part of the error."""
    with pytest.raises(DemoError, match="accounts must be 1 to 10000, found 0"):
        SimProcess.start(accounts=0)


@pytest.mark.parametrize("missing", ["uvicorn", "hypercorn", "trustme"])
def test_without_its_server_the_sentence_says_what_to_install(tmp_path: Path, missing: str) -> None:
    """The servers are an optional extra."""
    arguments = ["--layer", "extended"]
    if missing != "uvicorn":
        arguments += ["--tls-folder", str(tmp_path / "tls")]
        (tmp_path / "tls").mkdir()
    program = (
        "import sys, runpy\n"
        f"sys.modules[{missing!r}] = None\n"
        f"sys.argv = ['fleetkit.sim', *{arguments!r}]\n"
        "runpy.run_module('fleetkit.sim', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False, timeout=30
    )
    assert done.returncode == 2
    assert missing in done.stderr.decode()
    assert done.stderr.decode().strip().endswith("pip install 'fleetkit[demo]'.")
    assert b"Traceback" not in done.stderr


def test_importing_the_faults_loads_no_server_and_no_pandas() -> None:
    """`fleetkit.sim` is cheap, and the served side never imports the client's libraries."""
    program = (
        "import sys, types\n"
        "package = types.ModuleType('fleetkit'); package.__path__ = ['fleetkit']\n"
        "sys.modules['fleetkit'] = package\n"
        "import fleetkit.sim\n"
        "assert 'uvicorn' not in sys.modules\n"
        "import fleetkit.sim.control, fleetkit.sim.__main__\n"
        "heavy = {'pandas', 'httpx', 'numpy', 'ipywidgets', 'fleetkit.http', 'fleetkit.frames'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, timeout=30
    )
    assert done.stdout.decode().strip() == "[]"


def test_69_agents_are_up_in_seconds_and_counted() -> None:
    """One port each, distinct, all answering; counters know agent and route."""
    started = time.perf_counter()
    with SimProcess.start(accounts=69) as demo:
        assert time.perf_counter() - started < 10
        ports = {port_of(agent["url"]) for agent in demo.agents}
        assert len(ports) == 69
        for port in ports:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
                raw.sendall(b"GET /accounts HTTP/1.0\r\n\r\n")
                assert raw.recv(12) == b"HTTP/1.1 200"
        assert demo.requests() == {agent["name"]: {"accounts": 1} for agent in demo.agents}


def test_idle_connections_are_dropped() -> None:
    """As real agents do after five seconds, here sooner (T12)."""
    with SimProcess.start(accounts=1, keep_alive_s=0.2) as demo:
        where = ("127.0.0.1", port_of(demo.agents[0]["url"]))
        raw = socket.create_connection(where, timeout=3)
        raw.sendall(b"GET /health HTTP/1.1\r\nHost: agent\r\n\r\n")
        answer = b""
        while piece := raw.recv(4096):  # a connection that stays open ends in a timeout
            answer += piece
        raw.close()
        assert answer.startswith(b"HTTP/1.1 200")


def test_a_forked_child_leaves_the_fleet_alone() -> None:
    """The fork may neither command nor end its parent's fleet, not even at its exit."""
    program = (
        "import os, sys\n"
        "from fleetkit.errors import DemoError\n"
        "from fleetkit.sim import SimProcess\n"
        "demo = SimProcess.start(accounts=1)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    try:\n"
        "        demo.requests()\n"
        "    except DemoError as error:\n"
        "        demo.stop()\n"
        "        sys.exit(3 if 'parent process' in str(error) else 4)\n"
        "_, status = os.waitpid(child, 0)\n"
        "print(os.waitstatus_to_exitcode(status), demo.requests())\n"
        "demo.stop()\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert done.stdout.decode().strip() == "3 {}"
    assert done.stderr == b""


def test_an_interrupted_command_does_not_shift_the_answers() -> None:
    """An answer nobody waited for is passed over by the next command."""
    with SimProcess.start(accounts=1) as demo:
        demo._child._send({"id": -1, "set_faults": {"agent": None, "faults": Faults()}})
        assert demo.requests() == {}
