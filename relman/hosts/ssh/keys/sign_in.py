"""Log in: offer each identity for a host until one is accepted; otherwise explain why none was."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import paramiko

from relman.hosts.ssh.keys.agent import AgentError
from relman.hosts.ssh.keys.identities import Identities, Identity
from relman.hosts.ssh.keys.key_files import KeyFault
from relman.hosts.ssh.transport import ClientTransport, SignInLate
from relman.model.errors import AccessDenied, RelmanError, Unreachable
from relman.model.host import Hop

SECONDS = 30.0  # for a server that looks up the user in a directory, or the client in the DNS
_PUBLICKEY = "publickey"


class SignIn:
    """The authentication strategy of paramiko's client for a hop (paramiko.auth_strategy)."""

    def __init__(self, hop: Hop) -> None:
        self._hop = hop

    def authenticate(self, transport: ClientTransport) -> list[Any]:
        """Log in. Raises AccessDenied or Unreachable, and paramiko's exceptions if the connection breaks."""
        with Identities(self._hop) as identities:
            if not identities.found:
                raise self._nothing(identities.faults)
            tried: list[Identity] = []
            for identity in identities.found:
                tried.append(identity)
                if self._taken(transport, identity, tried, identities.faults):
                    return []
            raise self._refused(tried, identities.faults)

    def _taken(
        self, transport: ClientTransport, identity: Any, tried: Sequence[Identity], faults: list[KeyFault]
    ) -> bool:
        """Whether the server accepts this identity. Raises what ends the login."""
        user = self._hop.user
        try:
            if identity.asks and not transport.would_take(user, identity):
                return False
            left = transport.auth_publickey(user, identity)
        except AgentError as error:
            faults.append(KeyFault(f"{identity.label}: {error}", "is the agent locked, or does it wait for a touch?"))
            return False
        except SignInLate as error:
            raise self._late(error) from error
        except paramiko.BadAuthenticationType as error:
            raise self._no_keys(error.allowed_types) from error
        except Exception as error:
            if transport.is_active() and isinstance(error, paramiko.AuthenticationException):
                return False
            raise self._hung_up(transport, tried) or error from error
        if left and _PUBLICKEY not in left:
            raise self._more(left)
        return not left

    def _nothing(self, faults: Sequence[KeyFault]) -> AccessDenied:
        if faults:
            what = "; ".join(fault.what for fault in faults)
            return AccessDenied(f"there is no key to sign in with: {what}", hint=faults[0].hint)
        looked = "the SSH agent holds none" if self._hop.agents else "no SSH agent (SSH_AUTH_SOCK)"
        only = " that ssh_config means for it (IdentitiesOnly)" if self._hop.identities_only else ""
        return AccessDenied(
            f"there is no key to sign in with{only}: {looked}, and there is no key file",
            hint="ssh-add KEY_FILE, or name the file: ansible_ssh_private_key_file, or IdentityFile in ssh_config",
        )

    def _refused(self, tried: Sequence[Identity], faults: Sequence[KeyFault]) -> AccessDenied:
        hop = self._hop
        also = "".join(f"; {fault.what}" for fault in faults)
        keys = ", ".join(identity.label for identity in tried)
        hint = (
            faults[0].hint if faults else f"is the key in authorized_keys there? ssh-copy-id -p {hop.port} {_to(hop)}"
        )
        return AccessDenied(f"{hop.address} refused {keys} for {hop.user}{also}", hint=hint)

    def _hung_up(self, transport: ClientTransport, tried: Sequence[Identity]) -> AccessDenied | None:
        if not transport.farewell:
            return None
        return AccessDenied(
            f"{self._hop.address} closed the connection at key {len(tried)} for {self._hop.user}: {transport.farewell}",
            hint="name the key for it in ssh_config: IdentityFile, and IdentitiesOnly yes",
        )

    def _no_keys(self, methods: Sequence[str]) -> AccessDenied:
        return AccessDenied(
            f"{self._hop.address} accepts no keys for {self._hop.user}, only {', '.join(methods)}",
            hint="relman signs in with keys: PubkeyAuthentication and AuthenticationMethods in its sshd_config",
        )

    def _more(self, methods: Sequence[str]) -> AccessDenied:
        return AccessDenied(
            f"{self._hop.address} accepted the key of {self._hop.user} and requires {', '.join(methods)}, too",
            hint="relman signs in with keys alone: AuthenticationMethods in its sshd_config",
        )

    def _late(self, error: SignInLate) -> RelmanError:
        return Unreachable(
            f"{self._hop.address} did not answer the login of {self._hop.user} within {error.seconds:g} s",
            hint="what it asks is slow there: PAM, LDAP, or the DNS (UseDNS in its sshd_config)",
        )


def _to(hop: Hop) -> str:
    return shlex.quote(f"{hop.user}@{hop.address}")
