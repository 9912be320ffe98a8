"""paramiko's transport with more detail on a handshake: the server's algorithms if none is common, why it closed the
connection, and whether it would accept a key before anything is signed
(https://www.rfc-editor.org/rfc/rfc4252#section-7)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import paramiko
from paramiko.auth_handler import AuthOnlyHandler
from paramiko.common import cMSG_SERVICE_REQUEST, cMSG_USERAUTH_REQUEST
from paramiko.transport import ServiceRequestingTransport

from relman.hosts.ssh.ordered_channel import OrderedChannels

_PUBLICKEY = "publickey"
_LISTS = {
    "kex_algo_list": ("key exchange", "preferred_kex"),
    "server_key_algo_list": ("host key", "preferred_keys"),
    "client_encrypt_algo_list": ("cipher", "preferred_ciphers"),
    "server_encrypt_algo_list": ("cipher", "preferred_ciphers"),
    "client_mac_algo_list": ("MAC", "preferred_macs"),
    "server_mac_algo_list": ("MAC", "preferred_macs"),
}
_NO_ALGORITHMS = ("ext-info-", "kex-strict-")


class NothingInCommon(paramiko.ssh_exception.IncompatiblePeer):
    """The server offers no algorithm of a `kind` that this end supports."""

    def __init__(self, kind: str, offered: Sequence[str], taken: Sequence[str]) -> None:
        super().__init__(kind)
        self.kind = kind
        self.offered = offered
        self.taken = taken


class SignInLate(Exception):
    """The server did not answer the login within `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class HandshakeLate(TimeoutError):
    """The server did not complete the handshake in time; `spoke` is whether it identified itself as an SSH server."""

    def __init__(self, *, spoke: bool) -> None:
        super().__init__()
        self.spoke = spoke


class ClientTransport(ServiceRequestingTransport):
    """A client's transport; `host_key_algorithms` are the accepted ones, in order of preference."""

    # Among OpenSSH's preferred ciphers. GCM needs no separate MAC, which doubles paramiko's throughput.
    _preferred_ciphers = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.host_key_algorithms: Sequence[str] = ()
        self.farewell = ""  # why the server hung up, if it said so
        self._channels = OrderedChannels()
        self._handler = _Handler(self)
        self._may_sign_in = threading.Event()

    @property
    def preferred_keys(self) -> Sequence[str]:
        """The host key algorithms, including those of certificates."""
        return self.host_key_algorithms or super().preferred_keys

    def start_client(self, event: threading.Event | None = None, timeout: float | None = None) -> None:
        """Run the handshake. Raises HandshakeLate, NothingInCommon, and what paramiko raises."""
        begin = time.monotonic()
        try:
            super().start_client(event, timeout)
        except paramiko.SSHException as error:
            if timeout and time.monotonic() - begin >= timeout and not self.remote_version:
                raise HandshakeLate(spoke=False) from error
            raise
        if event is None and not self.initial_kex_done:
            raise HandshakeLate(spoke=bool(self.remote_version))

    def would_take(self, user: str, key: paramiko.PKey) -> bool:
        """Whether the server would accept this key for `user`. Raises what `auth_publickey` raises."""
        self.ensure_session()
        return self._handler.would_take(user, key)

    def auth_publickey(self, username: str, key: paramiko.PKey) -> list[str]:  # type: ignore[override]
        """Log in; returns the methods that are still required. Raises SignInLate, and what paramiko raises."""
        self.ensure_session()
        return self._handler.auth_publickey(username, key)

    def ensure_session(self) -> None:
        """Start the authentication."""
        if self._may_sign_in.is_set():
            return
        request = paramiko.Message()
        request.add_byte(cMSG_SERVICE_REQUEST)
        request.add_string("ssh-userauth")
        self.auth_handler = self._handler
        self._send_message(request)  # type: ignore[attr-defined]
        deadline = time.monotonic() + self.auth_timeout
        while not self._may_sign_in.wait(0.1):
            if not self.is_active():
                raise self.get_exception() or EOFError
            if time.monotonic() > deadline:
                raise SignInLate(self.auth_timeout)

    def _parse_service_accept(self, _message: paramiko.Message) -> None:
        self._may_sign_in.set()

    def _parse_disconnect(self, message: paramiko.Message) -> None:
        message.get_int()
        self.farewell = message.get_string().decode(errors="replace")

    def _really_parse_kex_init(self, message: paramiko.Message) -> Mapping[str, Any]:
        parsed: Mapping[str, Any] = super()._really_parse_kex_init(message)  # type: ignore[misc]
        for name, (kind, preferred) in _LISTS.items():
            offered = [each for each in parsed[name] if not each.startswith(_NO_ALGORITHMS)]
            taken = getattr(self, preferred)
            if not set(offered) & set(taken):
                raise NothingInCommon(kind, offered, taken)
        return parsed


class _Handler(AuthOnlyHandler):
    _would_take = False

    def would_take(self, user: str, key: paramiko.PKey) -> bool:
        kind, bits = self._get_key_type_and_bits(key)  # type: ignore[attr-defined]
        algorithm = self._finalize_pubkey_algorithm(kind)  # type: ignore[attr-defined]

        def finish(message: paramiko.Message) -> None:
            message.add_boolean(False)
            message.add_string(algorithm)
            message.add_string(bits)

        self._would_take = False
        try:
            self.send_auth_request(user, _PUBLICKEY, finish)
        except paramiko.BadAuthenticationType:
            raise
        except paramiko.AuthenticationException:
            if not self.transport.is_active():
                raise
        return self._would_take

    def send_auth_request(
        self, username: str, method: str, finish_message: Callable[[paramiko.Message], None] | None = None
    ) -> list[str]:
        """Send a request and wait for the response; ready for it before it can arrive."""
        self.auth_method = method
        self.username = username
        request = paramiko.Message()
        request.add_byte(cMSG_USERAUTH_REQUEST)
        for text in (username, "ssh-connection", method):
            request.add_string(text)
        if finish_message:
            finish_message(request)
        event = self.auth_event = threading.Event()
        with self.transport.lock:
            self.transport._send_message(request)  # type: ignore[attr-defined]
        return self.wait_for_response(event)

    def wait_for_response(self, event: threading.Event) -> list[str]:
        """Like paramiko's, but a missing response is not a refusal."""
        try:
            return super().wait_for_response(event)
        except paramiko.AuthenticationException as error:
            if self.transport.is_active() and not event.is_set():
                raise SignInLate(self.transport.auth_timeout) from error
            raise

    def _parse_userauth_info_request(self, message: paramiko.Message) -> None:
        """Its number is also that of SSH_MSG_USERAUTH_PK_OK (RFC 4252, section 7)."""
        if self.auth_method != _PUBLICKEY:
            super()._parse_userauth_info_request(message)  # type: ignore[misc]
        self._would_take = True
        if self.auth_event:
            self.auth_event.set()
