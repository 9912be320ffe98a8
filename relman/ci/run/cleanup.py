"""Remove the objects of a run from the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from relman.ci.engine.api import translated
from relman.ci.engine.owner import TEMPORARY, run_of
from relman.docker.answers import clock
from relman.model.container import RUN
from relman.model.errors import EngineError
from relman.model.reference import tag_of
from relman.model.run import RunName

if TYPE_CHECKING:
    import docker

_GONE = 404
_CONFLICT = 409  # being removed concurrently, or in use by an object of another run


def cleanup(client: docker.APIClient, run: RunName) -> tuple[str, ...]:
    """Remove the run's containers, networks, volumes and local image tags, for its service and matrix job only.

    Returns what was removed. Images with other tags, the build cache, other volumes and objects without a run are kept.
    Idempotent. Raises EngineError or Unreachable.
    """
    removed = remove_temporary(client, run)
    with translated("cannot list images"):
        images = _of(run, client.images(filters={"label": f"{RUN}={run}"}))
    for tag in (t for image in images for t in image.get("RepoTags") or () if _is_run_s(t, run)):
        # noprune: keep parent layers, which are the build cache.
        if _remove(f"image {tag}", partial(client.remove_image, tag, noprune=True)):
            removed.append(f"image {tag}")
    return tuple(removed)


def remove_temporary(client: docker.APIClient, run: RunName) -> list[str]:
    """Remove only the run's containers, networks and volumes; returns what was removed."""
    mine = {"label": f"{TEMPORARY}={run}"}
    removed = []
    with translated("cannot list containers, networks and volumes"):
        containers = _of(run, client.containers(all=True, filters=mine))
        networks = _of(run, client.networks(filters=mine))
        volumes = _of(run, client.volumes(filters=mine)["Volumes"] or ())
    for container in containers:
        # v: also remove the container's anonymous volumes; named ones are kept.
        what = f"container {container['Names'][0].lstrip('/')}"
        if _remove(what, partial(client.remove_container, container["Id"], force=True, v=True)):
            removed.append(what)
    for network in networks:
        what = f"network {network['Name']}"
        if _remove(what, partial(client.remove_network, network["Id"])):
            removed.append(what)
    for volume in volumes:
        what = f"volume {volume['Name']}"
        if _remove(what, partial(client.remove_volume, volume["Name"])):
            removed.append(what)
    return removed


def temporary_containers(client: docker.APIClient, run: RunName) -> tuple[str, ...]:
    """The names of the run's containers. Raises EngineError or Unreachable."""
    with translated("cannot list containers"):
        found = _of(run, client.containers(all=True, filters={"label": f"{TEMPORARY}={run}"}))
    return tuple(sorted(str(container["Names"][0]).lstrip("/") for container in found))


def _remove(what: str, action: Callable[[], object]) -> bool:
    try:
        with translated(f"cannot remove {what}"):
            action()
    except EngineError as error:
        if error.status not in (_GONE, _CONFLICT):
            raise
        return False
    return True


def cleanup_older(
    client: docker.APIClient, seconds: float, now: float, at_work: Callable[[RunName], bool] = lambda _: False
) -> tuple[str, ...]:
    """Clean up every run whose newest object is older than `seconds`, unless it is `at_work`; `now` is in seconds since
    the epoch."""
    left = {"label": TEMPORARY}
    with translated("cannot list what runs left"):
        containers = client.containers(all=True, filters=left)
        networks = client.networks(filters=left)
        volumes = client.volumes(filters=left)["Volumes"] or ()
        images = client.images(filters={"label": RUN})
    seen = [(run_of(c["Labels"]), float(c["Created"])) for c in containers]
    seen += [(run_of(n["Labels"]), clock(n["Created"])) for n in networks]
    seen += [(run_of(v["Labels"]), clock(v["CreatedAt"])) for v in volumes]
    seen += [(run_of(i["Labels"]), float(i["Created"])) for i in images if _holds_run_tag(i)]
    stale = [run for run in stale_runs(seen, now - seconds) if not at_work(run)]
    return tuple(what for run in stale for what in cleanup(client, run))


def stale_runs(seen: Iterable[tuple[RunName | None, float]], limit: float) -> list[RunName]:
    """The runs without anything at or after `limit`, from pairs of run and time; objects without a run are ignored."""
    newest: dict[RunName, float] = {}
    for run, time in seen:
        if run is not None:
            newest[run] = max(time, newest.get(run, time))
    return [run for run, time in newest.items() if time < limit]


def _of(run: RunName, found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The objects of exactly this run: other services and matrix jobs of a pipeline share its label."""
    return [each for each in found if run_of(each["Labels"]) == run]


def _holds_run_tag(image: dict[str, Any]) -> bool:
    run = run_of(image["Labels"])
    return run is not None and any(_is_run_s(t, run) for t in image.get("RepoTags") or ())


def _is_run_s(reference: str, run: RunName) -> bool:
    """Whether the reference is the tag of the run's image, or of a stage of it."""
    return tag_of(reference) == run.tag or tag_of(reference).startswith(f"{run.tag}.")
