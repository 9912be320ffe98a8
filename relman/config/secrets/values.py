"""The value of a secret, from its source; on this machine, when a deployment needs it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from relman.config.inventory.vault import Vault
from relman.config.secrets.age import decrypt
from relman.model.grants.secrets import SecretSource, SourceKind

LARGEST = 1 << 20
"""Bytes of one value."""
SECONDS = 60.0
_OWN = "RELMAN_"
_LAST_LINES = 5
_PATIENCE = 5.0


class Unresolved(Exception):
    """There is no value; `str` says why, without any part of one. `lines` are a command's own last words."""

    def __init__(self, why: str, lines: tuple[str, ...] = ()) -> None:
        super().__init__(why)
        self.lines = lines


@dataclass(frozen=True)
class Keys:
    """What opens what is encrypted, and the variables that were set."""

    vault: Vault
    age_key_file: str
    environ: Mapping[str, str]


def value_of(source: SecretSource, keys: Keys) -> bytes:
    """The value. Raises Unresolved where there is none, it is empty or larger than 1 MiB."""
    found = _READ[source.kind](source, keys)
    if not found:
        raise Unresolved(f"{described(source)} is empty")
    if len(found) > LARGEST:
        raise Unresolved(f"{described(source)} is larger than {LARGEST >> 20} MiB")
    return found


def lacking(source: SecretSource) -> str:
    """What is missing for a value on any machine, as far as it shows without running or decrypting; "" for nothing."""
    if source.kind is SourceKind.VAULT and source.text is None:
        return _not_in_vault(source)
    if source.kind in (SourceKind.FILE, SourceKind.AGE) and not path_of(source).is_file():
        return f"there is no file {path_of(source)}"
    return ""


def described(source: SecretSource) -> str:
    """The source, for people."""
    if source.kind is SourceKind.COMMAND:
        return f"what {shlex.join(source.words)} prints"
    if source.kind in (SourceKind.FILE, SourceKind.AGE):
        return f"the file {path_of(source)}"
    return f"the variable {source.words[0]}"


def path_of(source: SecretSource) -> Path:
    """The file that a source names."""
    return Path(source.folder) / Path(source.words[0]).expanduser()


def _not_in_vault(source: SecretSource) -> str:
    return (
        f"the inventory has no variable {source.words[0]} in Ansible Vault: it is missing or plain text, or in a file "
        "that no password given opens"
    )


def _vault(source: SecretSource, keys: Keys) -> bytes:
    if source.text is None:
        raise Unresolved(_not_in_vault(source))
    if source.open:
        return source.text.encode()
    try:
        return keys.vault.decrypt(source.text).encode()
    except ValueError as error:
        raise Unresolved(f"the variable {source.words[0]} {error}") from None


def _file(source: SecretSource, _keys: Keys) -> bytes:
    path = path_of(source)
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST + 1)
    except OSError as error:
        raise Unresolved(f"cannot read {path}: {error.strerror}") from None


def _age(source: SecretSource, keys: Keys) -> bytes:
    try:
        return decrypt(path_of(source), keys.age_key_file)
    except ValueError as error:
        raise Unresolved(str(error)) from None


def _variable(source: SecretSource, keys: Keys) -> bytes:
    name = source.words[0]
    if name not in keys.environ:
        raise Unresolved(f"the variable {name} is not set on this machine")
    return os.fsencode(keys.environ[name])


def _command(source: SecretSource, keys: Keys) -> bytes:
    """What the command prints, without a line end at its very end, as a shell's $() has it."""
    environ = {name: value for name, value in keys.environ.items() if not name.startswith(_OWN)}
    shown = shlex.join(source.words)
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(  # noqa: S603  # the operator's own inventory names it
                source.words,
                cwd=source.folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        except OSError as error:
            raise Unresolved(f"{shown} cannot be run: {error.strerror}") from None
        printed = _printed(process, shown)
        if process.returncode:
            errors.seek(0)
            lines = errors.read(1 << 16).decode(errors="replace").splitlines()[-_LAST_LINES:]
            raise Unresolved(f"{shown} ended with {process.returncode}", tuple(lines))
    return printed.removesuffix(b"\n").removesuffix(b"\r")


def _printed(process: subprocess.Popen[bytes], shown: str) -> bytes:
    """What it prints until it ends. It may ask at the terminal, and so is in relman's own process group."""
    try:
        return process.communicate(timeout=SECONDS)[0]
    except subprocess.TimeoutExpired:
        raise Unresolved(f"{shown} did not end within {SECONDS:g} s") from None
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


_READ: Mapping[SourceKind, Callable[[SecretSource, Keys], bytes]] = {
    SourceKind.VAULT: _vault,
    SourceKind.AGE: _age,
    SourceKind.COMMAND: _command,
    SourceKind.VARIABLE: _variable,
    SourceKind.FILE: _file,
}
