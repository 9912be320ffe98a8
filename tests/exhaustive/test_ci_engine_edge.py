"""Whatever docker-py and what it stands on raise leaves the CI's engine as an error in relman's words."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import docker
import pytest
import requests

from relman.ci.engine.stopwatch import Watch
from relman.docker.events import told
from relman.docker.facts import facts
from relman.docker.local import LocalClient, LocalSocket, Waiting
from relman.model.errors import Cancelled, EngineError, InternalError, NotFound, RelmanError, Unreachable
from tests.exhaustive.test_hosts_edges import FOREIGN


class _Striking(requests.adapters.BaseAdapter):
    """Under docker-py: answers with a body that ends in an error, or raises at once."""

    status, connection = 200, None

    def __init__(self, error: Exception, body: list[bytes] | None) -> None:
        super().__init__()
        self._error, self._body = error, body
        self.headers: dict[str, str] = {}

    def send(self, *_: Any, **__: Any) -> requests.Response:
        """The answer."""
        if self._body is None:
            raise self._error
        answer = requests.Response()
        answer.status_code, answer.raw = 200, self
        return answer

    def read1(self, *_: Any, **__: Any) -> bytes:
        """The next part of the body."""
        if self._body:
            return self._body.pop(0)
        raise self._error

    read = read1

    def close(self) -> None:
        """Nothing is open."""


def _client(error: Exception, body: list[bytes] | None) -> LocalClient:
    return _behind(_Striking(error, None if body is None else list(body)), nullcontext)


def _behind(adapter: _Striking, waiting: Waiting) -> LocalClient:
    api = docker.APIClient(base_url="http://docker:80", version="1.41")
    api.mount("http://", adapter)
    return LocalClient(LocalSocket(api, waiting))


@pytest.mark.parametrize("body", [None, [], [b'{"status":"a"}\n']], ids=["at once", "first", "in the middle"])
def test_what_strikes_the_local_engine(body: list[bytes] | None) -> None:
    """At once, before the first event, and after it: calls and streams let nothing foreign out."""
    for error in FOREIGN:
        with pytest.raises(RelmanError, match=r"^push: .+") as caught:
            list(told(_client(error, body), "push", "/images/x/push", params={}))
        assert isinstance(caught.value, EngineError | Unreachable | NotFound)
        assert not isinstance(caught.value, InternalError)
    with pytest.raises(RelmanError, match=r"^info: .+"):
        _client(KeyError("Id"), None).get("info", "/info", read=facts)


def test_what_the_local_engine_says_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal and an answer without sense begin with what was asked for, once."""
    gone, odd = _client(EOFError(), [b'{"message":"No such image: x"}', b""]), _client(EOFError(), [b"[]", b""])
    monkeypatch.setattr(_Striking, "status", 404)
    with pytest.raises(NotFound, match=r"^cannot look: No such image: x$"):
        gone.get("cannot look", "/images/{}/json", "x", read=facts)
    monkeypatch.undo()
    with pytest.raises(EngineError, match=r"^cannot look: the Docker engine gave an invalid answer: its answer is not"):
        odd.get("cannot look", "/info", read=facts)


@pytest.mark.parametrize("line", [b"[]\n", b"7\n", b"{\n", b'"x"\n', b"\xff\n", b"[" * 100_000 + b"\n"])
def test_an_event_that_is_none(line: bytes) -> None:
    """Nonsense in a stream is the engine's error."""
    with pytest.raises(EngineError, match="gave an invalid answer"):
        list(told(_client(EOFError(), [line]), "build", "/build", params={}))


def test_relmans_own_words_and_a_persons_ctrl_c_pass() -> None:
    """They are what they were."""
    for own in (Cancelled("cancelled"), KeyboardInterrupt()):
        with pytest.raises(type(own)) as caught, _client(EOFError(), []).edge("build"):
            raise own
        assert caught.value is own


class _Slow(_Striking):
    """Takes a second to answer, and two for each part of its body."""

    seconds = 0.0

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        """The answer."""
        self.seconds += 1
        return super().send(*arguments, **options)

    def read1(self, *arguments: Any, **options: Any) -> bytes:
        """The next part of the body."""
        self.seconds += 2
        return super().read1(*arguments, **options)


def test_waiting_for_the_local_engine_is_its_own_time() -> None:
    """A run's clock counts what the engine takes for an answer and for its body, and not what is done with them."""
    slow = _Slow(EOFError(), [b'{"status":"a"}\n', b'{"status":"b"}\n', b""])
    watch = Watch(now=lambda: slow.seconds)
    for _ in told(_behind(slow, watch.waiting), "build", "/build", params={}):
        slow.seconds += 100
    assert watch.others_total() == 1 + 3 * 2
