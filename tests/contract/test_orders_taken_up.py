"""What a process that ended left half done is taken up by the next one, and blocks nobody."""

from __future__ import annotations

import threading

import fleetkit as fk
from fleetkit.sim import Faults, SimProcess
from tests.support.order_storm import write_config
from tests.support.order_truth import journal_of

PATIENCE = 100
SOON_S = 0.05


def outcome_of(home):
    (told,) = journal_of(home)
    return told.outcome


def test_an_order_whose_stops_were_not_read_back_yet_is_taken_up(tmp_path, nothing_left_behind):
    """The next process reads them back, and the account can be traded."""
    with SimProcess.start(accounts=2, seed=7, layer="extended") as process:
        account = process.agents[0]["account"]
        config, home = write_config(tmp_path, process.agents), tmp_path / "home"
        with fk.connect(config, home=home, progress=False) as fleet:
            with fleet.armed(minutes=5, max_volume=1.0, max_orders=4):
                process.faults[account] = Faults(routes=("open",), lost_answer=True)
                fleet.open_position(account, "EURUSD", "buy", 0.1, sl_price=0.5)
            process.faults[account] = Faults(routes=("positions",), hang=True)
            for _ in range(PATIENCE):
                if outcome_of(home) == "filled":
                    break
                threading.Event().wait(SOON_S)
        assert outcome_of(home) == "filled"
        process.faults.clear()
        with fk.connect(config, home=home, progress=False) as later:
            assert later.reconcile(wait_s=5.0).empty
            with later.armed(minutes=5, max_volume=1.0, max_orders=4):
                receipt = later.open_position(account, "EURUSD", "buy", 0.1)
    assert receipt.outcome is fk.Outcome.FILLED
