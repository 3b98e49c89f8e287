"""A certificate authority for one test run, made on the fly."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import trustme


@dataclass
class Authority:
    """An authority, its file, and server contexts it vouches for."""

    folder: Path

    @cached_property
    def _authority(self) -> trustme.CA:
        return trustme.CA()

    @cached_property
    def file(self) -> Path:
        """The authority's certificate: what `ca_file` names."""
        path = self.folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(path))
        return path

    @cached_property
    def pem_files(self) -> tuple[Path, Path]:
        """A certificate chain for loopback and its key, as a server is given them."""
        chain, key = self.folder / "chain.pem", self.folder / "key.pem"
        made = self._authority.issue_cert("127.0.0.1", "localhost")
        made.private_key_pem.write_to_path(str(key))
        for blob in made.cert_chain_pems:
            blob.write_to_path(str(chain), append=True)
        return chain, key

    def server(self, *protocols: str, host: str = "127.0.0.1") -> ssl.SSLContext:
        """A server's context that offers these protocols by ALPN (none: no ALPN at all)."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._authority.issue_cert(host).configure_cert(context)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context
