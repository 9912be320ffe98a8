"""What a client of HTTP/1.1 (RFC 9112) says as far as it only reads: requests with GET or HEAD, without a body."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_PIECE = 1 << 15
_MOST = 1 << 16  # bytes of one request's head
_END = b"\r\n\r\n"
_HANDSHAKE = b"\x16"  # the first byte of TLS (RFC 8446, 5.1)
_REQUEST = re.compile(rb"(?:GET|HEAD) [!-~]+ HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[^\r\n\0]*")
_MORE = {b"content-length", b"transfer-encoding", b"upgrade", b"x-http-method-override"}


def only_reading(receive: Callable[[int], bytes]) -> Iterator[bytes]:
    """The requests that `receive` brings, each as a whole; ends at the first that is anything else. TLS cannot be
    looked into and passes as it is: a server that speaks none refuses it."""
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
    """Whether a server, however lenient, sees one request in it, and no body."""
    request, *lines = head.split(b"\r\n")
    fields = [_FIELD.fullmatch(line) for line in lines]
    return bool(_REQUEST.fullmatch(request)) and all(f and f[1].lower() not in _MORE for f in fields)
