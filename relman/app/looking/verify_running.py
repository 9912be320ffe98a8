"""Compare what runs on every host of an environment with what was tested and released."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relman.app.context import Context
from relman.app.environments import service_of
from relman.app.factories import registry_of
from relman.app.image_target import Target
from relman.app.policy import check_of, say_trust
from relman.evidence.release import Examined, examine
from relman.model.errors import Drift, PolicyRefused, RelmanError, Unknown, UsageError
from relman.model.host import Environment
from relman.model.image import ImageId
from relman.model.plan import Observed
from relman.model.policy import Demands
from relman.model.state_dir.record import Deployed
from relman.registry.client import Registry
from relman.rollout.fleet import Fleet
from relman.rollout.looking.observe import observe


@dataclass(frozen=True)
class Checked:
    """One host: the release in its record, and whether it runs exactly the tested image.

    `kind` is good, drift (another image runs), refused (the evidence does not count), nothing (the service is not
    there) or unknown.
    """

    host: str
    release: str
    manifest: str
    kind: str
    why: str


@dataclass(frozen=True)
class Verification:
    """What every host of an environment runs of a service, against the evidence."""

    environment: str
    service: str
    rows: Sequence[Checked]

    def verdict(self) -> RelmanError | None:
        """The error for the gravest result; None if every host runs what was tested. Pure."""
        service = self.service
        hosts = {kind: [r.host for r in self.rows if r.kind == kind] for kind in _GRAVEST_FIRST}
        if hosts["refused"]:
            return PolicyRefused(f"what {service} runs on {', '.join(hosts['refused'])} has no valid evidence")
        if hosts["drift"]:
            return Drift(f"what {service} runs on {', '.join(hosts['drift'])} is not what was tested")
        if hosts["nothing"]:
            return Drift(f"{service} runs nothing on {', '.join(hosts['nothing'])}")
        if hosts["unknown"]:
            return Unknown(f"what {service} runs on {', '.join(hosts['unknown'])} is not known")
        return None


_GRAVEST_FIRST = ("refused", "drift", "nothing", "unknown")


def verify_running(context: Context, target: Target, service: str | None) -> Verification:
    """Check every host; pass the result to `verdict`."""
    chosen = target.environment
    if chosen is None:
        raise UsageError("nothing to verify: say TAG or DIGEST, or -e ENV for what runs there")
    say_trust(context.events, target.demands, target.of)
    name = service_of(chosen, service)
    return Verification(chosen.name, name, _check(context, target, chosen, name))


def _check(context: Context, target: Target, chosen: Environment, service: str) -> list[Checked]:
    with Fleet(chosen, service) as fleet:
        found = fleet.ask(lambda session: observe(session, chosen.name, service))
    with registry_of(context, target.repository, target.environment) as registry:
        records = [e for seen in found.answers.values() if (e := seen.record.serving)]
        entries = {(e.manifest, e.release): e for e in records}
        evidence = {key: _evidence(registry, target, entry) for key, entry in entries.items()}
    rows = []
    for host in chosen.hosts:
        seen = found.answers.get(host.name)
        if seen is None:
            rows.append(Checked(host.name, "", "", "unknown", found.errors[host.name].what))
        else:
            entry = seen.record.serving
            rows.append(compare(seen, evidence[entry.manifest, entry.release] if entry else None))
    return rows


def _evidence(registry: Registry, target: Target, entry: Deployed) -> Examined | RelmanError:
    # Only relman's own rules and signatures: policy rules, such as the age of tests, applied when it was deployed.
    check = check_of(Demands(target.demands.trust), target.seal)
    try:
        return examine(registry, target.repository, entry.manifest, called=entry.release, check=check)
    except (PolicyRefused, UsageError) as error:
        return error


def compare(seen: Observed, evidence: Examined | RelmanError | None) -> Checked:
    """Compare what a host runs with its record and the evidence. Pure."""
    entry, running = seen.record.serving, seen.serving
    if entry is None or evidence is None:
        if not running:
            return Checked(seen.host, "", "", "nothing", "the service is not there")
        return Checked(seen.host, "", "", "drift", f"{running[0].name} runs, and is in no record")

    def checked(kind: str, why: str) -> Checked:
        return Checked(seen.host, entry.release, str(entry.manifest), kind, why)

    if isinstance(evidence, RelmanError):
        return checked("refused", evidence.what)
    if not evidence.decision.passed:
        return checked("refused", "; ".join(f"{v.gate}: {v.why}" for v in evidence.decision.verdicts if not v.open))
    if not running:
        return checked("nothing", "nothing runs")
    right = _right(seen, evidence)
    for container in running:
        if container.image_id not in right:
            which = f"{container.process}: " if container.process else ""
            return checked("drift", f"{which}the image {container.image_id.short} runs, not the one that was tested")
    skipped = dict.fromkeys((*entry.skipped, *evidence.release.skipped))
    return checked("good", "; ".join((evidence.decision.verdicts[0].why, *skipped)))


def _right(seen: Observed, evidence: Examined) -> Sequence[ImageId]:
    """The ids by which this engine knows the tested image."""
    subject = evidence.facts.subject
    if seen.facts.containerd_store:
        return [ImageId(digest.value) for digest in subject.images]
    return [ImageId(subject.config.value)]
