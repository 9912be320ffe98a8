"""The stages that look: a program, or a URL."""

from __future__ import annotations

import http.client
import shlex
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from relman.ci.engine.line_buffer import Lines
from relman.local import process_group
from relman.model.errors import CheckFailed, UsageError
from relman.model.http import GOOD, headers_of
from relman.model.playbook import Command, Http

HTTP_SECONDS = 30.0
_PAUSE = 1.0

Progress = Callable[[str], None]


def check_command(command: Command, env: Mapping[str, str], timeout: float | None, progress: Progress) -> None:
    """Run a program, show what it prints, and raise CheckFailed unless it ends with 0 within `timeout` seconds."""
    output = Lines(progress)
    try:
        code = process_group.run(command.argv, process_group.text(output.feed), env=env, timeout=timeout)
    except OSError as error:
        raise UsageError(f"cannot run {command.argv[0]}: {error.strerror}") from error
    output.end()
    if code is None:
        raise CheckFailed(f"the check did not end within {timeout:g} s: {_shown(command)}")
    if code:
        raise CheckFailed(f"the check failed with exit code {code}: {_shown(command)}", details=list(output.last))


def _shown(command: Command) -> str:
    return command.argv[2] if command.is_text else shlex.join(command.argv)


def check_http(asked: Http, timeout: float | None, progress: Progress) -> None:
    """Ask until the answer is as expected, for `timeout` seconds (30 where it is None); no redirect is followed.

    Raises CheckFailed with the last answer, UsageError for what is no URL.
    """
    seconds = timeout or HTTP_SECONDS
    give_up = time.monotonic() + seconds
    said = ""
    while True:
        found = _ask(asked, min(10.0, max(0.1, give_up - time.monotonic())))
        if found == str(asked.status) or (not asked.status and found.isdigit() and int(found) in GOOD):
            progress(f"{asked.url} answers {found}")
            return
        if found != said:
            progress(f"{asked.url}: {found}")
            said = found
        if time.monotonic() + _PAUSE > give_up:
            wanted = asked.status or "a status from 200 to 399"
            raise CheckFailed(f"{asked.url} did not answer {wanted} within {seconds:g} s, but: {found}")
        time.sleep(_PAUSE)


def _ask(asked: Http, timeout: float) -> str:
    """The status, or what went wrong in words."""
    parts = urlsplit(asked.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{asked.url!r} is not a URL that can be checked")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.netloc, timeout=timeout, context=_tls(asked.ca))
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    path = parts.path or "/"
    try:
        connection.request("GET", f"{path}?{parts.query}" if parts.query else path, headers=headers_of())
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException, socket.gaierror) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    finally:
        connection.close()


def _tls(ca: str) -> ssl.SSLContext:
    from relman.registry.tls import context_for

    return context_for(ca or None)
