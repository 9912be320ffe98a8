"""Which statements count, and the signing key: from files, environment variables and the terminal."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from relman.app.context import Context
from relman.evidence.envelopes import UNSIGNED, Seal, Signed
from relman.evidence.keys import SigningKey
from relman.model.errors import UsageError
from relman.model.policy import Demands

KEY = "RELMAN_SIGNING_KEY"
KEY_FILE = "RELMAN_SIGNING_KEY_FILE"
PASSPHRASE = "RELMAN_KEY_PASSPHRASE"  # noqa: S105 - the variable's name


def reading_seal(demands: Demands) -> Seal:
    """The seal that decides which statements count for these demands; it cannot sign."""
    from relman.config.trust import load_trust

    return Signed(load_trust(demands.trust)) if demands.trust else UNSIGNED


def writing_seal(context: Context, demands: Demands) -> Seal:
    """Like `reading_seal`, and signs with the key in the environment variables.

    Raises UsageError if there is no key and the demands name a trust file; without either, statements are not signed.
    """
    from relman.config.trust import load_trust

    key = signing_key(context)
    if demands.trust and key is None:
        raise UsageError(
            f"{demands.trust} requires signed statements, and there is no key",
            hint=f"Set {KEY} to a PEM key or {KEY_FILE} to its file; `relman key new` makes one.",
        )
    trust = load_trust(demands.trust) if demands.trust else None
    return Signed(trust, key) if key else UNSIGNED


def signing_key(context: Context) -> SigningKey | None:
    """The key in RELMAN_SIGNING_KEY, or in the file RELMAN_SIGNING_KEY_FILE, or None. Raises UsageError,
    AccessDenied."""
    pem, file = context.environ.get(KEY, ""), context.environ.get(KEY_FILE, "")
    if pem and file:
        raise UsageError(f"{KEY} and {KEY_FILE} are both set", hint="Set one of them.")
    if pem:
        return SigningKey.load(pem.encode(), KEY, partial(passphrase, context, KEY))
    return load_key(context, Path(file)) if file else None


def load_key(context: Context, file: Path) -> SigningKey:
    """The private key in a file. Raises UsageError, AccessDenied."""
    return SigningKey.load(read(file), str(file), partial(passphrase, context, str(file)))


def read(file: Path) -> bytes:
    """The bytes of a file. Raises UsageError."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error


def passphrase(context: Context, of: str, *, confirm: bool = False) -> str | None:
    """The passphrase of a key: RELMAN_KEY_PASSPHRASE, else a person's answer, else None."""
    given = context.environ.get(PASSPHRASE)
    if given or context.ask_secret is None:
        return given or None
    return context.ask_secret(f"Passphrase of {of}", confirm)
