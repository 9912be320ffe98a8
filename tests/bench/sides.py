"""Three ways to replace one container by another image on many hosts: relman, plain OpenSSH, the engines alone.

A side returns the seconds that it took and raises LabError if it failed. The work is the same: pull, stop within
STOP_TIMEOUT, keep the old container under another name, create and start the new one with its port published.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.lab import images
from tests.lab.lab import Lab, at_once
from tests.lab.layout import LabError

Side = Callable[[Lab, str], float]
SERVICE = "shop"
RESTART = "unless-stopped"
STOP_TIMEOUT = 10
DEPLOY = {
    "ports": [f"{images.PORT}:{images.PORT}"],
    "health": {"http": {"port": images.PORT, "path": "/health"}, "window": "0s"},
    "restart": RESTART,
    "stop_timeout": f"{STOP_TIMEOUT}s",
    "max_unavailable": "100%",
}


def repository(lab: Lab) -> str:
    """The repository of the images."""
    return f"{lab.registry.address}/{SERVICE}"


def timed(argv: Sequence[str | Path], environ: Mapping[str, str] | None = None) -> tuple[float, str]:
    """Run a program, with more variables, and return its seconds and its output; raise LabError if it fails.

    Python keeps what it compiles, as it is with programs that were installed.
    """
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | dict(environ or {})
    begin = time.monotonic()
    done = subprocess.run(argv, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    seconds = time.monotonic() - begin
    if done.returncode:
        raise LabError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return seconds, done.stdout


def deploy(lab: Lab, tag: str, *options: str) -> tuple[float, str]:
    """Run relman as its user has it: a whole process with every check, lock, record and read-back."""
    argv = [sys.executable, "-m", "relman", "deploy", tag, "-e", "production", "--service", SERVICE, "--yes", *options]
    return timed(argv, lab.env | {"XDG_DATA_HOME": str(lab.dir / "data")})


def by_relman(lab: Lab, tag: str) -> float:
    """One deployment."""
    return deploy(lab, tag)[0]


def by_ssh(lab: Lab, tag: str) -> float:
    """One OpenSSH client a host, all at once, one shell line each; the hosts are logged in to the registry."""
    image = f"{repository(lab)}:{tag}"
    line = (
        f"docker pull -q {image} && docker stop -t {STOP_TIMEOUT} {SERVICE} && docker rename {SERVICE} {SERVICE}-old"
        f" && docker run -d --name {SERVICE} -p {images.PORT}:{images.PORT} --restart {RESTART} {image}"
    )
    config = str(lab.dir / "ssh/config")
    begin = time.monotonic()
    clients = [_client(["ssh", "-F", config, host.name, line]) for host in lab.hosts]
    said = [client.communicate()[0] for client in clients]
    seconds = time.monotonic() - begin
    for client, words in zip(clients, said, strict=True):
        if client.returncode:
            raise LabError(f"{client.args!r}: exit {client.returncode}\n{words}")
    return seconds


def _client(argv: Sequence[str]) -> subprocess.Popen[str]:
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(argv, text=True, **streams)  # type: ignore[call-overload, no-any-return]


def by_engine(lab: Lab, tag: str) -> float:
    """The limit: every engine's own socket, reached through /proc, with neither network nor SSH nor checks."""
    auth = base64.urlsafe_b64encode(json.dumps(lab.registry.auth).encode()).decode()
    tasks = [partial(_replace, str(host.path("/run/docker.sock")), repository(lab), tag, auth) for host in lab.hosts]
    begin = time.monotonic()
    at_once(tasks)
    return time.monotonic() - begin


def _replace(path: str, name: str, tag: str, auth: str) -> None:
    engine = Engine(path)
    engine.call("POST", f"/images/create?fromImage={name}&tag={tag}", headers={"X-Registry-Auth": auth})
    engine.call("POST", f"/containers/{SERVICE}/stop?t={STOP_TIMEOUT}")
    engine.call("POST", f"/containers/{SERVICE}/rename?name={SERVICE}-old")
    made = engine.call("POST", f"/containers/create?name={SERVICE}", container(f"{name}:{tag}"))
    engine.call("POST", f"/containers/{json.loads(made)['Id']}/start")
    engine.close()


def container(image: str) -> dict[str, Any]:
    """What the engine is asked to create."""
    port = f"{images.PORT}/tcp"
    host_config = {"PortBindings": {port: [{"HostPort": str(images.PORT)}]}, "RestartPolicy": {"Name": RESTART}}
    return {"Image": image, "ExposedPorts": {port: {}}, "HostConfig": host_config}


class Engine(http.client.HTTPConnection):
    """The Engine API on a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("docker")
        self._path = path

    def connect(self) -> None:
        """Connect to the socket, as http.client does before the first request."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> bytes:
        """One request; raise LabError for any answer but success, a pull's error event included."""
        self.request(method, path, body and json.dumps(body), {"Content-Type": "application/json", **(headers or {})})
        answer = self.getresponse()
        data = answer.read()
        if answer.status >= 300 or b'"errorDetail"' in data:
            raise LabError(f"{method} {path}: {answer.status} {data.decode(errors='replace')}")
        return data


SIDES: dict[str, Side] = {"relman": by_relman, "ssh": by_ssh, "engine": by_engine}
