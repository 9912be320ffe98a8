"""Make, rotate and revoke the keys that sign evidence, in key files and in trust.yml."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from relman.app.context import Context
from relman.app.signing import PASSPHRASE, load_key, passphrase, read
from relman.config import trust as trust_file
from relman.config.trust import load_trust, named
from relman.evidence.keys import PublicKey, SigningKey
from relman.model.errors import UsageError
from relman.model.formats.clock import rfc3339
from relman.model.image import ManifestDigest
from relman.model.predicates import RELEASE, SHORT, TEST_RESULT, short
from relman.model.trust import Grant, Revocation, Trust, TrustedKey


@dataclass(frozen=True)
class NewKey:
    """A key to make: its `name` in the file `trust` (a trust.yml), its algorithm, and `out`, the file for the private
    half. The public half is written to FILE.pub beside it."""

    name: str
    out: str
    algorithm: str
    trust: str


def make_key(context: Context, key: NewKey, repositories: Sequence[str], types: Sequence[str]) -> PublicKey:
    """Make a key. With `repositories`, add it to trust.yml for statements about them of these types (none: those that
    promote makes).

    Raises UsageError.
    """
    if types and not repositories:
        raise UsageError("--type needs --repository: what may it sign about?")
    for given in types:
        if given not in SHORT and ":" not in given:
            raise UsageError(
                f"{given!r} is not a type of statement", hint=f"Known are {', '.join(SHORT)}; or write a URI."
            )
    if repositories and Path(key.trust).exists():
        _require_new(load_trust(key.trust), key.name)
    grants = (Grant(tuple(SHORT.get(t, t) for t in types) or (TEST_RESULT, RELEASE), tuple(repositories)),)
    made = _make(context, Path(key.out), key.algorithm)
    if repositories:
        trust_file.add_key(Path(key.trust), TrustedKey(key.name, made.pem, grants, start=_now()))
        context.events.note(f"{key.trust} trusts {key.name} with {in_words(grants)}")
    return made


def rotate_key(context: Context, old: str, key: NewKey, overlap: timedelta) -> PublicKey:
    """Make a key that may sign what `old` may, and let `old` expire after `overlap`. Raises UsageError, ConfigError."""
    file, now = Path(key.trust), _now()
    known = load_trust(file)
    before = named(known, old)
    if before.revoked:
        raise UsageError(f"{old} is revoked", hint="Make a new key: relman key new.")
    _require_new(known, key.name)
    made = _make(context, Path(key.out), key.algorithm)
    trust_file.add_key(file, TrustedKey(key.name, made.pem, before.grants, start=now))
    end = now + overlap
    trust_file.end_key(file, old, min(end, before.end) if before.end else end)
    context.events.note(
        f"{key.trust} trusts {key.name} from now on, and {old} with what it signed until {rfc3339(end)}"
    )
    return made


def revoke_key(file: str, name: str, reason: str, accepted: Sequence[str]) -> frozenset[ManifestDigest]:
    """Revoke a key, except for its statements about the `accepted` digests, which are returned. Raises UsageError,
    ConfigError."""
    digests = frozenset(ManifestDigest(d) for d in accepted)
    trust_file.revoke_key(Path(file), name, Revocation(_now(), reason, digests))
    return digests


def trusted_keys(file: str, name: str | None = None) -> list[TrustedKey]:
    """The keys in a trust.yml, or only the one with this name. Raises UsageError, ConfigError."""
    known = load_trust(file)
    return [named(known, name)] if name else list(known.keys.values())


def public_key(context: Context, file: Path) -> PublicKey:
    """The public half of the key in a file, which may contain either half. Raises UsageError, AccessDenied."""
    content = read(file)
    return load_key(context, file).public if b"PRIVATE KEY" in content else PublicKey.load(content, str(file))


def public_half(key: TrustedKey) -> PublicKey:
    """The public key in an entry of trust.yml."""
    return PublicKey.load(key.public, f"the key {key.name}")


def in_words(grants: Sequence[Grant]) -> str:
    """What a key may sign, in one line."""
    return "; ".join(f"{', '.join(map(short, g.types))} about {', '.join(g.repositories)}" for g in grants)


def _require_new(known: Trust, name: str) -> None:
    if name in known.keys:
        raise UsageError(f"{known.origin} already has a key {name!r}", hint="Give the new one another name.")


def _make(context: Context, out: Path, algorithm: str) -> PublicKey:
    """A new key in its own file, readable only by its owner."""
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


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
