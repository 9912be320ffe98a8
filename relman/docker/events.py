"""What an engine tells while it builds, pulls or pushes: how far it is, and what is worth a line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import IO, Any

from relman.docker import streams
from relman.docker.client import Client
from relman.docker.fields import Fields
from relman.hosts.ssh.bounded import Bounds
from relman.model.errors import EngineError

Event = Mapping[str, Any]

_MOST_LAYERS = 1000
_TOLD = ("Pushed", "Pull complete", "Mounted from", "Retrying")


def told(
    client: Client,
    what: str,
    path: str,
    *names: str,
    params: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
    data: IO[bytes] | None = None,
) -> Iterator[Event]:
    """POST to `path` and yield the engine's events as they come; close the iterator to end the work early. One that
    reports an error raises EngineError, without a status."""
    bounds = Bounds(client.timeout, stall=math.inf)
    with client.stream(what, "POST", path, *names, params=params, headers=headers, data=data, bounds=bounds) as stream:
        for event in streams.events(stream.parts):
            if "error" in event:
                raise EngineError(f"{what}: {event['error']}", host=client.host)
            yield event


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


def line_of(event: Event) -> str:
    """One line for people of a pull's or push's event: a layer that has arrived, or is tried again; else empty."""
    status = str(event.get("status", ""))
    return f"{event['id']}: {status}" if "id" in event and status.startswith(_TOLD) else ""
