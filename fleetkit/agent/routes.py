"""Which call of the contract a method and a path mean.

Why: routes come from the contract's table, so a path is spelled once. May import
`request` and `contract`.
The trap: a path value never holds a slash, so ``/quote/EUR/USD`` is no route.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fleetkit.agent.request import HttpError
from fleetkit.contract import Call


class Routes:
    """A table of calls to look a request up in."""

    def __init__(self, calls: Sequence[Call[Any]]) -> None:
        self._exact: dict[str, dict[str, Call[Any]]] = {}
        self._prefixes: list[tuple[str, str, dict[str, Call[Any]]]] = []
        for call in calls:
            self._methods(call.path)[call.method] = call

    def _methods(self, path: str) -> dict[str, Call[Any]]:
        prefix, brace, name = path.partition("{")
        if not brace:
            return self._exact.setdefault(path, {})
        for known, _, methods in self._prefixes:
            if known == prefix:
                return methods
        methods = {}
        self._prefixes.append((prefix, name.rstrip("}"), methods))
        return methods

    def find(self, method: str, path: str) -> tuple[Call[Any], Mapping[str, str]]:
        """The call and the values in its path.

        Raises
        ------
        HttpError
            404 for an unknown path, 405 for a known one with another method.
        """
        methods, values = self._match(path)
        if methods is None:
            raise HttpError(404, "Not Found")
        call = methods.get(method)
        if call is None:
            allow = ", ".join(sorted(methods)).encode()
            raise HttpError(405, "Method Not Allowed", headers=((b"allow", allow),))
        return call, values

    def _match(self, path: str) -> tuple[dict[str, Call[Any]] | None, Mapping[str, str]]:
        methods = self._exact.get(path)
        if methods is not None:
            return methods, {}
        for prefix, name, candidates in self._prefixes:
            value = path.removeprefix(prefix)
            if value and value != path and "/" not in value:
                return candidates, {name: value}
        return None, {}
