"""The schema of deploy.proxy. It comes out of an image: it says how the process is reached, never under which name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from relman.config.schema.base import PortNumber, PositiveDuration, Section, choice
from relman.config.schema.health import Health
from relman.config.yaml_document import KeyPath
from relman.model.proxy_settings import Https, Protocol, ProxySettings

_PLAIN = re.compile(r"[A-Za-z0-9._~/?=&+,:;@%-]+")
_PLAIN_HEADER = re.compile(r"[A-Za-z0-9._~/?=&+,:;@*-]+")


class Proxy(Section):
    """How a process is reached through the host's proxy."""

    port: PortNumber
    protocol: Annotated[str, choice(*Protocol)] = ProxySettings.protocol
    https: Annotated[str, choice(*Https)] = ProxySettings.https
    response_timeout: PositiveDuration = ProxySettings.response_timeout
    drain_timeout: PositiveDuration | None = None
    hold: PositiveDuration | None = None

    def faults(self) -> Iterator[tuple[KeyPath, str]]:
        """What does not fit together, each with the path of the key to change."""
        if self.protocol == Protocol.TCP and "https" in self.model_fields_set:
            yield ("https",), "protocol: tcp passes bytes on as they are: leave one of them out"
        if self.drain_timeout is not None and self.drain_timeout < self.response_timeout:
            least = f"{self.response_timeout:g}s"
            yield ("drain_timeout",), f"an answer may take {least} (response_timeout): expected at least that"

    def value(self) -> ProxySettings:
        """The model's settings."""
        return ProxySettings(
            self.port,
            Protocol(self.protocol),
            Https(self.https),
            self.response_timeout,
            self.drain_timeout,
            self.hold,
        )


def unspeakable(health: Health | None) -> Iterator[tuple[KeyPath, str]]:
    """What of deploy.health.http the proxy cannot ask for, as its configuration has no room for blanks and quotes."""
    if not (health and health.http):
        return
    http = health.http
    if not _PLAIN.fullmatch(http.path):
        yield ("path",), "the proxy checks this path, too: it may hold letters, digits and ._~/?=&+,:;@%-"
    for name, value in http.headers.items():
        if not _PLAIN_HEADER.fullmatch(value):
            yield ("headers", name), "the proxy sends this header, too: it may hold letters, digits and ._~/?=&+,:;@*-"
