"""Which values of secrets a rollback goes back to, or keeps. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from relman.model.errors import PreflightFailed
from relman.model.formats.text import hosts_by, some
from relman.model.plan import Observed, Step
from relman.model.state_dir.record import Deployed


def kept_secrets(entries: Mapping[str, Deployed], fleet: Sequence[Observed]) -> dict[str, Deployed]:
    """Each host's entry with the values that serve there now. Raises PreflightFailed, by host, where one is missing."""
    serving = {seen.host: seen.record.serving for seen in fleet}
    faults = []
    for host, entry in entries.items():
        now = serving[host]
        known = now.secrets.hashes if now and now.secrets else {}
        lacking = [each.name for each in entry.settings.every_secret if each.name not in known]
        if lacking:
            faults.append(f"{host}: {now.release if now else 'what serves'} has no {', '.join(lacking)}")
    if faults:
        raise PreflightFailed(
            "the secrets that serve now are not all that the release needs",
            details=faults,
            hint="nothing was changed; without --keep-secrets it gets its own",
        )
    wanted = {host: entry for host, entry in entries.items() if entry.settings.every_secret}
    return {**entries, **{h: replace(e, secrets=now.secrets) for h, e in wanted.items() if (now := serving[h])}}


def older_secrets(release: str, steps: Sequence[Step]) -> Iterator[str]:
    """A warning of each secret that goes back to another value."""
    changed = hosts_by((step.host, step.changed_secrets) for step in steps if step.changed_secrets)
    for names, where in changed.items():
        yield (
            f"{some(where)}: {release} gets its old {', '.join(names)} back, not the current value; "
            "--keep-secrets keeps the current one"
        )
