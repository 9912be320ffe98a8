"""The hosts of one command, asked side by side: what the work on one of them raises stays that host's."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from relman.cli.exits import Exit, exit_of
from relman.model.errors import EngineError, HostsFailed, InternalError, Locked, RelmanError, Unreachable
from relman.rollout.fleet import gather

FOREIGN = [
    EOFError(),
    TimeoutError("late"),
    KeyError("Id"),
    TypeError("none"),
    RecursionError(),
    AttributeError("no"),
    OSError(28, "full"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"),
    AssertionError(),
]


def _raised(error: Exception) -> RelmanError:
    """What two hosts come to, of which the work on one raises."""

    def work(host: str) -> str:
        if host == "h1":
            raise error
        return host

    with ThreadPoolExecutor(2) as pool:
        found = gather(work, ["h1", "h2"], pool, threading.Event())
    assert found.answers == {"h2": "h2"}
    return found.errors["h1"]


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_whatever_the_work_raises_is_that_hosts_failure(error: Exception) -> None:
    """The other hosts have their answers; the error names the host, keeps its cause, and is an internal one."""
    failed = _raised(error)
    assert isinstance(failed, InternalError)
    assert (failed.host, failed.__cause__, exit_of(type(failed))) == ("h1", error, Exit.INTERNAL)


def test_an_error_in_relmans_words_stays_what_it_is() -> None:
    """It only learns its host's name."""
    said = Unreachable("gone")
    assert _raised(said) is said
    assert said.host == "h1"


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ((KeyError("a"), Unreachable("gone")), InternalError),
        ((KeyError("a"), Locked("locked")), Locked),
        ((EngineError("no"), Unreachable("gone")), HostsFailed),
    ],
)
def test_several_failures_end_as_the_gravest(errors: tuple[Exception, ...], kind: type[RelmanError]) -> None:
    """A fault of relman's own is not hidden by a host that is away, and hides no lock; each host is named."""

    def work(host: str) -> str:
        raise dict(zip(("h1", "h2"), errors, strict=True))[host]

    with ThreadPoolExecutor(2) as pool, pytest.raises(kind) as caught:
        gather(work, ["h1", "h2"], pool).all("looking")
    assert type(caught.value) is kind
    assert [line.partition(":")[0] for line in caught.value.details] == ["h1", "h2"]
