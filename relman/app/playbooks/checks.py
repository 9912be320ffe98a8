"""The checks of a playbook: a program, or a URL."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping

from relman.ci.engine.line_buffer import Lines
from relman.local import process_group
from relman.local.http_check import wait_for
from relman.model.errors import CheckFailed, UsageError
from relman.model.playbook import Command, Http
from relman.registry.http.proxies import proxies_of

HTTP_SECONDS = 30.0

Progress = Callable[[str], None]


def check_command(command: Command, env: Mapping[str, str], timeout: float | None, progress: Progress) -> None:
    """Run a program in its own process group, and pass on its output.

    Raises CheckFailed unless it exits with 0 within `timeout` seconds. The group is killed in any case.
    """
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


def check_http(asked: Http, env: Mapping[str, str], timeout: float | None, progress: Progress) -> None:
    """Request the URL until it responds as expected, for `timeout` seconds (None: 30).

    Raises what relman.local.http_check.wait_for raises.
    """
    seconds, proxy_of = timeout or HTTP_SECONDS, proxies_of(env).of
    wait_for(asked.url, seconds, status=asked.status, ca=asked.ca, proxy_of=proxy_of, progress=progress)
