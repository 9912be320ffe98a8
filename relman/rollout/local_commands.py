"""Commands and requests on the deployer's machine: hooks, and the check of a canary."""

from __future__ import annotations

import os
import shlex
import threading
import time
from collections.abc import Mapping
from typing import Any

from relman.local import process_group
from relman.model.errors import Cancelled, CheckFailed, HookFailed
from relman.model.http import GOOD, headers_of
from relman.model.plan import Plan
from relman.model.strategy import Check, Hook, When
from relman.rollout.fleet import Watcher

_LAST_LINES = 10
_PAUSE = 0.5
_OWN = "RELMAN_"


def in_words(check: Check) -> str:
    """The URL or command of a check."""
    return check.url or shlex.join(check.command or ())


def variables(plan: Plan) -> dict[str, str]:
    """The environment of a command: this process's without relman's variables, which may contain secrets, plus those
    that describe the plan."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
    about = {
        "SERVICE": plan.service,
        "ENVIRONMENT": plan.environment,
        "RELEASE": plan.release,
        "DEPLOYMENT": plan.id,
        "HOSTS": " ".join(s.host for s in plan.steps),
    }
    return inherited | {_OWN + name: value for name, value in about.items()}


def run_hooks(plan: Plan, when: When, watcher: Watcher, cancel: threading.Event | None) -> None:
    """Run the hooks for `when`, in order. Raises HookFailed at the first that fails, or Cancelled."""
    for hook in plan.hooks:
        if hook.when is when:
            watcher.say(f"hook {when}: {shlex.join(hook.command)}")
            _hook(hook, variables(plan), watcher, cancel or threading.Event())


def _hook(hook: Hook, environ: Mapping[str, str], watcher: Watcher, cancel: threading.Event) -> None:
    try:
        for line in _run(hook.command, hook.timeout, environ, cancel):
            watcher.say(f"  {line}")
    except CheckFailed as error:
        raise HookFailed(f"the hook {error.what}", details=error.details) from None


def ask(check: Check, environ: Mapping[str, str], cancel: threading.Event) -> None:
    """Run a check: a command once, a URL repeatedly until it passes or its timeout is over. Raises CheckFailed or
    Cancelled."""
    if check.command:
        _run(check.command, check.timeout, environ, cancel)
        return
    deadline = time.monotonic() + check.timeout
    while answer := _get(check.url, max(0.1, deadline - time.monotonic())):
        if time.monotonic() + _PAUSE > deadline:
            raise CheckFailed(f"the check failed: GET {check.url}: {answer}")
        if cancel.wait(_PAUSE):
            raise Cancelled("cancelled while the canary was checked")


def _get(url: str, timeout: float) -> str:
    """Why the response does not pass; "" if it does."""
    import http.client
    import urllib.request

    class Unfollowed(urllib.request.HTTPErrorProcessor):
        """Returns every response as it is, also a redirect."""

        def http_response(self, request: Any, response: Any) -> Any:  # noqa: ARG002
            return response

        https_response = http_response

    request = urllib.request.Request(url, headers=headers_of())  # noqa: S310  # the schema allows http(s)
    try:
        with urllib.request.build_opener(Unfollowed).open(request, timeout=timeout) as answer:
            return "" if answer.status in GOOD else str(answer.status)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return str(getattr(error, "reason", "") or error or type(error).__name__)


def _run(argv: tuple[str, ...], timeout: float, environ: Mapping[str, str], cancel: threading.Event) -> list[str]:
    """Run a command, which the inventory allows and the plan shows, and return its lines. Raises CheckFailed with the
    last of them, or Cancelled."""
    output = process_group.Tail()
    try:
        code = process_group.run(argv, output, env=environ, timeout=timeout, cancel=cancel)
    except OSError as error:
        raise CheckFailed(f"{shlex.join(argv)} could not be run: {error.strerror}") from error
    if code == 0:
        return output.lines
    end = f"did not end within {timeout:g} s" if code is None else f"ended with {code}"
    raise CheckFailed(f"{shlex.join(argv)} {end}", details=output.lines[-_LAST_LINES:])
