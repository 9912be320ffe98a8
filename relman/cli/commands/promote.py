"""relman promote: release the image that passed its tests."""

from __future__ import annotations

from collections.abc import Sequence

import click

from relman.app.ci.promotion import Promotion, copy
from relman.app.ci.promotion import promote as release
from relman.cli.options import file_option, gathered, reason_option, results_option, run_option, skip_option
from relman.cli.verb import CommandContext, verb
from relman.model.errors import UsageError


@verb("promote")
@click.argument("tag", required=False)
@click.option("--to", metavar="REGISTRY/NAME", help="Copy the release TAG and its evidence there.")
@click.option("--channel", "channels", multiple=True, metavar="TAG", help="With --to: a channel that follows it there.")
@file_option
@run_option
@click.option("--image", metavar="TAG|DIGEST", help="An image that is in the registry already: no engine is needed.")
@results_option("What `relman test --results` wrote on another machine; by default what is kept on this one.")
@skip_option
@reason_option
@gathered(Promotion, "wanted")
def promote(
    context: CommandContext, tag: str | None, to: str | None, channels: Sequence[str], wanted: Promotion
) -> None:
    """Release the image that passed its tests.

    It is pushed, proven to be the tested one, and tagged.

    With TAG and --to a release is copied to another repository or registry: the same digests, with all statements, and
    with a release statement of its own. Started again after an interruption it copies only what is missing.
    """
    if not (tag or to or channels):
        release(context, wanted)
        return
    if not (tag and to):
        raise UsageError("TAG and --to go together", hint="relman promote 118 --to registry.example.com/shop")
    copy(context, wanted, tag, to, channels)
