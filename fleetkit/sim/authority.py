"""A certificate authority for one simulated fleet, made on the fly.

Why: TLS that clients can verify, with a file to trust and certificates that are
wrong in each way there is. May import trustme (the extra ``fleetkit[demo]``).
The trap: one context serves all agents, a context of its own for each would cost
seconds at a thousand of them.
"""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import trustme

from fleetkit.sim.faults import Faults
from fleetkit.sim.ports import LOOPBACK

AUTHORITY: Final = "authority.pem"
PROTOCOLS: Final = ("h2", "http/1.1")
OTHER_HOST: Final = "another-agent.example"
VALID: Final = timedelta(days=30)


class Authority:
    """Vouches for the fleet's agents, rightly or wrongly.

    Parameters
    ----------
    folder
        Where its own certificate is put.
    now
        From when a certificate is expired.
    """

    def __init__(self, folder: Path, now: datetime) -> None:
        self.file = folder / AUTHORITY
        self._own = trustme.CA(organization_name="fleetkit demo")
        self._own.cert_pem.write_to_path(str(self.file))
        self._now = now
        self._contexts: dict[str | None, ssl.SSLContext] = {}

    def __repr__(self) -> str:
        return f"<fleetkit.sim Authority {str(self.file)!r}>"

    def context(self, faults: Faults) -> ssl.SSLContext:
        """What an agent with these faults serves TLS with."""
        kind = faults.certificate
        if kind not in self._contexts:
            self._contexts[kind] = _context(self._certificate(kind))
        return self._contexts[kind]

    def _certificate(self, kind: str | None) -> trustme.LeafCert:
        if kind == "expired":
            before, after = self._now - VALID, self._now - timedelta(days=1)
            return self._own.issue_cert(LOOPBACK, not_before=before, not_after=after)
        if kind == "other_host":
            return self._own.issue_cert(OTHER_HOST)
        if kind == "untrusted":
            return trustme.CA(organization_name="somebody else").issue_cert(LOOPBACK)
        return self._own.issue_cert(LOOPBACK, "localhost")


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # as HTTP/2 demands
    context.set_alpn_protocols(list(PROTOCOLS))
    certificate.configure_cert(context)
    return context
