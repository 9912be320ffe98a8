"""What goes through a forward to a registry: what reads, and nothing that a server could take for more."""

from __future__ import annotations

import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.hosts.ssh.read_only import only_reading

GET = b"GET /v2/shop/manifests/1 HTTP/1.1\r\nHost: localhost:5000\r\nAuthorization: Basic eDp5\r\n\r\n"
HEAD = b"HEAD /v2/ HTTP/1.1\r\nHost: localhost:5000\r\nAccept: a, b\r\nUser-Agent: docker (x y)\r\n\r\n"
PUT = b"PUT /v2/shop/manifests/1 HTTP/1.1\r\nHost: localhost\r\n\r\n"


def through(said: bytes, sizes: list[int] | None = None) -> bytes:
    """What is left of what a client says, received in pieces of these sizes."""
    source, steps = io.BytesIO(said), itertools.cycle(sizes or [1 << 15])
    return b"".join(only_reading(lambda most: source.read(min(most, next(steps)))))


@given(st.lists(st.sampled_from([GET, HEAD]), max_size=5), st.lists(st.integers(1, 90), min_size=1, max_size=4))
def test_what_only_reads_goes_through(requests: list[bytes], sizes: list[int]) -> None:
    """As it was said, however it is cut into pieces; and of what follows a request that writes nothing."""
    said = b"".join(requests)
    assert through(said, sizes) == said
    assert through(said + PUT + GET, sizes) == said


@pytest.mark.parametrize(
    "said",
    [
        PUT,
        PUT.replace(b"PUT", b"DELETE"),
        GET.replace(b"GET", b"get"),
        GET.replace(b" HTTP/1.1", b""),
        GET.replace(b"HTTP/1.1", b"HTTP/2.0"),
        GET.replace(b"Host", b"Content-Length: 300\r\nHost"),
        GET.replace(b"Host", b"content-length : 300\r\nHost"),
        GET.replace(b"Host", b"TRANSFER-ENCODING: chunked\r\nHost"),
        GET.replace(b"Host", b"Upgrade: h2c\r\nHost"),
        GET.replace(b"Host", b"X-HTTP-Method-Override: PUT\r\nHost"),
        GET.replace(b"Host", b"A: b\n\nPUT /v2/ HTTP/1.1\nHost"),
        GET.replace(b"Host", b"A: b\rHost"),
        GET.replace(b"Host", b"A: b\0\r\nHost"),
        GET.replace(b"Host", b" folded\r\nHost"),
        b"\r\n" + GET,
        GET.replace(b"Host", b"A: " + b"b" * (1 << 17)),
        GET[:-2],
        b"",
    ],
)
def test_anything_else_does_not(said: bytes) -> None:
    """Writing, a body, and what two servers could read differently."""
    assert through(said) == b""


def test_a_tls_handshake_goes_through_as_it_is() -> None:
    """It cannot be looked into; a server without TLS refuses its first byte."""
    said = b"\x16\x03\x01" + PUT * 3
    assert through(said, [7, 1000]) == said
