"""The `fleetkit` command: tables that can be piped, sentences, and a clean end."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from fleetkit import frames, sim
from fleetkit.cli import LAB_ENDS_S, main
from tests.support.processes import Terminal, processes_of

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "fleetkit.cli"]
ENDS_WITHIN_S = 2.0
BOUND_S = 60.0


@pytest.fixture(scope="module")
def simulated() -> Iterator[sim.SimProcess]:
    """Five agents that speak the base layer."""
    with sim.SimProcess.start(accounts=5, seed=7) as process:
        yield process


@pytest.fixture
def agents(simulated: sim.SimProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[sim.SimProcess]:
    """The same five, healthy, as the fleet that the environment names."""
    monkeypatch.setenv("FLEETKIT_AGENTS_JSON", json.dumps(simulated.agents))
    monkeypatch.setenv("COLUMNS", "100")
    yield simulated
    simulated.faults.clear()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a process whose temporary files and children can be told from others'."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return os.environ | {"TMPDIR": str(folder), "PYTHONPATH": str(ROOT), "COLUMNS": "100"}


def nothing_left(environment: dict[str, str]) -> bool:
    folder = Path(environment["TMPDIR"])
    return not list(folder.glob("fleetkit*")) and processes_of(folder) == []


# accounts and trades


def test_accounts_as_a_table(agents, capfd, nothing_left_behind) -> None:
    """Standard output has the table that fits the screen, standard error nothing."""
    assert main(["accounts"]) == 0
    said = capfd.readouterr()
    heading, _, first, *_ = said.out.splitlines()
    assert heading.split()[:3] == ["account", "agent", "status"]
    assert {"age", "source"} <= set(heading.split())
    assert first.split()[:4] == ["7100001", "vps01-a1", "connected", "48,646.28"]
    assert len(said.out.splitlines()) == 2 + 5
    assert max(map(len, said.out.splitlines())) <= 100
    assert said.err == ""


def test_accounts_as_csv_and_json_have_every_column(agents, capfd) -> None:
    """The formats for programs leave nothing out."""
    assert main(["accounts", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert list(rows[0]) == ["account", *frames.ACCOUNTS.names]
    assert main(["accounts", "--format", "json"]) == 0
    records = json.loads(capfd.readouterr().out)
    assert [record["balance"] for record in records] == [float(row["balance"]) for row in rows]


def test_accounts_from_a_file_into_a_file(agents, tmp_path: Path, monkeypatch, capfd) -> None:
    """`--fleet` names a TOML file, `--output` a file; the screen stays empty."""
    monkeypatch.delenv("FLEETKIT_AGENTS_JSON")
    lines = [f'[[agents]]\nname = "{a["name"]}"\nurl = "{a["url"]}"\n' for a in agents.agents]
    (tmp_path / "fleet.toml").write_text("".join(lines), encoding="utf-8")
    target = tmp_path / "accounts.parquet"
    options = ["--fleet", str(tmp_path / "fleet.toml"), "--output", str(target)]
    assert main(["accounts", *options, "--format", "parquet"]) == 0
    assert capfd.readouterr() == ("", "")
    found = pd.read_parquet(target)
    assert found["account"].tolist() == [agent["account"] for agent in agents.agents]


def test_a_table_in_a_file_is_not_cut_to_the_screen(agents, tmp_path: Path, monkeypatch) -> None:
    """A file has no width."""
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["accounts", "--output", str(tmp_path / "table.txt")]) == 0
    assert "holder" in (tmp_path / "table.txt").read_text(encoding="utf-8")


def test_trades_of_some_accounts_and_days(agents, capfd) -> None:
    """Only the accounts named, only that far back, the newest exit first."""
    assert main(["trades", "7100001", "7100002", "--days", "365", "--format", "json"]) == 0
    records = json.loads(capfd.readouterr().out)
    assert {record["account"] for record in records} == {7100001, 7100002}
    exits = [record["exit_time"] for record in records]
    assert exits == sorted(exits, reverse=True)
    assert main(["trades", "--days", "365"]) == 0
    assert len(capfd.readouterr().out.splitlines()) > 2 + len(records)


@pytest.mark.parametrize("command", [["accounts"], ["trades", "--days", "400"]])
def test_a_missing_account_is_said_and_told_by_the_status(agents, capfd, command) -> None:
    """The table is there, the reason on standard error, and the exit status is 3."""
    agents.faults[7100002] = sim.Faults(status_code=500)
    assert main([*command, "--format", "csv"]) == 3
    said = capfd.readouterr()
    assert len(said.out.splitlines()) > 5
    assert said.err.startswith("fleetkit: 7100002 is missing or stale: vps02-a1 answered /")
    assert said.err.count("\n") == 1


def test_many_missing_accounts_are_not_all_told(capfd, monkeypatch) -> None:
    """Ten sentences and a count, whatever the size of the fleet."""
    dead = [{"name": f"a{n}", "url": f"http://127.0.0.1:{n}", "account": n} for n in range(1, 14)]
    monkeypatch.setenv("FLEETKIT_AGENTS_JSON", json.dumps(dead))
    assert main(["accounts"]) == 3
    said = capfd.readouterr()
    assert len(said.err.splitlines()) == 11
    assert said.err.endswith("… and 3 more.\n")
    assert said.out.count("offline") == 13


# sentences


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["accounts", "--fleet", "no-such.toml"], "no-such.toml: The file cannot be read"),
        (["trades", "7999999"], "7999999"),
        (["trades", "--days", "1", "7999999"], "7999999"),
        (["accounts", "--output", "/no/such/folder/file"], "cannot be written"),
    ],
)
def test_an_error_is_one_sentence(agents, capfd, arguments, words) -> None:
    """Nothing on standard output, one line on standard error, exit status 1."""
    assert main(arguments) == 1
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith("fleetkit: ")
    assert words in said.err
    assert said.err.count("\n") == 1


def test_no_fleet_at_all_is_a_sentence_that_helps(capfd) -> None:
    """A newcomer who has configured nothing is told the three ways to begin."""
    assert main(["accounts"]) == 1
    assert "demo()" in capfd.readouterr().err


def test_what_is_said_is_inert(agents, capfd) -> None:
    """Escape sequences in what is said do not reach the terminal."""
    assert main(["accounts", "--fleet", "\x1b[31mred\u202e.toml"]) == 1
    said = capfd.readouterr().err
    assert said.replace("\n", "").isprintable()
    assert "red" in said


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["demo", "--accounts", "0"], ["trades", "x"],
                  ["accounts", "--format", "xml"]],
)  # fmt: skip
def test_a_mistake_in_the_command_line_is_status_2(capfd, arguments) -> None:
    """argparse's own status, and a usage line."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capfd.readouterr().err.startswith("usage: fleetkit")


def test_nothing_is_coloured(agents, environment) -> None:
    """Even a terminal that wants colours gets plain text."""
    terminal = Terminal([*COMMAND, "accounts"], environment | {"FORCE_COLOR": "1"})
    try:
        terminal.wait_for("7100003")
        terminal.process.wait(BOUND_S)
    finally:
        terminal.end()
    assert "\x1b" not in terminal.text.replace("\x1b[?25h", "")


def test_a_reader_who_has_enough_is_no_error(agents, environment) -> None:
    """`fleetkit trades | head -1`: one line, no complaint, status 0."""
    command = subprocess.Popen(
        [*COMMAND, "trades", "--days", "365", "--format", "csv"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert command.stdout is not None
    assert command.stdout.readline().startswith(b"account,")
    command.stdout.close()
    _, complaints = command.communicate(timeout=BOUND_S)
    assert (command.returncode, complaints) == (0, b"")


# demo


@pytest.mark.parametrize("options", [["--once"], []])
def test_demo_prints_and_ends_without_a_terminal(environment, options) -> None:
    """Accounts, a blank line, one sentence of totals; status 0, nothing left."""
    answer = subprocess.run(
        [*COMMAND, "demo", "--accounts", "5", *options],
        env=environment, capture_output=True, text=True, timeout=BOUND_S, check=False,
    )  # fmt: skip
    assert (answer.returncode, answer.stderr) == (0, "")
    heading, _, *rows, blank, totals = answer.stdout.splitlines()
    assert {"balance", "age", "source"} <= set(heading.split())
    assert len(rows) == 5
    assert blank == ""
    assert totals.startswith("5 accounts, all connected; balance 351,013.57; read ")
    assert nothing_left(environment)


def test_demo_ends_when_its_reader_has_enough(environment) -> None:
    """`fleetkit demo | head -1` ends its agents too."""
    command = subprocess.Popen(
        [*COMMAND, "demo", "--accounts", "5"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert command.stdout is not None
    command.stdout.close()
    _, complaints = command.communicate(timeout=BOUND_S)
    assert (command.returncode, complaints) == (0, b"")
    assert nothing_left(environment)


@pytest.fixture
def without_lab(environment) -> Iterator[Terminal]:
    """`fleetkit demo` in a terminal, in an environment that has no JupyterLab."""
    script = "import sys; from fleetkit import cli; cli.find_spec = lambda name: None; "
    command = [sys.executable, "-c", script + "sys.exit(cli.main(['demo', '--accounts', '3']))"]
    terminal = Terminal(command, environment)
    terminal.wait_for("notebooks.")
    yield terminal
    terminal.end()


def with_lab(environment: dict[str, str], folder: Path, code: str) -> Terminal:
    """`fleetkit demo` where `python -m jupyterlab` is a program of the test's."""
    package = folder / "programs" / "jupyterlab"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(f"import signal, sys\n{code}\n", encoding="utf-8")
    path = os.pathsep.join((str(package.parent), str(ROOT)))
    return Terminal([*COMMAND, "demo", "--accounts", "3"], environment | {"PYTHONPATH": path})


def test_demo_in_a_terminal_stays_and_says_how_to_go_on(without_lab, environment) -> None:
    """The agents run on, their first address is said, and how to get the notebooks."""
    assert "3 accounts, all connected" in without_lab.text
    assert "http://127.0.0.1:" in without_lab.text
    assert "pip install jupyterlab" in without_lab.text
    assert any(b"fleetkit.sim" in command for command in processes_of(Path(environment["TMPDIR"])))


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (lambda terminal: terminal.type(b"\x03"), 0),
        (lambda terminal: terminal.type(b"\x03\x03\x03"), 0),
        (lambda terminal: terminal.process.send_signal(signal.SIGTERM), 128 + signal.SIGTERM),
        (lambda terminal: terminal.close_window(), 128 + signal.SIGHUP),
    ],
    ids=["Ctrl-C", "Ctrl-C thrice", "SIGTERM", "closed window"],
)
def test_demo_ends_with_all_it_started(
    without_lab: Terminal, environment, end: Callable[[Terminal], None], status: int
) -> None:
    """Within 2 s no process and no folder is left."""
    end(without_lab)
    assert without_lab.process.wait(ENDS_WITHIN_S) == status
    assert nothing_left(environment)


def test_demo_opens_jupyterlab_on_the_notebooks(environment, tmp_path: Path) -> None:
    """The lab gets the folder of notebooks, and its exit status is the command's."""
    terminal = with_lab(environment, tmp_path, "print('lab', sys.argv[1:]); sys.exit(5)")
    try:
        terminal.wait_for("lab [")
        assert terminal.process.wait(BOUND_S) == 5
        assert "Opening JupyterLab" in terminal.text
        terminal.wait_for("notebooks']")
    finally:
        terminal.end()
    assert nothing_left(environment)


@pytest.mark.parametrize(
    "code",
    ["", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"],
    ids=["a lab that ends", "a lab that does not"],
)
def test_ctrl_c_ends_the_lab_too(environment, tmp_path: Path, code: str) -> None:
    """The lab gets a moment to end by itself, and is not asked whether it really should."""
    code += "\nprint('lab is open', flush=True)\ntry:\n    signal.pause()\n"
    code += "except KeyboardInterrupt:\n    print('Shut down this server (y/[n])?'); signal.pause()"
    terminal = with_lab(environment, tmp_path, code)
    try:
        terminal.wait_for("lab is open")
        terminal.type(b"\x03")
        assert terminal.process.wait(ENDS_WITHIN_S + LAB_ENDS_S) == 0
        assert "Shut down" not in terminal.text
    finally:
        terminal.end()
    assert nothing_left(environment)


def test_demo_says_what_it_lacks(environment, tmp_path: Path) -> None:
    """Without the demo extra the sentence says what to install."""
    script = (
        "import sys; from fleetkit import cli; from fleetkit.sim import process; "
        "process.find_spec = lambda name: None; sys.exit(cli.main(['demo', '--once']))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script],
        env=environment, capture_output=True, text=True, timeout=BOUND_S, check=False,
    )  # fmt: skip
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr == (
        "fleetkit: The demo fleet needs uvicorn: pip install 'fleetkit[demo]'.\n"
    )


@pytest.mark.parametrize("days", ["-1", "0", "nan", "inf", "many"])
def test_days_that_make_no_sense_are_a_mistake_in_the_command_line(capfd, days) -> None:
    """Exit status 2, and the option is named."""
    with pytest.raises(SystemExit) as caught:
        main(["trades", "--days", days])
    assert caught.value.code == 2
    assert "--days" in capfd.readouterr().err


def test_the_ending_of_the_file_decides_the_format(agents, tmp_path) -> None:
    """Whoever writes accounts.parquet wants Parquet; --format wins."""
    assert main(["accounts", "--output", str(tmp_path / "a.parquet")]) == 0
    assert (tmp_path / "a.parquet").read_bytes()[:4] == b"PAR1"
    assert main(["accounts", "--output", str(tmp_path / "a.CSV")]) == 0
    assert (tmp_path / "a.CSV").read_text().startswith("account,")
    assert main(["accounts", "--format", "json", "--output", str(tmp_path / "b.csv")]) == 0
    assert (tmp_path / "b.csv").read_text().startswith("[")
