"""Whatever docker-py and what it stands on raise leaves the CI's engine as an error in relman's words."""

from __future__ import annotations

from typing import Any

import docker
import pytest
import requests

from relman.ci.engine.api import events, translated
from relman.model.errors import Cancelled, EngineError, InternalError, NotFound, RelmanError, Unreachable
from tests.exhaustive.test_hosts_edges import FOREIGN


class _Striking(requests.adapters.BaseAdapter):
    """Under docker-py: answers with a stream that ends in an error, or raises at once."""

    def __init__(self, error: Exception, body: list[bytes] | None) -> None:
        super().__init__()
        self._error, self._body = error, body

    def send(self, *_: Any, **__: Any) -> requests.Response:
        """The answer."""
        if self._body is None:
            raise self._error
        answer = requests.Response()
        answer.status_code, answer.raw = 200, self
        return answer

    def stream(self, *_: Any, **__: Any) -> Any:
        """The body."""
        yield from self._body or ()
        raise self._error

    def close(self) -> None:
        """Nothing is open."""


def _client(error: Exception, body: list[bytes] | None) -> docker.APIClient:
    client = docker.APIClient(base_url="http://docker:80", version="1.41")
    client.mount("http://", _Striking(error, body))
    return client


@pytest.mark.parametrize("body", [None, [], [b'{"status":"a"}\n']], ids=["at once", "first", "in the middle"])
def test_what_strikes_the_local_engine(body: list[bytes] | None) -> None:
    """At once, before the first event, and after it: calls and streams let nothing foreign out."""
    for error in FOREIGN:
        with pytest.raises(RelmanError, match=r"^push: .+") as caught:
            list(events(_client(error, body), "/images/x/push", "push", params={}))
        assert isinstance(caught.value, EngineError | Unreachable | NotFound)
        assert not isinstance(caught.value, InternalError)
    with pytest.raises(RelmanError), translated("info"):
        _client(KeyError("Id"), None).info()


@pytest.mark.parametrize("line", [b"[]\n", b"7\n", b"{\n", b'"x"\n', b"\xff\n", b"[" * 100_000 + b"\n"])
def test_an_event_that_is_none(line: bytes) -> None:
    """Nonsense in a stream is the engine's error."""
    with pytest.raises(EngineError, match="gave an invalid answer"):
        list(events(_client(EOFError(), [line]), "/build", "build", params={}))


def test_relmans_own_words_and_a_persons_ctrl_c_pass() -> None:
    """They are what they were."""
    for own in (Cancelled("cancelled"), KeyboardInterrupt()):
        with pytest.raises(type(own)) as caught, translated("build"):
            raise own
        assert caught.value is own
