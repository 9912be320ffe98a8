"""Engines, services and SFTP servers that say nonsense, too much, too slowly or nothing: every answer has an end."""

from __future__ import annotations

import gzip
import itertools
import json
import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from relman.docker import answers, facts, images, streams
from relman.docker.engine import Engine
from relman.docker.events import Layers
from relman.hosts.health_probe import probe_http
from relman.model.errors import EngineError, PreflightFailed, RelmanError
from relman.model.settings import Health
from relman.rollout.looking import log_tail
from tests.exhaustive.test_hosts_edges import ENGINE
from tests.unit.fake_ssh import EVENTS, ID, IMAGE, IMAGE_INSPECTED, IMAGES, INFO, INSPECTED, ROW, Fault, connection

_OK = b"HTTP/1.1 200 OK\r\n"
_PLAIN = _OK + b"Content-Type: application/json\r\n\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_NO_MORE = itertools.repeat(b"")


def _slowly(data: bytes) -> Iterable[bytes]:
    """A byte at a time, for ever."""
    return itertools.chain.from_iterable((b"", b"%c" % byte) for byte in itertools.cycle(data))


HOSTILE: dict[str, Callable[[], Iterable[bytes]]] = {
    "says nothing": lambda: _NO_MORE,
    "drips its head": lambda: itertools.chain([_OK], _slowly(b"X-A: b\r\n")),
    "drips its body": lambda: itertools.chain([_PLAIN], _slowly(b"[1,")),
    "drips a length": lambda: itertools.chain([_CHUNKED], _slowly(b"0")),
    "says 100 Continue for ever": lambda: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "drips 100 Continue": lambda: itertools.chain.from_iterable(
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n") for _ in _NO_MORE
    ),
    "has an endless head": lambda: itertools.chain([_OK], itertools.repeat(b"X-A: b\r\n" * 1000)),
    "has an endless line in its head": lambda: itertools.chain([_OK, b"X-A: "], itertools.repeat(b"b" * 65536)),
    "has an endless body": lambda: itertools.chain([_PLAIN, b"["], itertools.repeat(b'{"Id":"x"},' * 5000)),
    "has endless chunks": lambda: itertools.chain([_CHUNKED], itertools.repeat(b"10000\r\n" + b"[" * 65536 + b"\r\n")),
    "has an endless chunk": lambda: itertools.chain(
        [_CHUNKED, b"7fffffffffffffff\r\n"], itertools.repeat(b"[" * 65536)
    ),
    "has no length of a chunk": lambda: itertools.chain([_CHUNKED], itertools.repeat(b"f" * 65536)),
    "is no engine": lambda: [b"220 mail.example.com ESMTP\r\n"],
    "speaks no HTTP": lambda: itertools.repeat(b"\0\xff" * 1000),
    "ends at once": lambda: [],
    "ends in its head": lambda: [_OK + b"Content-"],
    "ends in its body": lambda: [_OK + b"Content-Length: 100\r\n\r\n{"],
    "sends somebody elsewhere": lambda: [b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n"],
    "refuses with nonsense": lambda: [b"HTTP/1.1 500 No\r\nContent-Length: 13\r\n\r\n", b'{"message":1}'],
    "refuses for ever": lambda: itertools.chain([b"HTTP/1.1 500 No\r\n\r\n"], itertools.repeat(b"x" * 65536)),
    "nests deeply": lambda: [_PLAIN, b"[" * 1_000_000],
    "has very many values": lambda: [_PLAIN, b"[" + b"[]," * 1_500_000 + b"0]"],
    "has a number without end": lambda: [_PLAIN, b'{"Id":' + b"9" * 6000 + b"}"],
    "is no UTF-8": lambda: [_PLAIN, b'{"Id":"\xff"}'],
    "is compressed": lambda: [_OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(bytes(50_000_000))],
}
CALLS = ("facts", "survey", "images", "inspect", "create", "pull", "logs")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", HOSTILE)
def test_an_engine_that_means_ill(name: str, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it does, the call ends soon, with an error that names the host; only a log may be any bytes."""
    monkeypatch.setattr("relman.docker.engine._STALLED", 0.4)
    began, opened = time.monotonic(), connection(Fault(), hostile=HOSTILE[name](), timeout=0.4)
    said: RelmanError | None = None
    try:
        ENGINE[call](Engine(opened))
    except RelmanError as error:
        said = error
    finally:
        opened.close()
    assert time.monotonic() - began < 20
    if said is None:  # what a pull left behind is looked for by its digest
        assert call == "logs" or (call, name) == ("pull", "ends in its head")
    else:
        assert said.host == "h1"


@pytest.mark.parametrize("name", ["says nothing", "drips its head", "drips its body", "drips a length"])
def test_who_is_too_slow_is_said_to_be(name: str) -> None:
    """The message has the time that was waited, and the connection is closed: nobody waits there again."""
    opened = connection(Fault(), hostile=HOSTILE[name](), timeout=0.4)
    with pytest.raises(RelmanError, match=r"GET /info: the Docker engine did not answer within 0.4 s"):
        Engine(opened).facts()
    assert not opened.alive


def test_a_pull_without_progress_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that says the same for ever gets nowhere; what says something new goes on."""
    monkeypatch.setattr("relman.docker.engine._STALLED", 0.3)
    event = json.dumps({"id": "a", "status": "Waiting"}).encode() + b"\n"
    chunk = b"%x\r\n%b\r\n" % (len(event), event)
    flood = itertools.chain([_CHUNKED], itertools.chain.from_iterable((b"", chunk) for _ in _NO_MORE))
    opened = connection(Fault(), hostile=flood, timeout=0.4)
    with pytest.raises(RelmanError, match=r"it made no progress for 0.3 s"):
        ENGINE["pull"](Engine(opened))
    opened.close()


def _http(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


@pytest.mark.parametrize("unknown", ["404 Not Found", "405 Method Not Allowed", "501 Not Implemented"])
def test_an_engine_without_update_is_refused_by_name(unknown: str) -> None:
    """Podman before 5.1 has no such request, and answers as to any path that it does not know."""
    version = {"Version": "4.3.1", "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}

    def podman(path: str) -> bytes:
        return json.dumps(version).encode() if path.endswith("/version") else _http(unknown, b"Not Found\n")

    with pytest.raises(PreflightFailed, match=r"Podman Engine 4\.3\.1 cannot change the restart policy") as caught:
        Engine(connection(Fault(), podman)).require_updates()
    assert (caught.value.host, "Podman 5.1" in caught.value.hint) == ("h1", True)


@pytest.mark.parametrize(
    "said", ["No such container: {}", 'no container with name or ID "{}" found: no such container']
)
def test_an_engine_with_update_is_none_the_wiser(said: str) -> None:
    """Docker and Podman 5.1 know the request, and say that there is no such container."""

    def engine(path: str) -> bytes:
        return _http("404 Not Found", json.dumps({"message": said.format(path.split("/")[-2])}).encode())

    Engine(connection(Fault(), engine)).require_updates()


def test_an_engine_that_forbids_updates_says_so_itself() -> None:
    """What stands before the engine and forbids the request is heard before anything changes."""
    with pytest.raises(EngineError, match="restart policies: not here"):
        Engine(connection(Fault(), lambda _: _http("403 Forbidden", b"not here"))).require_updates()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_service_that_means_ill_is_unhealthy_in_time(name: str) -> None:
    """A probe ends within its timeout in all, whatever answers it; a redirect is an answer, and nobody follows it."""
    began, opened = time.monotonic(), connection(Fault(), hostile=HOSTILE[name]())
    found = probe_http(opened, "172.17.0.2", Health(), 80, 0.5)
    opened.close()
    assert time.monotonic() - began < 5
    no_answer = ("says", "drips", "has an endless head", "has an endless line", "speaks", "ends at once", "refuses")
    assert found.ok is not name.startswith((*no_answer, "has no length", "is no engine"))
    assert found.detail.startswith("GET http://172.17.0.2:80/: ")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
READERS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "info": (INFO, facts.facts),
    "swarm": (INFO, facts.is_swarm_worker),
    "containers": ([ROW, ROW], answers.listed_containers),
    "container": (INSPECTED, answers.container),
    "images": (IMAGES, images.listed_images),
    "image": (IMAGE_INSPECTED, images.image),
    "distribution": (
        {"Descriptor": {"digest": IMAGE}, "Platforms": [{"os": "linux", "architecture": "amd64"}]},
        lambda answer: (images.digest_in_registry(answer), images.platforms_in_registry(answer)),
    ),
    "created": ({"Id": ID}, answers.id_of),
    "ended": ({"StatusCode": 0}, answers.exit_code),
    "pull": (EVENTS, lambda events: [Layers().note(event) for event in events] if events else None),
}


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterable[tuple[Any, ...]]:
    """Every place in a JSON value, the whole of it first."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from _places(each, (*path, key))


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copied = deepcopy(value)
    place = copied
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    return copied


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@effort(max_examples=60)
def test_any_json_in_any_place(name: str, data: st.DataObject) -> None:
    """An engine's answer is understood, or an EngineError says which field makes no sense."""
    sample, read = READERS[name]
    read(sample)
    place = data.draw(st.sampled_from(list(_places(sample))))
    changed = _with(sample, place, data.draw(json_values))
    if name == "pull" and not isinstance(changed, list):
        return
    try:
        read(changed)
    except EngineError as error:
        said = error
    else:
        return
    assert " is no" in said.what or said.what.endswith(("neither true nor false", "is too long"))


def test_nonsense_names_its_field_and_its_host() -> None:
    """What a person reads: the host, what was asked for, the field, and what is wrong with it."""
    changed = _with(INSPECTED, ("State", "Health", "Log", 0, "Output"), 7)
    opened = connection(Fault(), lambda _: json.dumps(changed).encode())
    with pytest.raises(EngineError) as caught:
        Engine(opened).inspect(ID)
    text = f"h1: container {ID}: the Docker engine gave an invalid answer: State.Health.Log[0].Output is not a string"
    assert str(caught.value) == text


@given(st.lists(st.binary(max_size=30), max_size=8), st.integers(1, 7))
def test_a_log_is_the_same_however_it_is_cut(written: list[bytes], size: int) -> None:
    """Frames may be torn anywhere; the lines are those that were written."""
    framed = b"".join(b"\1\0\0\0" + len(each).to_bytes(4, "big") + each for each in written)
    parts = [framed[start : start + size] for start in range(0, len(framed), size)]
    whole = b"".join(written)
    expected = whole.removesuffix(b"\n").split(b"\n") if whole else []
    assert list(streams.log_lines(parts)) == [line.decode(errors="replace").rstrip("\r") for line in expected]


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_bytes_are_a_log_and_no_event(parts: list[bytes]) -> None:
    """Nothing is raised for a log; for an event only what an adapter's edge knows as nonsense."""
    assert all(isinstance(line, str) for line in streams.log_lines(parts))
    try:
        found = list(streams.events(parts))
    except (ValueError, TypeError, RecursionError):
        return
    assert all(isinstance(event, dict) for event in found)


def test_a_line_without_an_end_comes_in_pieces() -> None:
    """No line takes more memory than the longest."""
    assert list(streams.lines([b"abc", b"defgh\nij"], longest=3)) == [b"abc", b"def", b"gh", b"ij"]


stamps = st.builds(
    "2026-01-01T00:00:{:02}.{:09}Z {}".format,
    st.integers(0, 2),
    st.sampled_from([0, 1, 10, 120]),
    st.sampled_from("ab"),
)


@given(st.lists(stamps, min_size=1, max_size=12), st.integers(0, 12), st.integers(0, 12))
def test_no_line_is_lost_at_the_seam_or_shown_twice(lines: list[str], shown: int, count: int) -> None:
    """Of lines in the order of their times the last ones of the first part were shown; what is read again from the
    second of the last of these comes to the rest."""
    ordered = sorted(lines, key=lambda line: line[:30])
    first = ordered[: max(1, shown)]
    last = first[-1].partition(" ")[0]
    again = [line for line in ordered if line[:19] >= last[:19]]
    seen = first[-max(1, count) :]
    if len(seen) < len(first) and first[-len(seen) - 1].partition(" ")[0] == last:
        return  # more lines of one nanosecond than were asked for
    assert list(log_tail.after(again, last, seen)) == ordered[len(first) :]


def test_times_are_compared_as_an_engine_writes_them() -> None:
    """A container's start comes without the zeros at its end, a log's lines have all nine decimals."""
    assert log_tail.moment("2026-01-01T00:00:00.12Z") < log_tail.moment("2026-01-01T00:00:00.120000001Z")
    assert log_tail.moment("2026-01-01T00:00:00Z") == log_tail.moment("2026-01-01T01:00:00.000000000+01:00")
    assert (
        log_tail.moment("0001-01-01T00:00:00Z") <= log_tail.moment("nonsense") < log_tail.moment("2026-01-01T00:00:00Z")
    )
    assert list(log_tail.after(["x", "2026-01-01T00:00:01Z b"], "2026-01-01T00:00:01Z")) == ["2026-01-01T00:00:01Z b"]
