"""What an engine tells while it pulls or pushes: how far it is, and what is worth a line. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relman.docker.fields import Fields

_MOST_LAYERS = 1000
_TOLD = ("Pushed", "Pull complete", "Mounted from", "Retrying")


class Layers:
    """What the events of a pull come to: the bytes that are done and in all, of layers whose size is known."""

    def __init__(self) -> None:
        self._sizes: dict[str, tuple[int, int]] = {}
        self._furthest: dict[tuple[str, str], int] = {}

    @property
    def done(self) -> int:
        """Bytes that are there."""
        return sum(done for done, _ in self._sizes.values())

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(total for _, total in self._sizes.values())

    def note(self, event: Any) -> bool:
        """Add an event; whether it tells of any progress, which nothing does that was said before."""
        found = Fields.of(event)
        layer, status, detail = found.text("id"), found.text("status"), found.fields("progressDetail")
        current, total = detail.number("current"), detail.number("total")
        if layer and total and status == "Downloading" and (layer in self._sizes or len(self._sizes) < _MOST_LAYERS):
            self._sizes[layer] = (current, total)
        elif layer in self._sizes and status in ("Download complete", "Pull complete"):
            self._sizes[layer] = (self._sizes[layer][1],) * 2
        before = self._furthest.get((layer, status), -1)
        if current <= before or (before < 0 and len(self._furthest) >= _MOST_LAYERS * 10):
            return False
        self._furthest[layer, status] = current
        return True


def line_of(event: Mapping[str, Any]) -> str:
    """One line for people of a pull's or push's event: a layer that has arrived, or is tried again; else empty."""
    status = str(event.get("status", ""))
    return f"{event['id']}: {status}" if "id" in event and status.startswith(_TOLD) else ""
