"""relman releases: what can be deployed, newest first, and where it runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from relman.app.releases.list_releases import Running, Wanted, list_releases, wanted_releases
from relman.app.releases.listing import Row
from relman.app.releases.selection import Selection
from relman.cli.options import any_environment_option, inventory_option, limit_option, service_option
from relman.cli.output.printer import Output
from relman.cli.output.text import age, without_empty
from relman.cli.verb import Context, verb
from relman.evidence.test_result import SMOKE_ONLY
from relman.model.errors import Unknown
from relman.model.text import some

_REFUSALS = 3


@verb("releases")
@any_environment_option
@inventory_option
@service_option
@click.option("-f", "--file", metavar="PATH", help="The service's relman.yml; without -e, ./relman.yml.")
@limit_option
@click.option("--by-date", is_flag=True, help="The image built last comes first; this reads every tag.")
def releases(
    context: Context,
    environment: str | None,
    inventories: Sequence[str],
    service: str | None,
    file: str | None,
    limit: int,
    by_date: bool,
) -> None:
    """List what can be deployed, with its evidence.

    That is tag, digest, age, commit and evidence, and with -e where it runs. The highest tag comes first: 1.10 is above
    1.9.

    A line is one image. ALSO names its other tags, as far as its evidence or relman.yml knows them, with --by-date all:
    channels, such as stable, move on to later releases, so deploy TAG. Which tags are channels is read from relman.yml;
    without one, stable is.
    """
    wanted = wanted_releases(context, environment, inventories, service, file)
    found, running = list_releases(context, wanted, limit, by_date=by_date)
    context.output.json("releases", _data(wanted, found, running))
    _show(context.output, wanted, found, running)
    if running.unasked:
        raise Unknown(
            f"no answer from {', '.join(running.unasked)}: what runs there is not known",
            details=[f"{host}: {why}" for host, why in running.unasked.items()],
        )


def _show(output: Output, wanted: Wanted, found: Selection, running: Running) -> None:
    shown, total = found.rows, found.total
    if not shown:
        output.line(f"{wanted.repository} has no release yet")
        return
    now = datetime.now(UTC)
    columns = ["TAG", "DIGEST", "BUILT", "COMMIT", "EVIDENCE", "ALSO", *(["RUNS ON"] if wanted.environment else [])]
    cells = [_cells(row, wanted, now)[: len(columns)] for row in shown]
    output.table(*without_empty(columns, cells, ("COMMIT", "ALSO")), shared=columns[2:])
    if len(shown) < total:
        output.line(f"{total - len(shown)} more are not shown: -n {total} shows all")
    refused = [row for row in shown if row.listed.evidence is None]
    for row in refused[:_REFUSALS]:
        output.warn(f"{row.tag} may not be deployed: {row.listed.refusal}")
    if len(refused) > _REFUSALS:
        output.warn(f"{len(refused) - _REFUSALS} more may not be deployed; --json says why of each")
    for tag, refusal in found.refused.items():
        output.warn(f"{tag} may not be deployed: {refusal}")
    for row in shown:
        for skip in row.listed.release.skipped:
            output.warn(f"{row.tag}: {skip}")
    for host, release in _strangers(shown, running).items():
        output.warn(f"{host} runs {release}, and no tag {release} in the registry is that image")


def _cells(row: Row, wanted: Wanted, now: datetime) -> list[str]:
    release, evidence = row.listed.release, row.listed.evidence
    passed = f"passed in {evidence.run}" if evidence and evidence.run else "passed" if evidence else "none valid"
    passed += f", {evidence.judged_by}" if evidence and evidence.judged_by else ""
    also = [f"{tag} (channel)" if tag in row.channels else tag for tag in row.others]
    tag = f"{row.tag} (channel)" if row.tag in row.channels else row.tag
    when = age(release.created, now) if release.created else "unknown"
    return [tag, release.manifest.short, when, _commit(row), passed, some(also), _where(row, wanted)]


def _commit(row: Row) -> str:
    evidence = row.listed.evidence
    changed = evidence is not None and evidence.clean is False and row.listed.release.commit
    return row.listed.release.commit[:12] + (" (dirty)" if changed else "")


def _where(row: Row, wanted: Wanted) -> str:
    count = len(wanted.environment.hosts) if wanted.environment else 0
    if count > 1 and len(row.hosts) == count:
        return f"all {count} hosts"
    return some(row.hosts)


def _strangers(shown: Sequence[Row], running: Running) -> dict[str, str]:
    """Hosts whose image no line shows."""
    known = {host for row in shown for host in row.hosts}
    return {host: release for host, release in running.releases.items() if host not in known}


def _data(wanted: Wanted, found: Selection, running: Running) -> dict[str, Any]:
    return {
        "service": wanted.service,
        "repository": str(wanted.repository),
        "environment": wanted.environment.name if wanted.environment else None,
        "total": found.total,
        "releases": [_row_data(row) for row in found.rows],
        "unlisted": _strangers(found.rows, running),
        "unasked": dict(running.unasked),
    }


def _row_data(row: Row) -> dict[str, Any]:
    release, evidence = row.listed.release, row.listed.evidence
    return {
        "tag": row.tag,
        "also": list(row.others),
        "channels": list(row.channels),
        "digest": str(release.manifest),
        "config": str(release.config),
        "platform": str(release.platform),
        "created": release.created,
        "commit": release.commit,
        "dirty": evidence is not None and evidence.clean is False,
        "skipped": list(release.skipped),
        "evidence": {
            "run": evidence.run,
            "finished": evidence.finished,
            "passed": list(evidence.passed),
            "exit_code_only": bool(evidence.judged_by),
            "smoke_only": evidence.judged_by == SMOKE_ONLY,
        }
        if evidence
        else None,
        "refusal": row.listed.refusal,
        "hosts": list(row.hosts),
    }
