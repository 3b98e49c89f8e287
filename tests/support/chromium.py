"""The system's Chromium, driven by playwright, and what a page does that it must not.

The trap: playwright would like to bring its own browser; it never does here. On a user's
machine without one these tests are skipped with the reason; where CI is set that fails.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
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
)
HERE = {"127.0.0.1", "localhost", "::1"}
INSIDE = {"data", "blob", "about"}
# Of the front ends themselves, not of our panels.
KNOWN_WORDS = re.compile(
    "reading 'schema'"  # Notebook 7 raises one page error of its own
    "|shared module is not a function"  # Voila loads labextensions made for JupyterLab
    "|Unsatisfied version"
    "|Canceled future|Could not restore the debugger"  # of a kernel that ends with its page
    "|the server responded with a status of 404"  # workspaces and translations that do not exist
)


def chromium_path() -> str | None:
    """Where the browser is, if there is one."""
    given = os.environ.get("CHROMIUM")
    found = [given] if given else [shutil.which(name) for name in NAMES]
    return next((path for path in found if path), None)


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


class Conduct:
    """What a page did: requests that left this machine, errors of its own and in its console."""

    def __init__(self, page: Any) -> None:
        self.left: list[str] = []
        self.errors: list[str] = []
        page.route("**/*", self._let)
        page.on("pageerror", lambda error: self.errors.append(f"page: {error}"))
        page.on("console", self._heard)

    def _let(self, route: Any) -> None:
        url = urlsplit(route.request.url)
        if url.scheme in INSIDE or url.hostname in HERE:
            route.fallback()
        else:
            self.left.append(route.request.url)
            route.abort()

    def _heard(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(f"console: {message.text}")

    @property
    def complaints(self) -> list[str]:
        """What must not have happened."""
        ours = [error for error in self.errors if not KNOWN_WORDS.search(error)]
        return [f"left this machine: {url}" for url in self.left] + ours
