"""What HAProxy in an image is: its version, and what it was built with."""

from __future__ import annotations

import contextlib
import re
import time

from relman.hosts.state_dir import proxy as kept
from relman.model.container import RunSpec
from relman.model.container_settings import ContainerSettings
from relman.model.errors import EngineError, NotFound, PreflightFailed
from relman.model.proxy import HostProxy
from relman.model.settings import RunSettings
from relman.model.state_dir.proxy import ProxyState
from relman.rollout.fleet import Session

NAME = "relman-proxy-build"
"""The container that is asked."""
LEAST = (2, 6)
TESTED = (LEAST, (3, 0), (3, 2))
_VERSION = re.compile(r"HA-?Proxy version ((\d+)\.(\d+)\S*)")
_EXPORTER = "prometheus-exporter"
_WAIT = 15.0
_PAUSE = 0.1
_LINES = 200
_HINT = "relman_proxy.image names another one, and without it the official one is taken; nothing was changed"


def require_build(session: Session, before: ProxyState | None, proxy: HostProxy, image: str) -> str:
    """Ask HAProxy in this image what it is, unless that was done `before`. Returns a warning, "" if there is none.

    Raises PreflightFailed unless it is HAProxy 2.6 or later, and has metrics where they are wanted; and what the engine
    raises.
    """
    if before and before.image == image and (before.proxy.metrics or not proxy.metrics):
        return ""
    said, host = _said(session, image), session.host.name
    found = next(filter(None, map(_VERSION.match, said)), None)
    if found is None:
        raise PreflightFailed(
            f"{image} is no image of HAProxy: haproxy -vv says {said[0] if said else 'nothing'}", host=host, hint=_HINT
        )
    name, version = found[1], (int(found[2]), int(found[3]))
    if version < LEAST:
        text = f"HAProxy {name} is too old: relman needs {_dotted(LEAST)} or later"
        raise PreflightFailed(text, host=host, hint=_HINT)
    if proxy.metrics and not has_metrics(said):
        raise PreflightFailed(
            f"its image of HAProxy was built without metrics: haproxy -vv names no {_EXPORTER}",
            host=host,
            hint="leave relman_proxy.metrics out, or name an image that was built with them (USE_PROMEX=1)",
        )
    return _untested(name)


def doubt(session: Session) -> str:
    """A warning about the HAProxy that runs on a host; "" if there is none. Raises what the connection raises."""
    connection = session.connection
    state = kept.read(connection)
    return _untested(kept.master(connection, state.number).version()) if state else ""


def _untested(name: str) -> str:
    found = re.match(r"(\d+)\.(\d+)", name)
    if found is None or (int(found[1]), int(found[2])) in TESTED:
        return ""
    return f"relman is tested with HAProxy {', '.join(map(_dotted, TESTED))}, and this is {name}"


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def has_metrics(said: list[str]) -> bool:
    """Whether these lines of haproxy -vv name the service that the metrics are."""
    services = (line.partition(":")[2].split() for line in said if line.startswith("Available services"))
    return any(_EXPORTER in names for names in services)


def _said(session: Session, image: str) -> list[str]:
    """What haproxy -vv says in a container of its own, which is removed, as is one that was left."""
    engine = session.engine
    with contextlib.suppress(NotFound):
        engine.remove(NAME)
    container = ContainerSettings(entrypoint=("haproxy",), cap_drop=("ALL",))
    settings = RunSettings(command=("-vv",), networks=("none",), restart="no", container=container)
    made = engine.create(RunSpec(NAME, image, settings, {}))
    try:
        _start(session, image, made)
        end = time.monotonic() + _WAIT
        while engine.inspect(made).alive and time.monotonic() < end:
            time.sleep(_PAUSE)
        return engine.logs(made, tail=_LINES)
    finally:
        engine.remove(made)


def _start(session: Session, image: str, container: str) -> None:
    try:
        session.engine.start(container)
    except EngineError as error:
        text = f"{image} is no image of HAProxy: {error.what}"
        raise PreflightFailed(text, host=session.host.name, hint=_HINT) from error
