"""What an image of HAProxy was built with."""

from __future__ import annotations

import contextlib
import time

from relman.model.container import RunSpec
from relman.model.container_settings import ContainerSettings
from relman.model.errors import NotFound, PreflightFailed
from relman.model.settings import RunSettings
from relman.rollout.fleet import Session

_NAME = "relman-proxy-build"
_EXPORTER = "prometheus-exporter"
_WAIT = 15.0
_PAUSE = 0.1
_LINES = 200


def require_metrics(session: Session, image: str) -> None:
    """Raise PreflightFailed unless HAProxy in this image has metrics; and what the engine raises."""
    said = _said(session, image, "-vv")
    if not has_metrics(said):
        raise PreflightFailed(
            f"its image of HAProxy was built without metrics: haproxy -vv names no {_EXPORTER}",
            host=session.host.name,
            hint="leave relman_proxy.metrics out, or name an image that was built with them (USE_PROMEX=1)",
        )


def has_metrics(said: list[str]) -> bool:
    """Whether these lines of haproxy -vv name the service that the metrics are."""
    services = (line.partition(":")[2].split() for line in said if line.startswith("Available services"))
    return any(_EXPORTER in names for names in services)


def _said(session: Session, image: str, option: str) -> list[str]:
    """What HAProxy says in a container of its own, which is removed, as is one that was left."""
    engine = session.engine
    with contextlib.suppress(NotFound):
        engine.remove(_NAME)
    container = ContainerSettings(entrypoint=("haproxy",), cap_drop=("ALL",))
    settings = RunSettings(command=(option,), networks=("none",), restart="no", container=container)
    made = engine.create(RunSpec(_NAME, image, settings, {}))
    try:
        engine.start(made)
        end = time.monotonic() + _WAIT
        while engine.inspect(made).alive and time.monotonic() < end:
            time.sleep(_PAUSE)
        return engine.logs(made, tail=_LINES)
    finally:
        engine.remove(made)
