"""Who the simulated accounts belong to, how they are traded, and their labels.

Why: one small record per account, drawn from seed and number alone, so that any
account can be made without making the others. May import `model`.
The trap: a pair is traded by one hand; both halves must draw the same idea from
the *pair's* seed, never from their own.
"""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

from fleetkit.model import Label

FIRST_ACCOUNT: Final = 7_100_001

HOLDERS: Final = (
    "Anna Lindqvist",
    "Bram de Witte",
    "Chiara Morandi",
    "Dawit Tesfaye",
    "Elif Kaplan",
    "Farid Rahmani",
    "Greta Sørensen",
    "Hugo Almeida",
    "Inès Chevalier",
    "Jonas Weber",
    "Katarzyna Nowak",
    "Liam O'Rourke",
    "Unknown",
)
FIRMS: Final = (
    "Kestrel & Vale Funding",
    "Larkspur Traders",
    "Tidewater Prop",
    "Ninth Lantern Capital",
    "Fenwick Row",
    "N/A",
)
PHASES: Final = ("F1", "F2", "R", "Q", "WIN")
PHASE_WEIGHTS: Final = (40, 20, 20, 12, 8)
SIZES: Final = (10_000.0, 25_000.0, 50_000.0, 100_000.0, 200_000.0)
SIZE_WEIGHTS: Final = (10, 20, 25, 35, 10)
SKILL: Final = {"F1": 0.53, "F2": 0.56, "R": 0.55, "Q": 0.50, "WIN": 0.63}
NETTING: Final = 0.2  # of the accounts would net, where their open positions allow it
PAIRED_OF_FIVE: Final = 2  # two accounts of five neighbours trade against each other


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """One account's owner, firm and manner."""

    account: int
    name: str
    holder: str
    firm: str
    house: str  # the broker
    server: str
    currency: str
    leverage: int
    initial_balance: float
    label: Label
    skill: float  # how often the side is right
    risk: float  # of the initial balance, in one trade
    trades: int
    days_operating: int  # trading days since the deposit
    pair: int | None  # which pair, None where the account trades alone
    pair_sign: int  # +1 and -1: the two halves of a pair hold opposite sides
    nets: bool  # hedges all the same where it holds a symbol twice


def person(account: int, seed: int) -> Person:
    """The person behind an account number."""
    index = account - FIRST_ACCOUNT
    pair, sign = _pair_of(index)
    # Both halves of a pair are in the same phase and of the same size.
    shared = Random(f"{seed}:idea:{index if pair is None else f'pair{pair}'}")
    phase = shared.choices(PHASES, PHASE_WEIGHTS)[0]
    size = shared.choices(SIZES, SIZE_WEIGHTS)[0]
    random = Random(f"{seed}:person:{account}")
    holder, firm = random.choice(HOLDERS), random.choice(FIRMS)
    house = "Harbour Markets" if firm == "N/A" else firm
    return Person(
        account=account,
        name=f"{size / 1000:.0f}k {phase} {holder if holder != 'Unknown' else account}",
        holder=holder,
        firm=firm,
        house=house,
        server="".join(word for word in house.split() if word.isalpha()) + "-Live",
        currency="EUR" if random.random() < 0.12 else "USD",
        leverage=random.choice((30, 50, 100)),
        initial_balance=size,
        label=Label(phase=phase, vs_group="" if pair is None else f"VS{pair + 1:02d}"),
        skill=SKILL[phase] + random.uniform(-0.03, 0.03),
        risk=random.uniform(0.0015, 0.005),
        trades=60 + min(340, int(random.expovariate(1 / 50))),
        days_operating=random.randint(35, 190),
        pair=pair,
        pair_sign=sign,
        # A draw of its own: nothing else about a person depends on it.
        nets=Random(f"{seed}:margin:{account}").random() < NETTING,
    )


def _pair_of(index: int) -> tuple[int | None, int]:
    group, place = divmod(index, 5)
    if index < 0 or place >= PAIRED_OF_FIVE:
        return None, 1
    return group, 1 if place == 0 else -1
