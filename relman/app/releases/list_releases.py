"""List what can be deployed, with its evidence, and where it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from relman.app.context import Context
from relman.app.environments import repository_of, service_of
from relman.app.factories import environment as load_environment
from relman.app.factories import registry_of, written_service
from relman.app.policy import check_of
from relman.app.releases.selection import Selection, Wish, select
from relman.app.signing import reading_seal
from relman.evidence.listing import Listing
from relman.model.container import MANIFEST, RELEASE
from relman.model.errors import Unknown, UsageError
from relman.model.host import Environment
from relman.model.image import Repository
from relman.model.policy import Demands
from relman.model.service import ReleaseRules


@dataclass(frozen=True)
class ReleaseQuery:
    """The service whose releases are listed, the rules for its tags, and the environment in which to look for them."""

    service: str
    repository: Repository
    rules: ReleaseRules
    environment: Environment | None = None


@dataclass(frozen=True)
class Running:
    """What the hosts run: manifest digest and release by host; and the hosts that could not be asked, with the
    reason."""

    manifests: Mapping[str, str] = field(default_factory=dict)
    releases: Mapping[str, str] = field(default_factory=dict)
    unasked: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundReleases:
    """What a query found: the images that are shown, and what the hosts run."""

    query: ReleaseQuery
    selection: Selection
    running: Running

    @property
    def unlisted(self) -> dict[str, str]:
        """Hosts whose image is not among those shown, with the release that each runs."""
        listed = {host for image in self.selection.rows for host in image.hosts}
        return {host: release for host, release in self.running.releases.items() if host not in listed}

    def require_all(self) -> None:
        """Raise Unknown unless every host was asked."""
        if unasked := self.running.unasked:
            raise Unknown(
                f"no answer from {', '.join(unasked)}: what runs there is not known",
                details=[f"{host}: {why}" for host, why in unasked.items()],
            )


def release_query(
    context: Context, environment: str | None, inventories: Sequence[str], service: str | None, file: str | None
) -> ReleaseQuery:
    """The releases of an environment's service, or of the service in `file` (None: ./relman.yml). Raises UsageError and
    ConfigError."""
    from relman.config.service import FILE_NAME

    here = file or (not environment and Path(FILE_NAME).is_file())
    written = written_service(context, file or FILE_NAME) if here else None
    rules = written.release if written else ReleaseRules()
    if environment:
        chosen = load_environment(context, environment, inventories)
        name = service or (written.name if written else service_of(chosen, None))
        return ReleaseQuery(name, repository_of(chosen, name), rules, chosen)
    if written is None:
        hint = "Give -e ENV for a service of an environment, or -f for another file."
        raise UsageError(f"there is no {FILE_NAME} here, and no environment was given", hint=hint)
    if service not in (None, written.name):
        raise UsageError(f"{file or FILE_NAME} describes {written.name}, not {service}")
    return ReleaseQuery(written.name, written.repository, rules)


def list_releases(context: Context, query: ReleaseQuery, limit: int, *, by_date: bool = False) -> FoundReleases:
    """The first `limit` images by tag or by date, those that run, and where they run."""
    running = _running(query)
    registry = registry_of(context, query.repository, query.environment)
    demands = query.environment.demands if query.environment else query.rules.demands
    # The policy is not evaluated, because it may depend on hosts and time; `relman gate` does that for one release.
    check = check_of(Demands(demands.trust), reading_seal(demands))
    listing = Listing(registry, query.repository, check=check)
    wish = Wish(limit, by_date, running.manifests, running.releases)
    return FoundReleases(query, select(listing, query.rules, wish), running)


def _running(query: ReleaseQuery) -> Running:
    """Ask every host of the environment, if one was given."""
    if query.environment is None:
        return Running()
    from relman.rollout.fleet import Fleet, Session
    from relman.rollout.looking.observe import observe

    chosen = query.environment

    def one(session: Session) -> Mapping[str, str]:
        serving = observe(session, chosen.name, query.service).serving
        return serving[0].labels if serving else {}

    with Fleet(chosen, query.service) as fleet:
        asked = fleet.ask(one)
    labels = {h.name: asked.answers[h.name] for h in chosen.hosts if asked.answers.get(h.name)}
    return Running(
        manifests={host: said[MANIFEST] for host, said in labels.items() if MANIFEST in said},
        releases={host: said.get(RELEASE, "") for host, said in labels.items()},
        unasked={h.name: asked.errors[h.name].what for h in chosen.hosts if h.name in asked.errors},
    )
