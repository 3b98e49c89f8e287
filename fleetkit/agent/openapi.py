"""The agent's OpenAPI document, generated from the contract.

Why: whoever writes another client reads what is really checked. May import
`contract` and `msgspec`.
The trap: the contract says what clients *accept*. A reply may have more fields,
and the document says so by leaving objects open.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from fleetkit import contract
from fleetkit.contract import API_VERSION, MAX_DAYS, MAX_DEALS_PAGE, Call

OPENAPI_PATH: Final = "/openapi.json"
REFS: Final = "#/components/schemas/{name}"
ORDER_ID: Final = {"type": "string", "pattern": "^[A-Za-z0-9_-]{26}$"}

PARAMETERS: Final[Mapping[str, dict[str, Any]]] = MappingProxyType(
    {
        "symbol": {"type": "string", "minLength": 1, "pattern": "^[^/]+$"},
        "order_id": ORDER_ID,
        "days": {"type": "integer", "minimum": 1, "maximum": MAX_DAYS},
        "from_date": {"type": "string", "format": "date-time"},
        "from": {"type": "string", "format": "date-time"},
        "after": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_DEALS_PAGE},
    }
)
ERRORS: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "Refused; on trade routes with a retcode.",
        401: "The agent's token is missing or wrong.",
        404: "Not known here.",
        408: "The body did not arrive.",
        409: "The order_id was used for another order.",
        413: "The body is too large.",
        415: "The body is not JSON.",
        422: "The request makes no sense.",
        500: "The terminal gave no answer; on trade routes nobody knows what happened.",
        503: "Not executed: the terminal's queue is full. See Retry-After.",
    }
)


def document(*, token: bool = True) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the extended layer.

    Parameters
    ----------
    token
        Whether callers must show one.
    """
    # Generated per call: it is asked for once in a client's life.
    kinds = [_reply(call) for call in contract.EXTENDED]
    kinds += [call.body for call in contract.EXTENDED if call.body is not None]
    _, components = msgspec.json.schema_components([*kinds, contract.ErrorWire], ref_template=REFS)
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "MetaTrader 5 agent", "version": API_VERSION},
        "paths": {},
        "components": {"schemas": components},
    }
    for call in contract.EXTENDED:
        made["paths"].setdefault(call.path, {})[call.method.lower()] = _operation(call)
    if token:
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"token": []}]
        made["paths"][contract.HEALTH.path]["get"]["security"] = []
    return made


def _reply(call: Call[Any]) -> type:
    # Our own agent answers one object where the contract accepts three shapes.
    return contract.AccountWire if call is contract.ACCOUNTS else call.reply


def _operation(call: Call[Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": call.name,
        "summary": (_reply(call).__doc__ or "").partition("\n")[0].replace("``", ""),
        "parameters": _parameters(call),
        "responses": {
            "200": _answer("Done.", _reply(call)),
            **{str(status): _error(call, status) for status in _statuses(call)},
        },
    }
    if call.body is not None:
        operation["requestBody"] = {"required": True, "content": _content(call.body)}
    return operation


def _parameters(call: Call[Any]) -> list[dict[str, Any]]:
    found = [
        {"name": name, "in": "query", "required": False, "schema": PARAMETERS[name]}
        for name in call.query
    ]
    _, brace, name = call.path.partition("{")
    if brace:
        name = name.rstrip("}")
        found.append({"name": name, "in": "path", "required": True, "schema": PARAMETERS[name]})
    if call.trades:
        header = {"name": contract.ORDER_ID_HEADER, "in": "header", "required": False}
        found.append({**header, "schema": ORDER_ID})
    return found


def _statuses(call: Call[Any]) -> list[int]:
    if call is contract.HEALTH:
        return []
    if call is contract.ORDER_STATUS:
        return [401, 404, 422, 503]
    statuses = {401, 422, 500, 503}
    if call.query:
        statuses |= {400}
    if "{" in call.path:
        statuses |= {404}
    if call.trades:
        statuses |= {400, 408, 409, 413, 415}
    return sorted(statuses)


def _error(call: Call[Any], status: int) -> dict[str, Any]:
    kind: type = contract.ErrorWire
    if (call.name, status) == (contract.ORDER_STATUS.name, 404):
        kind = contract.OrderStatusWire
    return _answer(ERRORS[status], kind)


def _answer(description: str, kind: type) -> dict[str, Any]:
    return {"description": description, "content": _content(kind)}


def _content(kind: type) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REFS.format(name=kind.__name__)}}}
