"""One line for each step of an order, for people and for programs that read logs.

Why: who looks into a log after a bad day finds every order by its id, with the same words
as in the journal. May import `trading`, `html`.
The trap: an order's reason can be an agent's text, which may quote the request it did not
like, credentials included. It must neither break the line nor forge another one nor give
them away; and nothing of a request itself (tokens, comments) is ever written.
"""

from __future__ import annotations

import logging
import re
from typing import Final

from fleetkit.html import visible_text
from fleetkit.trading import Outcome, Receipt

log = logging.getLogger("fleetkit.orders")

_CREDENTIALS: Final = re.compile(r"\b(bearer|basic)\s+[^\s\"',;]+", re.IGNORECASE)
_URL_PASSWORD: Final = re.compile(r"://[^\s/@]+@")


def log_step(
    step: str,
    *,
    order_id: str,
    account: int,
    agent: str,
    outcome: Outcome | None = None,
    ticket: int | None = None,
    reason: str = "",
) -> None:
    """Write one record at INFO to the logger ``fleetkit.orders``.

    Parameters
    ----------
    step
        What happened, in fleetkit's own words: ``intent``, ``sent``, ``outcome``, …
    order_id, account, agent
        Which order.
    outcome, ticket, reason
        What is known of it by now.

    Notes
    -----
    The record carries all of them as attributes of the same names, ``None`` included, so
    that a formatter for JSON need not parse the message.
    """
    if not log.isEnabledFor(logging.INFO):
        return
    fields = {
        "order_id": visible_text(order_id),
        "account": account,
        "agent": visible_text(agent),
        "step": step,
        "outcome": None if outcome is None else outcome.value,
        "ticket": ticket,
        "reason": visible_text(_without_credentials(reason)),
    }
    log.info("%s", _message(fields), extra=fields)


def log_receipt(receipt: Receipt, step: str = "receipt") -> None:
    """Write what a receipt says."""
    log_step(
        step,
        order_id=receipt.order_id,
        account=receipt.account,
        agent=receipt.agent,
        outcome=receipt.outcome,
        ticket=receipt.ticket,
        reason=receipt.reason,
    )


def _without_credentials(text: str) -> str:
    """The text without what looks like an Authorization header or a password in a URL."""
    return _URL_PASSWORD.sub("://***@", _CREDENTIALS.sub(r"\1 ***", text))


def _message(fields: dict[str, object]) -> str:
    words = [f"order {fields['order_id']} on {fields['account']} ({fields['agent']})"]
    words.append(f"{fields['step']}")
    if fields["outcome"] is not None:
        words.append(f"{fields['outcome']}")
    if fields["ticket"] is not None:
        words.append(f"ticket {fields['ticket']}")
    line = " ".join((f"{words[0]}:", *words[1:]))
    return f"{line} ({fields['reason']})" if fields["reason"] else line
