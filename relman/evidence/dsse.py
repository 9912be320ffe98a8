"""Signed envelopes around in-toto statements.

Specifications: DSSE v1 (https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md, envelope.md) and the
sigstore bundle v0.3 (https://docs.sigstore.dev/about/bundle/).
"""

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
class SignedEnvelope:
    """A DSSE envelope as read, unverified until `signed_by` returns True.

    `payload` is the statement; `signed` the bytes that the signatures cover (DSSE's pre-authentication encoding, PAE);
    `content` the envelope in canonical JSON; `names_key` is whether a signature has a key id.
    """

    payload: bytes
    signed: bytes
    signatures: tuple[bytes, ...]
    content: bytes
    names_key: bool = False

    def signed_by(self, key: PublicKey) -> bool:
        """Whether one of the signatures is this key's. Key ids are ignored: DSSE calls them unauthenticated hints."""
        return any(key.verifies(signature, self.signed) for signature in self.signatures)


def sign(payload: bytes, key: SigningKey) -> bytes:
    """Return a DSSE envelope around an in-toto statement, as JSON; equal signatures give equal bytes.

    It names no key: `keyid` is only a hint (DSSE 1.0, Protocol), and cosign 3 refuses an id that is not its own.
    """
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Signature

    envelope = Envelope(payload, IN_TOTO, {})
    envelope.signatures[""] = Signature("", key.sign(envelope.pae()).hex())
    return _json(envelope.to_dict())


def bundled(envelope: bytes, key: PublicKey) -> bytes:
    """Return the envelope in a sigstore bundle, whose hint is the hash by which sigstore names the key."""
    material = {"publicKey": {"hint": base64.b64encode(key.der_digest).decode()}}
    return _json({"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": json.loads(envelope)})


def read(media_type: str, content: bytes) -> SignedEnvelope | None:
    """Return the signed envelope in these bytes; None if they are of another media type or malformed."""
    try:
        document = load_object(content, limit=MAX_ENVELOPE)
        if media_type == BUNDLE:
            document = document["dsseEnvelope"]
        elif media_type != DSSE:
            return None
        return _read(document)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _read(document: dict[str, Any]) -> SignedEnvelope | None:
    from securesystemslib.dsse import Envelope

    if document["payloadType"] != IN_TOTO:
        return None
    signatures = [_decoded(s["sig"]) for s in document["signatures"]]
    names_key = any(s.get("keyid") for s in document["signatures"])
    if len(signatures) > MAX_SIGNATURES:
        return None
    envelope = Envelope(_decoded(document["payload"]), IN_TOTO, {})
    return SignedEnvelope(envelope.payload, envelope.pae(), tuple(signatures), _json(document), names_key)


def _decoded(text: str) -> bytes:
    """Decode Base64, standard or URL-safe: DSSE 1.0 (Envelope) allows both."""
    return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
