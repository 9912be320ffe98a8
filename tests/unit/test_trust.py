"""Whom to trust: keys, envelopes, what each key may sign and when, and what a thief of a key cannot do."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.evidence import dsse
from relman.evidence.assessment import Criteria, Subject, gather
from relman.evidence.attest import statement_for
from relman.evidence.dsse import BUNDLE, DSSE, IN_TOTO
from relman.evidence.envelopes import UNSIGNED, Envelope, Signed
from relman.evidence.gates.judge import judge
from relman.evidence.keys import ALGORITHMS, PublicKey, SigningKey
from relman.model.errors import AccessDenied, NoEvidence, PolicyRefused, UsageError
from relman.model.predicates import RELEASE, TEST_RESULT
from relman.model.trust import Grant, Revocation, Trust, TrustedKey
from tests.unit.reports import report
from tests.unit.test_registry_manifest import IMAGE
from tests.unit.values import REPOSITORY

ED25519, ECDSA = (SigningKey.generate(algorithm) for algorithm in ALGORITHMS)
TESTED = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)  # when the report's tests ended
NOW = datetime(2026, 6, 1, tzinfo=UTC)
PAYLOAD = statement_for(report(IMAGE), IMAGE.digest, name="shop")
SUBJECT = Subject(REPOSITORY, IMAGE.digest, IMAGE.digest, IMAGE.config, "118")
ALL = Grant((TEST_RESULT, RELEASE), ("10.77.0.254:5000/*",))
CI = TrustedKey("ci", ED25519.public.pem, (ALL,), start=datetime(2025, 1, 1, tzinfo=UTC))
SEALED = Signed(key=ED25519).wrap(PAYLOAD)


def accepted(envelope: Envelope, *keys: TrustedKey, now: datetime = NOW) -> bool:
    """Whether an envelope makes the image a tested one for somebody who trusts these keys."""
    seal = Signed(Trust({key.name: key for key in keys}, "trust.yml"))
    check = Criteria(seal, now=now)
    opened = seal.unwrap(envelope)
    facts = gather([opened] if opened else [], SUBJECT, check)
    return judge(facts, check, deploying=False).passed


def refused(envelope: Envelope, *keys: TrustedKey, now: datetime = NOW) -> str:
    """Why not."""
    seal = Signed(Trust({key.name: key for key in keys}, "trust.yml"))
    check = Criteria(seal, now=now)
    opened = seal.unwrap(envelope)
    facts = gather([opened] if opened else [], SUBJECT, check)
    with pytest.raises(PolicyRefused) as caught:
        judge(facts, check, deploying=False).require()
    return "\n".join(caught.value.details)


# Keys


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_comes_back_from_its_encrypted_file(algorithm: str) -> None:
    """The PEM is encrypted, opens with its passphrase alone, and is the same key; its repr shows nothing of it."""
    made = SigningKey.generate(algorithm)
    pem = made.encrypted("correct horse")
    assert b"ENCRYPTED" in pem
    again = SigningKey.load(pem, "key", lambda: "correct horse")
    assert again.public == made.public
    assert made.public.verifies(again.sign(b"x"), b"x")
    assert PublicKey.load(made.public.pem, "key.pub").algorithm == algorithm
    assert repr(again) == f"SigningKey({made.public.id[:12]})"
    for wrong in ("wrong horse", "", None):
        with pytest.raises(AccessDenied) as caught:
            SigningKey.load(pem, "key", lambda given=wrong: given)  # type: ignore[misc]
        assert "wrong horse" not in f"{caught.value}{caught.value.hint}"


def test_a_short_passphrase_is_refused() -> None:
    """A passphrase that is soon guessed protects nothing."""
    with pytest.raises(UsageError, match="at least 8"):
        ED25519.encrypted("short")


@given(st.binary(max_size=200) | st.sampled_from([b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]))
def test_what_is_no_key_is_a_usage_error(pem: bytes) -> None:
    """Any other bytes are refused by name."""
    with pytest.raises(UsageError, match=r"here is not a public key"):
        PublicKey.load(pem, "here")
    with pytest.raises((UsageError, AccessDenied)):
        SigningKey.load(pem, "here", lambda: None)


def test_other_kinds_of_keys_are_refused() -> None:
    """RSA and other curves are not what relman signs with or trusts."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    for other in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        public = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        private = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with pytest.raises(UsageError):
            PublicKey.load(public, "here")
        with pytest.raises(UsageError):
            SigningKey.load(private, "here", lambda: None)


# Envelopes


@given(st.binary(max_size=50), st.sampled_from([ED25519, ECDSA]))
def test_an_envelope_is_read_back_and_signed_by_its_key_alone(payload: bytes, key: SigningKey) -> None:
    """As DSSE and in a sigstore bundle: the payload comes back, its key verifies it and the other key does not."""
    other = ECDSA if key is ED25519 else ED25519
    envelope = dsse.sign(payload, key)
    for kind, content in ((DSSE, envelope), (BUNDLE, dsse.bundled(envelope, key.public))):
        signed = dsse.read(kind, content)
        assert signed
        assert (signed.payload, signed.content) == (payload, envelope)
        assert signed.signed_by(key.public)
        assert not signed.signed_by(other.public)


@given(st.sampled_from([DSSE, BUNDLE, IN_TOTO, "x"]), st.binary(max_size=100))
def test_any_bytes_are_an_envelope_or_not(kind: str, content: bytes) -> None:
    """What is no signed envelope is none, and nothing is raised."""
    assert dsse.read(kind, content) is None


@given(st.integers(0, len(SEALED.content) - 1), st.integers(1, 255))
def test_a_changed_byte_is_never_accepted_as_something_else(place: int, flip: int) -> None:
    """Whatever byte of a stored envelope is changed: it is refused, or says exactly what was signed."""
    changed = bytearray(SEALED.content)
    changed[place] ^= flip
    seal = Signed(Trust({"ci": CI}))
    opened = seal.unwrap(Envelope(BUNDLE, bytes(changed)))
    assert opened is None or opened.refusal or opened.payload == PAYLOAD


def envelope(**changes: Any) -> Envelope:
    """The good envelope as DSSE with parts of it changed."""
    document = json.loads(dsse.sign(PAYLOAD, ED25519))
    return Envelope(DSSE, json.dumps(document | changes).encode())


@pytest.mark.parametrize(
    "forged",
    [
        envelope(payload=base64.b64encode(PAYLOAD.replace(b"c0ffee", b"c0ffef")).decode()),
        envelope(signatures=[]),
        envelope(signatures=[{"keyid": ED25519.public.id, "sig": ""}]),
        envelope(signatures=[{"keyid": ED25519.public.id, "sig": base64.b64encode(ECDSA.sign(b"x")).decode()}]),
        envelope(payloadType="text/plain"),
        envelope(payload="%%%"),
        Envelope(DSSE, dsse.sign(PAYLOAD, ECDSA)),
        Envelope(IN_TOTO, PAYLOAD),
        Envelope(DSSE, dsse.sign(PAYLOAD, ED25519)[:-1]),
        Envelope(DSSE, dsse.sign(PAYLOAD, ED25519).replace(b'{"payload"', b'{"payload":"eA==","payload"', 1)),
        Envelope(DSSE, b'{"a":' * 5000),
        Envelope(BUNDLE, dsse.sign(PAYLOAD, ED25519)),
    ],
    ids=[
        "payload changed",
        "no signature",
        "empty signature",
        "another's signature",
        "another payload type",
        "no base64",
        "another key",
        "not signed",
        "truncated",
        "a key twice",
        "nested deep",
        "no bundle",
    ],
)
def test_a_forged_envelope_is_no_evidence(forged: Envelope) -> None:
    """Whatever of the envelope was changed, it is no evidence; without trust configured only what cannot be read is
    none."""
    assert not accepted(forged, CI)
    assert accepted(SEALED, CI)


def test_several_signatures() -> None:
    """One good signature of a trusted key is enough, whatever stands beside it, and wherever the key id points."""
    document = json.loads(dsse.sign(PAYLOAD, ED25519))
    noise = [{"keyid": "", "sig": base64.b64encode(ECDSA.sign(b"x")).decode()}] * 3
    document["signatures"] = [*noise, {"sig": document["signatures"][0]["sig"]}]
    assert accepted(Envelope(DSSE, json.dumps(document).encode()), CI)
    document["signatures"] = noise * 6
    assert not accepted(Envelope(DSSE, json.dumps(document).encode()), CI)


def test_without_trust_signatures_are_not_asked_for() -> None:
    """Who names no keys believes whoever can push: signed and unsigned statements count alike."""
    for found in (SEALED, Envelope(IN_TOTO, PAYLOAD), Envelope(DSSE, dsse.sign(PAYLOAD, ECDSA))):
        opened = UNSIGNED.unwrap(found)
        assert opened
        assert judge(gather([opened], SUBJECT, Criteria(now=NOW)), Criteria(now=NOW), deploying=False).passed


def test_a_seal_without_a_key_signs_nothing() -> None:
    """What must be signed and cannot be is a usage error that says how."""
    with pytest.raises(UsageError, match="there is no key"):
        Signed(Trust({}, "trust.yml")).wrap(PAYLOAD)


# What a key may


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        (replace(CI, grants=()), "signer-may-sign-this"),
        (replace(CI, grants=(Grant((RELEASE,), ("*",)),)), "signer-may-sign-this"),
        (replace(CI, grants=(Grant((TEST_RESULT,), ("10.77.0.254:5000/other",)),)), "signer-may-sign-this"),
        (replace(CI, start=TESTED + timedelta(hours=1)), "key-was-valid-then"),
        (replace(CI, end=TESTED - timedelta(hours=1)), "key-was-valid-then"),
        (replace(CI, revoked=Revocation(NOW, "stolen")), "key-is-not-revoked"),
        (replace(CI, public=ECDSA.public.pem), "signature-is-trusted"),
    ],
    ids=["nothing", "another type", "another repository", "too early", "expired", "revoked", "another key"],
)
def test_a_key_that_may_not_is_refused_by_the_rules_name(key: TrustedKey, rule: str) -> None:
    """A good signature by a key that may not sign this, here, then, is refused, and the rule is named."""
    assert rule in refused(SEALED, key)


def test_what_was_signed_before_a_rotation_stays_good() -> None:
    """A key that ended is good for what it signed before, however long ago; the new one does not spoil it."""
    old = replace(CI, end=TESTED + timedelta(days=1))
    new = TrustedKey("ci-2", ECDSA.public.pem, (ALL,), start=old.end)
    for later in (NOW, NOW + timedelta(days=3650)):
        assert accepted(SEALED, old, new, now=later)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)))
def test_a_thief_cannot_date_back_beyond_a_revocation(claimed: datetime) -> None:
    """Whatever time a statement claims, a revoked key counts only for the images accepted when it was revoked."""
    tested = replace(report(IMAGE), finished=claimed.strftime("%Y-%m-%dT%H:%M:%SZ"))
    stolen = Signed(key=ED25519).wrap(statement_for(tested, IMAGE.digest, name="shop"))
    late = datetime(2031, 1, 1, tzinfo=UTC)
    anytime = replace(CI, start=None)
    assert not accepted(stolen, replace(anytime, revoked=Revocation(NOW, "stolen")), now=late)
    known = Revocation(NOW, "stolen", frozenset({IMAGE.digest}))
    assert accepted(stolen, replace(anytime, revoked=known), now=late)


def test_clocks_may_differ_a_little() -> None:
    """A statement of a clock up to five minutes ahead counts; one further ahead does not, by the rule's name."""
    assert accepted(SEALED, CI, now=TESTED - timedelta(minutes=4))
    assert "time-is-not-in-the-future" in refused(SEALED, CI, now=TESTED - timedelta(minutes=6))


def test_a_statement_without_a_time_wants_a_key_that_is_valid_now() -> None:
    """Who claims no time gets no credit for an ended key."""
    timeless = Signed(key=ED25519).wrap(statement_for(replace(report(IMAGE), finished=""), IMAGE.digest, name="shop"))
    assert accepted(timeless, CI)
    assert not accepted(timeless, replace(CI, end=NOW - timedelta(days=1)))


def test_another_image_stays_another_image() -> None:
    """A good signature over a statement about another image is no evidence for this one."""
    other = statement_for(report(IMAGE), IMAGE.digest.of(b"other"), name="shop")
    assert "subject-is-this-image" in refused(Signed(key=ED25519).wrap(other), CI)


def test_an_empty_trust_trusts_nobody() -> None:
    """A trust.yml without keys refuses everything."""
    check = Criteria(Signed(Trust({}, "trust.yml")), now=NOW)
    opened = check.seal.unwrap(SEALED)
    assert opened
    decision = judge(gather([opened], SUBJECT, check), check, deploying=False)
    with pytest.raises(NoEvidence):
        decision.require()
