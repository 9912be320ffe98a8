"""Whatever the libraries below raise, at any call: only relman's own errors leave the registry adapter."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import ssl
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import requests
import urllib3

from relman.evidence.assessment import Criteria
from relman.evidence.copy import copy_with_evidence
from relman.evidence.envelopes import Signed
from relman.evidence.keys import SigningKey
from relman.evidence.promote import promote
from relman.evidence.release import examine
from relman.model.errors import AccessDenied, RegistryError, RelmanError, Unreachable
from relman.model.image import Repository
from relman.registry.blobs import RepositoryClient as Copied
from relman.registry.client import Registry
from relman.registry.http.transport import PAUSES
from relman.registry.images import describe
from relman.registry.manifest import Manifest
from relman.registry.retag import put_free
from tests.contract.images import push_image
from tests.contract.listed import list_releases
from tests.contract.registry_fixture import Place
from tests.contract.simulator import Simulator
from tests.exhaustive.sample import part
from tests.unit.reports import report

CHECK = Criteria(Signed(key=SigningKey.generate("ed25519")))
ARGUMENTS: tuple[tuple[Any, ...], ...] = (
    ("made by a test",),
    (None, "made by a test"),
    (None, None, "made by a test"),
    (None, None, None),
    (urllib3.HTTPResponse(b""), b"made by a test"),
    ("utf-8", b"\xff", 0, 1, "made by a test"),
    ("made by a test", "{", 0),
    (),
)


def classes(module: ModuleType) -> list[type[Exception]]:
    """The exceptions that a module has."""
    found = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Exception)]
    return [kind for kind in found if not issubclass(kind, Warning)]


def made(kind: type[Exception]) -> Exception:
    """One of this kind, whatever it wants to be made of."""
    for arguments in ARGUMENTS:
        try:
            return kind(*arguments)
        except (TypeError, AttributeError):
            continue
    raise AssertionError(f"nobody knows how to make a {kind.__name__}")


KINDS = [requests.exceptions, urllib3.exceptions, http.client, ssl, socket, json, struct, zlib]
BUILT_IN = [RecursionError, UnicodeDecodeError, EOFError, MemoryError, KeyError, IndexError, TypeError, ValueError]
BUILT_IN += [
    AttributeError,
    OverflowError,
    AssertionError,
    RuntimeError,
    BrokenPipeError,
    ConnectionResetError,
    OSError,
]
ALL = sorted(
    {kind for module in KINDS for kind in classes(module)} | {*BUILT_IN}, key=lambda k: (k.__module__, k.__name__)
)
SOME = [
    requests.exceptions.ConnectionError,
    requests.exceptions.InvalidURL,
    requests.exceptions.ReadTimeout,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.LocationParseError,
    http.client.BadStatusLine,
    ssl.SSLError,
    RecursionError,
    UnicodeDecodeError,
    EOFError,
    AttributeError,
]
"""One for each way that they are translated in, for what makes many requests: every fourth at each of these."""


@pytest.fixture
def place(simulated: Place) -> Place:
    """Here always the simulator."""
    return simulated


@contextmanager
def raising(error: Exception | None, number: int, where: str) -> Iterator[list[int]]:
    """Let urllib3 raise this from its call `number` on (as often as relman tries), in sending a request or in reading a
    body; gives how many calls there were."""
    calls = itertools.count()
    counted = [0]
    owner: Any = urllib3.HTTPConnectionPool if where == "sending" else urllib3.HTTPResponse
    name = "urlopen" if where == "sending" else "read1"
    original = getattr(owner, name)

    def call(*arguments: Any, **options: Any) -> Any:
        current = next(calls)
        counted[0] = current + 1
        if error is not None and number <= current <= number + len(PAUSES):
            raise error
        return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, call)
        yield counted


Act = Callable[[Registry, Repository, Manifest], object]
SMALL: dict[str, Act] = {
    "resolve": lambda r, where, image: r.resolve(where, image.digest),
    "tags": lambda r, where, _: r.tags(where, "1"),
    "referrers": lambda r, where, image: r.referrers(where, image.digest),
    "blob": lambda r, where, image: r.blob(where, image.config),
    "has": lambda r, where, image: r.has(where, image.config),
    "put_blob": lambda r, where, _: r.put_blob(where, b"a new one"),
    "put_manifest": lambda r, where, image: r.put_manifest(where, "other", image),
    "put_referrer": lambda r, where, image: r.put_referrer(where, "other", image),
    "mount": lambda r, where, image: r.uploads.mount(where, image.config, where),
    "add": lambda r, where, _: r.uploads.patiently(lambda: r.uploads.add(where, r.uploads.begin(where), b"x", 0)),
    "read": lambda r, where, image: b"".join(r.uploads.read(where, image.config)),
    "put_free": lambda r, where, image: put_free(r, where, image, "other"),
    "describe": lambda r, where, _: describe(r, where, "118"),
}
LARGE: dict[str, Act] = {
    "promote": lambda r, where, image: promote(
        r, where, source="run-shop-1", report=report(image), release_tag="119", channels=["stable"], check=CHECK
    ),
    "examine": lambda r, where, _: examine(r, where, "118", check=CHECK),
    "list": lambda r, where, _: list_releases(r, where, check=CHECK),
    "copy": lambda r, where, image: copy_with_evidence(
        Copied(r, where), Copied(r, replace(where, name=f"{where.name}-elsewhere")), image
    ),
}


def tried(
    place: Place, repository: Repository, image: Manifest, act: Act, fault: tuple[Exception | None, int, str]
) -> int:
    """Do it with this fault; only relman's errors about the registry come of it. Gives how many calls there were."""
    with place.connect() as registry, raising(*fault) as counted:
        with suppress(Unreachable, AccessDenied, RegistryError):
            act(registry, repository, image)
        return counted[0]


@pytest.fixture
def image(registry: Registry, repository: Repository) -> Manifest:
    """A released image."""
    manifest = push_image(registry, repository)
    promote(registry, repository, source="run-shop-1", report=report(manifest), release_tag="118", check=CHECK)
    return manifest


@pytest.mark.parametrize("where", ["sending", "reading"])
@pytest.mark.parametrize("act", SMALL.values(), ids=SMALL)
def test_every_exception_at_every_call_is_translated(
    place: Place, repository: Repository, image: Manifest, act: Act, where: str
) -> None:
    """Each exception class of requests, urllib3, http.client, ssl, socket, json and Python's own, raised at the first,
    second, … call of each method of the adapter, leaves it as an error about the registry: all at the first call,
    a part at each later one."""
    calls = tried(place, repository, image, act, (None, 0, where))
    assert calls or where == "reading"
    for number, kind in [(n, kind) for n in range(calls) for kind in (part(ALL, n, 4) if n else ALL)]:
        tried(place, repository, image, act, (made(kind), number, where))


@pytest.mark.parametrize("where", ["sending", "reading"])
@pytest.mark.parametrize("act", LARGE.values(), ids=LARGE)
def test_some_exceptions_at_every_request_of_what_makes_many(
    simulator: Simulator, place: Place, repository: Repository, image: Manifest, act: Act, where: str
) -> None:
    """One of each fourth kind at every request of a promotion, of reading one release and all, and of a copy."""
    kept = simulator.stores[repository.name]
    before = deepcopy(kept)
    calls = tried(place, repository, image, act, (None, 0, where))
    assert calls > 4
    for number, kind in [(n, kind) for n in range(calls) for kind in SOME[n % 4 :: 4]]:
        simulator.stores[repository.name] = deepcopy(before)
        simulator.stores.pop(f"{repository.name}-elsewhere", None)
        tried(place, repository, image, act, (made(kind), number, where))


def test_what_is_raised_says_what_was_asked(place: Place, registry: Registry, repository: Repository) -> None:
    """The error of a foreign exception names the registry, and the request in which it came."""
    for kind in ALL:
        with raising(made(kind), 0, "sending"), pytest.raises(RelmanError) as caught:
            registry.resolve(repository, "118")
        assert caught.value.host == place.host
        if not issubclass(kind, ssl.SSLError):
            assert f"GET /v2/{repository.name}/manifests/118" in caught.value.what
