"""Who did what, when and why, as every host remembers it: asked from another laptop than the one that did it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from relman.hosts.state_dir import journal
from tests.e2e.stage import ALL_AT_ONCE, DEPLOY, Ended, Stage
from tests.lab.host import LabHost
from tests.lab.process import until

P = ("-e", "production")
SECRET = "correct-horse-battery"
SLOW = {**DEPLOY, "max_unavailable": 1, "health": {**DEPLOY["health"], "window": "3s", "interval": "0.1s"}}


class Laptop:
    """A user with a data directory of their own."""

    def __init__(self, stage: Stage, user: str) -> None:
        self._stage = stage
        self.env = {"USER": user, "LOGNAME": user, "RELMAN_DATA_DIR": str(stage.home / user)}

    def does(self, *arguments: str, code: int = 0) -> Ended:
        """Run relman on it."""
        return self._stage.relman(*arguments, code=code, env=self.env)

    def knows(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """The first document that relman prints on it."""
        document: dict[str, Any] = json.loads(self.does("--json", *arguments, code=code).out.splitlines()[0])
        return document


@pytest.fixture
def carol(stage: Stage) -> Laptop:
    """She does everything."""
    return Laptop(stage, "carol")


@pytest.fixture
def dave(stage: Stage) -> Laptop:
    """He wants to know."""
    return Laptop(stage, "dave")


def file(host: LabHost, name: str = journal.NAME) -> str:
    """A host's journal as it lies there."""
    return host.path(f"/var/lib/relman/production/demo/{name}").read_text()


def now() -> str:
    """This moment."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_second_laptop_finds_out_who_rolled_back_and_why(stage: Stage, carol: Laptop, dave: Laptop) -> None:
    """From the hosts alone: status says by whom, history says who, when and why, show what it came to on each host; and
    what ran at any time before, with its tests. A removal takes none of that away."""
    carol.does("deploy", "1", *P, "--yes")
    dave.does("deploy", "2", *P, "--yes")
    stage.serve("2")
    during = now()
    until(lambda: now() > during, "the next second", 5)
    carol.does("rollback", *P, "--yes", "--reason", "INC-9: the basket is empty")
    stage.serve("1")
    second = Laptop(stage, "erin")
    said = second.does("status", *P).out
    assert "all: by carol@" in said
    assert "rolled back" in said
    entries = second.knows("history", *P)["entries"]
    assert [(e["what"], e["release"], e["by"].partition("@")[0]) for e in entries] == [
        ("rolled back", "1", "carol"),
        ("deployed", "2", "dave"),
        ("deployed", "1", "carol"),
    ]
    assert entries[0]["reason"] == "INC-9: the basket is empty"
    assert "INC-9: the basket is empty" in second.does("history", *P).out
    shown = second.does("show", entries[0]["id"], *P).out
    for part in ("INC-9: the basket is empty", "by          carol@", "h1    changed", "h3    changed"):
        assert part in shown
    then = second.knows("history", *P, "--at", during)["hosts"]
    assert {(r["host"], r["release"], r["by"].partition("@")[0], r["tests"]) for r in then} == {
        (h, "2", "dave", "passed in demo/2") for h in ("h1", "h2", "h3")
    }
    assert {r["commit"] for r in second.knows("history", *P, "--at", now())["hosts"]} == {then[0]["commit"]}
    carol.does("remove", *P, "--yes", "--reason", "moved away")
    entries = second.knows("history", *P)["entries"]
    assert [(e["what"], e["reason"]) for e in entries[:2]] == [
        ("removed", "moved away"),
        ("rolled back", "INC-9: the basket is empty"),
    ]
    assert {r["why"] for r in second.knows("history", *P, "--at", now())["hosts"]} == {"it was not there"}
    for host in stage.lab.hosts:
        state = host.path("/var/lib/relman/production/demo")
        assert [(p.name, oct(p.stat().st_mode & 0o777)) for p in state.iterdir()] == [(journal.NAME, "0o600")]


def test_what_was_seen_of_a_failure_is_kept_everywhere(stage: Stage, carol: Laptop, dave: Laptop) -> None:
    """The container's last words, its exit code and the cause: on the machine that deployed and in every host's
    journal, with no variable's value in any of them."""
    carol.does("deploy", "1", *P, "--yes")
    stage.write_inventory(token=SECRET)
    words = ["/bin/busybox", "sh", "-c", "env; echo no such table: users; exit 3"]
    stage.release("tells", deploy={**DEPLOY, "env": {"TOKEN": "${token}"}, "command": words})
    carol.does("deploy", "tells", *P, "--yes", code=5)
    id = carol.knows("history", *P)["entries"][0]["id"]
    for shown in (carol.does("show", id).out, dave.does("show", id, *P).out):
        for part in ("h1: the new container has ended", "exit code 3", "log: TOKEN=***", "log: no such table: users"):
            assert part in shown
        assert "failed, rolled back" in shown
    document = dave.knows("show", id, *P)
    assert document["cause"] == "h1: the new container has ended"
    assert [h["outcome"] for h in document["hosts"]] == ["returned", "not reached", "not reached"]
    for host in stage.lab.hosts:
        assert id in file(host)
        assert SECRET not in file(host)
    assert all(SECRET.encode() not in p.read_bytes() for p in (stage.home / "carol").rglob("*") if p.is_file())
    # Nothing changes anywhere, and nothing is added.
    before = [file(host) for host in stage.lab.hosts]
    carol.does("deploy", "1", *P, "--yes")
    assert [file(host) for host in stage.lab.hosts] == before


def test_a_host_that_dies_when_it_is_done_is_unknown_in_the_others_journals(
    stage: Stage, carol: Laptop, dave: Laptop
) -> None:
    """It is in the recap, in the exit code, and in what any laptop is told afterwards: by the hosts that answer, with
    exit code 11, because one does not."""
    carol.does("deploy", "1", *P, "--yes")
    stage.release("slow-journal", deploy=SLOW)
    running = stage.start("deploy", "slow-journal", *P, "--yes")
    running.says("h2: waiting for health", 60)
    stage.lab.hosts[0].kill()
    ended = running.ended(120)
    assert ended.code == 11, ended.out
    entry = dave.knows("history", *P, code=11)["entries"][0]
    assert (entry["outcome"], entry["release"]) == ("unknown", "slow-journal")
    document = dave.knows("show", entry["id"], *P, code=11)
    assert {h["host"]: h["outcome"] for h in document["hosts"]} == {"h1": "unknown", "h2": "changed", "h3": "changed"}
    said = dave.does("history", *P, code=11)
    assert "h1: " in said.err
    assert "2 changed" in said.out


def test_a_recovery_names_whom_it_cleared_up_after(stage: Stage, dave: Laptop) -> None:
    """The deployment that died left no line: the recovery's says whose it was."""
    stage.env |= {"USER": "carol", "LOGNAME": "carol"}
    stage.deploy("1", *ALL_AT_ONCE)
    stage.relman_killed("start", 2, "deploy", "2", *P, "--yes")
    dave.does("recover", *P, "--reason", "carol's laptop died")
    erin = Laptop(stage, "erin")
    entry = erin.knows("history", *P)["entries"][0]
    assert (entry["what"], entry["by"].partition("@")[0], entry["reason"]) == (
        "recovered",
        "dave",
        "carol's laptop died",
    )
    shown = erin.does("show", entry["id"], *P).out
    assert "of carol@" in shown
    assert "deploying demo 2" in shown


def test_a_journal_that_lies_counts_for_its_own_host(stage: Stage, carol: Laptop, dave: Laptop) -> None:
    """Somebody rewrote h2's journal: what makes no sense is passed over and said, what it says otherwise than the
    others is shown by its name, and their word stands; a full one is rotated, and both are read."""
    carol.does("deploy", "1", *P, "--yes")
    carol.does("deploy", "2", *P, "--yes", "--reason", "spring sale")
    h2 = stage.lab.hosts[1].path(f"/var/lib/relman/production/demo/{journal.NAME}")
    lines = [json.loads(line) for line in h2.read_text().split("\n") if line]
    forged: Mapping[str, Any] = {**lines[1], "by": "mallory@h2", "reason": "none of your business"}
    newer = {**lines[0], "version": 9}
    h2.write_text(f"{json.dumps(newer)}\n\x00\xff{{]\n{json.dumps(forged)}\n", errors="surrogateescape")
    said = dave.does("history", *P)
    assert "spring sale" in said.out
    assert "mallory" not in said.out
    assert "h2 differs on" in said.err
    assert "mallory@h2" in said.err
    assert "h2: 2 lines of the journal of demo skipped" in said.err
    assert "newer relman" in said.err
    h2.write_bytes(b"\n" * journal.FULL)
    carol.does("deploy", "3", *P, "--yes")
    assert file(stage.lab.hosts[1], journal.OLD).endswith("}\n")
    assert not h2.exists()
    carol.does("deploy", "1", *P, "--yes")
    newest = dave.knows("history", *P)["entries"][:2]
    assert [len(e["hosts"]) for e in newest] == [3, 3]
