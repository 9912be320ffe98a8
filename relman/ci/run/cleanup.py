"""Remove the objects of a run from the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from relman.ci.engine import images
from relman.ci.engine.containers import remove
from relman.ci.engine.owner import TEMPORARY, run_of
from relman.docker import listing
from relman.docker.client import Client
from relman.docker.listing import Labelled
from relman.model.container import RUN
from relman.model.errors import EngineError
from relman.model.reference import tag_of
from relman.model.run import RunName

_GONE = 404
_KINDS = (listing.containers, listing.networks, listing.volumes)
_CONFLICT = 409  # being removed concurrently, or in use by an object of another run


def cleanup(client: Client, run: RunName) -> tuple[str, ...]:
    """Remove the run's containers, networks, volumes and local image tags, for its service and matrix job only.

    Returns what was removed. Images with other tags, the build cache, other volumes and objects without a run are kept.
    Idempotent. Raises EngineError or Unreachable.
    """
    removed = remove_temporary(client, run)
    own = _of(run, listing.images(client, f"{RUN}={run}"))
    for tag in (name for image in own for name in image.names if _is_run_s(name, run)):
        what = f"image {tag}"
        removed += _removed(what, images.untag, client, f"cannot remove {what}", tag)
    return tuple(removed)


def remove_temporary(client: Client, run: RunName) -> list[str]:
    """Remove only the run's containers, networks and volumes; returns what was removed."""
    mine = f"{TEMPORARY}={run}"
    containers, networks, volumes = (_of(run, each(client, mine)) for each in _KINDS)
    removed: list[str] = []
    for container in containers:
        removed += _removed(f"container {container.name}", remove, client, container.id)
    for kind, found in (("network", networks), ("volume", volumes)):
        for each in found:
            what = f"{kind} {each.name}"
            removed += _removed(what, client.ask, f"cannot remove {what}", "DELETE", f"/{kind}s/{{}}", each.id)
    return removed


def temporary_containers(client: Client, run: RunName) -> tuple[str, ...]:
    """The names of the run's containers. Raises EngineError or Unreachable."""
    return tuple(sorted(each.name for each in _of(run, listing.containers(client, f"{TEMPORARY}={run}"))))


def _removed(what: str, action: Callable[..., object], *arguments: Any) -> list[str]:
    """What was removed, if it was still there and nothing else needs it."""
    try:
        action(*arguments)
    except EngineError as error:
        if error.status not in (_GONE, _CONFLICT):
            raise
        return []
    return [what]


def cleanup_older(
    client: Client, seconds: float, now: float, at_work: Callable[[RunName], bool] = lambda _: False
) -> tuple[str, ...]:
    """Clean up every run whose newest object is older than `seconds`, unless it is `at_work`; `now` is in seconds since
    the epoch."""
    left = [each for kind in _KINDS for each in kind(client, TEMPORARY)]
    left += [image for image in listing.images(client, RUN) if _holds_run_tag(image)]
    seen = [(run_of(each.labels), each.created) for each in left]
    stale = [run for run in stale_runs(seen, now - seconds) if not at_work(run)]
    return tuple(what for run in stale for what in cleanup(client, run))


def stale_runs(seen: Iterable[tuple[RunName | None, float]], limit: float) -> list[RunName]:
    """The runs without anything at or after `limit`, from pairs of run and time; objects without a run are ignored."""
    newest: dict[RunName, float] = {}
    for run, time in seen:
        if run is not None:
            newest[run] = max(time, newest.get(run, time))
    return [run for run, time in newest.items() if time < limit]


def _of(run: RunName, found: Iterable[Labelled]) -> list[Labelled]:
    """The objects of exactly this run: other services and matrix jobs of a pipeline share its label."""
    return [each for each in found if run_of(each.labels) == run]


def _holds_run_tag(image: Labelled) -> bool:
    run = run_of(image.labels)
    return run is not None and any(_is_run_s(tag, run) for tag in image.names)


def _is_run_s(reference: str, run: RunName) -> bool:
    """Whether the reference is the tag of the run's image, or of a stage of it."""
    return tag_of(reference) == run.tag or tag_of(reference).startswith(f"{run.tag}.")
