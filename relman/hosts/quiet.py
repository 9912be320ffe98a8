"""SFTP beneath a shell that talks: where sftp-server is a program, the user's .bashrc runs before it."""

from __future__ import annotations

import paramiko
from paramiko.sftp import CMD_INIT

_VERSION = 3
_ANSWER = b"\x02" + _VERSION.to_bytes(4, "big")  # SSH_FXP_VERSION, which a length precedes
_LENGTH = 4
_MOST_NOISE = 1 << 16


class QuietSFTP(paramiko.SFTPClient):
    """An SFTP client (draft-ietf-secsh-filexfer-02) that passes over whatever is said before the server's greeting."""

    def _send_version(self) -> int:
        greeting = paramiko.Message()
        greeting.add_int(_VERSION)
        self._send_packet(CMD_INIT, greeting)  # type: ignore[attr-defined]
        seen = bytearray()
        while len(seen) < _LENGTH + len(_ANSWER) or not seen.endswith(_ANSWER):
            if len(seen) > _MOST_NOISE:
                raise paramiko.SFTPError("no SFTP server answers, but much else")
            seen += self._read_all(1)  # type: ignore[attr-defined]
        length = int.from_bytes(seen[-_LENGTH - len(_ANSWER) : -len(_ANSWER)], "big")
        self._read_all(length - len(_ANSWER))  # type: ignore[attr-defined]
        return _VERSION
