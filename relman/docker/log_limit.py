"""The limit of a container's log if nobody set one: json-file, Docker's default driver, lets it fill the disk
(https://github.com/moby/moby/issues/40207). Pure.

Only a container shows what the daemon sets by default: one that is created without a limit, and then again with one, or
one that runs since, and got its limit so. A daemon reads its defaults when it starts, and starts its containers then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relman.docker.answers import clock
from relman.docker.fields import Fields

LIMITED: Mapping[str, Any] = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
LABEL = "relman.log"
"""Of a container whose log is limited because the daemon set no limit."""
_AT_ONCE = 60.0  # seconds from being created to being started, after a slow stop too, if no daemon started meanwhile


def is_unlimited(inspected: Any) -> bool:
    """From GET /containers/ID/json: whether the daemon set no limit for its log."""
    log = Fields.of(inspected).fields("HostConfig").fields("LogConfig")
    return log.text("Type") == LIMITED["Type"] and "max-size" not in log.fields("Config")


def was_limited(inspected: Any) -> bool:
    """From GET /containers/ID/json: whether it shows that the daemon, as it is configured now, sets no limit."""
    found = Fields.of(inspected)
    state = found.fields("State")
    if LABEL not in found.fields("Config").pairs("Labels") or not state.flag("Running"):
        return False
    return clock(state.text("StartedAt")) - clock(found.text("Created")) < _AT_ONCE
