"""Texts for the exceptions of paramiko, docker-py, urllib3, sockets and the system. For the adapters' edges."""

from __future__ import annotations

import socket
from collections.abc import Iterator

_LONGEST = 500


def chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and its causes, outermost first."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__


def late(error: BaseException) -> bool:
    """Whether a timeout is among the causes. (paramiko's PipeTimeout is an OSError and not a TimeoutError.)"""
    from paramiko.buffered_pipe import PipeTimeout

    return any(isinstance(each, TimeoutError | PipeTimeout) for each in chain(error))


def said(error: BaseException) -> str:
    """The text of the innermost cause; a description if it has none."""
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
