"""The limit of a container's log if nobody set one: json-file, Docker's default driver, lets it fill the disk
(https://github.com/moby/moby/issues/40207). Pure.

Only a container shows what the daemon sets by default: one that is created without a limit, and then again with one, or
one that got its limit so and never ended since. A daemon reads its defaults when it starts, and its containers end
then, unless it is to restore them as they are (live-restore).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relman.docker.fields import Fields

LIMITED: Mapping[str, Any] = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
LABEL = "relman.log"
"""Of a container whose log is limited because the daemon set no limit."""
_NEVER = "0001-"  # the year of times that have not come


def is_unlimited(inspected: Any) -> bool:
    """From GET /containers/ID/json: whether the daemon set no limit for its log."""
    log = Fields.of(inspected).fields("HostConfig").fields("LogConfig")
    return log.text("Type") == LIMITED["Type"] and "max-size" not in log.fields("Config")


def was_limited(inspected: Any) -> bool:
    """From GET /containers/ID/json: whether it shows that the daemon, as it is configured now, sets no limit."""
    found = Fields.of(inspected)
    state = found.fields("State")
    labels = found.fields("Config").pairs("Labels")
    return LABEL in labels and state.flag("Running") and state.text("FinishedAt").startswith(_NEVER)
