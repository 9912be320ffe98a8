"""The schema of trust.yml, and its conversion to the model."""

# ruff: noqa: RUF012 (pydantic copies defaults)

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from relman.config.schema import values, values_names
from relman.config.schema.base import Section, Text, Word, parsed
from relman.config.schema.policy import Type, Words
from relman.config.schema.values import Faults
from relman.config.suggestions import shown
from relman.config.yaml_document import KeyPath
from relman.model import trust as model
from relman.model.errors import UsageError
from relman.model.image import ManifestDigest

_BEGIN, _END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"


def moment(value: object) -> datetime:
    """A time with its zone (RFC 3339); a date alone means its beginning in UTC."""
    text = values.word(value)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"expected a time such as 2026-01-31 or 2026-01-31T12:00:00Z, found {shown(text)}") from None
    if found.tzinfo is None and len(text) > len("2026-01-31"):
        raise ValueError(f"the time {shown(text)} has no zone: write Z after it for UTC")
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def digest(value: object) -> ManifestDigest:
    """The digest of an image's manifest."""
    try:
        return ManifestDigest(values.word(value))
    except UsageError as error:
        raise ValueError(error.what) from None


def public_key(value: str) -> str:
    """A PEM public key, checked only for its markers."""
    if not value.strip().startswith(_BEGIN) or not value.strip().endswith(_END):
        raise ValueError(f"expected a public key, {_BEGIN} and so on, as `relman key new` prints it")
    return value


def key_name(value: str) -> str:
    """The name of a key."""
    return values_names.service_name(value)


Moment = Annotated[datetime, parsed(moment)]


class Grant(Section):
    """What a key may sign."""

    types: list[Type]
    repositories: Words


class Revoked(Section):
    """A key that is no longer trusted."""

    at: Moment
    reason: Word
    accepted: list[Annotated[ManifestDigest, parsed(digest)]] = []


class Key(Section):
    """One key."""

    public: Annotated[Text, AfterValidator(public_key)]
    signs: list[Grant]
    valid_from: Moment | None = None
    valid_until: Moment | None = None
    revoked: Revoked | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.valid_from and self.valid_until and self.valid_until <= self.valid_from:
            faults: list[tuple[KeyPath, str]] = [(("valid_until",), "expected a time after valid_from")]
            raise Faults(faults)
        return self

    def value(self, name: str) -> model.TrustedKey:
        """The model's key."""
        revoked = self.revoked
        return model.TrustedKey(
            name=name,
            public=self.public.strip().encode() + b"\n",
            grants=tuple(model.Grant(tuple(g.types), g.repositories) for g in self.signs),
            start=self.valid_from,
            end=self.valid_until,
            revoked=model.Revocation(revoked.at, revoked.reason, frozenset(revoked.accepted)) if revoked else None,
        )


class TrustFile(Section):
    """The whole of trust.yml."""

    keys: dict[Annotated[str, AfterValidator(key_name)], Key]

    def value(self, origin: str) -> model.Trust:
        """The model's trust."""
        return model.Trust({name: key.value(name) for name, key in self.keys.items()}, origin)
