"""An agent's URL: checked, normalised, and relieved of its credentials.

Why: two spellings of one URL are one agent, and a password in a URL is printed
by everything that prints URLs. May import `errors`, `secret` and `values`.
The trap: the standard library's errors quote the URL, password included, so none gets out.
"""

from __future__ import annotations

import ipaddress
import re
from types import MappingProxyType
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from fleetkit.config.secret import Secret
from fleetkit.config.values import Place, shown_url
from fleetkit.errors import ConfigError

ALLOWED: Final = "http:// or https://, a host, an optional port and path prefix"
_DEFAULT_PORTS: Final = MappingProxyType({"http": 80, "https": 443})
_LABELS: Final = re.compile(r"(?!-)[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_PATH: Final = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:%/-]*)?")
_LONGEST_HOST: Final = 253


def read_url(value: object, place: Place) -> tuple[str, Secret | None]:
    """The URL without credentials and trailing slash, and ``user:password`` if it had one.

    Raises
    ------
    ConfigError
        For anything that is not an agent's URL; ``found`` has no password in it.
    """
    if not isinstance(value, str):
        raise place.wrong_type(value, ALLOWED)
    complaint, url, credentials = _read(value.strip())
    if complaint:
        raise place.error(complaint, found=shown_url(value), allowed=ALLOWED)
    if credentials is None:
        return url, None
    try:
        return url, Secret(credentials)
    except ConfigError:
        message = "The URL's user and password cannot be sent in an HTTP header."
        allowed = "one line of latin-1 characters"
        raise place.error(message, found=shown_url(value), allowed=allowed) from None


def is_loopback(url: str) -> bool:
    """Whether a checked URL stays on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _read(text: str) -> tuple[str | None, str, str | None]:
    """A complaint or nothing, the normalised URL, and the credentials or nothing."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return "This is not a URL.", "", None
    host = _host(parts.hostname or "")
    complaint = _complaint(text, parts, host, port)
    if complaint:
        return complaint, "", None
    shown_port = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    url = f"{parts.scheme}://{host}{shown_port}{parts.path.rstrip('/')}"
    return None, url, _credentials(parts)


def _complaint(text: str, parts: SplitResult, host: str | None, port: int | None) -> str | None:
    user, at, _ = parts.netloc.rpartition("@")
    checks = (
        (
            any(character.isspace() or not character.isprintable() for character in text),
            "A URL has no spaces and no control characters.",
        ),
        (
            parts.scheme not in _DEFAULT_PORTS,
            "An agent's URL begins with http:// or https://.",
        ),
        (not parts.netloc, "The URL has no host."),
        (bool({"?", "#"} & set(text)), "An agent's URL has no query and no fragment."),
        (
            "@" in parts.path or "\\" in text,
            "A reserved character in a user name or password must be percent-encoded.",
        ),
        (bool(at) and not user.partition(":")[0], "There is an @ without a user name."),
        (host is None, "The URL's host is not a host name or address."),
        (port == 0, "There is no port 0."),
        (
            _PATH.fullmatch(parts.path) is None,
            "The path has characters that must be percent-encoded.",
        ),
    )
    return next((sentence for wrong, sentence in checks if wrong), None)


def _host(host: str) -> str | None:
    """The host as it goes into a URL, or ``None`` when it is none."""
    if ":" in host:
        try:
            return None if "%" in host else f"[{ipaddress.IPv6Address(host).compressed}]"
        except ValueError:
            return None
    try:
        name = host.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    if len(name) > _LONGEST_HOST or _LABELS.fullmatch(name) is None:
        return None
    if not name.rpartition(".")[2].isdigit():
        return name
    try:
        return str(ipaddress.IPv4Address(name))
    except ValueError:
        return None


def _credentials(parts: SplitResult) -> str | None:
    user, at, _ = parts.netloc.rpartition("@")
    if not at:
        return None
    name, _, password = user.partition(":")
    return f"{unquote(name)}:{unquote(password)}"
