"""Signed envelopes: DSSE v1 (Dead Simple Signing Envelope) around in-toto statements, and the sigstore bundle v0.3."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from relman.evidence.keys import PublicKey, SigningKey
from relman.registry.strictjson import load_object

IN_TOTO = "application/vnd.in-toto+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MAX_ENVELOPE = 3 << 20
MAX_SIGNATURES = 16


@dataclass(frozen=True)
class Signed:
    """A DSSE envelope as found: nothing of it is to be believed before `signed_by` says so. `signed` are the bytes that
    the signatures are over (DSSE's pre-authentication encoding); `content` is the envelope in relman's own form.
    `names_key`: a signature has a key id."""

    payload: bytes
    signed: bytes
    signatures: tuple[bytes, ...]
    content: bytes
    names_key: bool = False

    def signed_by(self, key: PublicKey) -> bool:
        """Whether one of the signatures is this key's. Key ids are not looked at: they are only hints."""
        return any(key.verifies(signature, self.signed) for signature in self.signatures)


def sign(payload: bytes, key: SigningKey) -> bytes:
    """A DSSE envelope around an in-toto statement, as JSON: always the same bytes for the same signature.

    It names no key: a `keyid` is only a hint (DSSE 1.0), and cosign 3 refuses one that is not its own.
    """
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Signature

    envelope = Envelope(payload, IN_TOTO, {})
    envelope.signatures[""] = Signature("", key.sign(envelope.pae()).hex())
    return _json(envelope.to_dict())


def bundled(envelope: bytes, key: PublicKey) -> bytes:
    """The envelope in a sigstore bundle, which names the key by the hash that sigstore uses as its hint."""
    material = {"publicKey": {"hint": base64.b64encode(key.der_digest).decode()}}
    return _json({"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": json.loads(envelope)})


def read(media_type: str, content: bytes) -> Signed | None:
    """The signed envelope in these bytes; None if they are of another kind or cannot be read."""
    try:
        document = load_object(content, limit=MAX_ENVELOPE)
        if media_type == BUNDLE:
            document = document["dsseEnvelope"]
        elif media_type != DSSE:
            return None
        return _read(document)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _read(document: dict[str, Any]) -> Signed | None:
    from securesystemslib.dsse import Envelope

    if document["payloadType"] != IN_TOTO:
        return None
    signatures = [_decoded(s["sig"]) for s in document["signatures"]]
    names_key = any(s.get("keyid") for s in document["signatures"])
    if len(signatures) > MAX_SIGNATURES:
        return None
    envelope = Envelope(_decoded(document["payload"]), IN_TOTO, {})
    return Signed(envelope.payload, envelope.pae(), tuple(signatures), _json(document), names_key)


def _decoded(text: str) -> bytes:
    """Base64, standard or URL-safe (the DSSE protocol allows both)."""
    return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
