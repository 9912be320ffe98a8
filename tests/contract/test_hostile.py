"""Registries that never end, drip, flood or lead in circles: every answer has an end and a size, and a name."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from relman.model.errors import RegistryError, RelmanError, Unreachable
from relman.model.image import Digest, ManifestDigest, Repository
from relman.registry import tag_list
from relman.registry.client import Registry
from relman.registry.http.pace import SLOWEST
from relman.registry.manifest import MAX_MANIFEST, OCI_INDEX
from relman.registry.strictjson import load_object
from tests.contract.hostile import TICK, Hostile, Manners, Peer
from tests.lab.pki import make_ca

TIMEOUT = 0.5
MARGIN = 10
"""Seconds that a busy machine may need more than the deadline."""
OK = b"HTTP/1.1 200 OK\r\n"
JSON = OK + b"Content-Type: " + OCI_INDEX.encode() + b"\r\n"
CHUNKED = JSON + b"Transfer-Encoding: chunked\r\n\r\n"


def says(*pieces: bytes) -> Manners:
    """Answer each request with this."""

    def manners(peer: Peer) -> None:
        while True:
            peer.hear()
            peer.say(*pieces)

    return manners


def then(act: Callable[[Peer], object], *before: bytes) -> Manners:
    """Answer with something, and then go on as `act` does."""

    def manners(peer: Peer) -> None:
        peer.hear()
        peer.say(*before)
        act(peer)
        peer.wait()

    return manners


def asked(server: Hostile, act: Callable[[Registry, Repository], object], ca: Path | None = None) -> RelmanError:
    """What comes of asking, in time; the error names the registry."""
    begun = time.monotonic()
    with (
        Registry(server.host, ca=str(ca) if ca else None, timeout=TIMEOUT, sleep=lambda _: None) as registry,
        pytest.raises((Unreachable, RegistryError)) as caught,
    ):
        act(registry, Repository(server.host, "team/shop"))
    assert time.monotonic() - begun < TIMEOUT + MARGIN
    assert isinstance(caught.value, RelmanError)
    assert caught.value.host == server.host
    return caught.value


NEVER_ENDS = {
    "says nothing": lambda peer: peer.wait(),
    "drips its status": then(lambda peer: peer.drip(OK * 1000)),
    "drips a header": then(lambda peer: peer.drip(b"X: " + b"y" * 60000), OK),
    "goes on with headers": then(lambda peer: peer.drip(b"X: y\r\n" * 1000, 6), OK),
    "continues for ever": then(lambda peer: peer.flood(b"HTTP/1.1 100 Continue\r\n\r\n")),
    "drips its body": then(lambda peer: peer.drip(b" " * 10000), JSON, b"Content-Length: 10000\r\n\r\n"),
    "drips a body without an end": then(lambda peer: peer.drip(b" " * 10000), JSON, b"\r\n"),
    "drips a chunk's size": then(lambda peer: peer.drip(b"1;" + b"x" * 10000), CHUNKED),
    "drips chunks": then(lambda peer: peer.drip(b"1\r\n \r\n" * 1000, 6), CHUNKED),
    "floods trailers": then(lambda peer: peer.flood(b"X: y\r\n" * 1000), CHUNKED, b"2\r\n{}\r\n0\r\n"),
}


@pytest.mark.parametrize("manners", NEVER_ENDS.values(), ids=NEVER_ENDS)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_an_answer_that_never_ends_has_a_deadline(manners: Manners, tls: bool, tmp_path: Path) -> None:
    """However a registry keeps its answer from ending, with or without TLS: after the time for one answer it is
    Unreachable, by its name and by what was asked."""
    with Hostile(manners, tmp_path if tls else None).running() as server:
        error = asked(server, lambda r, where: r.find(where, "118"), tmp_path / "ca.crt" if tls else None)
    assert isinstance(error, Unreachable)
    assert f"within {TIMEOUT:g} s" in error.what
    assert "GET /v2/" in error.what


@pytest.mark.parametrize(
    "act", [lambda peer: peer.wait(), lambda peer: peer.drip(b"\x16\x03\x03\x40\x00" + b"\x02" * 9000)]
)
def test_a_handshake_that_never_ends_has_a_deadline(act: Callable[[Peer], None], real_ca: Path) -> None:
    """A registry that takes the connection and never comes to an end with TLS is Unreachable in time."""
    with Hostile(act, plain=False).running() as server:
        error = asked(server, lambda r, where: r.find(where, "118"), real_ca)
    assert isinstance(error, Unreachable)


@pytest.fixture
def real_ca(tmp_path: Path) -> Path:
    """The file of a CA."""
    make_ca(tmp_path, "127.0.0.1", "hostile.lab")
    return tmp_path / "ca.crt"


FLOODS = {
    "headers": then(lambda peer: peer.flood(b"X: y\r\n"), OK),
    "one header": then(lambda peer: peer.flood(b"y" * 1000), OK + b"X: "),
    "a status": then(lambda peer: peer.flood(b"y" * 1000), b"HTTP/1.1 200 "),
    "a body": then(lambda peer: peer.flood(b" " * 10000), JSON + b"\r\n"),
    "chunks": then(lambda peer: peer.flood(b"3e8\r\n" + b" " * 1000 + b"\r\n"), CHUNKED),
    "no HTTP": then(lambda peer: peer.flood(b"SSH-2.0-OpenSSH_9.2\r\n")),
    "a redirection's body": then(
        lambda peer: peer.flood(b" " * 10000), b"HTTP/1.1 307 Elsewhere\r\nLocation: /v2/a\r\n\r\n"
    ),
    "redirections": says(
        b"HTTP/1.1 307 Elsewhere\r\nLocation: /v2/a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    ),
}


@pytest.mark.parametrize("manners", FLOODS.values(), ids=FLOODS)
def test_an_answer_that_floods_has_a_size(manners: Manners) -> None:
    """An answer that comes fast and goes on is given up after a bounded number of bytes, and says what was asked."""
    with Hostile(manners).running() as server:
        error = asked(server, lambda r, where: r.referrers(where, ManifestDigest.of(b"x")))
        assert "GET " in error.what
        assert "/v2/" in error.what
        assert server.said < MAX_MANIFEST + (16 << 20)  # what lies in the sockets' buffers counts too
        assert len(server.heard) <= 20


DEEP = [
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"tags":' + b"[" * 40 + b"]" * 40 + b"}",
    b'{"tags": [' + b"9" * 5000 + b"]}",
]
DEEP += [b'{"tags": ["\\ud800"]}', b'{"tags": 1e999}', b"\xff\xfe{\x00}\x00", b'{"tags": ["a"], "tags": []}']


@pytest.mark.parametrize("body", DEEP, ids=range(len(DEEP)))
def test_nested_and_ambiguous_json_is_refused(body: bytes) -> None:
    """What no parser should be trusted with (deep, huge numbers, lone surrogates, infinity, another encoding, a key
    twice) is the registry's error."""
    with Hostile(says(OK, f"Content-Length: {len(body)}\r\n\r\n".encode(), body)).running() as server:
        error = asked(server, lambda r, where: r.tags(where))
        assert "list of tags of team/shop" in error.what
    with pytest.raises(ValueError, match=r"deeper|larger|digits|surrogate|finite|decode|duplicate|object"):
        load_object(body, limit=1 << 20)


def pages(make: Callable[[int], list[str]], *, slow: bool = False) -> Manners:
    """Pages of tags without end."""
    numbers = itertools.count()

    def manners(peer: Peer) -> None:
        while True:
            peer.hear()
            number = next(numbers)
            body = json.dumps({"tags": make(number)}).encode()
            link = f'Link: </v2/team/shop/tags/list?last={number}>; rel="next"\r\nContent-Length: {len(body)}\r\n\r\n'
            if slow:
                peer.wait(TICK)
            peer.say(OK, link.encode(), body)

    return manners


@pytest.mark.parametrize(
    ("make", "most", "said"),
    [
        (lambda _: ["118"], 2, "does not continue on the registry after 2 pages"),
        (lambda _: [], 2, "does not continue on the registry after 2 pages"),
        (lambda n: [f"a-{n}"], 51, "does not continue on the registry after 51 pages"),
        (lambda n: [f"{n}-{k}-{'x' * 100}" for k in range(1000)], 50, "larger than"),
    ],
    ids=["the same", "empty", "always new", "large"],
)
def test_pages_without_end_are_an_error(
    make: Callable[[int], list[str]], most: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of tags whose next page always has a next one ends after as many pages, or bytes, as a list may have."""
    monkeypatch.setattr(tag_list, "MAX_PAGES", 50)
    monkeypatch.setattr(tag_list, "MAX_TAGS", 1 << 20)
    with Hostile(pages(make)).running() as server:
        error = asked(server, lambda r, where: r.tags(where))
        assert said in error.what
        assert "team/shop" in error.what
        assert len(server.heard) <= most


def test_slow_pages_have_a_deadline_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that each come in time, but slowly and without end, are given up together."""
    monkeypatch.setattr(tag_list, "PATIENCE", 1)
    with Hostile(pages(lambda n: [f"{n}"], slow=True)).running() as server:
        error = asked(server, lambda r, where: r.tags(where))
    assert isinstance(error, Unreachable)
    assert "list of tags of team/shop is not complete" in error.what


@pytest.mark.parametrize("act", [lambda peer: peer.wait(), lambda peer: peer.sip()], ids=["never reads", "sips"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_an_upload_that_stalls_or_creeps_is_given_up(act: Callable[[Peer], None], tls: bool, tmp_path: Path) -> None:
    """A registry that takes an upload slower than SLOWEST, or not at all, is given up, with what was uploaded."""

    def manners(peer: Peer) -> None:
        while "POST" in peer.hear():
            peer.say(b"HTTP/1.1 202 Accepted\r\nLocation: /v2/team/shop/blobs/uploads/1\r\nContent-Length: 0\r\n\r\n")
        act(peer)
        peer.wait()

    with Hostile(manners, tmp_path if tls else None).running() as server:
        ca = tmp_path / "ca.crt" if tls else None
        error = asked(server, lambda r, where: r.put_blob(where, b"x" * (8 << 20), new=True), ca)
    assert isinstance(error, Unreachable)
    assert "PUT " in error.what
    assert "/v2/team/shop/blobs/uploads/1" in error.what


def test_a_blob_that_creeps_is_given_up_and_one_that_moves_is_not() -> None:
    """What is large may take many times as long as one answer while it moves; what creeps is Unreachable."""
    size = int(SLOWEST * 8 * TICK)

    def manners(peer: Peer) -> None:
        request = peer.hear()
        peer.say(OK, b"Content-Length: 200000\r\n\r\n")
        peer.drip(b"x" * 200_000, size if "moves" in request else 10)

    with Hostile(manners).running() as server, Registry(server.host, timeout=TIMEOUT) as registry:
        begun = time.monotonic()
        parts = registry.uploads.read(Repository(server.host, "moves"), Digest.of(b"x"))
        assert sum(map(len, parts)) == 200_000
        assert time.monotonic() - begun > TIMEOUT * 2
        creeping = registry.uploads.read(Repository(server.host, "creeps"), Digest.of(b"x"))
        with pytest.raises(Unreachable, match="GET /v2/creeps/blobs/sha256"):
            sum(map(len, creeping))


def test_nothing_is_sent_without_tls_where_the_registry_speaks_it(tmp_path: Path) -> None:
    """A registry that redirects from TLS to an address without it, for reading or for an upload, is an error, and
    nobody is asked there."""
    with Hostile(says(OK, b"Content-Length: 0\r\n\r\n")).running() as plain:

        def manners(peer: Peer) -> None:
            status = b"HTTP/1.1 202 Go on\r\n" if "POST" in peer.hear() else b"HTTP/1.1 307 Elsewhere\r\n"
            peer.say(status, f"Location: http://{plain.host}/x\r\nContent-Length: 0\r\n\r\n".encode())

        with Hostile(manners, tmp_path).running() as server:
            for act in (
                lambda r, where: r.find(where, "118"),
                lambda r, where: r.put_blob(where, b"x", new=True),
            ):
                assert "without TLS" in asked(server, act, tmp_path / "ca.crt").what
        assert plain.heard == []


@pytest.mark.parametrize(
    "location", ["http://[", "//[::1", "\\\\", "ftp://x/", "http://x:99999999/", "http://ß" + "x" * 300]
)
def test_an_address_that_is_none_is_an_error(location: str) -> None:
    """Whatever a registry gives as the address to go on at, for reading, uploading or the next page."""

    def manners(peer: Peer) -> None:
        while True:
            head = peer.hear()
            status = "202 Go on" if "POST" in head else "200 OK" if "tags" in head else "307 Elsewhere"
            answer = f"HTTP/1.1 {status}\r\nLocation: {location}\r\nContent-Length: 15\r\n"
            answer += f'Link: <{location}>; rel="next"\r\n\r\n{{"tags": ["1"]}}'
            peer.say(answer.encode("utf-8"))

    with Hostile(manners).running() as server:
        for act in (
            lambda r, where: r.find(where, "118"),
            lambda r, where: r.tags(where),
            lambda r, where: r.put_blob(where, b"x", new=True),
        ):
            asked(server, act)
