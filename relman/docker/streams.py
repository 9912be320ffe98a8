"""What an engine sends bit by bit: events of a pull, and logs. Every line has its longest. Pure."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

_LONGEST = 1 << 20
_HEAD = 8  # of a frame: 1 byte for the stream, 3 of zeros, 4 for the length
_FRAMES = (b"\0\0\0\0", b"\1\0\0\0", b"\2\0\0\0")


def lines(parts: Iterable[bytes], longest: int = _LONGEST) -> Iterator[bytes]:
    """Lines without their ends, the last one also where it has none; longer ones come in pieces."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield from _pieces(line, longest)
        while len(rest) >= longest:
            yield rest[:longest]
            rest = rest[longest:]
    if rest:
        yield rest


def _pieces(line: bytes, longest: int) -> Iterator[bytes]:
    yield line[:longest]
    for start in range(longest, len(line), longest):
        yield line[start : start + longest]


def events(parts: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON objects of a stream, one a line. Raises ValueError, TypeError or RecursionError for anything else."""
    for line in lines(parts):
        if not line.strip():
            continue
        event = json.loads(line)
        if not isinstance(event, dict):
            raise TypeError("an event is not an object")
        yield event


def log_lines(parts: Iterable[bytes]) -> Iterator[str]:
    """The lines of a container's log: of both its streams, or of its terminal, which come without frames."""
    return (line.decode(errors="replace").rstrip("\r") for line in lines(unframed(parts)))


def last(lines: Iterable[str], count: int, size: int) -> list[str]:
    """The last lines: at most `count`, of at most `size` characters in all."""
    kept, length = deque[str](), 0
    for line in lines:
        kept.append(line)
        length += len(line)
        while len(kept) > count or length > size:
            length -= len(kept.popleft())
    return list(kept)


def unframed(parts: Iterable[bytes]) -> Iterator[bytes]:
    """What is in the frames; all of it, if there are none."""
    return (data for _, data in frames(parts))


def frames(parts: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """What is in the frames (Engine API, "attach to a container": stream format), each part with the stream's number: 2
    is standard error. Without frames it is all of 1."""
    coming, rest = iter(parts), b""
    while len(rest) < _HEAD and (part := next(coming, b"")):
        rest += part
    if rest[:4] not in _FRAMES:
        if rest:
            yield 1, rest
        yield from ((1, part) for part in coming)
        return
    left = stream = 0
    while rest or (rest := next(coming, b"")):
        if not left:
            while len(rest) < _HEAD:
                if not (part := next(coming, b"")):
                    return
                rest += part
            stream, left, rest = rest[0] or 1, int.from_bytes(rest[4:_HEAD], "big"), rest[_HEAD:]
        taken, rest = rest[:left], rest[left:]
        left -= len(taken)
        if taken:
            yield stream, taken
