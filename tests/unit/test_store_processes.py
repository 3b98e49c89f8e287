"""Several kernels on one store at once, and a kernel that is killed in the middle of writing."""

from __future__ import annotations

from fleetkit.model import Label
from fleetkit.store import Store, all_labels
from tests.support.contenders import answers_of_many, let_go, start

CONTEST = """
for account in range(1 + 20 * number, 21 + 20 * number):
    try:
        store.run_blocking(lambda connection: set_vs_group(connection, account, "duel"))
    except LabelError:
        continue
    print(account, flush=True)
store.close()
"""
CLAIM = """
for attempt in range(20):
    if store.run_blocking(lambda c: claim_recovery(c, f"http://{number}", 1000.0, 10, 600.0)):
        print(attempt, flush=True)
store.close()
"""
WRITE_FOR_EVER = """
for account in range(1, 1_000_000):
    store.run_blocking(lambda connection: set_phase(connection, account, f"p{account}"))
    print(account, flush=True)
"""


def test_exactly_two_accounts_win_a_contested_group(tmp_path):
    """Eighty accounts in four processes want it, and the store did not even exist."""
    winners = answers_of_many(CONTEST, tmp_path / "home")
    assert len(winners) == 2
    with Store(tmp_path / "home") as store:
        paired = {n for n, label in store.run_blocking(all_labels).items() if label.vs_group}
    assert paired == {int(account) for account in winners}


def test_exactly_the_budget_of_recoveries_is_claimed(tmp_path):
    """Eighty attempts in four processes, ten reconnects."""
    assert len(answers_of_many(CLAIM, tmp_path / "home")) == 10


def test_everything_acknowledged_survives_a_kill(tmp_path):
    """SIGKILL in the middle of writing loses at most what was not acknowledged yet."""
    for round_number in range(3):
        home = tmp_path / str(round_number)
        with start(WRITE_FOR_EVER, home) as process:
            assert process.stdout.readline() == "ready\n"
            let_go(process)
            acknowledged = [int(process.stdout.readline()) for _ in range(100 + 300 * round_number)]
            process.kill()
            acknowledged += [int(line) for line in process.stdout if line.endswith("\n")]
        with Store(home) as store:
            labels = store.run_blocking(all_labels)
        assert len(labels) - len(acknowledged) in (0, 1)
        for account in acknowledged:
            assert labels[account] == Label(f"p{account}")
