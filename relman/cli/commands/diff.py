"""relman diff [OLD] NEW -e ENV: what differs between two releases."""

from __future__ import annotations

from collections.abc import Sequence

import click

from relman.app.documents.diff import diff_document
from relman.app.environments import Request
from relman.app.image_target import platform_of
from relman.app.releases.compare import compare
from relman.cli.options import environment_options, gathered, platform_option
from relman.cli.output.diff_view import show_diff
from relman.cli.verb import CommandContext, verb
from relman.model.errors import UsageError

_OLD_AND_NEW = 2


@verb("diff")
@click.argument("tags", metavar="[OLD] NEW", nargs=-1, required=True)
@environment_options
@platform_option
@gathered(Request, "request")
def diff(context: CommandContext, tags: Sequence[str], request: Request, platform: str | None) -> None:
    """Show what differs between two releases.

    That is the commits between them, their base images, sizes and tests, and the settings of deploy that change on each
    host, as the plan of a deployment shows them: no value of an environment variable or a secret.

    OLD and NEW are tags or digests. Without OLD it is what serves now, by the records of the hosts; else no host is
    asked. The commits are listed if a checkout with both of them is the current directory.
    """
    if len(tags) > _OLD_AND_NEW:
        raise UsageError(f"{len(tags)} releases were given, and two are compared", hint="relman diff OLD NEW -e ENV")
    old = tags[0] if len(tags) == _OLD_AND_NEW else None
    found = compare(context, request, tags[-1], old, platform_of(platform))
    context.output.json("diff", diff_document(found))
    show_diff(context.output, found)
    if found.serving:
        found.serving.require_all()
