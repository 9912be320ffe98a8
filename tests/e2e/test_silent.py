"""A host that stops answering: nothing is claimed about it, and what is said to type next makes it known again."""

from __future__ import annotations

import pytest

from tests.e2e.stage import DEPLOY, Ended, Stage
from tests.e2e.wayout import P, follow


def _unknown(ended: Ended, host: str) -> None:
    """Its row says unknown, the exit code too, and the final sentence names it and claims nothing about it."""
    assert ended.code == 11, ended.text
    recap = ended.out.split("HOST  RESULT")[-1]
    row = next(line for line in recap.splitlines() if line.startswith(host))
    assert row.split()[1] == "unknown", recap
    error = recap[recap.index("error: ") :]
    assert f"{host} did not answer, so what runs there is not known" in error
    assert "every host" not in error


def _made_known(stage: Stage, ended: Ended, host: int) -> None:
    """When it is back, the command of the hint makes everything known again."""
    stage.lab.hosts[host].start()
    hint = ended.out[ended.out.index("again: ") :].removeprefix("again: ").splitlines()[0]
    follow(stage, hint)
    stage.relman("status", *P)


@pytest.mark.parametrize(
    ("method", "held", "killed", "serves"),
    [
        ("start", 1, 0, "2"),
        ("create", 0, 0, "1"),
        ("release", 1, 1, "2"),
    ],
    ids=["done, while another one changes", "before the first change is made", "at the very end"],
)
def test_a_host_dies_during_a_deployment(serving: Stage, method: str, held: int, killed: int, serves: str) -> None:
    """Whether it was done, not yet changed, or all but let go of: what runs there is unknown, until recover knows."""
    hosts = serving.lab.hosts
    with serving.held(method, hosts[held], "deploy", "2", *P, "--yes") as running:
        hosts[killed].kill()
    ended = running.ended(120)
    _unknown(ended, hosts[killed].name)
    _made_known(serving, ended, killed)
    serving.serve(serves)


def test_a_host_dies_while_it_pulls(serving: Stage) -> None:
    """Nothing was begun anywhere: no change, said by the host's name and without a word about relman's inside."""
    serving.release("huge", ballast=200_000_000)
    running = serving.start("deploy", "huge", *P, "--yes")
    running.says("h1: pulling")
    serving.lab.hosts[0].kill()
    ended = running.ended(120)
    assert "internal error" not in ended.out, ended.out
    assert ended.code == 4, ended.out
    assert "h1" in ended.out[ended.out.index("error: ") :]


def test_a_host_dies_in_a_task(serving: Stage) -> None:
    """The task had begun, so that nobody may say that nothing was changed; the recap says which task it was."""
    task = {"name": "migrate", "command": "for i in 1 2 3 4 5 6; do echo step $i; sleep 1; done"}
    serving.release("tasked", deploy={**DEPLOY, "tasks": [task]})
    running = serving.start("deploy", "tasked", *P, "--yes")
    running.says("step 2", 60)
    serving.lab.hosts[0].kill()
    ended = running.ended(120)
    _unknown(ended, "h1")
    assert "migrate" in ended.out.split("HOST  RESULT")[-1]
    _made_known(serving, ended, 0)
    serving.serve("1")


def test_a_host_dies_during_a_recovery(serving: Stage) -> None:
    """The other hosts are put back and said to be; the dead one is unknown, and the same command ends it later."""
    h2 = serving.lab.hosts[1]
    serving.relman_killed("start", 2, "deploy", "2", *P, "--yes")
    with serving.held("set_restart", h2, "recover", *P) as running:
        h2.kill()
    ended = running.ended(120)
    _unknown(ended, "h2")
    _made_known(serving, ended, 1)
    serving.serve("1")


def test_a_host_dies_during_a_removal(serving: Stage) -> None:
    """It is not said to be removed there; recover finishes that, and the removal's last sentence is about removal."""
    h2 = serving.lab.hosts[1]
    with serving.held("remove", h2, "remove", *P, "--yes") as running:
        h2.kill()
    ended = running.ended(120)
    _unknown(ended, "h2")
    h2.start()
    assert "is consistent again" in serving.relman("recover", *P).out
    assert serving.versions() == ["-", "-", "-"]
    serving.deploy("1")
    said = serving.relman("remove", *P, "--yes").out
    assert said.splitlines()[-1] == "done: demo was removed from 3 hosts of production"
