"""relman releases: what can be deployed, newest first, and where it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import click

from relman.app.documents.releases import releases_document
from relman.app.releases.list_releases import FoundReleases, ReleaseQuery, list_releases, release_query
from relman.app.releases.listing import ListedImage
from relman.cli.options import any_environment_option, inventory_option, limit_option, service_option
from relman.cli.output.printer import Output
from relman.cli.output.text import age, without_empty
from relman.cli.verb import CommandContext, verb
from relman.model.formats.text import some

_REFUSALS = 3


@verb("releases")
@any_environment_option
@inventory_option
@service_option
@click.option("-f", "--file", metavar="PATH", help="The service's relman.yml; without -e, ./relman.yml.")
@limit_option
@click.option("--by-date", is_flag=True, help="The image built last comes first; this reads every tag.")
def releases(
    context: CommandContext,
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
    query = release_query(context, environment, inventories, service, file)
    found = list_releases(context, query, limit, by_date=by_date)
    context.output.json("releases", releases_document(found))
    _show(context.output, found)
    found.require_all()


def _show(output: Output, found: FoundReleases) -> None:
    query, shown, total = found.query, found.selection.rows, found.selection.total
    if not shown:
        output.line(f"{query.repository} has no release yet")
        return
    now = datetime.now(UTC)
    columns = ["TAG", "DIGEST", "BUILT", "COMMIT", "EVIDENCE", "ALSO", *(["RUNS ON"] if query.environment else [])]
    cells = [_cells(image, query, now)[: len(columns)] for image in shown]
    output.table(*without_empty(columns, cells, ("COMMIT", "ALSO")), shared=columns[2:])
    if len(shown) < total:
        output.line(f"{total - len(shown)} more are not shown: -n {total} shows all")
    for warning in _warnings(found):
        output.warn(warning)


def _warnings(found: FoundReleases) -> Iterator[str]:
    """What may not be deployed, and what runs beside the list."""
    refused = [image for image in found.selection.rows if image.listed.evidence is None]
    yield from (f"{image.tag} may not be deployed: {image.listed.refusal}" for image in refused[:_REFUSALS])
    if len(refused) > _REFUSALS:
        yield f"{len(refused) - _REFUSALS} more may not be deployed; --json says why of each"
    yield from (f"{tag} may not be deployed: {refusal}" for tag, refusal in found.selection.refused.items())
    yield from (f"{image.tag}: {skip}" for image in found.selection.rows for skip in image.listed.release.skipped)
    for host, release in found.unlisted.items():
        yield f"{host} runs {release}, and that image has no tag {release} in the registry"


def _cells(image: ListedImage, query: ReleaseQuery, now: datetime) -> list[str]:
    release, evidence = image.listed.release, image.listed.evidence
    passed = f"passed in {evidence.run}" if evidence and evidence.run else "passed" if evidence else "none valid"
    passed += f", {evidence.judged_by}" if evidence and evidence.judged_by else ""
    also = [f"{tag} (channel)" if tag in image.channels else tag for tag in image.others]
    tag = f"{image.tag} (channel)" if image.tag in image.channels else image.tag
    when = age(release.created, now) if release.created else "unknown"
    return [tag, release.manifest.short, when, _commit(image), passed, some(also), _where(image, query)]


def _commit(image: ListedImage) -> str:
    evidence = image.listed.evidence
    changed = evidence is not None and evidence.clean is False and image.listed.release.commit
    return image.listed.release.commit[:12] + (" (dirty)" if changed else "")


def _where(image: ListedImage, query: ReleaseQuery) -> str:
    count = len(query.environment.hosts) if query.environment else 0
    if count > 1 and len(image.hosts) == count:
        return f"all {count} hosts"
    return some(image.hosts)
