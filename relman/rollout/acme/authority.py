"""An ACME authority, which issues certificates (RFC 8555), spoken to with certbot's library from this machine.

The library is imported only here and in edge.py, and only when a certificate is ordered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import requests

import relman
from relman.local.tls import TrustingAdapter, context_for
from relman.model.errors import CertificateRefused, PreflightFailed
from relman.model.proxy import Acme, Challenge
from relman.rollout.acme.edge import edge
from relman.rollout.proxy.certificates import key_in

if TYPE_CHECKING:
    from acme.client import ClientV2
    from acme.messages import ChallengeBody, OrderResource
    from josepy.jwa import JWASignature
    from josepy.jwk import JWK

_SECONDS = 30
"""For an answer of the authority."""
_DECIDES = timedelta(seconds=120)
"""How long it may take to ask the hosts, and to issue a certificate."""
_SKEW = timedelta(minutes=10)


@dataclass(frozen=True)
class CertificateOrder:
    """A certificate that was ordered for a host name, and the challenge to answer; None if that is done already."""

    host: str
    challenge: Challenge | None
    key: bytes = field(repr=False)
    resource: OrderResource = field(repr=False)
    body: ChallengeBody | None = field(default=None, repr=False)


class Authority:
    """An authority with an account there. All raise Unreachable where it does not answer or is not to be trusted, and
    CertificateRefused."""

    def __init__(self, acme: Acme, client: ClientV2, key: JWK) -> None:
        self._acme = acme
        self._client = client
        self._key = key

    @classmethod
    def open(cls, acme: Acme, account: bytes) -> Authority:
        """Sign in, and register where the account is new. Raises PreflightFailed if its key cannot be used, or if the
        clock of this machine is wrong, and UsageError for the file of CAs."""
        from acme.client import ClientNetwork, ClientV2

        key, algorithm = _account_key(acme, account)
        agent = f"relman/{relman.__version__}"
        network = ClientNetwork(key, alg=algorithm, user_agent=agent, timeout=_SECONDS)
        network.session.mount("https://", TrustingAdapter(context_for(acme.ca or None)))
        del network.session.adapters["http://"]
        with edge(acme, network.session):
            answered = network.get(acme.directory)
            _require_clock(acme, answered)
            client = ClientV2(ClientV2.get_directory(acme.directory, network), network)
            _sign_in(client, acme)
        return cls(acme, client, key)

    def order(self, host: str) -> CertificateOrder:
        """Order a certificate for a host name, with a new private key."""
        from acme.crypto_util import make_csr

        key = _new_key()
        with edge(self._acme, self._client.net.session):
            resource = self._client.new_order(make_csr(key, [host]))
            body = self._challenge_of(resource)
        if body is None:
            return CertificateOrder(host, None, key, resource)
        token = body.chall.encode("token")
        return CertificateOrder(host, Challenge(host, token, body.chall.validation(self._key)), key, resource, body)

    def answered(self, order: CertificateOrder) -> None:
        """Tell it that the challenge is answered."""
        if order.body is not None:
            with edge(self._acme, self._client.net.session):
                self._client.answer_challenge(order.body, order.body.response(self._key))

    def certificate(self, order: CertificateOrder) -> bytes:
        """The certificate with its chain and its private key, in PEM, when it is issued."""
        with edge(self._acme, self._client.net.session):
            # The library compares with the local time without a zone.
            done = self._client.poll_and_finalize(order.resource, datetime.now() + _DECIDES)
        return done.fullchain_pem.encode() + b"\n" + order.key

    def _challenge_of(self, resource: OrderResource) -> ChallengeBody | None:
        from acme.challenges import HTTP01
        from acme.messages import STATUS_VALID

        for authorization in resource.authorizations:
            if authorization.body.status == STATUS_VALID:
                continue
            for body in authorization.body.challenges:
                if isinstance(body.chall, HTTP01):
                    found: ChallengeBody = body
                    return found
            raise CertificateRefused(f"{self._acme.directory} offers no HTTP-01 challenge")
        return None


def _account_key(acme: Acme, pem: bytes) -> tuple[JWK, JWASignature]:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from josepy.jwa import ES256, ES384, RS256
    from josepy.jwk import JWKEC, JWKRSA
    from josepy.util import ComparableECKey, ComparableRSAKey

    try:
        key = key_in(pem)
    except ValueError as error:
        raise _no_account(acme, str(error)) from None
    if isinstance(key, RSAPrivateKey):
        return JWKRSA(key=ComparableRSAKey(key)), RS256
    elliptic = {256: ES256, 384: ES384}
    if isinstance(key, EllipticCurvePrivateKey) and key.key_size in elliptic:
        return JWKEC(key=ComparableECKey(key)), elliptic[key.key_size]
    raise _no_account(acme, "its private key is neither RSA nor on the curve P-256 or P-384")


def _no_account(acme: Acme, why: str) -> PreflightFailed:
    return PreflightFailed(
        f"the secret {acme.account} is no key of an ACME account: {why}",
        hint="make one: openssl ecparam -name prime256v1 -genkey -noout",
    )


def _require_clock(acme: Acme, answered: requests.Response) -> None:
    """What is due is decided by this machine's clock."""
    try:
        theirs = parsedate_to_datetime(answered.headers.get("Date", ""))
    except ValueError:
        return
    mine = datetime.now(UTC)
    if abs(mine - theirs) > _SKEW:
        raise PreflightFailed(
            f"the clock of this machine is wrong: it says {mine:%Y-%m-%d %H:%M} UTC, and {acme.directory} says "
            f"{theirs:%Y-%m-%d %H:%M}",
            hint="set it",
        )


def _sign_in(client: ClientV2, acme: Acme) -> None:
    from acme.errors import ConflictError
    from acme.messages import NewRegistration, Registration, RegistrationResource

    wanted = NewRegistration.from_data(email=acme.email or None, terms_of_service_agreed=True)
    try:
        client.new_account(wanted)
    except ConflictError as known:
        client.net.account = RegistrationResource(body=Registration(), uri=known.location)


def _new_key() -> bytes:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    made = ec.generate_private_key(ec.SECP256R1())
    return made.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
