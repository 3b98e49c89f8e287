"""Ids of orders: 26 characters that sort by time and repeat never.

May import nothing of fleetkit. The trap: two kernels make ids at the same moment, and a
forked child has its parent's random state; so the random half comes from the system.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's, as in a ULID
RANDOM_BITS: Final = 80
LENGTH: Final = 26
VALID: Final = re.compile(r"[A-Za-z0-9_-]{26}")


def new_order_id(now: datetime) -> str:
    """A new id; its first ten characters are the milliseconds since 1970."""
    number = int(now.timestamp() * 1000) << RANDOM_BITS | secrets.randbits(RANDOM_BITS)
    return "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(LENGTH)))


def is_order_id(text: object) -> bool:
    """Whether agents take it for an order's id."""
    return isinstance(text, str) and VALID.fullmatch(text) is not None
