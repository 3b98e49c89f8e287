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
    """One context for each pair of trust anchor and HTTP version.

    Parameters
    ----------
    source
        Where the configuration came from, for the error about a bad file.
    """

    def __init__(self, source: str | None = None) -> None:
        self._source = source
        self._made: dict[tuple[Path | None, bool], ssl.SSLContext] = {}

    def __repr__(self) -> str:
        return f"<TlsContexts {len(self._made)} made>"

    def get(self, ca_file: Path | None, http2: bool, agent: str | None = None) -> ssl.SSLContext:
        """Return the shared context, made on first use.

        Raises
        ------
        ConfigError
            The file holds no certificates.
        """
        key = (ca_file, http2)
        if key not in self._made:
            self._made[key] = (
                httpx.create_ssl_context() if ca_file is None else self._trusting(ca_file, agent)
            )
        return self._made[key]

    def _trusting(self, ca_file: Path, agent: str | None) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=str(ca_file))
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or type(error).__name__
        raise ConfigError(
            f"The certificates in this file cannot be read ({reason}).",
            file=self._source,
            key="ca_file" if agent is None else f"{agent}.ca_file",
            found=str(ca_file),
            allowed="a PEM file of certificates",
        )
