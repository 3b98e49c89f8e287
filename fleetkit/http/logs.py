"""Filters that keep secrets out of other libraries' logs.

Why: hpack writes every header, the token included, to its debug log, and in
forms no search for the token would find. May import nothing of fleetkit.
The trap: a filter on a logger does not see its children's records, so each
logger that writes headers is named.
"""

from __future__ import annotations

import logging

_WRITE_HEADERS = (
    "hpack",
    "hpack.hpack",
    "hpack.hpack_compat",
    "hpack.huffman",
    "hpack.struct",
    "hpack.table",
    "h2",
    "h2.connection",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)


class _DropHeaders(logging.Filter):
    """Drops records below WARNING: those are the ones with headers in them."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING


_drop_headers = _DropHeaders()


def silence_secrets() -> None:
    """Attach the filter; doing it again changes nothing."""
    for name in _WRITE_HEADERS:
        logging.getLogger(name).addFilter(_drop_headers)
