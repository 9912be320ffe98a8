"""Commands and requests on the deployer's machine: hooks, and the check of a canary."""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Mapping

from relman.local import process_group
from relman.local.http_check import wait_for
from relman.model.errors import CheckFailed, HookFailed
from relman.model.plan import Plan
from relman.model.strategy import Check, Hook, When
from relman.registry.http.proxies import proxies_of
from relman.rollout.fleet import Watcher
from relman.rollout.proxy.user_check import wanted

_LAST_LINES = 10
_OWN = "RELMAN_"


def in_words(check: Check) -> str:
    """The URL or command of a check, and what it wants users to see."""
    asked = check.url or shlex.join(check.command or ())
    return "; ".join(filter(None, (asked, wanted(check.proxy) if check.proxy else "")))


def variables(plan: Plan) -> dict[str, str]:
    """The environment of a command that comes from an image: PATH, HOME and what describes the plan; no agent, token or
    password."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
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
    """Run a check's command once, or ask its URL repeatedly until it passes or its timeout is over; `proxy` is not
    asked here. Raises CheckFailed or Cancelled."""
    if check.command:
        _run(check.command, check.timeout, environ, cancel)
    elif check.url:
        wait_for(check.url, check.timeout, proxy_of=proxies_of(environ).of, cancel=cancel)


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
