"""What a host keeps for its proxy, in a directory beside those of environments:

STATE/_proxy/state/record.json      what it is and routes, from which all else is made
STATE/_proxy/state/lock.json        held while addresses are chosen, and while requests are switched
STATE/_proxy/etc/haproxy.cfg        its configuration; haproxy.cfg.next is the one that comes next
STATE/_proxy/run/                   its sockets
"""

from __future__ import annotations

import secrets

from relman.hosts.ssh.connection import Connection
from relman.hosts.state_dir import files, location
from relman.model.formats.untrusted_json import Misread, parse
from relman.model.state_dir.proxy import ProxyState

TOP = "_proxy"  # no environment's name, which begins with a letter or a digit
STATE, ETC, RUN = "state", "etc", "run"
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
    data = files.encode(state.to_json())
    files.replace(connection, *files.write_beside(connection, TOP, STATE, _NAME, secrets.token_hex(4), data))


def draft_config(connection: Connection, text: str) -> None:
    """Write the next configuration beside the one that counts. Raises PreflightFailed or Unreachable."""
    files.write_beside(connection, TOP, ETC, CONFIG, NEXT, text.encode())


def place_config(connection: Connection) -> None:
    """Make the next configuration the one that counts, atomically. Raises PreflightFailed or Unreachable."""
    place = location.place(connection, TOP, ETC)
    files.replace(connection, place.of(f"{CONFIG}.{NEXT}"), place.of(CONFIG))


def directory(connection: Connection, name: str) -> str:
    """The path of one of its directories, which is created if necessary. Raises PreflightFailed or Unreachable."""
    return location.make(connection, TOP, name).path


def socket(connection: Connection) -> str:
    """The path of its master's socket."""
    return location.place(connection, TOP, RUN).of("master.sock")
