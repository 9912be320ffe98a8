"""Follow a service's log on one host across restarts and deployments, without lost or repeated lines."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from relman.docker import answers
from relman.model.container import TASK, Container
from relman.model.errors import EngineError
from relman.rollout.fleet import Session

_PAUSE = 1.0
_PATIENCE = 5.0
_LAST = 100  # lines kept for comparison: more than have one timestamp
_BEFORE: tuple[int, str] = (0, "")


def tail(
    session: Session,
    labels: Mapping[str, str],
    slot: tuple[str, str] | None,
    container: Container | None,
    shown: Sequence[str] | None,
    say: Callable[[str], None],
) -> Iterator[str]:
    """Yield the lines after `shown`, the last ones of `container` (None: nothing was shown), with timestamps; then
    those of every container with these `labels` that replaces it, of the same `slot` (None: whichever comes).

    Ends only with an exception of the engine.
    """
    last = deque(shown or (), maxlen=_LAST)
    if container and shown is None:
        yield from _kept(session.engine.follow(container.id, ""), last)
    elif container:
        since = last[-1].partition(" ")[0] if last else container.started_at
        yield from _kept(after(session.engine.follow(container.id, since), since, tuple(last)), last)
    while True:
        before, container = container, _next(session, labels, slot, container, say)
        if before is None or container.id != before.id:
            last.clear()
        since = last[-1].partition(" ")[0] if last else _just_before(container.started_at)
        yield from _kept(after(session.engine.follow(container.id, since), since, tuple(last)), last)


def _kept(lines: Iterable[str], last: deque[str]) -> Iterator[str]:
    """The lines, of which the last ones are kept in `last`."""
    for line in lines:
        last.append(line)
        yield line


def _just_before(stamp: str) -> str:
    """One second before a container's start: its first lines can be older than the start that the engine notes."""
    if moment(stamp) == _BEFORE:
        return stamp
    return datetime.fromtimestamp(answers.clock(stamp) - 1, UTC).isoformat()


def after(lines: Iterable[str], stamp: str, shown: Sequence[str] = ()) -> Iterator[str]:
    """The lines not older than `stamp`, without those of exactly that time that were `shown`. Pure."""
    seam, known, passed = moment(stamp), Counter(shown), False
    for line in lines:
        if not passed:
            at = moment(line.partition(" ")[0])
            passed = at > seam
            if at < seam:
                continue
            if at == seam and known[line]:
                known[line] -= 1
                continue
        yield line


def moment(stamp: str) -> tuple[int, str]:
    """A sort key for the engine's timestamps, which have up to nine decimals; invalid ones come first."""
    try:
        seconds = int(answers.clock(stamp))
    except EngineError:
        return _BEFORE
    decimals = stamp.partition(".")[2]
    return seconds, decimals[: len(decimals) - len(decimals.lstrip("0123456789"))].ljust(9, "0")


def _next(
    session: Session,
    labels: Mapping[str, str],
    slot: tuple[str, str] | None,
    before: Container | None,
    say: Callable[[str], None],
) -> Container:
    """Wait for the next container started after the previous one, which may be the same one restarted."""
    last, began, said = moment(before.started_at) if before else _BEFORE, time.monotonic(), False
    while True:
        own = [c for c in session.engine.survey(labels)[0] if TASK not in c.labels]
        found = [c for c in own if slot in (None, c.slot)]
        later = [c for c in found if moment(c.started_at) > last]
        if later:
            return min(later, key=lambda c: moment(c.started_at))
        if not said and time.monotonic() - began > _PATIENCE:
            said = True
            ended = next((f" ({c.name} {c.status}, exit code {c.exit_code})" for c in found if not c.running), "")
            what = f"nothing of {slot[0]} runs" if slot and slot[0] else "nothing runs"
            say(f"{session.host.name}: {what}{ended}; waiting for what is started there")
        time.sleep(_PAUSE)
