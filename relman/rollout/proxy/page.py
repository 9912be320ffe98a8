"""The page that the proxy shows while a service cannot answer. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

MOST = 8 << 10
"""Bytes: HAProxy sends it from one buffer, of 16 KiB (tune.bufsize)."""
_HEAD = "HTTP/1.0 503 Service Unavailable\r\nCache-Control: no-cache\r\nConnection: close\r\nRetry-After: 60\r\n"


@dataclass(frozen=True)
class Page:
    """Its HTML."""

    html: bytes = field(repr=False)

    @property
    def file(self) -> str:
        """The name of its file: another page has another one."""
        return f"503-{hashlib.sha256(self.html).hexdigest()[:16]}.http"

    @property
    def response(self) -> bytes:
        """The whole answer, as HAProxy reads it (errorfile)."""
        return f"{_HEAD}Content-Type: text/html\r\n\r\n".encode() + self.html
