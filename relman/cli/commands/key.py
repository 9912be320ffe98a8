"""relman key: manage the keys that sign evidence, and trust.yml."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from relman.app.documents.keys import key_document, revoked_document, trust_document
from relman.app.keys import (
    NewKey,
    in_words,
    make_key,
    public_half,
    public_key,
    revoke_key,
    rotate_key,
    trusted_keys,
)
from relman.app.signing import KEY, KEY_FILE, PASSPHRASE
from relman.cli.verb import CommandContext, shared_options, verb
from relman.evidence.keys import ALGORITHMS, PublicKey
from relman.model.formats.clock import rfc3339
from relman.model.trust import TrustedKey


@click.group("key", params=list(shared_options()))
def key() -> None:
    """Make, show, rotate and revoke the keys that sign evidence.

    A private key is in a file, encrypted; its public half goes into trust.yml, which says what it may sign.
    """


_trust_option = click.option(
    "--trust", default="trust.yml", show_default=True, metavar="FILE", help="The trust.yml to read and change."
)
_out_option = click.option("--out", required=True, metavar="FILE", help="For the private key; FILE.pub is beside it.")
_algorithm_option = click.option(
    "--algorithm", type=click.Choice(ALGORITHMS), default=ALGORITHMS[0], show_default=True, help="Its algorithm."
)


@verb("new")
@click.argument("name")
@_out_option
@_algorithm_option
@_trust_option
@click.option(
    "--repository", "repositories", multiple=True, metavar="PATTERN", help="Images that it may sign statements about."
)
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="TYPE",
    help="Statements that it may sign; by default those that promote makes.",
)
def new(
    context: CommandContext,
    name: str,
    out: str,
    algorithm: str,
    trust: str,
    repositories: Sequence[str],
    types: Sequence[str],
) -> None:
    """Make a key; with --repository, also add it to trust.yml."""
    key = NewKey(name, out, algorithm, trust)
    _show_made(context, key, make_key(context, key, repositories, types))


@verb("show")
@click.argument("what", metavar="[FILE|NAME]", required=False)
@_trust_option
def show(context: CommandContext, what: str | None, trust: str) -> None:
    """Show the public half of a key FILE, or the keys in trust.yml and what each may sign."""
    output = context.output
    if what and Path(what).is_file():
        found = public_key(context, Path(what))
        output.json("key", key_document(found))
        output.line(found.pem.decode().rstrip())
        output.line(f"{found.algorithm}, id {found.id}")
        return
    keys = trusted_keys(trust, what)
    output.json("trust", trust_document(trust, keys))
    output.table(("KEY", "KIND", "ID", "VALID", "MAY SIGN"), [_cells(k) for k in keys], ("KIND", "VALID", "MAY SIGN"))


@verb("rotate")
@click.argument("old")
@click.argument("name", metavar="NEW")
@_out_option
@_algorithm_option
@_trust_option
@click.option(
    "--overlap",
    type=click.FloatRange(min=0),
    default=0,
    show_default=True,
    metavar="HOURS",
    help="How long OLD stays valid.",
)
def rotate(context: CommandContext, old: str, name: str, out: str, algorithm: str, trust: str, overlap: float) -> None:
    """Make a new key that may sign what OLD may, and let OLD expire; statements that OLD signed before stay valid.

    If OLD may be in the wrong hands, revoke it instead: its holder can still backdate a statement.
    """
    key = NewKey(name, out, algorithm, trust)
    _show_made(context, key, rotate_key(context, old, key, timedelta(hours=overlap)))


@verb("revoke")
@click.argument("name")
@_trust_option
@click.option("--reason", required=True, metavar="TEXT", help="Why; stays in trust.yml.")
@click.option(
    "--accept", "accepted", multiple=True, metavar="DIGEST", help="An image about which its statements still count."
)
def revoke(context: CommandContext, name: str, trust: str, reason: str, accepted: Sequence[str]) -> None:
    """Revoke a key: none of its statements count, whatever time they claim, except about images that are known to be
    good.

    Name these with --accept: the digests that run now (relman releases -e ENV), and those that you may have to roll
    back to.
    """
    digests = revoke_key(trust, name, reason, accepted)
    context.output.json("revoked", revoked_document(trust, name, digests))
    context.output.line(f"{trust} no longer trusts {name}" + (f", except for {len(digests)} images" if digests else ""))
    context.output.line("to keep releases deployable, sign them with another key: relman promote")


for _command in (new, show, rotate, revoke):
    key.add_command(_command)


def _show_made(context: CommandContext, key: NewKey, made: PublicKey) -> None:
    output = context.output
    output.json("key", {"name": key.name, **key_document(made)})
    output.line(made.pem.decode().rstrip())
    output.line(f"{key.name}: {made.algorithm}, id {made.id}")
    output.line(f"sign with it: {KEY_FILE}={key.out} (or its text in {KEY}), and {PASSPHRASE}")


def _cells(key: TrustedKey) -> tuple[str, ...]:
    public = public_half(key)
    return (key.name, public.algorithm, public.id[:12], _window(key), in_words(key.grants))


def _window(key: TrustedKey) -> str:
    if key.revoked:
        return f"revoked {rfc3339(key.revoked.at)}: {key.revoked.reason}"
    start = f"from {rfc3339(key.start)}" if key.start else ""
    end = f"until {rfc3339(key.end)}" if key.end else ""
    return " ".join(filter(None, (start, end))) or "always"
