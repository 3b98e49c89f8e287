"""The sheet's own module in a page without Jupyter: a model of ten lines, served from loopback."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from fleetkit.panels.sheet import STATIC, one_module
from fleetkit.panels.sheet_model import Block, Contents, first_message, next_message

PAGE = """<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/sheet.css">
<body><div id="around"><div class="fleetkit-panel"><button id="beside">beside</button>
<div id="host"></div></div></div>
<script type="module">
import make from '/sheet.js';
const handlers = [];
window.sent = [];
const model = {
  get: (name) => window.state[name],
  on: (name, handler) => handlers.push(handler),
  off() {},
  send: (message) => window.sent.push(message),
};
window.boot = (state) => {
  window.state = state;
  window.widget = make();
  window.widget.initialize({ model });
  window.close_view = window.widget.render({ model, el: document.getElementById('host') });
};
window.second = () => {
  const el = document.body.appendChild(document.createElement('div'));
  el.id = 'second';
  return window.widget.render({ model, el });
};
window.deliver = (message) => handlers.forEach((handler) => handler(message));
window.keys_outside = [];
document.addEventListener('keydown', (event) => window.keys_outside.push(event.key));
window.ready = true;
</script>"""
TYPES = {".js": "text/javascript", ".css": "text/css"}


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        file = STATIC / Path(self.path).name
        if self.path == "/":
            body = PAGE
        elif self.path == "/sheet.js":
            body = one_module(STATIC / "sheet")  # as anywidget gets it
        else:
            body = file.read_text(encoding="utf-8") if file.is_file() else ""
        self.send_response(200)
        self.send_header("Content-Type", TYPES.get(file.suffix, "text/html"))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        return None


@contextmanager
def sheet_server() -> Iterator[str]:
    """Serve the page for as long as the block lasts; its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, name="sheet-page")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class SheetPage:
    """A sheet in a page, and what Python would send to it."""

    def __init__(self, page: Any, url: str, blocks: Sequence[Block], saved: object = None) -> None:
        self.page = page
        self.blocks = tuple(blocks)
        self.version = 0
        self.contents: Contents = {}
        page.goto(url)
        page.wait_for_function("window.ready")
        state = {"blocks": [msgspec.to_builtins(block) for block in blocks], "saved": saved}
        page.evaluate("state => boot(state)", state)

    def show(self, contents: Contents, now: float = 100.0) -> dict[str, Any] | None:
        """Send everything at first, and what changed after that."""
        if not self.version:
            message = first_message(1, now, contents, self.blocks)
        else:
            found = next_message(self.version + 1, now, self.contents, contents, self.blocks)
            if found is None:
                return None
            message = found
        self.version += 1
        self.contents = contents
        self.deliver(message)
        return message

    def deliver(self, message: object) -> None:
        """Give the page a message, and time to paint it."""
        self.page.evaluate(
            """message => new Promise(done => {
                deliver(message);
                requestAnimationFrame(() => requestAnimationFrame(done));
            })""",
            message,
        )

    def sent(self, kind: str) -> list[dict[str, Any]]:
        """What the page sent of one kind."""
        found: list[dict[str, Any]] = self.page.evaluate(
            "kind => window.sent.filter(message => message.kind === kind)", kind
        )
        return found

    def column(self, place: int) -> list[str]:
        """The texts of a column, the rows from top to bottom."""
        texts: list[str] = self.page.evaluate(
            """place => [...document.querySelectorAll('.fks-row:not([hidden])')]
                .sort((a, b) => a.dataset.index - b.dataset.index)
                .map(row => row.querySelectorAll('[role=gridcell]')[place].textContent)""",
            place,
        )
        return texts
