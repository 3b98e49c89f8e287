"""A front end in ten lines: what widgets send is recorded, and what it sends, they handle."""

from __future__ import annotations

import threading
from typing import Any

import comm
import pytest
from comm.base_comm import BaseComm


class RecordedComm(BaseComm):
    """A comm whose messages nobody gets."""

    front: RecordedFront

    def publish_msg(
        self,
        msg_type: str,
        data: Any = None,
        metadata: Any = None,
        buffers: Any = None,
        **keys: Any,
    ) -> None:
        self.front.took(self.comm_id, msg_type, dict(data or {}))


class RecordedFront:
    """Everything that widgets sent, in order."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str, dict[str, Any], str]] = []
        self.open: set[str] = set()

    @classmethod
    def instead(cls, monkeypatch: pytest.MonkeyPatch) -> RecordedFront:
        """Of a kernel's comms, for as long as the test runs."""
        recorded = cls()
        kind = type("Recorded", (RecordedComm,), {"front": recorded})
        monkeypatch.setattr(comm, "create_comm", kind)
        return recorded

    def took(self, comm_id: str, kind: str, data: dict[str, Any]) -> None:
        self.messages.append((comm_id, kind, data, threading.current_thread().name))
        if kind == "comm_open":
            self.open.add(comm_id)
        elif kind == "comm_close":
            self.open.discard(comm_id)

    def custom(self, widget: Any) -> list[dict[str, Any]]:
        """The custom messages of one widget."""
        return [
            data["content"]
            for comm_id, kind, data, _ in self.messages
            if kind == "comm_msg" and comm_id == widget.model_id and data.get("method") == "custom"
        ]

    def threads(self, widget: Any) -> set[str]:
        """The names of the threads that sent custom messages of one widget."""
        return {
            thread
            for comm_id, kind, data, thread in self.messages
            if kind == "comm_msg" and comm_id == widget.model_id and data.get("method") == "custom"
        }

    def send(self, widget: Any, content: dict[str, Any]) -> None:
        """A custom message from the browser, on this thread."""
        data = {"method": "custom", "content": content}
        widget._handle_msg({"content": {"data": data}, "buffers": []})

    def set(self, widget: Any, **state: Any) -> None:
        """A field was changed in the browser."""
        data = {"method": "update", "state": state}
        widget._handle_msg({"content": {"data": data}, "buffers": []})

    def click(self, button: Any) -> None:
        """A button was pressed in the browser."""
        self.send(button, {"event": "click"})
