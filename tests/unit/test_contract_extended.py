"""The extended layer as the contract declares it."""

from __future__ import annotations

import msgspec
import pytest

from fleetkit import contract


def test_the_surface_is_whole() -> None:
    """Every public name of the parts is importable from the package."""
    assert len(set(contract.__all__)) == len(contract.__all__)
    for name in contract.__all__:
        assert getattr(contract, name) is not None
    assert [call.name for call in contract.EXTENDED[len(contract.BASE) :]] == [
        "deals",
        "symbol",
        "order_status",
    ]


def test_requests_to_base_agents_carry_no_new_field() -> None:
    """A request that uses nothing extended is byte for byte what base agents know."""
    encode = msgspec.json.encode
    close = contract.CloseRequest(ticket=5)
    assert encode(close) == b'{"ticket":5,"deviation":20}'
    assert encode(contract.OpenRequest(symbol="X", lot=1.0, order_type="BUY")) == (
        b'{"symbol":"X","lot":1.0,"order_type":"BUY"}'
    )
    assert encode(contract.ModifyRequest(ticket=5, sl=0.0)) == b'{"ticket":5,"sl":0.0}'


@pytest.mark.parametrize("bad", ["", "a" * 25, "a" * 27, "a" * 25 + "é", "a" * 26 + "\n"])
def test_order_ids_have_one_form(bad: str) -> None:
    """26 characters of the URL-safe alphabet, and nothing else."""
    body = {"ticket": 5, "order_id": "Ab-_" + "9" * 22}
    assert msgspec.convert(body, contract.CloseRequest).order_id == body["order_id"]
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"ticket": 5, "order_id": bad}, contract.CloseRequest)


def test_retcodes_are_sorted_into_what_they_prove() -> None:
    """Definite refusals are those of the agent API; the ambiguous ones are in no set."""
    refused = {10004, 10020, 10021, 10006, 10007, *range(10013, 10020), 10022, 10026, 10027}
    refused |= {10029, 10030, *range(10032, 10036), 10038, *range(10040, 10047)}
    assert refused == contract.REFUSED
    assert not contract.DONE & contract.REFUSED
    for ambiguous in (10008, 10011, 10012, 10031):
        assert contract.Retcode(ambiguous) not in contract.DONE | contract.REFUSED
