"""`fleetkit agent` as a process: what it refuses, what it serves, and how it ends."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from fleetkit.agent import OrderLog
from fleetkit.cli import main
from tests.support.certificates import Authority

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "fleetkit.cli", "agent"]
SIMULATED = ["--terminal", "simulated", "--port", "0"]
TOKEN = "a-token-of-the-tests"
ENDS_WITHIN_S = 15.0


class Agent:
    """The command, running; ended by its own process id."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        self.said = ""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line
            if found := re.search(r"https?://[^ ]+", line):
                self.url = found[0]
                return
        raise AssertionError(f"it ended: {self.said}")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Its exit status and the rest of what it said."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, said = self.process.communicate(timeout=ENDS_WITHIN_S)
        assert out == ""  # standard output is for tables
        return self.process.returncode, said


@contextmanager
def running(*arguments: str) -> Iterator[Agent]:
    agent = Agent(*SIMULATED, *arguments)
    try:
        yield agent
    finally:
        if agent.process.poll() is None:
            agent.process.kill()
            agent.process.communicate()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token.txt"
    path.write_text(TOKEN + "\n")
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_a_simulated_account(number: int, tmp_path: Path) -> None:
    """Anybody can try it without Windows; Ctrl-C or SIGTERM end it with status 0."""
    with running("--account", "7100012", "--order-log", str(tmp_path / "log")) as agent:
        assert "extended agent of a simulated terminal listens on http://127.0.0.1:" in agent.said
        health = httpx.get(f"{agent.url}/health").json()
        assert "orders" in health["capabilities"]
        assert httpx.get(f"{agent.url}/accounts").json()["account_number"] == 7100012
        status, said = agent.end(number)
        assert status == 0
        assert "Ending" in said
        assert "Traceback" not in said


def test_the_base_layer() -> None:
    """What deployed agents speak, field for field and without more."""
    with running("--layer", "base") as agent:
        assert "equity" not in httpx.get(f"{agent.url}/accounts").json()
        assert agent.end() == (0, agent_ends())


def agent_ends() -> str:
    return "Ending: requests in flight have a moment, orders up to 30 s.\n"


def test_token_and_tls(authority: Authority, token_file: Path) -> None:
    """Beyond loopback with token and TLS: HTTP/2 by ALPN, 401 without the token; curl too."""
    chain, key = authority.pem_files
    secured = ["--token-file", token_file, "--certificate", chain, "--key", key]
    with running("--host", "0.0.0.0", *map(str, secured)) as agent:
        url = agent.url.replace("0.0.0.0", "127.0.0.1")
        trust = ssl.create_default_context(cafile=str(authority.file))
        with httpx.Client(verify=trust, http2=True, base_url=url) as client:
            assert client.get("/accounts").status_code == 401
            right = {"Authorization": f"Bearer {TOKEN}"}
            reply = client.get("/accounts", headers=right)
            assert (reply.status_code, reply.http_version) == (200, "HTTP/2")
        curl = shutil.which("curl")
        assert curl is not None
        done = subprocess.run(
            [curl, "-sS", "--cacert", str(authority.file), "-w", " %{http_code} %{http_version}",
             "-H", f"Authorization: Bearer {TOKEN}", f"{url}/positions"],
            capture_output=True, text=True, check=True, timeout=20,
        )  # fmt: skip
        assert done.stdout.endswith(" 200 2")
        assert TOKEN not in agent.said
        assert agent.end()[0] == 0


@pytest.mark.parametrize("missing", ["a token and TLS", "a token", "TLS"])
def test_an_open_door_is_refused(
    missing: str, authority: Authority, token_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Beyond this machine it wants both, and says why."""
    chain, key = map(str, authority.pem_files)
    given = []
    if "token" not in missing:
        given += ["--token-file", str(token_file)]
    if "TLS" not in missing:
        given += ["--certificate", chain, "--key", key]
    for host in ("0.0.0.0", "192.0.2.7", "some-host"):
        assert main(["agent", *SIMULATED, "--host", host, *given]) == 1
        said = capfd.readouterr().err
        assert f"Refusing to listen on {host} without {missing}: whoever reaches" in said
        assert "--insecure" in said


def test_insecure_is_a_word_to_say() -> None:
    """Whoever says so may."""
    with running("--host", "0.0.0.0", "--insecure") as agent:
        assert agent.url.startswith("http://0.0.0.0:")
        assert agent.end()[0] == 0


def test_a_port_in_use(capfd: pytest.CaptureFixture[str]) -> None:
    """Two agents never share a port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["agent", "--terminal", "simulated", "--port", port]) == 1
    assert f"Port {port} is in use already on 127.0.0.1" in capfd.readouterr().err


def test_an_order_log_in_use(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nor a log; and the refused one leaves nothing behind."""
    path = tmp_path / "orders.sqlite"
    log = OrderLog(path)
    assert main(["agent", *SIMULATED, "--order-log", str(path)]) == 1
    assert "no other agent has this log" in capfd.readouterr().err
    log.close()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = ["--port", str(taken.getsockname()[1])]
        assert main(["agent", *SIMULATED, "--order-log", str(path), *port]) == 1
    OrderLog(path).close()


@pytest.mark.parametrize("what", ["absent", "nonsense", "another key", "alone"])
def test_a_certificate_that_is_none(
    what: str, authority: Authority, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Unreadable, no PEM, or not the key's: a sentence before anything listens."""
    chain, key = authority.pem_files
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    given = {
        "absent": ["--certificate", tmp_path / "absent.pem", "--key", key],
        "nonsense": ["--certificate", nonsense, "--key", key],
        "another key": ["--certificate", authority.file, "--key", key],
        "alone": ["--certificate", chain],
    }[what]
    assert main(["agent", *SIMULATED, *map(str, given)]) == 1
    assert "both" in capfd.readouterr().err.lower()


@pytest.mark.parametrize("text", ["", "short", "two words that are long enough", "é" * 20, None])
def test_a_token_that_is_none(
    text: str | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Empty, guessable, or not there: the sentence makes a good one."""
    path = tmp_path / "token"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert main(["agent", *SIMULATED, "--token-file", str(path)]) == 1
    assert "secrets.token_urlsafe" in capfd.readouterr().err


def test_other_mistakes(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A layer without a token, a zone that is none, Windows' package on another system."""
    log = ["--order-log", str(tmp_path / "log")]
    assert main(["agent", *SIMULATED, "--layer", "base", *log]) == 1
    assert "base layer knows no token and no order log" in capfd.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(["agent", "--broker-zone", "Mars/Olympus"])
    assert left.value.code == 2
    assert "America/New_York+7" in capfd.readouterr().err
    assert main(["agent", "--port", "0"]) == 1
    assert "exists for Windows only" in capfd.readouterr().err


def test_without_the_extra(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where hypercorn is missing the sentence names the extra."""
    monkeypatch.setitem(sys.modules, "hypercorn.app_wrappers", None)
    monkeypatch.delitem(sys.modules, "fleetkit.agent.serve", raising=False)
    assert main(["agent", *SIMULATED]) == 1
    assert "pip install 'fleetkit[agent]'" in capfd.readouterr().err


DRAINING = """
import asyncio, sys
from fleetkit.agent.command import run_agent
from fleetkit.cli import command_parser
from tests.unit.agent_terminal import PaperTerminal

class Slow(PaperTerminal):
    async def open(self, order):
        print("asked", file=sys.stderr, flush=True)
        await asyncio.sleep(float(sys.argv[1]))
        return await super().open(order)

arguments = ["agent", "--terminal", "simulated", "--port", "0", *sys.argv[2:]]
options = command_parser().parse_args(arguments)
sys.exit(run_agent(options, lambda account: Slow()))
"""


@pytest.mark.parametrize(("takes_s", "fate"), [("0.3", "filled"), ("60", "unknown")])
def test_an_order_in_flight_has_its_bound(takes_s: str, fate: str, tmp_path: Path) -> None:
    """At the end an order is waited for, and answered; one that takes too long is unknown."""
    path = tmp_path / "orders.sqlite"
    order_id = "01JK-test_0000000000000001"
    with subprocess.Popen(
        [sys.executable, "-c", DRAINING, takes_s, "--order-log", str(path), "--drain", "0.5"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as agent:
        assert agent.stderr is not None
        url = re.search(r"http://[^ ]+", agent.stderr.readline())
        assert url is not None
        body = f'{{"symbol":"EURUSD","lot":0.5,"order_type":"BUY","order_id":"{order_id}"}}'
        curl = subprocess.Popen(
            ["curl", "-sS", "--max-time", "20", "-H", "Content-Type: application/json",
             "-d", body, f"{url[0]}/positions/open"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert agent.stderr.readline() == "asked\n"
        agent.send_signal(signal.SIGTERM)
        answered, _ = curl.communicate(timeout=30)
        assert agent.wait(ENDS_WITHIN_S) == 0
    assert ("filled" in answered) == (fate == "filled")
    log = OrderLog(path)
    found = log.find(order_id)
    log.close()
    assert found is not None
    assert found.settlement.status.value == fate
