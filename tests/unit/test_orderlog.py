"""The log of orders: one line a step, every figure a field, and nothing alive in it."""

from __future__ import annotations

import json
import logging

import pytest

from fleetkit.orderlog import log_receipt, log_step
from fleetkit.trading import Evidence, OrderKind, Outcome, Receipt

ORDER = {"order_id": "01J0", "account": 7100012, "agent": "vps-01"}


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is written at INFO."""
    caplog.set_level(logging.INFO, "fleetkit.orders")
    return caplog


def test_a_step_is_one_line_with_fields(logged) -> None:
    """A person reads the message, a program the attributes."""
    log_step("outcome", **ORDER, outcome=Outcome.FILLED, ticket=5)
    (record,) = logged.records
    assert (record.name, record.levelno) == ("fleetkit.orders", logging.INFO)
    assert record.getMessage() == "order 01J0 on 7100012 (vps-01): outcome filled ticket 5"
    fields = {
        name: getattr(record, name)
        for name in ("order_id", "account", "agent", "step", "outcome", "ticket", "reason")
    }
    assert fields == {**ORDER, "step": "outcome", "outcome": "filled", "ticket": 5, "reason": ""}
    assert json.loads(json.dumps(fields)) == fields


def test_a_step_without_an_outcome_says_only_what_is_known(logged) -> None:
    """The fields are there all the same, and empty."""
    log_step("intent", **ORDER)
    assert logged.records[0].getMessage() == "order 01J0 on 7100012 (vps-01): intent"
    assert logged.records[0].outcome is None
    assert logged.records[0].ticket is None


def test_an_agent_s_text_cannot_forge_a_line(logged) -> None:
    """Line breaks, escape sequences and direction marks become visible; %s stays as it is."""
    hostile = "bad\nINFO order 02 filled \x1b[31m%s \u202e {reason}"
    log_step("outcome", **(ORDER | {"agent": "a\r\nb"}), outcome=Outcome.REJECTED, reason=hostile)
    message = logged.records[0].getMessage()
    assert message.isprintable()
    assert "%s" in message
    assert logged.records[0].reason.isprintable()
    assert logged.records[0].agent.isprintable()


@pytest.mark.parametrize(
    "quoted",
    [
        "not with Authorization: Bearer pl4nted-t0ken",
        "{'authorization': 'bearer pl4nted-t0ken'}",
        "header Basic cGw0bnRlZC10MGtlbg==; go away",
        "see http://me:pl4nted-t0ken@vps/x",
    ],
)
def test_credentials_that_an_agent_quotes_are_not_written(logged, quoted) -> None:
    """Neither in the line nor in a field; the rest of the sentence stays."""
    log_step("outcome", **ORDER, outcome=Outcome.REJECTED, reason=quoted)
    (record,) = logged.records
    for text in (record.getMessage(), record.reason):
        assert "pl4nted" not in text
        assert "cGw0" not in text
        assert "***" in text


def test_a_long_text_is_cut(logged) -> None:
    """A page of HTML that a proxy answered does not fill the log."""
    log_step("outcome", **ORDER, outcome=Outcome.UNKNOWN, reason="x" * 100_000)
    assert len(logged.records[0].getMessage()) < 400


def test_a_receipt_is_logged_with_what_it_says(logged) -> None:
    """Step, outcome, ticket and reason are the receipt's."""
    receipt = Receipt(
        **ORDER,
        kind=OrderKind.OPEN,
        outcome=Outcome.UNKNOWN,
        evidence=Evidence.NONE,
        reason="No answer.",
    )
    log_receipt(receipt)
    assert logged.records[0].getMessage() == (
        "order 01J0 on 7100012 (vps-01): receipt unknown (No answer.)"
    )


def test_nothing_is_printed_where_nobody_listens(capfd) -> None:
    """A notebook without logging set up shows no line: INFO is below what Python prints."""
    log_step("sent", **ORDER)
    assert capfd.readouterr() == ("", "")
