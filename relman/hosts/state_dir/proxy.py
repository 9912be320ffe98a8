"""What a host keeps for its proxy, in a directory beside those of environments:

STATE/_proxy/state/record.json      what it is and routes, from which all else is made
STATE/_proxy/state/lock.json        held while addresses are chosen, and while requests are switched
STATE/_proxy/etc/haproxy.cfg        its configuration; haproxy.cfg.next is the one that comes next
STATE/_proxy/certificates/          its certificates with their keys, and a list of them
STATE/_proxy/run/                   its sockets
"""

from __future__ import annotations

import secrets
from collections.abc import Collection

from relman.hosts.haproxy import MasterCli
from relman.hosts.ssh.connection import Connection
from relman.hosts.state_dir import files, location
from relman.hosts.state_dir.sftp_errors import explained
from relman.model.errors import PreflightFailed
from relman.model.formats.untrusted_json import Misread, parse
from relman.model.state_dir.proxy import ProxyState

TOP = "_proxy"  # no environment's name, which begins with a letter or a digit
STATE, ETC, RUN, CERTIFICATES = "state", "etc", "run", "certificates"
NEXT = "next"
CONFIG = "haproxy.cfg"
_NAME = location.RECORD


def read(connection: Connection) -> ProxyState | None:
    """What the host's proxy is and routes; None if it has none. Raises PreflightFailed if it is malformed."""
    path = location.place(connection, TOP, STATE).of(_NAME)
    found = files.read(connection, path)
    if found is None:
        return None
    try:
        return ProxyState.from_json(parse(found[0]))
    except Misread as error:
        raise files.misread(connection, path, error) from error


def write(connection: Connection, state: ProxyState) -> None:
    """Replace it atomically. Raises PreflightFailed or Unreachable; the old one then stays."""
    _write(connection, STATE, _NAME, files.encode(state.to_json()))


def draft_config(connection: Connection, text: str) -> None:
    """Write the next configuration beside the one that counts. Raises PreflightFailed or Unreachable."""
    files.write_beside(connection, TOP, ETC, CONFIG, NEXT, text.encode())


def read_config(connection: Connection) -> str:
    """The configuration that counts, as it stands there; "" without one. Raises PreflightFailed or Unreachable."""
    found = files.read(connection, location.place(connection, TOP, ETC).of(CONFIG))
    return found[0].decode(errors="replace") if found else ""


def place_config(connection: Connection) -> None:
    """Make the next configuration the one that counts, atomically. Raises PreflightFailed or Unreachable."""
    place = location.place(connection, TOP, ETC)
    files.replace(connection, place.of(f"{CONFIG}.{NEXT}"), place.of(CONFIG))


def write_certificate(connection: Connection, name: str, pem: bytes) -> None:
    """Write the file of a certificate atomically. Raises PreflightFailed or Unreachable."""
    _write(connection, CERTIFICATES, name, pem)


def certificate_files(connection: Connection) -> frozenset[str]:
    """The names of the files of certificates that are there. Raises PreflightFailed or Unreachable."""
    return frozenset(_names(connection, CERTIFICATES))


def write_page(connection: Connection, name: str, page: bytes) -> None:
    """Write a page that the proxy itself answers with, atomically. Raises PreflightFailed or Unreachable."""
    _write(connection, ETC, name, page)


def _write(connection: Connection, directory: str, name: str, data: bytes) -> None:
    files.replace(connection, *files.write_beside(connection, TOP, directory, name, secrets.token_hex(4), data))


def keep_files(connection: Connection, certificates: Collection[str], page: str) -> None:
    """Remove the files of all other certificates and pages. Raises PreflightFailed or Unreachable."""
    _keep(connection, CERTIFICATES, certificates)
    _keep(connection, ETC, (CONFIG, page))


def _keep(connection: Connection, directory: str, names: Collection[str]) -> None:
    place = location.place(connection, TOP, directory)
    for name in _names(connection, directory):
        if name not in names and "/" not in name:
            files.remove(connection, place.of(name))


def _names(connection: Connection, directory: str) -> list[str]:
    path = location.place(connection, TOP, directory).path

    def once() -> list[str]:
        with explained(connection, path):
            try:
                return connection.sftp().listdir(path)
            except FileNotFoundError:
                return []

    return connection.lasting(once)


def directory(connection: Connection, name: str) -> str:
    """The path of one of its directories, which is created if necessary. Raises PreflightFailed or Unreachable."""
    return location.make(connection, TOP, name).path


def owner(connection: Connection, path: str) -> tuple[int, int]:
    """The user and the group of a directory. Raises PreflightFailed or Unreachable."""

    def once() -> tuple[int, int]:
        with explained(connection, path):
            (found,) = connection.sftp().lstats([path])
        if found is None or found.st_uid is None or found.st_gid is None:
            raise PreflightFailed(f"SFTP does not say who owns {path}", host=connection.host.name)
        return found.st_uid, found.st_gid

    return connection.lasting(once)


def forget(connection: Connection) -> None:
    """Remove what the host keeps for its proxy, but for its lock and empty directories. Raises PreflightFailed or
    Unreachable."""
    files.remove(connection, location.place(connection, TOP, STATE).of(_NAME))
    for name in (ETC, CERTIFICATES):
        _keep(connection, name, ())


def master(connection: Connection, number: int) -> MasterCli:
    """The master with this number, by its socket."""
    return MasterCli(connection, location.place(connection, TOP, RUN).of(f"master-{number:d}.sock"))


def count_socket(connection: Connection, number: int) -> str:
    """The path of the socket of the worker that accepts connections, of the master with this number."""
    return location.place(connection, TOP, RUN).of(f"count-{number:d}.sock")
