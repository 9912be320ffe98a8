"""The lock of a host's proxy: nobody loses it while he works, and nobody takes another's away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relman.hosts.state_dir import lock as lock_file
from relman.hosts.state_dir.proxy import STATE, TOP
from relman.model.errors import Locked
from relman.model.state_dir.lock import FoundLock, Lock
from relman.rollout.fleet import Session
from relman.rollout.proxy import lock as proxy_lock
from relman.rollout.proxy.lock import proxy_locked
from relman.rollout.state import lease
from relman.rollout.state.locks import new_lock
from tests.lab.process import until
from tests.unit.model_fleet import LATER, ModelFleet, World
from tests.unit.values import PROXIED


class Shared:
    """A proxy, and two commands that want its lock."""

    def __init__(self) -> None:
        self.world = World(1, PROXIED)
        self.one, self.other = (new_lock(self.world.asked(), what) for what in ("switching", "applying"))

    @property
    def session(self) -> Session:
        """A command's, which asks for the host's time once."""
        return ModelFleet(self.world.hosts).sessions["h1"]

    @property
    def found(self) -> FoundLock | None:
        """What a command finds."""
        session = self.session
        return lock_file.read(session.connection, TOP, STATE, now=session.now())

    def leave(self, lock: Lock) -> None:
        """Its holder died long ago."""
        lock_file.acquire(self.session.connection, TOP, STATE, lock)
        self.world.now += LATER


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Shared:
    """Nobody has it, and nobody waits for long."""
    monkeypatch.setattr(proxy_lock, "_WAIT", 0.05)
    monkeypatch.setattr(proxy_lock, "_PAUSE", 0.01)
    return Shared()


def test_it_is_renewed_for_as_long_as_it_is_held(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes longer than the lock lives, as while a proxy's last requests end, does not lose it."""
    monkeypatch.setattr(proxy_lock, "_RENEW", 0.01)
    with proxy_locked(shared.session, shared.one):
        for _ in range(3):
            shared.world.now += 40
            until(lambda: (found := shared.found) and found.age < 20, "a renewal")
        with pytest.raises(Locked, match="switching"), proxy_locked(shared.session, shared.other):
            raise AssertionError
    assert shared.found is None


def test_one_that_another_command_took_is_left_to_it(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that slept for longer than its lock lived finds it in other hands, and does not remove it."""
    slept = 0.0
    monkeypatch.setattr(lease, "uptime", lambda: slept)
    mine, theirs = (proxy_locked(shared.session, each) for each in (shared.one, shared.other))
    mine.__enter__()
    slept = LATER
    shared.world.now += LATER
    theirs.__enter__()
    with pytest.raises(Locked, match="no longer ours"):
        mine.__exit__(None, None, None)
    assert shared.found
    assert shared.found.lock
    assert shared.found.lock.token == shared.other.token


def test_who_is_slower_with_a_dead_holders_lock_waits_on(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """The faster one holds it for a moment; then it is the slower one's."""
    shared.leave(replace(shared.one, token="dead"))
    take_over = lock_file.take_over

    def faster(*arguments: object, **named: object) -> None:
        """Another command takes it over first, and lets it go."""
        monkeypatch.setattr(lock_file, "take_over", take_over)
        lock_file.advance(shared.session.connection, TOP, STATE, shared.other, look=False)
        try:
            take_over(*arguments, **named)  # type: ignore[arg-type]
        finally:
            lock_file.release(shared.session.connection, TOP, STATE, shared.other, look=True)

    monkeypatch.setattr(lock_file, "take_over", faster)
    with proxy_locked(shared.session, shared.one):
        assert shared.found
        assert shared.found.lock
        assert shared.found.lock.token == shared.one.token
    assert shared.found is None
