"""Wrap statements in envelopes, unwrap them, and decide which of them count."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Protocol

from relman.evidence import dsse, trust
from relman.evidence.dsse import BUNDLE, IN_TOTO
from relman.evidence.keys import PublicKey, SigningKey
from relman.evidence.rules import RuleName
from relman.evidence.test_result import Statement
from relman.model.errors import UsageError
from relman.model.image import ManifestDigest, Repository
from relman.model.trust import Trust, TrustedKey


@dataclass(frozen=True)
class Envelope:
    """A statement as stored in the registry."""

    media_type: str
    content: bytes

    @cached_property
    def signed(self) -> dsse.SignedEnvelope | None:
        """The DSSE envelope in it, unverified; None if it is of another kind."""
        return dsse.read(self.media_type, self.content)


@dataclass(frozen=True)
class Opened:
    """A statement and the trusted keys whose signatures it bears; `refusal` is why it cannot count, "" if it may."""

    payload: bytes
    keys: tuple[TrustedKey, ...] = ()
    refusal: str = ""


@dataclass(frozen=True)
class Admission:
    """Whether a statement counts: the name of the key ("" where signatures are not checked), or the refusal."""

    signer: str = ""
    refusal: str = ""


class Seal(Protocol):
    """How statements are wrapped in envelopes, unwrapped, and admitted."""

    def wrap(self, payload: bytes) -> Envelope:
        """Wrap a statement in an envelope. Raises UsageError if this seal has no key to sign with."""

    def unwrap(self, envelope: Envelope) -> Opened | None:
        """Return the statement with its verified signatures; None if the envelope is of another kind."""

    def admit(
        self,
        opened: Opened,
        statement: Statement,
        images: Collection[ManifestDigest],
        repository: Repository,
        now: datetime,
    ) -> Admission:
        """Decide whether `opened`, which contains `statement`, counts for `images` (one image and its index, if
        any)."""


class Unsigned:
    """Plain statements: whoever may push to the repository may make them. Signatures are not checked, so a signed
    statement counts like an unsigned one."""

    def wrap(self, payload: bytes) -> Envelope:
        """Return the statement as its own envelope."""
        return Envelope(IN_TOTO, payload)

    def unwrap(self, envelope: Envelope) -> Opened | None:
        """Return the statement; signatures are not checked."""
        if envelope.media_type == IN_TOTO:
            return Opened(envelope.content)
        return Opened(envelope.signed.payload) if envelope.signed else None

    def admit(self, opened: Opened, *_: object) -> Admission:
        """Admit every statement that could be unwrapped."""
        return Admission(refusal=opened.refusal)


UNSIGNED: Seal = Unsigned()


class Signed:
    """Sign with `key`. With `trust`, only statements signed by a trusted key count, within that key's grants and
    validity; without, every statement counts, as with Unsigned."""

    def __init__(self, trust: Trust | None = None, key: SigningKey | None = None) -> None:
        self._trust = trust
        self._key = key

    def wrap(self, payload: bytes) -> Envelope:
        """Return a sigstore bundle with the signed statement. Raises UsageError if there is no key."""
        if self._key is None:
            raise UsageError(
                f"statements must be signed, by {self._trust.origin if self._trust else 'what you ask'}, and there is "
                "no key",
                hint="Set RELMAN_SIGNING_KEY to a PEM key, or RELMAN_SIGNING_KEY_FILE to its file; `relman key new` "
                "makes one.",
            )
        return Envelope(BUNDLE, dsse.bundled(dsse.sign(payload, self._key), self._key.public))

    def unwrap(self, envelope: Envelope) -> Opened | None:
        """Return the statement with the trusted keys that signed it."""
        if self._trust is None:
            return UNSIGNED.unwrap(envelope)
        if envelope.media_type == IN_TOTO:
            return Opened(envelope.content, refusal=f"it is not signed (rule {RuleName.SIGNED})")
        signed = envelope.signed
        if signed is None:
            return None
        keys = tuple(key for key, public in self._keys if signed.signed_by(public))
        return Opened(signed.payload, keys, "" if keys else f"no trusted key signed it (rule {RuleName.SIGNED})")

    def admit(
        self,
        opened: Opened,
        statement: Statement,
        images: Collection[ManifestDigest],
        repository: Repository,
        now: datetime,
    ) -> Admission:
        """Admit the statement if one of the keys that signed it was allowed to."""
        if opened.refusal or self._trust is None:
            return Admission(refusal=opened.refusal)
        refusals = []
        for key in opened.keys:
            refusal = trust.refusal(key, statement, images, repository, now)
            if not refusal:
                return Admission(signer=key.name)
            refusals.append(refusal)
        return Admission(refusal="; ".join(refusals))

    @cached_property
    def _keys(self) -> list[tuple[TrustedKey, PublicKey]]:
        trusted = self._trust.keys.values() if self._trust else ()
        return [(key, PublicKey.load(key.public, f"the key {key.name}")) for key in trusted]
