"""Tiny images made without any network: a static busybox that serves /health and /version on port 8080, SITE and
PAGE."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import docker

from tests.apps import HYPERCORN, bases
from tests.lab.layout import LabError

PORT = 8080
SITE = "/cgi-bin/site"
PAGE = "/cgi-bin/page"
# As Django behind a proxy: it knows one Host, and redirects there; whoever follows that finds nothing.
_SITE = b"""#!/bin/sh
case "$HTTP_HOST $HTTP_X_FORWARDED_PROTO" in
  "shop.example.com https") printf 'HTTP/1.0 302 Found\\r\\nLocation: /nothing\\r\\n\\r\\n';;
  *) printf 'HTTP/1.0 400 Bad Request\\r\\n\\r\\n';;
esac
"""
# Broken for users, while its health is good.
_PAGE = b"""#!/bin/sh
read -r version < /www/version
case "$version" in
  broken*) printf 'HTTP/1.0 500 Internal Server Error\\r\\n\\r\\n';;
  *) printf 'HTTP/1.0 200 OK\\r\\nContent-Type: text/plain\\r\\n\\r\\n%s\\n' "$version";;
esac
"""
_SERVE = "/bin/busybox httpd -p 8080 -h /www"
_HYPERCORN = ["hypercorn", "--bind", f"0.0.0.0:{PORT}", "--graceful-timeout", "1", "echo:app"]


class Behaviour(Enum):
    """What the container does once it is started; the value is its shell command."""

    SERVES = f"exec {_SERVE} -f"
    SERVES_UNHEALTHY = f"rm /www/health; exec {_SERVE} -f"
    EXITS = "echo 'no such table: users' >&2; exit 3"
    WORSENS = f"test -e /dead && exit 5; {_SERVE}; sleep 3; touch /dead; exit 5"  # and ends at once from then on
    DIES = f"{_SERVE}; sleep 5; echo 'lost the database' >&2; exit 4"


def busybox_image(
    engine: docker.APIClient,
    ref: str,
    *,
    version: str,
    behaviour: Behaviour = Behaviour.SERVES,
    labels: Mapping[str, str] | None = None,
    healthcheck: bool = False,
    volume: str | None = None,
    ballast: int = 0,
) -> str:
    """Build `ref` and return its image ID.

    `healthcheck` adds a HEALTHCHECK of /health every second; `volume` a VOLUME; `ballast` that many random
    bytes. Raise LabError with the engine's words if it cannot be built.
    """
    # What all have in common comes first: the builder remembers it, and each step that it does anew takes a while.
    lines = [
        "FROM scratch",
        "ENV PATH=/bin",
        f"EXPOSE {PORT}",
        # As process 1 busybox has no handler for SIGTERM, so that every stop would take its 10 s.
        "STOPSIGNAL SIGKILL",
        "COPY busybox /bin/busybox",
        "COPY busybox /bin/sh",
        f"CMD {json.dumps(['/bin/busybox', 'sh', '-c', behaviour.value])}",
    ]
    if healthcheck:
        probe = ["/bin/busybox", "wget", "-q", "-O", "-", f"http://127.0.0.1:{PORT}/health"]
        lines.append(f"HEALTHCHECK --interval=1s --timeout=2s --retries=2 CMD {json.dumps(probe)}")
    if volume:
        lines.append(f"VOLUME {json.dumps([volume])}")
    content = {
        "Dockerfile": "\n".join([*lines, "COPY own /"]).encode(),
        "busybox": Path("/usr/bin/busybox").read_bytes(),
        "own/ballast": os.urandom(ballast),
        "own/www/health": b"ok\n",
        "own/www/version": version.encode() + b"\n",
        f"own/www{SITE}": _SITE,
        f"own/www{PAGE}": _PAGE,
    }
    # Not as LABEL instructions: in those the builder would replace every ${name}.
    named = dict(labels or {})
    _events(engine.build(fileobj=_tar(content), custom_context=True, tag=ref, rm=True, decode=True, labels=named))
    return str(engine.inspect_image(ref)["Id"])


def echo_image(engine: docker.APIClient, ref: str, *, version: str, labels: Mapping[str, str] | None = None) -> str:
    """Build `ref` of the application tests/apps/echo, whose base the engine has; the rest is as of busybox_image."""
    lines = [
        f"FROM {bases.load(HYPERCORN).image}",
        "COPY app /app",
        f"ENV VERSION={version}",
        f"CMD {json.dumps(_HYPERCORN)}",
    ]
    app = {f"app/{path.name}": path.read_bytes() for path in (bases.APPS / "echo").glob("*.py")}
    content = {"Dockerfile": "\n".join(lines).encode(), **app}
    named = dict(labels or {})
    _events(engine.build(fileobj=_tar(content), custom_context=True, tag=ref, rm=True, decode=True, labels=named))
    return str(engine.inspect_image(ref)["Id"])


def _tar(content: Mapping[str, bytes]) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            tar.addfile(member, io.BytesIO(data))
    packed.seek(0)
    return packed


def push(engine: docker.APIClient, ref: str, auth: Mapping[str, str]) -> str:
    """Push `ref` and return its manifest digest; raise LabError with the engine's words if refused."""
    events = _events(engine.push(ref, stream=True, decode=True, auth_config=dict(auth)))
    return next(str(e["aux"]["Digest"]) for e in events if "Digest" in e.get("aux", {}))


def pull(engine: docker.APIClient, repository: str, tag: str, auth: Mapping[str, str]) -> None:
    """Pull one tag or digest; raise LabError with the engine's words if refused."""
    try:
        _events(engine.pull(repository, tag=tag, stream=True, decode=True, auth_config=dict(auth)))
    except docker.errors.APIError as e:
        raise LabError(f"pull {repository}:{tag}: {e.explanation}") from e


def run(engine: docker.APIClient, ref: str, name: str, *, port: int | None = None, restart: str = "no") -> str:
    """Start a container of `ref`, its port published as `port` if given, and return its id."""
    host_config = engine.create_host_config(
        port_bindings={PORT: port} if port else {}, restart_policy={"Name": restart}
    )
    made = engine.create_container(ref, name=name, host_config=host_config, ports=[PORT])
    engine.start(made["Id"])
    return str(made["Id"])


def _events(stream: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    events = list(stream)
    for event in events:
        if "error" in event:
            raise LabError(str(event["error"]))
    return events
