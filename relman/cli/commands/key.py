"""relman key: the keys that sign evidence, and whom trust.yml trusts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from relman.app.signing import KEY_FILE, PASSPHRASE, load_key, passphrase, read
from relman.cli.verb import Context, shared_options, verb
from relman.config.trust import add_key, end_key, load_trust, named, revoke_key
from relman.evidence.keys import ALGORITHMS, PublicKey, SigningKey
from relman.evidence.untrusted import rfc3339
from relman.model.errors import UsageError
from relman.model.image import ManifestDigest
from relman.model.predicates import RELEASE, SHORT, TEST_RESULT, short
from relman.model.trust import Grant, Revocation, Trust, TrustedKey


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
    "--algorithm", type=click.Choice(ALGORITHMS), default=ALGORITHMS[0], show_default=True, help="Its kind."
)


@verb("new")
@click.argument("name")
@_out_option
@_algorithm_option
@_trust_option
@click.option("--repository", "repositories", multiple=True, metavar="PATTERN", help="What it may sign about.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="What it may sign; by default what promote does.")
def new(
    context: Context,
    name: str,
    out: str,
    algorithm: str,
    trust: str,
    repositories: Sequence[str],
    types: Sequence[str],
) -> None:
    """Make a key, and with --repository trust it: add it to trust.yml."""
    if types and not repositories:
        raise UsageError("--type needs --repository: what may it sign about?")
    for given in types:
        if given not in SHORT and ":" not in given:
            raise UsageError(
                f"{given!r} is not a type of statement", hint=f"Known are {', '.join(SHORT)}; or write a URI."
            )
    if repositories and Path(trust).exists():
        _require_new(load_trust(trust), name)
    grants = (Grant(tuple(SHORT.get(t, t) for t in types) or (TEST_RESULT, RELEASE), tuple(repositories)),)
    made = _make(context, Path(out), algorithm)
    if repositories:
        add_key(Path(trust), TrustedKey(name, made.pem, grants, start=_now()))
        context.output.note(f"{trust} trusts {name} with {_granted(grants)}")
    _show_made(context, name, made, out)


@verb("show")
@click.argument("what", metavar="[FILE|NAME]", required=False)
@_trust_option
def show(context: Context, what: str | None, trust: str) -> None:
    """Show the public half of a key FILE, or whom trust.yml trusts with what."""
    if what and Path(what).is_file():
        found = _public_of(context, Path(what))
        context.output.json("key", {"id": found.id, "algorithm": found.algorithm, "public": found.pem.decode()})
        context.output.line(found.pem.decode().rstrip())
        context.output.line(f"{found.algorithm}, id {found.id}")
        return
    known = load_trust(trust)
    keys = [named(known, what)] if what else list(known.keys.values())
    context.output.json("trust", {"file": trust, "keys": [_data(k) for k in keys]})
    rows = [(k.name, _public(k).algorithm, _public(k).id[:12], _window(k), _granted(k.grants)) for k in keys]
    context.output.table(("KEY", "KIND", "ID", "VALID", "MAY SIGN"), rows, ("KIND", "VALID", "MAY SIGN"))


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
    help="OLD stays valid so long.",
)
def rotate(context: Context, old: str, name: str, out: str, algorithm: str, trust: str, overlap: float) -> None:
    """Make a new key that may sign what OLD may, and end OLD; what OLD signed before stays good.

    If OLD may be in wrong hands, revoke it: its holder can still date a statement back.
    """
    file, now = Path(trust), _now()
    known = load_trust(file)
    before = named(known, old)
    if before.revoked:
        raise UsageError(f"{old} is revoked", hint="Make a new key: relman key new.")
    _require_new(known, name)
    made = _make(context, Path(out), algorithm)
    add_key(file, TrustedKey(name, made.pem, before.grants, start=now))
    end = now + timedelta(hours=overlap)
    end_key(file, old, min(end, before.end) if before.end else end)
    context.output.note(f"{trust} trusts {name} from now on, and {old} with what it signed until {rfc3339(end)}")
    _show_made(context, name, made, out)


@verb("revoke")
@click.argument("name")
@_trust_option
@click.option("--reason", required=True, metavar="TEXT", help="Why; stays in trust.yml.")
@click.option("--accept", "accepted", multiple=True, metavar="DIGEST", help="An image for which its word still counts.")
def revoke(context: Context, name: str, trust: str, reason: str, accepted: Sequence[str]) -> None:
    """Trust a key no more, whatever time its statements claim; but for images that are known to be good.

    Name those with --accept: the digests that run now (relman releases -e ENV), or that you may have to go back to.
    """
    digests = frozenset(ManifestDigest(d) for d in accepted)
    revoke_key(Path(trust), name, Revocation(_now(), reason, digests))
    context.output.json("revoked", {"file": trust, "key": name, "accepted": sorted(map(str, digests))})
    context.output.line(f"{trust} no longer trusts {name}" + (f", except for {len(digests)} images" if digests else ""))
    context.output.line("to keep releases deployable, sign them with another key: relman promote")


for _command in (new, show, rotate, revoke):
    key.add_command(_command)


def _require_new(known: Trust, name: str) -> None:
    if name in known.keys:
        raise UsageError(f"{known.origin} already has a key {name!r}", hint="Give the new one another name.")


def _make(context: Context, out: Path, algorithm: str) -> PublicKey:
    """A new key in a file of its own, readable by its owner alone."""
    public = out.with_name(out.name + ".pub")
    for file in (out, public):
        if file.exists():
            raise UsageError(f"{file} already exists", hint="Name another file, or move that one away.")
    made = SigningKey.generate(algorithm)
    secret = passphrase(context, str(out), confirm=True)
    if not secret:
        raise UsageError("a new key needs a passphrase", hint=f"Set {PASSPHRASE}, or run it at a terminal.")
    _write(out, made.encrypted(secret), 0o600)
    _write(public, made.public.pem, 0o644)
    return made.public


def _write(file: Path, content: bytes, mode: int) -> None:
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from error


def _show_made(context: Context, name: str, made: PublicKey, out: str) -> None:
    context.output.json("key", {"name": name, "id": made.id, "algorithm": made.algorithm, "public": made.pem.decode()})
    context.output.line(made.pem.decode().rstrip())
    context.output.line(f"{name}: {made.algorithm}, id {made.id}")
    context.output.line(f"sign with it: {KEY_FILE}={out} (or its text in RELMAN_SIGNING_KEY), and {PASSPHRASE}")


def _public_of(context: Context, file: Path) -> PublicKey:
    content = read(file)
    return load_key(context, file).public if b"PRIVATE KEY" in content else PublicKey.load(content, str(file))


def _public(key: TrustedKey) -> PublicKey:
    return PublicKey.load(key.public, f"the key {key.name}")


def _data(key: TrustedKey) -> dict[str, object]:
    return {
        "name": key.name,
        "id": _public(key).id,
        "algorithm": _public(key).algorithm,
        "valid_from": rfc3339(key.start) if key.start else None,
        "valid_until": rfc3339(key.end) if key.end else None,
        "revoked": key.revoked.reason if key.revoked else None,
        "signs": [{"types": list(g.types), "repositories": list(g.repositories)} for g in key.grants],
    }


def _window(key: TrustedKey) -> str:
    if key.revoked:
        return f"revoked {rfc3339(key.revoked.at)}: {key.revoked.reason}"
    start = f"from {rfc3339(key.start)}" if key.start else ""
    end = f"until {rfc3339(key.end)}" if key.end else ""
    return " ".join(filter(None, (start, end))) or "always"


def _granted(grants: Sequence[Grant]) -> str:
    return "; ".join(f"{', '.join(map(short, g.types))} about {', '.join(g.repositories)}" for g in grants)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
