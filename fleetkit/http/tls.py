"""TLS contexts, shared: a context costs as much time as a refresh of one agent.

May import `errors`. The trap: the protocols offered (ALPN) are a property of the
context, so agents with HTTP/2 and agents without need one each.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx

from fleetkit.errors import ConfigError


class TlsContexts:
    """One context for each pair of trust anchor and HTTP version."""

    def __init__(self) -> None:
        self._made: dict[tuple[Path | None, bool], ssl.SSLContext] = {}

    def __repr__(self) -> str:
        return f"<TlsContexts {len(self._made)} made>"

    def get(self, ca_file: Path | None, http2: bool) -> ssl.SSLContext:
        """Return the shared context, made on first use.

        Raises
        ------
        ConfigError
            The file holds no certificates.
        """
        key = (ca_file, http2)
        if key not in self._made:
            self._made[key] = httpx.create_ssl_context() if ca_file is None else _trusting(ca_file)
        return self._made[key]


def _trusting(ca_file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or type(error).__name__
    raise ConfigError(
        f"The certificates in this file cannot be read ({reason}).",
        key="ca_file",
        found=str(ca_file),
        allowed="a PEM file of certificates",
    )
