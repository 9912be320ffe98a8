"""Docker's config.json in the shapes that people have: relman sends the login that the docker CLI sends."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest

from relman.registry.auth import credentials_for
from tests.lab import packages
from tests.lab.serving import serving

HERE = "registry.example:5000"
HUB = "https://index.docker.io/v1/"
ANSWERS = """read -r r; printf '{"Username": "helper", "Secret": "%s"}' "$r" """
NONE = "echo 'credentials not found in native keychain'; exit 1"


def entry(username: str, password: str) -> dict[str, str]:
    """An entry of `auths` as `docker login` writes it."""
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


MINE, OTHER = entry("me", "a:b"), entry("other", "x")
# Name: config.json, the registry where it is another than HERE, and the helpers in PATH.
SHAPES: Mapping[str, tuple[Any, ...]] = {
    "nothing": ({},),
    "an empty file": ("",),
    "a file of blanks": (" \n",),
    "null": ("null",),
    "text behind the object": (json.dumps({"auths": {HERE: MINE}}) + "rest",),
    "the host": ({"auths": {"elsewhere.example": OTHER, HERE: MINE}},),
    "another host": ({"auths": {"elsewhere.example": OTHER}},),
    "another port": ({"auths": {"registry.example": OTHER, "registry.example:5001": OTHER}},),
    "no port for 443": ({"auths": {"registry.example:443": OTHER}}, "registry.example"),
    "https": ({"auths": {f"https://{HERE}": MINE}},),
    "http": ({"auths": {f"http://{HERE}": MINE}},),
    "a URL with a path": ({"auths": {f"https://{HERE}/v1/": MINE}},),
    "a path": ({"auths": {f"{HERE}/team": MINE}},),
    "exact before an older form": ({"auths": {f"https://{HERE}/v1/": OTHER, HERE: MINE}},),
    "exact before a path": ({"auths": {f"{HERE}/team": OTHER, HERE: MINE}},),
    "a wildcard": ({"auths": {"*.example:5000": OTHER}},),
    "a host in capitals": ({"auths": {HERE.upper(): OTHER}},),
    "keys in capitals": ({"AUTHS": {HERE: {"AUTH": MINE["auth"]}}},),
    "user name and password": ({"auths": {HERE: {"username": "me", "password": "p"}}},),
    "auth beats user name and password": ({"auths": {HERE: {"username": "x", "password": "x", **MINE}}},),
    "a user name alone": ({"auths": {HERE: {"username": "me"}}},),
    "an empty password": ({"auths": {HERE: entry("me", "")}},),
    "an identity token": ({"auths": {HERE: {"identitytoken": "t"}}},),
    "an identity token beside auth": ({"auths": {HERE: {"identitytoken": "t", **entry("00-00", "")}}},),
    "a registry token": ({"auths": {HERE: {"registrytoken": "t"}}},),
    "an empty entry": ({"auths": {HERE: {}}},),
    "a null entry": ({"auths": {HERE: None}},),
    "a password that ends in NULs": ({"auths": {HERE: entry("me", "p\0\0")}},),
    "a broken line in auth": ({"auths": {HERE: {"auth": MINE["auth"] + "\n"}}},),
    "a password beyond ASCII": ({"auths": {HERE: entry("me", "pässwörd")}},),
    "unknown keys": ({"auths": {HERE: {**MINE, "note": "x"}}, "proxies": {}, "plugins": {}},),
    "the hub": ({"auths": {HUB: MINE}}, "docker.io"),
    "the hub by its index": ({"auths": {HUB: MINE}}, "index.docker.io"),
    "the hub by its short name": ({"auths": {"docker.io": OTHER}}, "docker.io"),
    "the hub without https": ({"auths": {"index.docker.io": OTHER}}, "docker.io"),
    "the hub without a slash": ({"auths": {"https://index.docker.io/v1": OTHER}}, "docker.io"),
    "the hub's API": ({"auths": {HUB: OTHER}}, "registry-1.docker.io"),
    "a store": ({"credsStore": "test"}, HERE, {"test": ANSWERS}),
    "a store for the hub": ({"credsStore": "test"}, "docker.io", {"test": ANSWERS}),
    "a helper": ({"credHelpers": {HERE: "test"}}, HERE, {"test": ANSWERS}),
    "a helper for the hub": ({"credHelpers": {HUB: "test"}}, "docker.io", {"test": ANSWERS}),
    "a helper for the hub's short name": ({"credHelpers": {"docker.io": "test"}}, "docker.io", {"test": ANSWERS}),
    "a helper with a path": ({"credHelpers": {f"{HERE}/team": "test"}}, HERE, {"test": ANSWERS}),
    "a helper with https": ({"credHelpers": {f"https://{HERE}": "test"}}, HERE, {"test": ANSWERS}),
    "a helper before the store": (
        {"credHelpers": {HERE: "test"}, "credsStore": "none"},
        HERE,
        {"test": ANSWERS, "none": NONE},
    ),
    "a helper of another host": ({"credHelpers": {"x.example": "test"}, "auths": {HERE: MINE}}, HERE, {"test": NONE}),
    "a helper without a name": (
        {"credHelpers": {HERE: ""}, "credsStore": "test", "auths": {HERE: MINE}},
        HERE,
        {"test": ANSWERS},
    ),
    "a helper before auths": ({"credsStore": "test", "auths": {HERE: OTHER}}, HERE, {"test": ANSWERS}),
    "a helper that knows of none": ({"credsStore": "test", "auths": {HERE: OTHER}}, HERE, {"test": NONE}),
    "a helper that fails": ({"credsStore": "test", "auths": {HERE: MINE}}, HERE, {"test": "echo locked; exit 1"}),
    "a helper that fails, alone": ({"credsStore": "test"}, HERE, {"test": "echo locked; exit 1"}),
    "a missing helper": ({"credsStore": "missing", "auths": {HERE: MINE}},),
    "a missing helper, alone": ({"credsStore": "missing"},),
    "a helper that says nonsense": ({"credsStore": "test", "auths": {HERE: MINE}}, HERE, {"test": "echo nonsense"}),
    "a helper that gives a list": ({"credsStore": "test", "auths": {HERE: MINE}}, HERE, {"test": "echo '[]'"}),
    "a helper with an empty answer": (
        {"credsStore": "test"},
        HERE,
        {"test": """echo '{"Username": "", "Secret": ""}'"""},
    ),
    "a helper that says more": ({"credsStore": "test"}, HERE, {"test": f"{ANSWERS}; echo tail"}),
    "a helper with a token": (
        {"credsStore": "test"},
        HERE,
        {"test": """echo '{"Username": "<token>", "Secret": "t"}'"""},
    ),
    "a helper that nobody named": ({}, HERE, {"secretservice": ANSWERS}),
    "a helper that nobody named, beside auths": ({"auths": {"x.example": OTHER}}, HERE, {"secretservice": ANSWERS}),
    "the helper of pass": ({}, HERE, {"secretservice": NONE, "pass": ANSWERS}),
}


class _Handler(BaseHTTPRequestHandler):
    """As much of an engine as `docker pull` wants before it sends its login."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Every question is a ping."""
        self._end(200)

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        """Keep the login, and pull nothing."""
        login = json.loads(base64.urlsafe_b64decode(self.headers.get("X-Registry-Auth", "e30=")))
        self.server.logins.append(login)  # type: ignore[attr-defined]
        self._end(500)

    def _end(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def address_string(self) -> str:
        """A socket's end has no address."""
        return ""

    def log_message(self, format: str, *args: object) -> None: ...


class _Engine(ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str) -> None:
        super().__init__(path, _Handler)
        self.logins: list[dict[str, str]] = []


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Engine]:
    """An engine that only listens for logins."""
    if not Path("/usr/bin/docker").exists():
        packages.install()
    server = _Engine(str(tmp_path_factory.mktemp("engine") / "s"))
    with serving(server):
        yield server


def sent(engine: _Engine, registry: str, env: Mapping[str, str]) -> dict[str, str]:
    """The login that the docker CLI sends for an image of this registry."""
    engine.logins.clear()
    environ = {"DOCKER_HOST": f"unix://{engine.server_address!s}", **env}
    subprocess.run(["/usr/bin/docker", "pull", f"{registry}/team/shop:1"], env=environ, capture_output=True, timeout=60)
    return {k: v for k, v in engine.logins[-1].items() if k != "serveraddress" and v}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_login_is_that_of_the_docker_cli(
    engine: _Engine, shape: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each config.json, the very user and password or token that `docker pull` sends to its engine."""
    defaults: tuple[Any, ...] = (None, HERE, {})
    config, registry, helpers = shape + defaults[len(shape) :]
    (tmp_path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    for name, script in helpers.items():
        program = tmp_path / f"docker-credential-{name}"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    found = credentials_for(registry, {}, tmp_path)
    ours = {k: v for k, v in found.auth_config().items() if v} if found else {}
    theirs = sent(
        engine, registry, {"PATH": f"{tmp_path}:/bin", "DOCKER_CONFIG": str(tmp_path), "HOME": "/nonexistent"}
    )
    if "identitytoken" in ours:
        theirs.pop("username", None)  # the engine does without it
    assert ours == theirs
