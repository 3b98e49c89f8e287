"""The system's Chromium, driven by playwright, and what a page does that it must not.

The trap: playwright would like to bring its own browser; it never does here. On a user's
machine without one these tests are skipped with the reason; where CI is set that fails.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
HERE = {"127.0.0.1", "localhost", "::1"}
INSIDE = {"data", "blob", "about"}
# Of the front ends themselves, not of our panels.
KNOWN_WORDS = (
    "reading 'schema'"  # Notebook 7 raises one page error of its own
    "|shared module is not a function"  # Voila loads labextensions made for JupyterLab
    "|Unsatisfied version"
    "|Canceled future|Could not restore the debugger"  # of a kernel that ends with its page
)


def chromium_path() -> str | None:
    """Where the browser is, if there is one."""
    given = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [given] if given else NAMES)), None)


def required_chromium() -> str:
    """Its path; skips the test, or fails it where CI is set."""
    path = chromium_path()
    if path is None:
        reason = "no Chromium on this machine: install the package chromium, or set CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(f"CI must test panels in a browser, and there is {reason}")
        pytest.skip(reason)
    return path


@contextmanager
def launched() -> Iterator[Any]:
    """A browser for as long as the block lasts."""
    path = required_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def well_behaved(browser: Any) -> Iterator[Callable[..., Any]]:
    """``new_page(width, height)`` → a page; what it must not have done is raised at the end.

    ``expected=`` is a pattern of the errors that belong to what the test is about.
    """
    opened: list[tuple[Any, Conduct]] = []

    def make(width: int = 1500, height: int = 950, expected: str = "", **options: Any) -> Any:
        size = {"width": width, "height": height}
        context = browser.new_context(viewport=size, service_workers="block", **options)
        opened.append((context, Conduct(context, expected)))
        page = context.new_page()
        page.set_default_timeout(30_000)
        return page

    try:
        yield make
    finally:
        for context, _ in opened:
            context.close()
    complaints = [complaint for _, conduct in opened for complaint in conduct.complaints]
    assert not complaints, complaints


class Conduct:
    """What the pages of a context did: requests that left this machine, errors of their own."""

    def __init__(self, context: Any, expected: str = "") -> None:
        self._known = re.compile(f"{KNOWN_WORDS}|{expected}" if expected else KNOWN_WORDS)
        self.left: list[str] = []
        self.errors: list[str] = []
        context.route("**/*", self._let)
        context.on("page", lambda page: page.on("websocket", self._connected))
        context.on("weberror", lambda raised: self.errors.append(f"page: {raised.error}"))
        context.on("console", self._heard)

    def _let(self, route: Any) -> None:
        url = urlsplit(route.request.url)
        if url.scheme in INSIDE or url.hostname in HERE:
            route.fallback()
        else:
            self.left.append(route.request.url)
            route.abort()

    def _connected(self, socket: Any) -> None:
        # No route sees these; that they find no host is the browser's doing.
        if urlsplit(socket.url).hostname not in HERE:
            self.left.append(socket.url)

    def _heard(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(f"console: {message.text} ({message.location['url']})")

    @property
    def complaints(self) -> list[str]:
        """What must not have happened."""
        ours = [error for error in self.errors if not self._known.search(error)]
        return [f"left this machine: {url}" for url in self.left] + ours
