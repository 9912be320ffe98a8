"""Locks that are waited for and broken, and hosts that fail in the middle of their turn."""

from __future__ import annotations

import signal

from tests.e2e.stage import DEPLOY, Stage
from tests.lab.process import until

SLOW = {**DEPLOY, "max_unavailable": 1, "health": {**DEPLOY["health"], "window": "4s"}}


def test_who_comes_second_can_wait(serving: Stage) -> None:
    """--wait-lock waits for the other's end, and says for whom; then it plans anew."""
    serving.release("slow-first", deploy=SLOW)
    first = serving.start("deploy", "slow-first", "-e", "production", "--yes")
    first.says("waiting for health")
    assert "deploying demo slow-first" in serving.relman("lock", "status", "-e", "production").out
    second = serving.start("deploy", "2", "-e", "production", "--yes", "--wait-lock", "60")
    second.says("waiting up to 60 s")
    assert first.ended().code == 0
    ended = second.ended()
    assert ended.code == 0, ended.out
    serving.serve("2")
    assert "no host is locked" in serving.relman("lock", "status", "-e", "production").out


def test_a_holder_that_was_asleep_while_its_lock_was_broken_changes_nothing_more(serving: Stage) -> None:
    """relman is stopped in the middle, as on a laptop that is closed; somebody breaks the lock, recovers and deploys;
    when it wakes up it finds out, writes over nobody, and says so."""
    serving.release("slow-asleep", deploy=SLOW)
    asleep = serving.start("deploy", "slow-asleep", "-e", "production", "--yes")
    asleep.says("h1: waiting for health")
    asleep.send(signal.SIGSTOP)
    assert "--reason" in serving.relman("lock", "break", "-e", "production", "--yes", code=2).err
    said = serving.relman("lock", "break", "-e", "production", "--yes", "--reason", "laptop went home").out
    assert "relman recover" in said
    assert "lock broken" in serving.relman("history").out
    assert serving.deploy("2", code=7)
    serving.relman("recover", "-e", "production")
    serving.deploy("2")
    asleep.send(signal.SIGCONT)
    ended = asleep.ended()
    assert ended.code in (6, 7), ended.out
    assert "the lock is no longer ours" in ended.out
    serving.serve("2")
    assert all(not row["notes"] for row in serving.status())
    serving.deploy("3")
    serving.serve("3")


def test_an_engine_that_is_restarted_in_the_middle(serving: Stage) -> None:
    """The new container does not come back, the old one does: the deployment fails and the fleet is as before."""
    serving.release("slow-engine", deploy=SLOW)
    running = serving.start("deploy", "slow-engine", "-e", "production", "--yes")
    running.says("h1: waiting for health")
    serving.lab.hosts[0].restart_engine()
    ended = running.ended()
    assert ended.code == 5, ended.out
    serving.serve("1")
    assert all(not row["notes"] for row in serving.status())


def test_a_port_that_is_stolen_inside_the_gap(serving: Stage) -> None:
    """Neither container gets its port back: exit code 10 names the host; once it is free the next command starts the
    old one first, and recover puts the rest right."""
    h1 = serving.lab.hosts[0]
    with h1.stealing(8080):
        ended = serving.deploy("2", code=10)
        assert "h1" in ended.err
        assert "8080" in ended.err
    assert "the previous container was started" in serving.deploy("2", code=7).out
    serving.serve("1")
    serving.relman("recover", "-e", "production")
    serving.deploy("2")
    serving.serve("2")


def test_a_disk_that_is_full_while_going_back(stage: Stage) -> None:
    """Nothing can be written on the host any more when its new container fails: what serves is said truly, and once
    there is room it is put right."""
    h2 = stage.lab.hosts[1]
    h2.limit_disk(200)
    try:
        stage.deploy("1", "--max-unavailable", "100%")
        never = {**DEPLOY["health"], "timeout": "60s", "http": {"port": 8080, "path": "/never"}}
        stage.release("full", deploy={**DEPLOY, "health": never})
        running = stage.start("deploy", "full", "-e", "production", "--yes", "--max-unavailable", "100%")
        running.says("h2: waiting for health")
        h2.fill_disk()
        running.send(signal.SIGINT)
        ended = running.ended()
        serves = stage.versions()[1]
        assert (ended.code == 130) is (serves == "1"), ended.out
        assert ended.code in (130, 7, 10), ended.out
        h2.free_disk()
        stage.relman("recover", "-e", "production")
        stage.serve("1")
        stage.deploy("2")
        stage.serve("2")
    finally:
        h2.unlimit_disk()


def test_a_host_that_freezes_holds_the_others_back_no_longer_than_its_timeout(serving: Stage) -> None:
    """Its connections stay open and nothing answers: the others are put back meanwhile, and later it is, too."""
    serving.release("slow-frozen", deploy={**SLOW, "max_unavailable": 3})
    h2 = serving.lab.hosts[1]
    running = serving.start_impatient("deploy", "slow-frozen", "-e", "production", "--yes", "--max-unavailable", "100%")
    running.says("h2: waiting for health")
    h2.cut()
    ended = running.ended(30)
    assert ended.code == 11, ended.out
    assert [serving.versions()[i] for i in (0, 2)] == ["1", "1"]
    h2.mend()
    serving.relman("recover", "-e", "production")
    until(lambda: serving.versions() == ["1", "1", "1"], "all to be back", 15)
