"""Whatever a host writes into its files ends as that host's error or as a value of the right types."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.hosts.state_dir import lock, record
from relman.model.errors import PreflightFailed
from relman.model.formats.untrusted_json import Misread, parse, read
from relman.model.formats.versions import plain
from relman.model.settings import DeploySettings
from relman.model.state_dir.lock import FoundLock, Lock
from relman.model.state_dir.record import Deployed, HostRecord
from tests.unit.model_host import ModelConnection, ModelHost

T = TypeVar("T")
V1 = Path(__file__).with_name("version1")
RECORD, LOCK = json.loads((V1 / "record.json").read_text()), json.loads((V1 / "lock.json").read_text())
DIRECTORY = "/var/lib/relman/production/shop"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def host(**files: bytes) -> ModelConnection:
    """A host that holds these files of shop in production."""
    model = ModelHost("h1", lambda _: None, lambda: 1000.0)
    model.directories |= {"/var/lib/relman", "/var/lib/relman/production", DIRECTORY}
    model.files = {f"{DIRECTORY}/{name}.json": (data, 900.0) for name, data in files.items()}
    return ModelConnection(model)


def read_record(data: bytes) -> HostRecord:
    """The record as relman reads it from h1."""
    return record.read(cast(Any, host(record=data)), "production", "shop")


def read_lock(data: bytes) -> FoundLock:
    """The lock as relman reads it from h1."""
    found = lock.read(cast(Any, host(lock=data)), "production", "shop", now=1000.0)
    assert found
    return found


def outcome(reader: Callable[[bytes], T], data: bytes) -> T | PreflightFailed:
    """What reading gives: a value, or the only error that it may end with."""
    try:
        return reader(data)
    except PreflightFailed as error:
        return error


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value in a document, the whole one included."""
    yield path
    for key, item in data.items() if isinstance(data, dict) else enumerate(data if isinstance(data, list) else ()):
        yield from places(item, (*path, key))


def changed(document: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> bytes:
    """The document with one value changed."""
    whole = [copy.deepcopy(document)]
    target, key = whole, 0
    for step in path:
        target, key = target[key], step
    target[key] = change(target[key])
    return json.dumps(whole[0]).encode()


def types_hold(value: Any) -> None:
    """Assert that what was read is what its types say, all the way down."""
    if is_dataclass(value):
        assert read(type(value), _again(value)) == value
        for field in fields(value):
            types_hold(getattr(value, field.name))


def _again(value: Any) -> Any:
    return plain(value) if not hasattr(value, "value") else {"value": value.value}


@given(st.sampled_from(list(places(RECORD))), JSON)
def test_any_value_of_a_record_may_be_anything(path: tuple[Any, ...], value: Any) -> None:
    """Whatever stands in place of any value of it, the host is refused by its name or a whole record is read."""
    found = outcome(read_record, changed(RECORD, path, lambda _: value))
    if isinstance(found, PreflightFailed):
        assert str(found).startswith(f"h1: {DIRECTORY}/record.json: ")
    else:
        assert HostRecord.from_json(found.to_json()) == found
        assert (found.environment, found.service) == ("production", "shop")


@given(st.sampled_from(list(places(LOCK))), JSON)
def test_any_value_of_a_lock_may_be_anything(path: tuple[Any, ...], value: Any) -> None:
    """Whatever stands in place of any value of it: a newer relman's by name, a lock, or one that makes no sense."""
    found = outcome(read_lock, changed(LOCK, path, lambda _: value))
    if isinstance(found, PreflightFailed):
        assert re.search(r"^h1: .*written by a newer relman", str(found))
    else:
        assert found.age == 100.0
        assert found.lock is None or Lock.from_json(found.lock.to_json(), "production", "shop") == found.lock


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_may_be_there(data: bytes) -> None:
    """A file of anything is the host's error, and a lock of anything is one that runs out."""
    with pytest.raises(PreflightFailed, match="h1: /var/lib"):
        read_record(data)
    found = outcome(read_lock, data)
    assert "newer relman" in str(found) if isinstance(found, PreflightFailed) else found.lock is None


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("entries", 1, "settings", "ports", 0, "container"), "80", "expected a whole number"),
        (("entries", 1, "settings", "ports", 0, "container"), True, "expected a whole number"),
        (("entries", 1, "settings", "ports", 0, "container"), 2**63, "expected a whole number"),
        (("entries", 1, "settings", "health", "window"), True, "expected a number"),
        (("entries", 1, "settings", "health", "window"), 1e300, "expected a number"),
        (("entries", 1, "settings", "health", "probe"), "gopher", "expected one of http, tcp, command, image, none"),
        (("entries", 1, "settings", "health", "probe"), [], "expected one of http, tcp, command, image, none"),
        (("entries", 1, "settings", "singleton"), 1, "expected true or false"),
        (("entries", 1, "settings", "networks"), "front", "expected a list"),
        (("entries", 1, "settings", "env"), [], "expected an object"),
        (("entries", 1, "settings", "env", "GREETING"), 1, "expected text"),
        (("entries", 1, "settings", "env", "GREETING"), "\ud800", "expected text, found an incomplete character"),
        (("entries", 1, "settings", "env", "GREETING"), "x" * 140_000, "expected at most 131072 characters"),
        (("entries", 1, "settings", "tasks", 0, "command", 2), None, "expected text"),
        (("entries", 0, "manifest"), "sha256:1", "'sha256:1' is not a sha256 digest"),
        (("entries", 0, "repository"), "shop", "'shop' is not a registry's host[:port]"),
        (("entries", 0, "id"), "../x", "expected a deployment's id"),
        (("entries", 0, "release"), "a b", "expected a tag"),
        (("entries", 0, "container"), "../images", "expected a container's id"),
        (("entries", 0, "kept_as"), "relman.kept/staging/shop:1", "expected relman.kept/production/shop and a tag"),
        (("entries", 0, "kept_as"), "evil/shop:1", "expected relman.kept/production/shop and a tag"),
        (("entries",), [{}] * 10_001, "expected at most 10000 items"),
        (("current",), "nobody", "no entry has this id"),
        (("service",), "till", "expected"),
        (("environment",), "staging", "expected"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(path: tuple[Any, ...], value: Any, said: str) -> None:
    """Host, file, key, and what was expected there."""
    with pytest.raises(PreflightFailed) as caught:
        read_record(changed(RECORD, path, lambda _: value))
    text = str(caught.value)
    assert text.startswith(f"h1: {DIRECTORY}/record.json: "), text
    assert said in text
    if path not in (("service",), ("environment",)):
        key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)[1:]
        assert text == f"h1: {DIRECTORY}/record.json: {key}: {said}"


def test_a_record_of_another_service_is_refused() -> None:
    """A whole record that was copied from another directory is not believed in this one."""
    with pytest.raises(PreflightFailed, match=r"record.json: service: expected shop, as its directory says"):
        read_record(json.dumps(RECORD | {"service": "till", "entries": [], "current": None}).encode())


def test_two_entries_of_one_id_are_refused() -> None:
    """Which one serves could not be told."""
    with pytest.raises(PreflightFailed, match=r"record.json: entries: two of them have the same id"):
        read_record(changed(RECORD, ("entries", 0, "id"), lambda _: RECORD["entries"][1]["id"]))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"version": 1, "version": 1}', "version: duplicate key"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": -Infinity}', "-Infinity is not a number"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b"[" * 300_000, "it holds more than 200000 values"),
        (b"[" + b"1," * 300_000, "it holds more than 200000 values"),
        (b'{"version": 1' + b"0" * 5000 + b"}", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"", "it is not JSON"),
        (b"[]", "expected an object"),
        (b" " * ((4 << 20) + 1), "it is larger than 4 MiB"),
    ],
)
def test_what_is_no_document_is_refused(data: bytes, said: str) -> None:
    """Twice the same key, no number, too deep, too much, too large, no JSON: each in its own words."""
    with pytest.raises(PreflightFailed, match=rf"^h1: {DIRECTORY}/record.json: {said}$"):
        read_record(data)


def test_a_lock_that_makes_no_sense_is_taken_over_once_it_has_run_out() -> None:
    """Also where the token of the nonsense can be read: nobody stands in the way for ever."""
    connection = cast(Any, host(lock=json.dumps({"token": "x", "version": 1}).encode()))
    ours = Lock("a@b", "m", 1, "0" * 16, "d1", "deploying", 60.0)
    found = lock.read(connection, "production", "shop", now=1000.0)
    assert found == FoundLock(None, 100.0)
    lock.take_over(connection, "production", "shop", found, ours, now=1000.0, dead=lambda f: f.expired)
    again = lock.read(connection, "production", "shop", now=1000.0)
    assert again
    assert again.lock == ours


def test_a_newer_relman_s_files_are_left_alone() -> None:
    """Its lock is no "locked by somebody", its half of a take-over stops ours by name, and its drafts are not swept."""
    newer = b'{"version": 3}'
    connection = cast(Any, host(lock=newer, **{"lock.json.1234": newer}))
    connection.model.files[f"{DIRECTORY}/lock.json.takeover"] = (newer, 0.0)
    ours = Lock("a@b", "m", 1, "0" * 16, "d1", "deploying", 60.0)
    said = "was written by a newer relman"
    with pytest.raises(PreflightFailed, match=f"h1: {DIRECTORY}/lock.json: it {said}"):
        lock.read(connection, "production", "shop", now=1000.0)
    with pytest.raises(PreflightFailed, match=f"h1: {DIRECTORY}/lock.json.takeover: it {said}"):
        lock.take_over(connection, "production", "shop", FoundLock(None, 99.0), ours, now=1e3, dead=lambda _: True)
    lock.sweep(connection, "production", "shop", now=1e6, dead=lambda _: True)
    assert connection.model.files[f"{DIRECTORY}/lock.json.1234.json"]


def test_the_intent_of_a_lock_is_read_as_strictly() -> None:
    """What a lock means to put there can be no more than what a record can hold."""
    good = read_lock(json.dumps(LOCK).encode())
    assert good.lock
    assert good.lock.intent
    for path, value in (
        (("intent", "old"), "../images/x"),
        (("intent", "new_name"), "a/../b"),
        (("intent", "entry", "kept_as"), "busybox:1"),
        (("ttl",), float("nan")),
        (("pid",), 10**400),
    ):
        assert read_lock(changed(LOCK, path, lambda _, value=value: value)).lock is None, path  # type: ignore[misc]


def test_text_that_is_no_text_is_written_so_that_it_can_be_read() -> None:
    """A reason from an argument that was no UTF-8 does not make the record unreadable."""
    connection = cast(Any, host())
    written = HostRecord.from_json(RECORD | {"left_out": []})
    entry = Deployed(
        **{f.name: getattr(written.entries[0], f.name) for f in fields(Deployed)} | {"skipped": ("\udcff é",)}
    )
    record.write(connection, HostRecord("shop", "production", (entry,)))
    assert record.read(connection, "production", "shop").entries[0].skipped == ("? é",)


@given(JSON)
def test_settings_are_settings(value: Any) -> None:
    """No JSON but settings is read as settings."""
    try:
        found = read(DeploySettings, value)
    except Misread:
        return
    types_hold(found)


def test_numbers_may_be_whole_where_fractions_are_allowed() -> None:
    """30 seconds are as good as 30.0."""
    assert read(DeploySettings, parse(b'{"health": {"timeout": 30}}')).health.timeout == 30
