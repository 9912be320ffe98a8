"""How statements are put into envelopes and taken out again, and which of them count."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Protocol

from relman.evidence import dsse, trust
from relman.evidence.dsse import BUNDLE, IN_TOTO
from relman.evidence.keys import PublicKey, SigningKey
from relman.evidence.rules import Rule
from relman.evidence.test_result import Statement
from relman.model.errors import UsageError
from relman.model.image import ManifestDigest, Repository
from relman.model.trust import Trust, TrustedKey


@dataclass(frozen=True)
class Envelope:
    """A statement as it is stored."""

    media_type: str
    content: bytes

    @cached_property
    def signed(self) -> dsse.Signed | None:
        """What is signed in it, whoever signed it; None if it is of another kind."""
        return dsse.read(self.media_type, self.content)


@dataclass(frozen=True)
class Opened:
    """A statement taken out of its envelope. `keys` are the trusted keys whose signature it bears; `refusal` says why
    it does not count, whatever it says."""

    payload: bytes
    keys: tuple[TrustedKey, ...] = ()
    refusal: str = ""


@dataclass(frozen=True)
class Admission:
    """Whether a statement counts: by whose signature ("" when signatures are not asked for), or why not."""

    signer: str = ""
    refusal: str = ""


class Seal(Protocol):
    """How statements are put into envelopes and, if they can be trusted, taken out again."""

    def wrap(self, payload: bytes) -> Envelope:
        """Put a statement into an envelope. Raises UsageError where this seal cannot."""

    def unwrap(self, envelope: Envelope) -> Opened | None:
        """The statement, or None if the envelope is of another kind."""

    def admit(
        self,
        opened: Opened,
        statement: Statement,
        images: Collection[ManifestDigest],
        repository: Repository,
        now: datetime,
    ) -> Admission:
        """Whether `opened`, which says `statement`, counts for `images` (one image, and the index that holds it)."""


class Unsigned:
    """The plain statement: it says as much as the right to push to the repository does. Signatures are not asked for,
    so that what others signed counts too."""

    def wrap(self, payload: bytes) -> Envelope:
        """The statement as it is."""
        return Envelope(IN_TOTO, payload)

    def unwrap(self, envelope: Envelope) -> Opened | None:
        """The statement as it is."""
        if envelope.media_type == IN_TOTO:
            return Opened(envelope.content)
        return Opened(envelope.signed.payload) if envelope.signed else None

    def admit(self, opened: Opened, *_: object) -> Admission:
        """It counts."""
        return Admission(refusal=opened.refusal)


UNSIGNED: Seal = Unsigned()


class Signed:
    """Signs with `key` where there is one. With `trust` only what a trusted key signed counts, and only for what and
    when that key may sign; without, as Unsigned."""

    def __init__(self, trust: Trust | None = None, key: SigningKey | None = None) -> None:
        self._trust = trust
        self._key = key

    def wrap(self, payload: bytes) -> Envelope:
        """A sigstore bundle with the signed statement. Raises UsageError where there is no key."""
        if self._key is None:
            raise UsageError(
                f"statements must be signed, by {self._trust.origin if self._trust else 'what you ask'}, and there is "
                "no key",
                hint="Set RELMAN_SIGNING_KEY to a PEM key, or RELMAN_SIGNING_KEY_FILE to its file; `relman key new` "
                "makes one.",
            )
        return Envelope(BUNDLE, dsse.bundled(dsse.sign(payload, self._key), self._key.public))

    def unwrap(self, envelope: Envelope) -> Opened | None:
        """The statement with those trusted keys that signed it."""
        if self._trust is None:
            return UNSIGNED.unwrap(envelope)
        if envelope.media_type == IN_TOTO:
            return Opened(envelope.content, refusal=f"it is not signed (rule {Rule.SIGNED})")
        signed = envelope.signed
        if signed is None:
            return None
        keys = tuple(key for key, public in self._keys if signed.signed_by(public))
        return Opened(signed.payload, keys, "" if keys else f"no trusted key signed it (rule {Rule.SIGNED})")

    def admit(
        self,
        opened: Opened,
        statement: Statement,
        images: Collection[ManifestDigest],
        repository: Repository,
        now: datetime,
    ) -> Admission:
        """It counts if one of the keys that signed it may."""
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
