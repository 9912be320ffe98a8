"""One rule for every HTTP check, whoever asks: held with the programs that an image may have to ask with."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from relman.app.playbooks.checks import check_http
from relman.ci.testing.inside import InsideProbe
from relman.ci.testing.readiness import answers_http
from relman.model.errors import CannotAsk, CheckFailed, UsageError
from relman.model.playbook import Http
from relman.model.service import WaitFor
from relman.model.strategy import Check
from relman.rollout import local_commands
from tests.lab import packages
from tests.lab.serving import serving

TOOLS = ("curl", "python3", "wget", "busybox")


@dataclass
class Site:
    """A server that redirects whoever names its Host, to where nothing is."""

    server: HTTPServer
    asked: list[str]

    @property
    def port(self) -> int:
        """Its port."""
        return self.server.server_port


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    """A site."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            known = self.headers["Host"] == "shop.example.com" and self.headers["X-Word"] == "a b"
            if self.path.startswith("http:"):
                known = self.headers["Proxy-Authorization"] == "Basic YW5uOnB3"
            self.send_response(404 if self.path == "/nothing" else 302 if known or self.path == "/open" else 400)
            self.send_header("Location", "/nothing")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        yield Site(server, asked)


@pytest.fixture
def site(served: Site) -> Site:
    """A site that nobody has asked yet."""
    served.asked.clear()
    return served


class _Here:
    """An engine whose containers are this machine, with one program and a shell's own words."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._argv: Sequence[str] = ()
        self._code = 0

    def ask(self, _what: str, _method: str, path: str, *_names: str, body: Mapping[str, Any]) -> Any:
        """Remember the command, or run it."""
        if path.startswith("/exec/"):
            self._code = subprocess.run(self._argv, env={"PATH": str(self._path)}, check=False).returncode
            return None
        self._argv = body["Cmd"]
        return {"Id": "e" * 64}

    def get(self, _what: str, _path: str, *_names: str, read: Callable[[Any], Any]) -> Any:
        """It has ended."""
        process = {"entrypoint": self._argv[0], "arguments": list(self._argv[1:])}
        return read({"ProcessConfig": process, "Running": False, "ExitCode": self._code})

    @contextlib.contextmanager
    def reading(self, _what: str) -> Iterator[None]:
        """Nothing is translated."""
        yield


def inside(path: Path, port: int, wait: WaitFor) -> bool:
    """What is said when it is asked inside a container that has the programs in `path`."""
    client: Any = _Here(path)
    now: Any = SimpleNamespace(address="127.0.0.1")
    return InsideProbe(client, "c", port, wait)(now)


@pytest.mark.parametrize("tool", ["", *TOOLS])
def test_a_redirect_is_an_answer_and_the_host_that_is_given_is_asked_for(tool: str, site: Site, tmp_path: Path) -> None:
    """From here and by every program that an image may have: 302 is good, and nobody follows it; 400 is not."""
    if tool:
        packages.install()
        where = shutil.which(tool)
        assert where
        found = subprocess.run([where, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True)
        real = found.stdout.strip() if tool == "python3" else where
        (tmp_path / tool).symlink_to(real)
    wait = WaitFor(http_port=site.port, http_path="/x", http_host="shop.example.com", http_headers={"X-Word": "a b"})

    def asked(each: WaitFor) -> bool:
        return inside(tmp_path, site.port, each) if tool else answers_http("127.0.0.1", site.port, each)

    assert asked(wait)
    assert not asked(replace(wait, http_headers={}))
    assert not asked(replace(wait, http_host="", http_path="/nothing"))
    assert site.asked == ["/x", "/x", "/nothing"]


def test_an_image_with_nothing_to_ask_with(site: Site, tmp_path: Path) -> None:
    """Is said to have nothing."""
    with pytest.raises(CannotAsk, match="curl, python3, wget or nc"):
        inside(tmp_path, site.port, WaitFor(http_port=site.port))


@pytest.mark.parametrize(
    "ask",
    [
        lambda url, env: local_commands.ask(Check(url=url, timeout=0.1), env, threading.Event()),
        lambda url, env: check_http(Http(url), env, 0.1, lambda _: None),
    ],
)
def test_a_canary_s_check_and_a_playbook_s_follow_the_same_rule(
    ask: Callable[[str, Mapping[str, str]], None], site: Site
) -> None:
    """302 is good, and nobody follows it; 400 is not. What is not on this machine is asked through the proxy that the
    environment names, with its login; what is no URL is said to be none."""
    proxy = {"http_proxy": f"http://ann:pw@127.0.0.1:{site.port}"}
    ask(f"http://127.0.0.1:{site.port}/open", proxy)
    ask("http://shop.example.com/open?a=b", proxy)
    with pytest.raises(CheckFailed, match=r"the check failed: GET .*/closed: 400") as failed:
        ask(f"http://127.0.0.1:{site.port}/closed", proxy)
    assert failed.value.details == ("it did not answer a status from 200 to 399 within 0.1 s",)
    assert set(site.asked) == {"/open", "http://shop.example.com/open?a=b", "/closed"}
    for wrong in ("http://[", "http:///x", "ftp://a", "http://a:port"):
        with pytest.raises(UsageError, match="is not a URL that can be checked"):
            ask(wrong, proxy)
