"""Several kernels that trade on one store at once, and one that is killed while it does."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from fleetkit.store import (
    Store,
    arm,
    claimed_tickets,
    events,
    halt,
    halted,
    live,
    order,
    orders,
    unsettled,
    write_intent,
)
from tests.support.contenders import answers_of_many, let_go, start
from tests.support.order_store import NOON_S, intent, order_id

HELPERS = """
NOON_S = 1_770_000_000.0
run = store.orders.run_blocking
def order_id(n):
    return f"order-{n:020d}"
def intent(n, **more):
    fields = dict(order_id=order_id(n), account=7, agent="a", kind="open", body=b"{}")
    return Intent(**fields, created_s=NOON_S, owner=store.owner.id, **more)
"""
SPEND = """
for attempt in range(20):
    volume = Decimal("0.07")
    order = order_id(1000 * number + attempt)
    refused = run(lambda c: spend(
        c, "shared", order, account=7, symbol="EURUSD", volume=volume, now_s=NOON_S))
    print("spent" if refused is None else refused.word)
store.close()
"""
WRITE_ONE_KEY = """
for cell in range(20):
    mine = intent(1000 * number + cell, key=f"cell-{cell}", arming_id="shared")
    try:
        run(lambda c: write_intent(c, mine, state="intended"))
        print(f"wrote:{cell}:{mine.order_id}")
    except OrderExists as error:
        print(f"found:{cell}:{error.earlier.intent.order_id}")
store.close()
"""
SETTLE = """
for n in range(20):
    try:
        run(lambda c: append_event(c, order_id(n), expected=1, state="filled", at_s=NOON_S,
                                   owner=store.owner.id, settled=True, claim=n))
        print(n)
    except OrderMoved as error:
        assert error.head.number == 2
for n in range(20):
    run(lambda c: write_intent(c, intent(1000 + 100 * number + n), state="intended"))
    if run(lambda c: claim_ticket(c, 7, 500 + n, order_id(1000 + 100 * number + n))):
        print(500 + n)
store.close()
"""
TAKE_LEASES = """
import os
inside = Path(sys.argv[1]) / "inside"
def step():
    lease = run(lambda c: acquire(c, 7, store.owner, NOON_S, 3600.0))
    if lease is None:
        return
    os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # fails when another one is inside
    assert run(lambda c: renew(c, lease, NOON_S, 3600.0)).token == lease.token
    assert run(lambda c: holds(c, lease, NOON_S))
    os.unlink(inside)
    assert run(lambda c: release(c, lease))
    print(lease.token)
for _ in range(700):
    step()
store.close()
"""
TRADE_FOR_EVER = """
for n in range(1_000_000):
    run(lambda c: write_intent(c, intent(n), state="intended"))
    print(f"intended:{n}", flush=True)
    run(lambda c: append_event(c, order_id(n), expected=1, state="filled", at_s=NOON_S,
                               owner=store.owner.id, settled=True, claim=n))
    print(f"filled:{n}", flush=True)
"""


def test_four_kernels_spend_one_arming(tmp_path):
    """Fourteen times 0.07 fit into 1.0 lots, whoever asks."""
    with Store(tmp_path) as store:
        store.orders.run_blocking(
            lambda c: arm(
                c,
                "shared",
                until_s=NOON_S + 300,
                max_volume=Decimal(1),
                max_orders=99,
                accounts=None,
                symbols=None,
                now_s=NOON_S,
            )
        )
        words = Counter(answers_of_many(HELPERS + SPEND, tmp_path))
        assert words == {"spent": 14, "volume": 66}
        current = store.orders.run_blocking(lambda c: live(c, NOON_S))
    assert (current.used_volume, current.used_orders) == (Decimal("0.98"), 14)


def test_one_key_is_one_order(tmp_path):
    """One kernel writes it, and all others are given that one's."""
    answers = [word.split(":") for word in answers_of_many(HELPERS + WRITE_ONE_KEY, tmp_path)]
    with Store(tmp_path) as store:
        journal = store.orders.run_blocking(orders)
    written = {cell: order for what, cell, order in answers if what == "wrote"}
    assert len(written) == len([what for what, _, _ in answers if what == "wrote"]) == 20
    assert all(written[cell] == order for _, cell, order in answers)
    assert {row.terms.order_id for row in journal} == set(written.values())


def test_one_order_is_settled_once_and_one_ticket_claimed_once(tmp_path):
    """Of four kernels that have all read the same, one decides."""

    def prepare(connection):
        for number in range(20):
            write_intent(connection, intent(number, account=7), state="intended")

    with Store(tmp_path) as store:
        store.orders.run_blocking(prepare)
        winners = Counter(map(int, answers_of_many(HELPERS + SETTLE, tmp_path)))
        assert winners == Counter([*range(20), *range(500, 520)])
        for number in range(20):
            life = store.orders.run_blocking(lambda c, n=number: events(c, order_id(n)))
            assert [event.state for event in life] == ["intended", "filled"]
        claims = store.orders.run_blocking(lambda c: claimed_tickets(c, 7))
        assert sorted(claims) == [*range(20), *range(500, 520)]


@pytest.mark.timeout(60)
def test_a_lease_is_never_held_by_two_kernels(tmp_path):
    """Thousands of steps; a file that only one can make is the witness."""
    tokens = [int(word) for word in answers_of_many(HELPERS + TAKE_LEASES, tmp_path)]
    assert len(tokens) >= 100
    assert sorted(tokens) == list(range(1, len(tokens) + 1))


def test_everything_journalled_survives_a_kill(tmp_path):
    """An order is as far as was acknowledged, or one step further; nothing is half-written."""
    for round_number in range(3):
        home = tmp_path / str(round_number)
        with start(HELPERS + TRADE_FOR_EVER, home) as process:
            assert process.stdout.readline() == "ready\n"
            let_go(process)
            lines = [process.stdout.readline() for _ in range(50 + 101 * round_number)]
            process.kill()
            lines += [line for line in process.stdout if line.endswith("\n")]
        said = [line.strip().split(":") for line in lines]
        filled = {int(number) for state, number in said if state == "filled"}
        intended = {int(number) for state, number in said if state == "intended"}
        with Store(home) as store:
            journal = store.orders.run_blocking(orders)
            open_orders = store.orders.run_blocking(unsettled)
            claims = store.orders.run_blocking(lambda c: claimed_tickets(c, 7))
            check = store.orders.run_blocking(
                lambda c: c.execute("PRAGMA integrity_check").fetchone()
            )
        states = {row.terms.order_id: row.head.state for row in journal}
        assert check == ("ok",)
        assert all(states[order_id(number)] == "filled" for number in filled)
        assert {order_id(number) for number in intended} <= set(states)
        assert len(states) - len(intended) in (0, 1)
        assert len(open_orders) <= 1
        assert sorted(claims.values()) == sorted(o for o, s in states.items() if s == "filled")


def test_what_gates_orders_outlives_the_kernel(tmp_path):
    """A halt, and an order that is open, are there after a restart."""
    with Store(tmp_path) as store:
        store.orders.run_blocking(lambda c: halt(c, by="desk", why="news", now_s=NOON_S))
        store.orders.run_blocking(lambda c: write_intent(c, intent(), state="intended"))
    with Store(tmp_path) as store:
        assert store.orders.run_blocking(halted).why == "news"
        assert store.orders.run_blocking(lambda c: order(c, order_id(1))).intent == intent()
