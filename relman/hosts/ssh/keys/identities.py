"""The keys to offer at login, in OpenSSH's order: certificates, keys in both an agent and ssh_config, the agents' other
keys, key files. Each one counts at the server (MaxAuthTries, sshd_config(5)), so none is offered twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from relman.hosts.ssh.keys.agent import Agent, AgentError
from relman.hosts.ssh.keys.key_files import KeyFault, KeyFile, read_certificate, read_key
from relman.hosts.ssh.keys.public_keys import fingerprint, is_certificate, kind_of, plain
from relman.model.host import Hop

Signer = Callable[[bytes, str], bytes]


@dataclass(frozen=True)
class Identity:
    """A key or certificate in paramiko's form: `blob` is its wire encoding, `signer` signs. `asks` is whether signing
    may need a person's touch or confirmation."""

    label: str
    blob: bytes
    signer: Signer
    asks: bool = False
    public_blob: None = None

    def get_name(self) -> str:
        """Its key type."""
        return kind_of(self.blob)

    def asbytes(self) -> bytes:
        """Its wire encoding."""
        return self.blob

    def sign_ssh_data(self, data: bytes, algorithm: str) -> bytes:
        """The signature. Raises AgentError."""
        return self.signer(data, algorithm)


@dataclass
class Identities:
    """The identities for a hop; a context, during which the agents are connected. `faults` are of unusable keys."""

    hop: Hop
    found: list[Identity] = field(default_factory=list)
    faults: list[KeyFault] = field(default_factory=list)
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Identities:
        try:
            held = [identity for path in self.hop.agents for identity in self._of_agent(path)]
            files = [read_key(path) for path in self.hop.identity_files]
            self.found = list(_once([*self._certificates(held, files), *self._keys(held, files)]))
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._open.close()

    def _of_agent(self, path: str) -> Iterator[Identity]:
        try:
            agent = self._open.enter_context(Agent(path))
            keys = agent.keys()
        except AgentError as error:
            self.faults.append(KeyFault(f"the SSH agent at {path} cannot be used: {error}", "check it: ssh-add -l"))
            return
        for key in keys:
            label = f"{key.comment or fingerprint(key.blob)} of the agent"
            yield Identity(label, key.blob, _by(agent, key.blob), asks=True)

    def _certificates(self, held: Sequence[Identity], files: Sequence[KeyFile]) -> Iterator[Identity]:
        """The certificates of CertificateFile, each with its key."""
        for path in self.hop.certificate_files:
            certificate = read_certificate(path)
            if certificate is None or not is_certificate(certificate):
                self.faults.append(KeyFault(f"{path} is not a certificate", f"check it: ssh-keygen -L -f {path}"))
            elif signer := _signer(certificate, held, files):
                yield replace(signer, label=path, blob=certificate)
            else:
                self.faults.append(KeyFault(f"nothing has the key of the certificate {path}", "name it: IdentityFile"))

    def _keys(self, held: Sequence[Identity], files: Sequence[KeyFile]) -> Iterator[Identity]:
        named = [each for file in files for each in self._of_file(file, held)]
        blobs = {identity.blob for identity in held}
        by_blob = {identity.blob: identity for identity in named}
        yield from (by_blob[identity.blob] for identity in held if identity.blob in by_blob)
        if not self.hop.identities_only:
            yield from held
        yield from (identity for identity in named if identity.blob not in blobs)

    def _of_file(self, file: KeyFile, held: Sequence[Identity]) -> Iterator[Identity]:
        """The key of a file and, unless CertificateFile is set, the certificate beside it."""
        signer = _signer(file.public, held, [file]) if file.public else None
        if signer:
            yield replace(signer, label=file.path, blob=plain(signer.blob))
        elif file.fault:
            self.faults.append(file.fault)
        beside = None if self.hop.certificate_files else read_certificate(f"{_stem(file.path)}-cert.pub")
        if beside and is_certificate(beside) and (signer := _signer(beside, held, [file])):
            yield replace(signer, label=f"{_stem(file.path)}-cert.pub", blob=beside)


def _signer(blob: bytes, held: Sequence[Identity], files: Sequence[KeyFile]) -> Identity | None:
    """What signs for a key or certificate: an agent that has exactly it, a file with the key, or an agent with the
    key."""
    exact = next((identity for identity in held if identity.blob == blob), None)
    if exact:
        return exact
    for file in files:
        if file.key and file.public == plain(blob):
            return Identity(file.path, plain(blob), file.sign)
    return next((identity for identity in held if identity.blob == plain(blob)), None)


def _by(agent: Agent, blob: bytes) -> Signer:
    return lambda data, algorithm: agent.sign(blob, data, algorithm)


def _stem(path: str) -> str:
    return str(Path(path).with_suffix("")) if path.endswith(".pub") else path


def _once(identities: Sequence[Identity]) -> Iterator[Identity]:
    seen: set[bytes] = set()
    for identity in identities:
        if identity.blob not in seen:
            seen.add(identity.blob)
            yield identity
