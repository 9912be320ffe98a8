"""Filter HTTP/1.1 requests (RFC 9112, https://www.rfc-editor.org/rfc/rfc9112#section-3): only GET and HEAD without a
body pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_PIECE = 1 << 15
_MOST = 1 << 16  # bytes of one request's head
_END = b"\r\n\r\n"
_HANDSHAKE = b"\x16"  # the first byte of a TLS handshake record (RFC 8446, section 5.1)
_REQUEST = re.compile(rb"(?:GET|HEAD) [!-~]+ HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[^\r\n\0]*")
_MORE = {b"content-length", b"transfer-encoding", b"upgrade", b"x-http-method-override"}


def only_reading(receive: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield the complete requests that `receive` reads, until the first one of another kind.

    TLS cannot be inspected and passes unchanged: a server without TLS rejects it.
    """
    data = receive(_PIECE)
    if data[:1] == _HANDSHAKE:
        while data:
            yield data
            data = receive(_PIECE)
    waiting = b""
    while data and len(waiting) < _MOST:
        waiting += data
        while _END in waiting:
            head, _, waiting = waiting.partition(_END)
            if not _reads(head):
                return
            yield head + _END
        data = receive(_PIECE)


def _reads(head: bytes) -> bool:
    """Whether even a lenient server sees exactly one request in it, without a body."""
    request, *lines = head.split(b"\r\n")
    fields = [_FIELD.fullmatch(line) for line in lines]
    return bool(_REQUEST.fullmatch(request)) and all(f and f[1].lower() not in _MORE for f in fields)
