"""Determine whether an ENTRYPOINT executes the command that is appended to it. Pure."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Sequence

from relman.ci.entrypoint.flow import unseen as unseen_in_script

Reader = Callable[[str], bytes | None]
"""Returns the content of a program by its name in the ENTRYPOINT; None if it does not exist or is too large."""

_SHELLS = ("sh", "bash", "dash", "ash", "ksh", "zsh")
_SHEBANG = re.compile(rb"#!\s*(?:\S*/env\s+(?:-S\s+)?)?(\S+)")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
# Programs that execute what follows their options, each with its options that take a value.
_LAUNCHERS: dict[str, tuple[str, ...]] = {
    "tini": ("-p", "-e"),
    "tini-static": ("-p", "-e"),
    "docker-init": ("-p", "-e"),
    "catatonit": (),
    "dumb-init": ("-r", "--rewrite"),
    "env": ("-u", "--unset", "-C", "--chdir"),
    "gosu": (),
    "su-exec": (),
}
_TAKE_A_USER = ("gosu", "su-exec")


def unseen(entrypoint: Sequence[str], read: Reader) -> str:
    """Why it is not known that an ENTRYPOINT executes the command after it; "" if it is, or if there is none."""
    left = list(entrypoint)
    while left:
        program = posixpath.basename(left[0])
        if program in _LAUNCHERS or program == "busybox":
            if (rest := _after_launcher(left)) is None:
                return f"{left[0]} takes the command's first word for itself"
            left = rest
        elif program in _SHELLS:
            why, left = _shell(left, read)
            if why:
                return why
        elif why := _program(left[0], read):
            return why
        else:
            left = left[1:]
    return ""


def shown(entrypoint: Sequence[str]) -> str:
    """An ENTRYPOINT in Dockerfile syntax."""
    return json.dumps(list(entrypoint))


def _after_launcher(words: Sequence[str]) -> list[str] | None:
    """The words that a launcher executes; None if it needs another word of its own."""
    program, left = posixpath.basename(words[0]), list(words[1:])
    while left and (left[0].startswith("-") or (program == "env" and _ASSIGNMENT.fullmatch(left[0]))):
        option = left.pop(0)
        if option == "--":
            break
        if option in _LAUNCHERS.get(program, ()):
            if not left:
                return None
            left.pop(0)
    if program in _TAKE_A_USER:
        return left[1:] if left else None
    return left


def _shell(words: Sequence[str], read: Reader) -> tuple[str, list[str]]:
    """Why a shell may not execute the command, "" if it does, and the remaining words of the ENTRYPOINT."""
    left = list(words[1:])
    text = False
    while left and left[0][:1] in ("-", "+"):
        option = left.pop(0)
        if option == "--":
            break
        text |= not option.startswith("--") and "c" in option
        if option in ("-o", "+o", "-O", "+O", "--rcfile", "--init-file"):
            left = left[1:]
    if not left:
        return f"{words[0]} takes the command's first word for a script", []
    if not text:
        why = _script(left[0], read(left[0]))
        return why, left[1:]
    if len(left) == 1:
        return f"{' '.join(words[:2])} runs its own text and takes the command for that one's parameters", []
    why = unseen_in_script(left[0], _transparent)
    return (f"the text of {' '.join(words[:2])} {why}" if why else ""), left[2:]


def _program(name: str, read: Reader) -> str:
    content = read(name)
    if content is None:
        return f"{name} cannot be read"
    shebang = _SHEBANG.match(content)
    if not shebang:
        return f"{name} is not a script, so what it does with the command cannot be checked"
    if posixpath.basename(shebang[1].decode(errors="replace")) not in _SHELLS:
        return f"{name} is not a shell script, so what it does with the command cannot be checked"
    return _script(name, content)


def _script(name: str, content: bytes | None) -> str:
    if content is None:
        return f"{name} cannot be read"
    why = unseen_in_script(content.decode(errors="replace").replace("\r\n", "\n"), _transparent)
    return f"{name} {why}" if why else ""


def _transparent(words: Sequence[str]) -> bool:
    """Whether these words of a script execute what follows them."""
    left: list[str] | None = [word.strip("\"'") if not word.startswith("$") else word for word in words]
    while left:
        if posixpath.basename(left[0]) not in _LAUNCHERS:
            return False
        left = _after_launcher(left)
    return left is not None
