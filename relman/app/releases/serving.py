"""The release that serves in an environment, by the records of its hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from relman.hosts.state_dir import record
from relman.model.errors import MixedFleet, NotServing, Unknown
from relman.model.host import Environment
from relman.model.image import ManifestDigest
from relman.model.settings import DeploySettings
from relman.model.state_dir.record import Deployed
from relman.rollout.fleet import Fleet


@dataclass(frozen=True)
class Serving:
    """A release as the hosts remember it: its settings on each, and why others could not be asked. `commit` and
    `release` are what they say, `manifest` is the digest on all of them."""

    release: str
    manifest: ManifestDigest
    commit: str
    settings: Mapping[str, DeploySettings]
    unasked: Mapping[str, str] = field(default_factory=dict)

    def require_all(self) -> None:
        """Raise Unknown unless every host was asked."""
        if self.unasked:
            raise _unknown(self.unasked)


def serving_release(chosen: Environment, service: str) -> Serving:
    """What the records of all hosts that answer call the release that serves.

    Raises MixedFleet if they differ, NotServing if none has one, Unknown if no host answers.
    """
    with Fleet(chosen, service) as fleet:
        asked = fleet.ask(lambda session: record.read(session.connection, chosen.name, service).serving)
    entries = {h.name: entry for h in chosen.hosts if (entry := asked.answers.get(h.name))}
    unasked = {h.name: asked.errors[h.name].what for h in chosen.hosts if h.name in asked.errors}
    if not entries and unasked:
        raise _unknown(unasked)
    first = agreed(entries, service, chosen.name)
    settings = {host: entry.settings for host, entry in entries.items()}
    return Serving(first.release, first.manifest, first.commit, settings, unasked)


def agreed(entries: Mapping[str, Deployed], service: str, environment: str) -> Deployed:
    """The entry of the first host, if all of them are of one release. Raises MixedFleet and NotServing. Pure."""
    hint = f"name both releases: relman diff OLD NEW -e {environment}"
    if not entries:
        raise NotServing(f"{service} is not deployed in {environment}, so nothing serves to compare with", hint=hint)
    if len({(entry.release, entry.manifest) for entry in entries.values()}) > 1:
        raise MixedFleet(
            f"the hosts of {environment} serve different releases of {service}",
            details=[f"{host}: {entry.release} ({entry.manifest.short})" for host, entry in entries.items()],
            hint=hint,
        )
    return next(iter(entries.values()))


def _unknown(unasked: Mapping[str, str]) -> Unknown:
    return Unknown(
        f"no answer from {', '.join(unasked)}: what serves there is not known",
        details=[f"{host}: {why}" for host, why in unasked.items()],
    )
