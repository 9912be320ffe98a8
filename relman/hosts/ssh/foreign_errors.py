"""What paramiko, docker-py, urllib3, the sockets and the system raise, in words: for the adapters' edges."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from paramiko.buffered_pipe import PipeTimeout

_LONGEST = 500


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it, outermost first."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__


def late(error: BaseException) -> bool:
    """Whether somebody did not answer in time. paramiko's PipeTimeout is an OSError, and no TimeoutError."""
    return any(isinstance(each, TimeoutError | PipeTimeout) for each in chain(error))


def said(error: BaseException) -> str:
    """What the innermost error says. What says nothing of itself is described."""
    *_, cause = chain(error)
    if late(error):
        return "no answer in time"
    if isinstance(cause, EOFError | ConnectionError) and not cause.args:
        return "the connection was closed"
    if isinstance(cause, OSError) and not isinstance(cause, socket.gaierror) and cause.strerror:
        return cause.strerror
    if isinstance(cause, UnicodeError | LookupError | TypeError | AttributeError | RecursionError):
        return f"its answer cannot be read ({type(cause).__name__})"
    return (str(cause) or type(cause).__name__)[:_LONGEST]
